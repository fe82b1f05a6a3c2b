//! The local commands, against the real program.

use crate::support::{SOON, Setup};

#[test]
fn status_and_power_work_without_a_network_client() {
    let machine = Setup::new().start();
    let status = machine.local(&["status"]).ok();
    assert!(status.contains("Power:           off"), "{status}");
    assert_eq!(machine.power(), "off");

    assert_eq!(machine.local(&["power", "on"]).ok(), "power on: under way\n");
    machine.wait_power("on", SOON);
    let refused = machine.local(&["power", "off"]).ok();
    assert_eq!(refused, "power off: under way\n");
    machine.wait_power("off", SOON);
    let refused = machine.local(&["power", "reset"]).failed();
    assert!(refused.contains("reset: the machine is powered off"), "{refused}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let machine = Setup::new().start();
    for command in ["status", "settings", "check"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let said = machine.setup.command(&[command]).stdout(writer).output().unwrap();
        assert!(said.status.success() && said.stderr.is_empty(), "{command}: {said:?}");
    }
}
