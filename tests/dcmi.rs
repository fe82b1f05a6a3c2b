//! The Data Center Manageability Interface, as ipmitool and FreeIPMI use it.

use std::fs;

use crate::support::{Machine, SOON, Setup};

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

/// What ipmitool says when nothing is wrong: nothing on standard error.
#[track_caller]
fn dcmi(machine: &Machine, arguments: &[&str]) -> String {
    let said = machine.ipmitool(&[&["dcmi"], arguments].concat());
    assert_eq!(said.err, "", "{said:#?}");
    said.ok()
}

#[track_caller]
fn ipmi_dcmi(machine: &Machine, option: &str) -> String {
    let said = machine.freeipmi("ipmi-dcmi", &[option]);
    assert_eq!(said.err, "", "{said:#?}");
    said.ok()
}

#[test]
fn capabilities_say_what_is_there() {
    let machine = Setup::new().start();
    assert_says(
        &dcmi(&machine, &["discover"]),
        &[
            "Identification support available",
            "Power management available",
            "In-band KCS channel available",
            "Out-of-band primary LAN channel available",
            "SOL enabled",
            "Primary LAN channel number: 1 is available",
            "Secondary LAN channel is not available for OOB",
        ],
    );
    assert_says(
        &ipmi_dcmi(&machine, "--get-dcmi-capability-info"),
        &[
            "DCMI Specification Conformance",
            ": 1.5",
            "Power Management",
            "Primary LAN Out-of-band Channel Number             : 1",
        ],
    );
}

#[test]
fn texts_are_set_and_kept() {
    let mut machine = Setup::new().with("VM_NAME", "node7").start();
    assert_says(&dcmi(&machine, &["get_mc_id_string"]), &["String: node7"]);
    assert_eq!(ipmi_dcmi(&machine, "--get-management-controller-identifier-string").trim(), "node7");
    let tag = "a tag that needs more than one part";
    dcmi(&machine, &["set_asset_tag", tag]);
    dcmi(&machine, &["set_mc_id_string", "a controller that needs two parts"]);
    machine.wait_log("asset tag set by user 2", SOON);
    machine.wait_log("DCMI controller identifier set by user 2", SOON);
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    assert_says(&dcmi(&machine, &["asset_tag"]), &[tag]);
    assert_eq!(ipmi_dcmi(&machine, "--get-asset-tag").trim(), tag);
    assert_says(&machine.ipmitool(&["fru", "print", "0"]).ok(), &[&format!("Product Asset Tag     : {tag}")]);
    assert_says(&dcmi(&machine, &["get_mc_id_string"]), &["a controller that needs two parts"]);

    machine.freeipmi("ipmi-dcmi", &["--set-asset-tag", "short"]).ok();
    machine.freeipmi("ipmi-dcmi", &["--set-management-controller-identifier-string", "other"]).ok();
    assert_eq!(ipmi_dcmi(&machine, "--get-asset-tag").trim(), "short");
    assert_eq!(ipmi_dcmi(&machine, "--get-management-controller-identifier-string").trim(), "other");
}

#[test]
fn a_power_limit_is_set_activated_and_kept() {
    let mut machine = Setup::new().start();
    for (option, value) in
        [("limit", "300"), ("action", "sel_logging"), ("correction", "6000"), ("sample", "5")]
    {
        dcmi(&machine, &["power", "set_limit", option, value]);
    }
    assert_says(&dcmi(&machine, &["power", "get_limit"]), &["No Active Power Limit", "300 Watts"]);
    dcmi(&machine, &["power", "activate"]);
    machine.wait_log("power limit of 300 W activated by user 2: it is reported, and throttles nothing", SOON);
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    let limit = [
        "Power Limit Active",
        "Log Event to SEL",
        "300 Watts",
        "6000 milliseconds",
        "Sampling period:     5 seconds",
    ];
    assert_says(&dcmi(&machine, &["power", "get_limit"]), &limit);
    assert_says(&ipmi_dcmi(&machine, "--get-power-limit"), &["300 watts"]);
    dcmi(&machine, &["power", "deactivate"]);
    assert_says(&dcmi(&machine, &["power", "get_limit"]), &["No Active Power Limit"]);
}

#[test]
fn power_and_temperatures_are_read() {
    let machine = Setup::new().start();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    assert_says(&dcmi(&machine, &["power", "reading"]), &["Instantaneous power reading:", "activated"]);
    assert_says(&ipmi_dcmi(&machine, "--get-system-power-statistics"), &["Current Power", "Watts"]);
    assert_says(
        &dcmi(&machine, &["sensors"]),
        &["Inlet: 1 temperature sensor found", "Record ID 0x0010: Inlet Temp", "Record ID 0x0011: CPU Temp"],
    );
    assert_says(&dcmi(&machine, &["get_temp_reading"]), &["Inlet air temperature(40h)\t\t1\t\t+2"]);
    assert_says(&ipmi_dcmi(&machine, "--get-dcmi-sensor-info"), &["Inlet Temperature", "Record ID"]);
}

#[test]
fn the_thermal_policy_comes_back_as_set() {
    let machine = Setup::new().start();
    dcmi(
        &machine,
        &["thermalpolicy", "set", "0x40", "1", "nonvolatile", "nopoweroff", "sel", "45", "60", "0"],
    );
    assert_says(
        &dcmi(&machine, &["thermalpolicy", "get", "0x40", "1"]),
        &["45 degrees", "60 seconds", "Log event to SEL only:                active"],
    );
}

#[test]
fn discovery_parameters_come_back_as_set() {
    let machine = Setup::new().start();
    let defaults =
        ["ID String is enabled", "timeout interval\t: 4", "timeout interval\t: 120", "interval\t: 64"];
    assert_says(&dcmi(&machine, &["get_conf_param"]), &defaults);
    dcmi(&machine, &["set_conf_param", "timeout", "300"]);
    assert_says(&dcmi(&machine, &["get_conf_param"]), &["timeout interval\t: 300 seconds"]);
}

#[test]
fn freeipmi_commits_what_it_checked_out() {
    let machine = Setup::new().with("VM_ASSET_TAG", "a tag").start();
    let file = machine.folder().join("dcmi.conf").display().to_string();
    let name = format!("--filename={file}");
    for step in ["--checkout", "--commit", "--diff"] {
        let said = machine.freeipmi("ipmi-config", &["--category=dcmi", step, &name]);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""), "{step}: {said:#?}");
        said.ok();
    }
    assert_says(&fs::read_to_string(file).unwrap(), &["Section DCMI_Conf", "a tag"]);
}
