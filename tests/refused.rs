//! Who is not let in, and who may do less: real clients against users, suites, keys and levels.

use std::{fs, time::Duration};

use crate::support::{Machine, SOON, Setup};

/// A refusal is said at once; a client that runs into its own timeouts would take 10 s and more.
const AT_ONCE: Duration = Duration::from_secs(3);

/// What ipmitool says when it is refused. Later options win over the usual ones.
#[track_caller]
fn refused(machine: &Machine, options: &[&str]) -> String {
    let said = machine.ipmitool(&[options, &["mc", "info"]].concat());
    assert!(said.took < AT_ONCE, "{said:?}");
    // Its exit status is 0 after a wrong BMC key in hexadecimal.
    assert!(said.err.contains("Error: Unable to establish IPMI"), "{said:?}");
    assert_eq!(said.out, "");
    said.err
}

#[track_caller]
fn let_in(machine: &Machine, options: &[&str]) {
    let said = machine.ipmitool(&[options, &["mc", "info"]].concat()).ok();
    assert!(said.contains("IPMI Version              : 2.0"), "{said}");
}

#[test]
fn a_wrong_password_user_or_no_user() {
    let machine = Setup::new().start();
    for suite in ["3", "17"] {
        refused(&machine, &["-C", suite, "-P", "wrong"]);
        refused(&machine, &["-C", suite, "-P", ""]);
        refused(&machine, &["-C", suite, "-U", "nobody"]);
        refused(&machine, &["-C", suite, "-U", "", "-P", ""]);
    }
    let_in(&machine, &[]);
}

#[test]
fn a_password_is_compared_whole() {
    // Twenty bytes are the most that IPMI 2.0 has; 1.5 had sixteen.
    let machine = Setup::new().with("IPMI_PASS", "12345678901234567890").start();
    let_in(&machine, &["-P", "12345678901234567890"]);
    refused(&machine, &["-P", "1234567890123456789"]);
    refused(&machine, &["-P", "1234567890123456"]);
}

#[test]
fn every_cipher_suite_but_3_and_17() {
    let machine = Setup::new().start();
    for suite in [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19] {
        refused(&machine, &["-C", &suite.to_string()]);
    }
    let_in(&machine, &["-C", "3"]);
    let_in(&machine, &["-C", "17"]);
}

#[test]
fn a_cipher_suite_that_is_switched_off() {
    for (on, off) in [("3", "17"), ("17", "3")] {
        let machine = Setup::new().with("IPMI_CIPHER_SUITES", on).start();
        refused(&machine, &["-C", off]);
        let_in(&machine, &["-C", on]);
        let_in(&machine, &[]);
    }
}

#[test]
fn ipmi_1_5_by_default_and_whatever_its_authentication_type() {
    let machine = Setup::new().start();
    for authentication in ["MD5", "NONE", "MD2", "PASSWORD"] {
        refused(&machine, &["-I", "lan", "-A", authentication]);
    }
    refused(&machine, &["-A", "NONE"]);
}

#[test]
fn authentication_types_of_ipmi_1_5_other_than_md5() {
    let machine = Setup::new().with("IPMI_LAN15", true).start();
    let_in(&machine, &["-I", "lan", "-A", "MD5"]);
    let_in(&machine, &["-I", "lan"]);
    for authentication in ["NONE", "MD2", "PASSWORD"] {
        let said = refused(&machine, &["-I", "lan", "-A", authentication]);
        assert!(said.contains(&format!("Authentication type {authentication} not supported")), "{said}");
    }
    // A wrong code is dropped without a word, so here the client runs into its own limits.
    machine.ipmitool(&["-I", "lan", "-N", "1", "-R", "1", "-P", "wrong", "mc", "info"]).failed();
    refused(&machine, &["-I", "lan", "-U", "nobody"]);
    refused(&machine, &["-I", "lan", "-U", "", "-P", ""]);
}

#[test]
fn a_wrong_or_missing_key_where_login_takes_two() {
    let machine = Setup::new().with("IPMI_KG", "key of the BMC").start();
    for suite in ["3", "17"] {
        let_in(&machine, &["-C", suite, "-k", "key of the BMC"]);
        refused(&machine, &["-C", suite, "-k", "key of a BMC"]);
        refused(&machine, &["-C", suite]);
    }
    let said = machine.freeipmi("bmc-info", &["-k", "key of the BMC", "--get-device-id"]).ok();
    assert!(said.contains("IPMI Version          : 2.0"), "{said}");

    // ipmitool takes a key that begins with a zero for none.
    let machine = Setup::new().with("IPMI_KG", "0xff112233445566778899aabbccddeeff00112233").start();
    let_in(&machine, &["-y", "ff112233445566778899aabbccddeeff00112233"]);
    refused(&machine, &["-y", "ff112233445566778899aabbccddeeff00112234"]);
}

/// A machine with a user of each lesser level, beside the administrator.
fn with_users() -> Machine {
    let setup = Setup::new();
    let file = setup.folder.path().join("qemu-bmc.toml");
    let users = "[[user]]\nname = \"reader\"\npassword = \"reading\"\nprivilege = \"user\"\n\n\
        [[user]]\nname = \"operator\"\npassword = \"operating\"\nprivilege = \"operator\"\n";
    fs::write(&file, users).unwrap();
    setup.with("QEMU_BMC_CONFIG", file.display()).start()
}

const READER: [&str; 6] = ["-U", "reader", "-P", "reading", "-L", "USER"];
const OPERATOR: [&str; 6] = ["-U", "operator", "-P", "operating", "-L", "OPERATOR"];

/// Runs a command that is beyond the session's level.
#[track_caller]
fn beyond(machine: &Machine, who: &[&str], command: &[&str]) {
    let said = machine.ipmitool(&[who, command].concat()).failed();
    assert!(said.to_lowercase().contains("insufficient privilege level"), "{command:?}: {said}");
}

#[test]
fn a_user_reads_and_does_nothing_else() {
    let machine = with_users();
    assert_eq!(
        machine.ipmitool(&[&READER[..], &["power", "status"]].concat()).ok(),
        "Chassis Power is off\n"
    );
    machine.ipmitool(&[&READER[..], &["mc", "guid"]].concat()).ok();
    for request in ["on", "off", "cycle", "reset", "soft", "diag"] {
        beyond(&machine, &READER, &["power", request]);
    }
    beyond(&machine, &READER, &["chassis", "identify", "5"]);
    beyond(&machine, &READER, &["chassis", "policy", "always-on"]);
    // With a raw command, the completion code itself: D4h.
    let raw = machine.ipmitool(&[&READER[..], &["raw", "0x00", "0x02", "0x01"]].concat()).failed();
    assert!(raw.contains("rsp=0xd4"), "{raw}");
    assert_eq!(machine.power(), "off");
}

#[test]
fn an_operator_controls_power_and_boot_and_configures_nothing() {
    let machine = with_users();
    let operator = |command: &[&str]| machine.ipmitool(&[&OPERATOR[..], command].concat());
    operator(&["chassis", "bootdev", "pxe"]).ok();
    operator(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    operator(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    // Cold Reset, Set SOL Configuration Parameters (retry count), Set BMC Global Enables.
    for command in [
        &["raw", "0x06", "0x02"][..],
        &["raw", "0x0c", "0x21", "0x01", "0x06", "0x07", "0x32"],
        &["raw", "0x06", "0x2e", "0x08"],
    ] {
        let said = operator(command).failed();
        assert!(said.contains("rsp=0xd4"), "{command:?}: {said}");
    }
}

#[test]
fn a_level_above_the_users_own() {
    let machine = with_users();
    for (user, password, level) in [
        ("reader", "reading", "OPERATOR"),
        ("reader", "reading", "ADMINISTRATOR"),
        ("operator", "operating", "ADMINISTRATOR"),
    ] {
        refused(&machine, &["-U", user, "-P", password, "-L", level]);
    }
    // Within a session, Set Session Privilege Level says 81h.
    let said = machine.ipmitool(&[&READER[..], &["raw", "0x06", "0x3b", "0x04"]].concat()).failed();
    assert!(said.contains("rsp=0x81"), "{said}");
}

#[test]
fn a_command_above_the_level_that_the_session_took() {
    let machine = with_users();
    beyond(&machine, &["-L", "USER"], &["power", "on"]);
    assert_eq!(machine.power(), "off");
    let said = machine.ipmitool(&["-L", "OPERATOR", "raw", "0x06", "0x02"]).failed();
    assert!(said.contains("rsp=0xd4"), "{said}");
}

#[test]
fn a_console_below_the_level_that_it_is_set_to() {
    let machine = with_users();
    // Activate Payload: SOL, instance 1, encrypted and authenticated.
    let activate = ["raw", "0x06", "0x48", "0x01", "0x01", "0xc0", "0x00", "0x00", "0x00"];
    machine.ipmitool(&["sol", "set", "privilege-level", "operator"]).ok();
    let said = machine.ipmitool(&[&READER[..], &activate].concat()).failed();
    assert!(said.contains("rsp=0xd4"), "{said}");
    machine.ipmitool(&[&OPERATOR[..], &activate].concat()).ok();
    // And none is given unencrypted where encryption is forced.
    let plain = ["raw", "0x06", "0x48", "0x01", "0x01", "0x00", "0x00", "0x00", "0x00"];
    let said = machine.ipmitool(&[&OPERATOR[..], &plain].concat()).failed();
    assert!(said.contains("rsp=0x84"), "{said}");
}
