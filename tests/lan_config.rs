//! LAN configuration parameters with real clients: the interface as it is, what is set, alerts, IPv6,
//! statistics.

use std::{fs, net::Ipv4Addr};

use crate::support::{Machine, SOON, Setup};

#[track_caller]
fn assert_says(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "no {line:?} in:\n{said}");
    }
}

fn print(machine: &Machine) -> String {
    machine.ipmitool(&["lan", "print", "1"]).ok()
}

#[track_caller]
fn set(machine: &Machine, arguments: &[&str]) {
    let said = machine.ipmitool(&[&["lan", "set", "1"], arguments].concat());
    assert_eq!(said.err, "", "{arguments:?}");
    said.ok();
}

#[test]
fn the_interface_is_shown_as_it_is() {
    let machine = Setup::new().start();
    assert_says(
        &print(&machine),
        &[
            "Set in Progress         : Set Complete",
            "IP Address Source       : Static Address",
            &format!("IP Address              : {}\n", machine.address()),
            "Subnet Mask             : 255.0.0.0",
            "SNMP Community String   : public",
            "802.1q VLAN ID          : Disabled",
            "RMCP+ Cipher Suites     : 17,3",
            "Cipher Suite Priv Max   : aaaaaaaaaaaaaaa",
        ],
    );
}

/// Where IPMI is bound to every address, it is the interface of the default route that is shown.
#[test]
fn the_mac_address_and_the_gateway_are_the_real_ones() {
    let port = std::net::UdpSocket::bind("[::]:0").unwrap().local_addr().unwrap().port();
    let machine = Setup::new().with("IPMI_ADDRESS", "all").with("IPMI_PORT", port).start();
    let said = machine.ipmitool(&["-H", "127.0.0.1", "-p", &port.to_string(), "lan", "print", "1"]).ok();

    let routes = fs::read_to_string("/proc/net/route").unwrap();
    let default = routes
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000"));
    let Some(fields) = default else { return };
    let mac = fs::read_to_string(format!("/sys/class/net/{}/address", fields[0])).unwrap();
    let router = u32::from_str_radix(fields[2], 16).unwrap();
    assert_says(
        &said,
        &[
            &format!("MAC Address             : {}\n", mac.trim()),
            &format!("Default Gateway IP      : {}\n", Ipv4Addr::from(router.to_ne_bytes())),
        ],
    );
}

#[test]
fn what_is_set_is_shown_kept_and_logged() {
    let mut machine = Setup::new().start();
    for arguments in [
        &["ipsrc", "static"][..],
        &["ipaddr", "192.0.2.9"],
        &["netmask", "255.255.255.0"],
        &["defgw", "ipaddr", "192.0.2.1"],
        &["defgw", "macaddr", "02:00:00:00:00:01"],
        &["bakgw", "ipaddr", "192.0.2.2"],
        &["vlan", "id", "7"],
        &["vlan", "priority", "3"],
        &["snmp", "secret"],
        &["arp", "respond", "on"],
        &["arp", "generate", "off"],
        &["auth", "admin", "md5"],
        &["access", "on"],
        &["alert", "on"],
    ] {
        set(&machine, arguments);
    }
    machine.wait_log("LAN configuration parameter 3 (IP address) set by user 2", SOON);
    machine.wait_log(
        "kept and reported, not applied: address other than the one that IPMI_ADDRESS binds IPMI to",
        SOON,
    );
    let expected = [
        "IP Address              : 192.0.2.9",
        "Subnet Mask             : 255.255.255.0",
        "Default Gateway IP      : 192.0.2.1",
        "Default Gateway MAC     : 02:00:00:00:00:01",
        "Backup Gateway IP       : 192.0.2.2",
        "802.1q VLAN ID          : 7",
        "802.1q VLAN Priority    : 3",
        "SNMP Community String   : secret",
        "Auth Type Support       : \n",
        "Admin    : MD5",
    ];
    assert_says(&print(&machine), &expected);
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    assert_says(&print(&machine), &expected);
    set(&machine, &["vlan", "id", "off"]);
    assert_says(&print(&machine), &["802.1q VLAN ID          : Disabled"]);
}

#[test]
fn where_it_may_not_be_applied_the_log_says_why_and_the_controller_goes_on() {
    let machine = Setup::new().with("LAN_CONFIG", "apply").start();
    // Nothing routes there, and nothing is lost if the test runs as root.
    set(&machine, &["defgw", "ipaddr", "203.0.113.77"]);
    machine.wait_log("apply network setting: default gateway 203.0.113.77 on lo: ", SOON);
    assert_says(&print(&machine), &["Default Gateway IP      : 203.0.113.77"]);
}

#[test]
fn alert_destinations_are_set_and_printed() {
    let machine = Setup::new().start();
    let alert =
        |arguments: &[&str]| machine.ipmitool(&[&["lan", "alert", "set", "1"], arguments].concat()).ok();
    alert(&["8", "ipaddr", "192.0.2.77"]);
    alert(&["8", "ack", "on"]);
    alert(&["8", "time", "4"]);
    alert(&["8", "retry", "3"]);
    alert(&["8", "gateway", "backup"]);
    let said = machine.ipmitool(&["lan", "alert", "print", "1", "8"]).ok();
    assert_says(
        &said,
        &[
            "Alert Acknowledge       : Acknowledged",
            "Destination Type        : PET Trap",
            "Acknowledge Timeout     : 4",
            "Number of Retries       : 3",
            "Alert Gateway           : Backup",
            "Alert IP Address        : 192.0.2.77",
        ],
    );
    let all = machine.ipmitool(&["lan", "alert", "print", "1"]).ok();
    assert_eq!(all.matches("Alert Destination ").count(), 9, "{all}");
}

#[test]
fn ipv6_is_printed_and_set() {
    let mut machine = Setup::new().start();
    let lan6 =
        |machine: &Machine, arguments: &[&str]| machine.ipmitool(&[&["lan6"], arguments].concat()).ok();
    assert_says(
        &lan6(&machine, &["print", "1"]),
        &[
            "IPv4 and IPv6: yes",
            "IPv6/IPv4 Addressing Enables: both",
            "Static address max:  4",
            "IPv6 Static Router 2:",
        ],
    );
    lan6(&machine, &["set", "1", "static_addr", "2", "enable", "2001:db8::77", "48"]);
    lan6(&machine, &["set", "1", "enables", "ipv4"]);
    lan6(&machine, &["set", "1", "static_rtr", "1", "2001:db8::1", "02:00:00:00:00:01", "2001:db8::", "32"]);
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    assert_says(
        &lan6(&machine, &["print", "1"]),
        &[
            "Address:        2001:db8::77/48\n    Status:         pending",
            "IPv6/IPv4 Addressing Enables: ipv4",
            "IPv6 Static Router 1:\n    Address: 2001:db8::1\n    MAC:     02:00:00:00:00:01\n    Prefix:  2001:db8::/32",
        ],
    );
}

#[test]
fn statistics_count_what_came_and_went() {
    let machine = Setup::new().start();
    // The numbers come with the lower byte first, which ipmitool takes for the higher.
    let count = || {
        let said = machine.ipmitool(&["raw", "0x0c", "0x04", "0x01", "0x00"]).ok();
        let bytes: Vec<u8> =
            said.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        assert_eq!(bytes.len(), 18, "{said}");
        u16::from_le_bytes([bytes[0], bytes[1]])
    };
    let first = count();
    assert!(first > 0);
    assert!(count() > first);
    machine.ipmitool(&["lan", "stats", "clear", "1"]).ok();
    assert!(count() <= first + 1);
    machine.ipmitool(&["lan", "stats", "get", "1"]).ok();
    let freeipmi = machine.freeipmi("bmc-device", &["--get-lan-statistics"]);
    assert_eq!(freeipmi.err, "");
    freeipmi.ok();
}

#[test]
fn freeipmi_s_sections_are_checked_out_and_committed_without_a_warning() {
    let machine = Setup::new().start();
    let file = format!("--filename={}", machine.folder().join("core.conf").display());
    let config = |how: &str| {
        let said = machine.freeipmi("ipmi-config", &["--category=core", how, &file]);
        assert_eq!(said.err, "", "{how}");
        said
    };
    // There is no serial channel, and FreeIPMI's checkout counts what is not there as an error of its own.
    config("--checkout");
    let checked_out = fs::read_to_string(machine.folder().join("core.conf")).unwrap();
    assert_says(
        &checked_out,
        &[
            "Section Lan_Conf\n",
            "Section Lan6_Conf",
            "Section Rmcpplus_Conf_Privilege",
            "Section Lan_Channel",
        ],
    );
    let before = print(&machine);
    config("--commit").ok();
    assert_eq!(print(&machine), before);
    let info = machine.freeipmi("bmc-info", &[]);
    assert_eq!(info.err, "");
    info.ok();
}
