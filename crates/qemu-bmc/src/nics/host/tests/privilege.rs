//! Without what it takes, nothing is done, and the message says what to give.

use rustix::{
    mount::MountFlags,
    thread::{CapabilitySet, capabilities, set_capabilities},
};

use super::{super::Error, Bench, Mode, ip, namespace::in_namespace, request, run};

/// Takes a capability from this thread.
fn without(capability: CapabilitySet) {
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(capability);
    set_capabilities(None, sets).unwrap();
}

fn refused(bench: &Bench, mode: Mode) -> String {
    let before = run("ip", "-d link show");
    let error: Error = bench.host.attach(&request(mode)).unwrap_err();
    assert!(error.is_privilege(), "{error}");
    assert_eq!(run("ip", "-d link show"), before);
    assert_eq!(bench.host.attached(), []);
    error.to_string()
}

#[test]
fn without_net_admin_the_message_says_so() {
    in_namespace(|| {
        let bench = Bench::new();
        without(CapabilitySet::NET_ADMIN);
        for (mode, doing) in [
            (Mode::Redirect, "make the TAP device qb-eth2"),
            (Mode::Bridge, "make the TAP device qb-eth2"),
            (Mode::Macvtap, "make the macvtap device qb-eth2 on eth2"),
        ] {
            let message = refused(&bench, mode);
            assert!(message.starts_with(doing), "{message}");
            assert!(message.contains("the capability NET_ADMIN is missing"), "{message}");
            assert!(message.contains("--cap-add NET_ADMIN --device /dev/net/tun"), "{message}");
        }
    });
}

#[test]
fn a_missing_tun_device_is_made_for_a_moment_or_named() {
    in_namespace(|| {
        let bench = Bench::new();
        rustix::mount::mount("none", "/dev/net", "tmpfs", MountFlags::empty(), None).unwrap();
        let (attachment, tap) = bench.attach(Mode::Redirect);
        drop(tap);
        bench.host.detach(&attachment);
        let left: Vec<_> = std::fs::read_dir(bench.run_dir.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        without(CapabilitySet::MKNOD);
        let message = refused(&bench, Mode::Redirect);
        assert!(message.contains("there is no /dev/net/tun"), "{message}");
        assert!(message.contains("--device /dev/net/tun"), "{message}");
    });
}

#[test]
fn what_can_not_be_attached_is_said() {
    in_namespace(|| {
        let bench = Bench::new();
        let attach = |interface: &str, mode| {
            let request = super::Request { interface: interface.into(), ..request(mode) };
            let error = bench.host.attach(&request).unwrap_err();
            assert!(!error.is_privilege(), "{error}");
            crate::chain(&error)
        };
        assert_eq!(attach("eth9", Mode::Redirect), "there is no interface eth9");
        assert_eq!(attach("lo", Mode::Redirect), "lo is no Ethernet interface");
        ip("link add qb-eth2 type bridge");
        let message = attach("eth2", Mode::Redirect);
        assert!(message.contains("there is an interface qb-eth2 already"), "{message}");
        assert!(ip("link show").contains("qb-eth2"), "somebody's interface was removed");
    });
}
