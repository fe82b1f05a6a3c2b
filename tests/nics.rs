//! The guest's NICs as QEMU has them: no guest boots for that.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;

use support::{Machine, SOON, Setup, qemu::Qmp};

fn on(machine: &Machine) -> Qmp {
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    Qmp::connect(machine)
}

#[test]
fn a_machine_without_interfaces_has_a_nic_behind_nat() {
    let machine = Setup::new().with("VM_NETWORKS", "").start();
    let nics = on(&machine).nics();
    let [nic] = &nics[..] else { panic!("{nics:?}") };
    assert_eq!((nic.id.as_str(), nic.model.as_str()), ("nic-user", "virtio-net-pci"));
    assert!(nic.mac.starts_with("52:54:00:"), "{nic:?}");
    machine.ipmitool(&["power", "cycle"]).ok();
    machine.wait_log("the machine is off", SOON);
    machine.wait_power("on", SOON);
    assert_eq!(Qmp::connect(&machine).nics()[0].mac, nic.mac);
}

#[test]
fn a_machine_that_is_to_have_no_nic_has_none() {
    let machine = Setup::new().with("VM_NETWORKS", "none").start();
    assert!(on(&machine).nics().is_empty());
}

#[test]
fn qemu_has_no_privilege_but_to_open_files() {
    let machine = Setup::new().start();
    on(&machine);
    let status = fs::read_to_string(format!("/proc/{}/status", machine.qemu_pid().unwrap())).unwrap();
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
    };
    const DAC_OVERRIDE: u64 = 1 << 1;
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(set(name) & !DAC_OVERRIDE, 0, "{status}");
    }
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}
