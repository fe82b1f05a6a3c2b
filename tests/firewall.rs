//! Command discovery and the firmware firewall, as ipmitool uses them.

use crate::support::{Machine, SOON, Setup};

const CHASSIS_CONTROL: [&str; 6] = ["lun", "0", "netfn", "0", "command", "2"];

fn firewall(machine: &Machine, verb: &str, of: &[&str]) -> String {
    machine.ipmitool(&[&["firewall", verb], of].concat()).ok()
}

/// The line that says of a command whether it is available, configurable and enabled.
fn shown(machine: &Machine) -> String {
    let said = firewall(machine, "info", &CHASSIS_CONTROL);
    let line = said.lines().find(|line| line.starts_with("LUN 0, NetFn 0x00, Command 0x02:"));
    line.unwrap_or_else(|| panic!("{said}")).split_once(": ").unwrap().1.split_whitespace().collect()
}

#[test]
fn a_disabled_command_stays_disabled_until_it_is_enabled() {
    let mut machine = Setup::new().start();
    assert_eq!(shown(&machine), "|X|X|X|");
    firewall(&machine, "disable", &CHASSIS_CONTROL);
    machine.wait_log("command 00h:02h on channel 1 disabled by user 2", SOON);
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    assert_eq!(shown(&machine), "|X|X||");
    let refused = machine.ipmitool(&["chassis", "power", "on"]).failed();
    assert!(refused.contains("command disabled"), "{refused}");
    machine.ipmitool(&["chassis", "status"]).ok();
    firewall(&machine, "enable", &CHASSIS_CONTROL);
    machine.ipmitool(&["chassis", "power", "on"]).ok();
}

#[test]
fn the_whole_list_of_commands_is_read() {
    let machine = Setup::new().start();
    let said = machine.ipmitool(&["firewall", "info"]);
    assert_eq!(said.err, "");
    let said = said.ok();
    for netfn in
        ["00,00 support:", "00,04 support:", "00,06 support:", "00,0a support:", "00,0c support:", "00,2c"]
    {
        assert!(said.contains(netfn), "no {netfn:?} in:\n{said}");
    }
}
