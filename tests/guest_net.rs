//! The guest's NICs as links of a lab: what goes in at one end comes out at the other, bit for bit.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::support::{
    BOOT, Machine, Setup,
    lab::{Frame, Lab, Namespace},
};

/// Frames that a switch would keep, change or not know, and some that are as short or as long as can be.
fn frames(mtu: usize) -> Vec<(&'static str, Frame)> {
    const SENDER: &str = "02:00:00:00:0a:01";
    let frame = |to: &str, rest: &str, length| Frame::new(&format!("{to}{SENDER}{rest}"), length);
    let mut all = vec![
        ("STP", frame("01:80:c2:00:00:00", "0026 424203 0000", 60)),
        ("LACP", frame("01:80:c2:00:00:02", "8809 0101", 124)),
        ("802.1X", frame("01:80:c2:00:00:03", "888e 0101 0000", 60)),
        ("LLDP", frame("01:80:c2:00:00:0e", "88cc", 200)),
        ("CDP", frame("01:00:0c:cc:cc:cc", "0060 aaaa03 00000c 2000", 110)),
        ("a VLAN tag", frame("02:00:00:00:0a:02", "8100 0064 88b5", 64)),
        ("a priority tag", frame("02:00:00:00:0a:02", "8100 e000 88b5", 64)),
        ("two VLAN tags", frame("02:00:00:00:0a:02", "8100 0064 8100 00c8 88b5", 68)),
        ("a service tag and a VLAN tag", frame("02:00:00:00:0a:02", "88a8 0065 8100 00c9 88b5", 68)),
        ("MPLS", frame("02:00:00:00:0a:02", "8847 00010140", 90)),
        ("broadcast", frame("ff:ff:ff:ff:ff:ff", "88b5", 60)),
        ("multicast of IPv4", frame("01:00:5e:00:00:05", "88b5", 100)),
        ("multicast of IPv6", frame("33:33:00:00:00:05", "88b5", 100)),
        ("somebody else's", frame("02:00:00:00:0b:99", "88b5", 60)),
        ("a full one", frame("02:00:00:00:0a:02", "88b5 01", 1514)),
        ("a full one with a tag", frame("02:00:00:00:0a:02", "8100 0064 88b5 01", 1518)),
    ];
    if mtu > 1500 {
        all.push(("a jumbo", frame("02:00:00:00:0a:02", "88b5 02", mtu + 14)));
    }
    all
}

#[test]
fn the_lab_itself_changes_no_frame() {
    let Some(lab) = Lab::here() else { return };
    let (left, right) = (lab.namespace("left"), lab.namespace("right"));
    left.cable_with_mtu("eth2", &right, "eth3", 9000);
    let capture = right.listen("eth3");
    for (what, frame) in frames(9000) {
        left.send("eth2", &frame);
        capture.wait(what, &frame);
    }
    assert_eq!(capture.frames(), frames(9000).into_iter().map(|(_, frame)| frame).collect::<Vec<_>>());
}

/// The last of the frames: once it is there, all are.
fn last() -> Frame {
    Frame::new("02:00:00:00:0a:02 02:00:00:00:0a:01 88b5 ff", 60)
}

/// Sends every frame from the probe to the guest and from the guest to the probe, and asserts that each came over
/// unchanged.
#[track_caller]
fn both_ways(machine: &Machine, guests: &str, probe: &Namespace, probes: &str, mtu: usize) {
    let all: Vec<_> = frames(mtu).into_iter().chain([("the last", last())]).collect();
    let passed = |seen: &[Frame], way: &str| {
        for (what, frame) in &all {
            assert!(seen.contains(frame), "{what} {way} {guests}: {seen:#?}");
        }
    };

    machine.guest_has(guests);
    let capture = machine.guest_listens(guests);
    for (_, frame) in &all {
        probe.send(probes, frame);
    }
    passed(&capture.up_to(&last()), "to the guest's");

    let capture = probe.listen(probes);
    // What counts anyhow the guest can count itself: its shell takes lines of a thousand characters.
    for some in all.chunks(8) {
        let sends = some.iter().map(|(_, frame)| {
            format!("frames send {guests} {} {}", &frame.0[..frame.0.len().min(48)], frame.len())
        });
        machine.guest(&format!("set -e; {}", sends.collect::<Vec<_>>().join("; ")));
    }
    capture.wait("the last", &last());
    passed(&capture.frames(), "from the guest's");
}

/// Gives the guest an address there.
#[track_caller]
fn address(machine: &Machine, interface: &str, address: &str) {
    machine.guest(&format!("ip link set {interface} up && ip addr add {address} dev {interface}"));
}

/// Has the guest send back whatever comes in on TCP port 7.
#[track_caller]
fn serve_echo(machine: &Machine) {
    machine.guest("nc -ll -p 7 -e cat </dev/null >/dev/null 2>&1 & usleep 1; until netstat -ltn | grep -q :7; do usleep 50000; done");
}

/// A megabyte by TCP to the guest and back, from the stack of a namespace's own kernel.
#[track_caller]
fn echo(from: &Namespace, to: &str) {
    let sent: Vec<u8> =
        (0..1_u32 << 20).map(|position| (position.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut back = vec![0; sent.len()];
    from.within(|| {
        let mut stream = TcpStream::connect(to).unwrap_or_else(|error| panic!("connect to {to}: {error}"));
        stream.set_read_timeout(Some(BOOT)).unwrap();
        let mut writer = stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&sent).unwrap());
            stream.read_exact(&mut back).unwrap_or_else(|error| panic!("read from {to}: {error}"));
        });
    });
    assert!(back == sent, "what came back from {to} is something else");
}

#[test]
fn two_guests_on_one_cable_have_it_to_themselves() {
    const JUMBO: u32 = 9000;
    let Some(lab) = Lab::here() else { return };
    let (left, right, probe) = (lab.namespace("left"), lab.namespace("right"), lab.namespace("probe"));
    left.cable_with_mtu("eth2", &right, "eth2", JUMBO);
    let node = |namespace: &Namespace| {
        let setup = Setup::new().with_disk().in_namespace(namespace).with("VM_NETWORKS", "");
        let setup = setup.with("VM_NAME", namespace.name());
        setup.with("VM_CPUS", 2).with("POWER_ON_AT_START", true).start()
    };
    let (a, b) = (node(&left), node(&right));
    for (machine, own) in [(&a, "10.0.0.1/24"), (&b, "10.0.0.2/24")] {
        machine.wait_ready(1);
        machine.guest_has("eth0");
        address(machine, "eth0", own);
        assert_eq!(machine.guest("cat /sys/class/net/eth0/mtu"), "9000\n");
        assert_eq!(
            machine.guest("ls -1 /sys/class/net/eth0/queues"),
            "rx-0\nrx-1\ntx-0\ntx-1\n",
            "one for each processor"
        );
    }
    let mac = |machine: &Machine| machine.guest("cat /sys/class/net/eth0/address");
    assert_ne!(mac(&a), mac(&b));

    // From the shortest frame to the longest, none of which may be cut.
    let capture = right.listen("eth2");
    for size in [18, 56, 1472, 4000, 8972] {
        a.guest(&format!("ping -q -c 2 -W 5 -s {size} 10.0.0.2"));
    }
    for length in [60, 9014] {
        let frames = capture.frames();
        let found = frames.iter().find(|frame| frame.len() == length && frame.0[24..28] == *"0800");
        let found = found.unwrap_or_else(|| panic!("a frame of {length} bytes: {frames:?}"));
        assert_eq!(&found.0[40..44], "4000", "it must not be fragmented, and was not: {found:?}");
    }
    drop(capture);

    // A file each way.
    for (server, client, address) in [(&a, &b, "10.0.0.1"), (&b, &a, "10.0.0.2")] {
        server.guest("mkdir /tmp/www; dd if=/dev/urandom of=/tmp/www/file bs=1M count=8 2>/dev/null; httpd -h /tmp/www");
        let sum = server.guest("sha256sum </tmp/www/file");
        assert_eq!(client.guest(&format!("wget -q -O - http://{address}/file | sha256sum")), sum);
    }

    // Neighbours and everybody in IPv6.
    let local = b.guest("ip -6 addr show dev eth0 scope link | sed -n 's/.*inet6 \\([^/]*\\).*/\\1/p'");
    a.guest(&format!("ping6 -q -c 2 -W 5 {}%eth0", local.trim()));
    let neighbours = a.guest("ip -6 neigh show dev eth0");
    assert!(neighbours.contains(mac(&b).trim()), "{neighbours}");
    let everybody = a.guest("ping6 -c 2 -W 5 ff02::1%eth0");
    assert!(everybody.contains(local.trim()), "{everybody}");

    // VLANs, and VLANs in VLANs.
    for (machine, host) in [(&a, 1), (&b, 2)] {
        machine.guest(
            "modprobe 8021q; ip link add link eth0 name outer type vlan id 100; \
             ip link add link outer name inner type vlan id 200",
        );
        address(machine, "outer", &format!("10.0.100.{host}/24"));
        address(machine, "inner", &format!("10.0.200.{host}/24"));
    }
    a.guest("ping -q -c 2 -W 5 -s 1400 10.0.100.2 && ping -q -c 2 -W 5 -s 1400 10.0.200.2");

    // Pulling the cable is seen at both ends.
    left.ip("link set eth2 down");
    a.wait_carrier("eth0", 0);
    b.wait_carrier("eth0", 0);
    left.ip("link set eth2 up");
    a.wait_carrier("eth0", 1);
    b.wait_carrier("eth0", 1);
    a.guest("ping -q -c 2 -W 5 10.0.0.2");

    // So is a cable that is gone, and another in its place.
    left.ip("link del eth2");
    a.wait_carrier("eth0", 0);
    b.wait_carrier("eth0", 0);
    left.cable_with_mtu("eth2", &right, "eth2", JUMBO);
    a.wait_carrier("eth0", 1);
    b.wait_carrier("eth0", 1);
    a.guest("ping -q -c 2 -W 5 -s 8972 10.0.0.2");

    // A cable that comes while the guest runs.
    assert!(!a.guest("ls /sys/class/net").contains("eth1"));
    left.cable("eth3", &probe, "eth3");
    a.guest_has("eth1");
    let capture = a.guest_listens("eth1");
    probe.send("eth3", &last());
    assert!(capture.up_to(&last()).contains(&last()));
}

#[test]
fn every_mode_passes_what_it_can() {
    let Some(lab) = Lab::here() else { return };
    let (node, probe) = (lab.namespace("node"), lab.namespace("probe"));
    for interface in ["eth2", "eth3", "eth4"] {
        node.cable_with_mtu(interface, &probe, interface, 9000);
    }
    let setup = Setup::new().with_disk().in_namespace(&node).with("POWER_ON_AT_START", true);
    let setup = setup.with("VM_NETWORKS", "").with("VM_NETWORK_MODE", "redirect,eth3=bridge,eth4=macvtap");
    let machine = setup.with("VM_MGMT", "user").with("VM_HOSTFWD", "tcp:127.0.0.1:2207-:7").start();
    machine.wait_ready(1);
    for (number, cable) in [(1, "eth2"), (2, "eth3"), (3, "eth4")] {
        both_ways(&machine, &format!("eth{number}"), &probe, cable, 9000);
    }

    serve_echo(&machine);
    for (number, cable) in [(1, "eth2"), (2, "eth3"), (3, "eth4")] {
        assert_eq!(machine.guest(&format!("cat /sys/class/net/eth{number}/mtu")), "9000\n");
        address(&machine, &format!("eth{number}"), &format!("192.168.{number}.2/24"));
        probe.ip(&format!("addr add 192.168.{number}.1/24 dev {cable}"));
        echo(&probe, &format!("192.168.{number}.2:7"));
    }

    // The management NIC comes first.
    behind_nat(&machine, &node, "eth0", "127.0.0.1:2207");
}

#[test]
fn a_nic_without_offloads_on_a_cable_that_came_late() {
    let Some(lab) = Lab::here() else { return };
    let (node, probe) = (lab.namespace("node"), lab.namespace("probe"));
    let setup = Setup::new().with_disk().in_namespace(&node).with("POWER_ON_AT_START", true);
    let setup = setup.with("VM_NETWORKS", "").with("CLAB_INTFS", 3).with("VM_NETWORKS_WAIT", 60);
    let machine = setup.with("VM_NIC_MODEL", "e1000e").with("VM_NETWORK_MODE", "eth3=bridge").start();
    // This is no waiting for anything: a lab takes its time.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(machine.power(), "off", "it waits for its cables");
    for interface in ["eth1", "eth2", "eth3"] {
        node.cable(interface, &probe, interface);
    }
    machine.wait_ready(1);
    serve_echo(&machine);
    for (number, cable) in [(0, "eth2"), (1, "eth3")] {
        both_ways(&machine, &format!("eth{number}"), &probe, cable, 1500);
        address(&machine, &format!("eth{number}"), &format!("192.168.{number}.2/24"));
        probe.ip(&format!("addr add 192.168.{number}.1/24 dev {cable}"));
        echo(&probe, &format!("192.168.{number}.2:7"));
    }
}

#[test]
fn a_node_without_any_privilege_has_its_nics_behind_nat() {
    let Some(lab) = Lab::here() else { return };
    let (node, probe) = (lab.namespace("node"), lab.namespace("probe"));
    node.cable("eth2", &probe, "eth2");
    let setup = Setup::new().with_disk().in_namespace(&node).without_privilege().with("VM_NETWORKS", "");
    let machine = setup.with("VM_HOSTFWD", "tcp:2207-:7").with("POWER_ON_AT_START", true).start();
    machine.wait_ready(1);
    serve_echo(&machine);
    behind_nat(&machine, &node, "eth0", "127.0.0.1:2207");
}

/// Asserts that the guest gets its address by DHCP there, and is reached through the forward.
#[track_caller]
fn behind_nat(machine: &Machine, node: &Namespace, interface: &str, forward: &str) {
    machine.guest_has(interface);
    machine.guest(&format!("udhcpc -q -n -i {interface}"));
    let addresses = machine.guest(&format!("ip addr show dev {interface}"));
    assert!(addresses.contains("10.0.2.15/24"), "{addresses}");
    echo(node, forward);
}
