//! Sensors as clients read and set them, the file that describes them, and the faults that are injected.

use std::{fs, path::PathBuf};

use crate::support::{Machine, SOON, Said, Setup, wait_for};

#[track_caller]
fn assert_says(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "no {line:?} in:\n{said}");
    }
}

/// The output of a client that found nothing to complain of.
#[track_caller]
fn clean(said: Said) -> String {
    assert_eq!(said.err, "");
    said.ok()
}

/// The fields of the line that `ipmitool sensor` has for a sensor: reading, unit, state, six thresholds.
#[track_caller]
fn fields(machine: &Machine, name: &str) -> Vec<String> {
    let said = clean(machine.ipmitool(&["sensor"]));
    let line = said.lines().find(|line| line.split('|').next().unwrap().trim() == name);
    let line = line.unwrap_or_else(|| panic!("no {name} in:\n{said}"));
    line.split('|').skip(1).map(|field| field.trim().to_owned()).collect()
}

/// A machine that is on and has nothing to boot.
fn machine_that_is_on() -> Machine {
    let machine = Setup::new().start();
    machine.ipmitool(&["power", "on"]).ok();
    wait_for("its load is known", SOON, || {
        let list = machine.local(&["sensor", "list"]).ok();
        let usage = list.lines().find(|line| line.contains("CPU Usage"))?;
        usage.contains('%').then_some(())
    });
    machine
}

const STANDBY: [&str; 4] = ["Inlet Temp", "VBAT", "PSU1 Power", "PSU1 Status"];

#[test]
fn ipmitool_reads_a_machine_that_is_off() {
    let machine = Setup::new().start();
    let all = clean(machine.ipmitool(&["sdr", "elist", "all"]));
    assert_says(
        &all,
        &[
            "QEMU BMC         | 00h | ok  |  6.1 | Dynamic MC @ 20h",
            "Power State      | 01h | ok  |  6.1 | S5/G2: soft-off",
            "Power Unit       | 02h | ok  |  6.1 | Power off/down",
            "Restart          | 03h | ns  |  6.1 | Event-Only",
            "Inlet Temp       | 10h | ok  | 55.1 | 22 degrees C",
            "CPU Temp         | 11h | ns  |  3.1 | No Reading",
            "FAN1             | 18h | ns  | 29.1 | No Reading",
            "VBAT             | 24h | ok  | 40.1 | 3.06 Volts",
            "PSU1 Status      | 29h | ok  | 10.1 | Presence detected",
            "CPU Usage        | 30h | ns  |  3.1 | No Reading",
        ],
    );
    let readable: Vec<_> = clean(machine.ipmitool(&["sdr", "elist", "full"]))
        .lines()
        .filter(|line| !line.contains("No Reading"))
        .map(|line| line.split('|').next().unwrap().trim().to_owned())
        .collect();
    assert_eq!(readable, STANDBY[..3]);
    let info = clean(machine.ipmitool(&["sdr", "info"]));
    assert_says(
        &info,
        &[
            "SDR Version                         : 0x51",
            "Delete SDR supported                : no",
            "Partial Add SDR supported           : no",
            "Reserve SDR repository supported    : yes",
            "SDR Repository Alloc info supported : yes",
        ],
    );
}

#[test]
fn ipmitool_reads_a_machine_that_is_on() {
    let machine = machine_that_is_on();
    let elist = clean(machine.ipmitool(&["sdr", "elist"]));
    assert_says(&elist, &["Power State      | 01h | ok  |  6.1 | S0/G0: working"]);
    assert!(!elist.contains("No Reading"), "{elist}");
    for (name, unit, low, high) in [
        ("Inlet Temp", "degrees C", 21.0, 25.0),
        ("CPU Temp", "degrees C", 37.0, 75.0),
        ("FAN1", "RPM", 4000.0, 9800.0),
        ("12V", "Volts", 11.8, 12.1),
        ("5V", "Volts", 4.9, 5.1),
        ("VCORE", "Volts", 1.15, 1.25),
        ("PSU1 Power", "Watts", 64.0, 240.0),
        ("CPU Usage", "percent", 0.0, 100.0),
    ] {
        let fields = fields(&machine, name);
        let value: f64 = fields[0].parse().unwrap();
        assert!((low..=high).contains(&value), "{name}: {fields:?}");
        assert_eq!((fields[1].as_str(), fields[2].as_str()), (unit, "ok"), "{name}");
    }
    assert_eq!(fields(&machine, "CPU Temp")[3..], ["na", "0.000", "5.000", "85.000", "90.000", "100.000"]);
    assert_eq!(fields(&machine, "FAN1")[3..], ["480.000", "800.000", "1200.000", "na", "na", "na"]);
    assert_eq!(fields(&machine, "Power State")[..3], ["0x1", "discrete", "0x0180"]);

    let get = clean(machine.ipmitool(&["sensor", "get", "CPU Temp"]));
    assert_says(
        &get,
        &[
            "Sensor ID              : CPU Temp (0x11)",
            "Entity ID             : 3.1",
            "Sensor Type (Threshold)  : Temperature",
            "Positive Hysteresis   : 1.000",
            "Assertions Enabled    : lnc- lcr- unc+ ucr+ unr+",
            "Deassertions Enabled  : lnc- lcr- unc+ ucr+ unr+",
        ],
    );
    let get = clean(machine.ipmitool(&["sdr", "get", "PSU1 Status"]));
    assert_says(&get, &["Sensor Type (Discrete): Power Supply (0x08)", "[Presence detected]"]);
    for (kind, count) in [("Temperature", 3), ("Fan", 4), ("Voltage", 5), ("0x08", 1), ("Watchdog2", 1)] {
        let said = clean(machine.ipmitool(&["sdr", "type", kind]));
        assert_eq!(said.lines().count(), count, "{kind}:\n{said}");
    }
    assert_eq!(clean(machine.ipmitool(&["sdr", "entity", "3.1"])).lines().count(), 3);
}

#[test]
fn the_host_memory_that_a_machine_takes_is_its_memory_usage() {
    let machine = machine_that_is_on();
    wait_for("memory in use", SOON, || {
        let usage: f64 = fields(&machine, "Memory Usage")[0].parse().ok()?;
        (usage > 0.0 && usage <= 100.0).then_some(())
    });
}

#[test]
fn every_listing_of_ipmitool_goes_well() {
    let machine = Setup::new().start();
    let dump = machine.folder().join("sdr.dump").display().to_string();
    for arguments in [
        &["sdr"][..],
        &["sdr", "list", "all"],
        &["sdr", "list", "full"],
        &["sdr", "list", "compact"],
        &["sdr", "list", "event"],
        &["sdr", "list", "mcloc"],
        &["sdr", "list", "fru"],
        &["sdr", "type"],
        &["sdr", "type", "list"],
        &["sdr", "dump", &dump],
        &["-S", &dump, "sdr", "elist", "all"],
        &["sensor"],
        &["sensor", "list"],
    ] {
        assert_ne!(clean(machine.ipmitool(arguments)), "", "{arguments:?}");
    }
    // It is talkative on standard error when asked to be.
    let verbose = machine.ipmitool(&["-v", "sdr", "list", "all"]).ok();
    assert_says(&verbose, &["Sensor ID              : FAN1 (0x18)", "Sensor Type (Threshold)  : Fan (0x04)"]);
}

/// What FreeIPMI says of a sensor, by column.
fn row(said: &str, name: &str) -> Vec<String> {
    let line = said.lines().find(|line| line.split('|').nth(1).is_some_and(|field| field.trim() == name));
    let line = line.unwrap_or_else(|| panic!("no {name} in:\n{said}"));
    line.split('|').map(|field| field.trim().to_owned()).collect()
}

#[test]
fn freeipmi_reads_sensors_and_their_state() {
    let machine = Setup::new().start();
    let off = clean(machine.freeipmi("ipmi-sensors", &["--output-sensor-state"]));
    assert_eq!(row(&off, "FAN1")[3..], ["N/A", "N/A", "RPM", "N/A"]);
    assert_eq!(row(&off, "Power State")[3..], ["Nominal", "N/A", "N/A", "'S5/G2'"]);
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_power("on", SOON);

    let plain = clean(machine.freeipmi("ipmi-sensors", &["--output-sensor-state"]));
    assert_eq!(row(&plain, "Power State")[3..], ["Nominal", "N/A", "N/A", "'S0/G0'"]);
    assert_eq!(row(&plain, "FAN1")[3], "Nominal");
    assert_eq!(row(&plain, "Inlet Temp")[3..], ["Nominal", "22.00", "C", "'OK'"]);
    assert_eq!(row(&plain, "PSU1 Status")[3..], ["Nominal", "N/A", "N/A", "'Presence detected'"]);
    let limits = clean(machine.freeipmi("ipmi-sensors", &["--output-sensor-thresholds"]));
    let expected = ["N/A", "0.00", "5.00", "85.00", "90.00", "100.00", "'OK'"];
    assert_eq!(row(&limits, "CPU Temp")[5..], expected);
    for arguments in [&["-v"][..], &["-vv"], &["--sensor-types=Fan"], &["--shared-sensors"]] {
        assert_says(&clean(machine.freeipmi("ipmi-sensors", arguments)), &["FAN1"]);
    }

    machine.local(&["sensor", "set", "FAN2", "700"]).ok();
    machine.local(&["sensor", "set", "PSU1 Status", "failed"]).ok();
    let states = clean(machine.freeipmi("ipmimonitoring", &[]));
    assert_eq!(row(&states, "FAN2")[3..5], ["Critical", "720.00"]);
    assert_eq!(row(&states, "PSU1 Status")[3], "Critical");
}

#[test]
fn what_freeipmi_checks_out_it_can_commit() {
    let machine = machine_that_is_on();
    for tool in [&["ipmi-config", "--category=sensors"][..], &["ipmi-sensors-config"]] {
        let file = machine.folder().join("sensors.conf").display().to_string();
        let checkout = [&tool[1..], &["--checkout", "--filename", &file]].concat();
        clean(machine.freeipmi(tool[0], &checkout));
        let text = fs::read_to_string(&file).unwrap();
        assert_says(&text, &["Section 17_CPU_Temp", "Section 41_PSU1_Status"]);
        let commit = [&tool[1..], &["--commit", "--filename", &file]].concat();
        clean(machine.freeipmi(tool[0], &commit));

        let changed: String = text
            .lines()
            .map(|line| match line.trim_start().split_once(char::is_whitespace) {
                Some(("Upper_Non_Critical_Threshold", value)) if value.trim() == "85.000000" => {
                    line.replace("85.000000", "81.000000") + "\n"
                }
                _ => format!("{line}\n"),
            })
            .collect();
        assert_ne!(changed, text, "no threshold to change in:\n{text}");
        fs::write(&file, changed).unwrap();
        clean(machine.freeipmi(tool[0], &commit));
        assert_eq!(fields(&machine, "CPU Temp")[6], "81.000");
        machine.ipmitool(&["sensor", "thresh", "CPU Temp", "unc", "85"]).ok();
    }
}

#[test]
fn pyghmi_reads_sensors() {
    let machine = machine_that_is_on();
    let program = r#"
import sys
from pyghmi.ipmi import command
bmc = command.Command(bmc=sys.argv[1], userid="admin", password="password", port=6230)
for reading in bmc.get_sensor_data():
    print(reading.name, reading.type, reading.value, reading.units, reading.states, sep="|")
"#;
    let said = clean(machine.python(program));
    assert_says(
        &said,
        &[
            "Inlet Temp|Temperature|22.0|°C|[]",
            "PSU1 Status|Power Supply|None||['Present']",
            "FAN4|Fan|",
            "VBAT|Voltage|3.06",
            "Power State|System ACPI Power State|None||['Online']",
        ],
    );
}

#[test]
fn a_threshold_that_is_set_makes_its_event_and_is_kept() {
    let mut machine = machine_that_is_on();
    let said = clean(machine.ipmitool(&["sensor", "thresh", "CPU Temp", "upper", "30", "91", "99"]));
    assert_says(&said, &["Upper Non-Critical threshold to 30.000", "Upper Critical threshold to 91.000"]);
    assert_eq!(
        fields(&machine, "CPU Temp")[2..],
        ["nc", "na", "0.000", "5.000", "30.000", "91.000", "99.000"]
    );
    let log = machine.ipmitool(&["sel", "elist"]).ok();
    assert_says(&log, &["Temperature CPU Temp | Upper Non-critical going high | Asserted | Reading "]);
    assert_says(&log, &["> Threshold 30 degrees C"]);

    machine.ipmitool(&["raw", "0x04", "0x24", "0x11", "0xff", "3", "4"]).ok();
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    assert_eq!(fields(&machine, "CPU Temp")[6..], ["30.000", "91.000", "99.000"]);
    assert_eq!(machine.ipmitool(&["raw", "0x04", "0x25", "0x11", "0xff"]).ok(), " 03 04\n");
    // The initialization agent goes back to what the records have.
    assert_eq!(machine.ipmitool(&["raw", "0x0a", "0x2c", "1"]).ok(), " 01\n");
    assert_eq!(fields(&machine, "CPU Temp")[6..], ["85.000", "90.000", "100.000"]);
}

#[test]
fn records_keep_their_time_stamps_over_a_restart() {
    let mut machine = Setup::new().start();
    let info = |machine: &Machine| machine.ipmitool(&["raw", "0x0a", "0x20"]).ok();
    let clock = |machine: &Machine| machine.ipmitool(&["raw", "0x0a", "0x28"]).ok();
    let (before, started) = (info(&machine), clock(&machine));
    wait_for("the clock goes on", SOON, || (clock(&machine) != started).then_some(()));
    machine.signal("TERM");
    machine.wait_end(SOON);
    machine.launch();
    // Clients that keep records read them again when these change.
    assert_eq!(info(&machine), before);
}

#[test]
fn faults_are_injected_and_land_in_the_event_log() {
    let machine = machine_that_is_on();
    assert_eq!(machine.local(&["sensor", "set", "FAN1", "0"]).ok(), "FAN1: 0 RPM\n");
    assert_eq!(machine.local(&["sensor", "set", "PSU1 Status", "failed"]).ok(), "PSU1 Status: failed\n");
    assert_eq!(machine.local(&["sensor", "set", "System Temp", "-5"]).ok(), "System Temp: -5 °C\n");
    assert_eq!(machine.local(&["sensor", "set", "CPU Temp", "unavailable"]).ok(), "CPU Temp: unavailable\n");
    let list = machine.local(&["sensor", "list"]).ok();
    let shown = |name: &str| {
        let line = list.lines().find(|line| line.contains(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown("FAN1"), "18h FAN1 0 RPM lower-non-recoverable (set)");
    assert_eq!(shown("PSU1 Status"), "29h PSU1 Status failed (set)");
    assert!(!shown("FAN2").contains("(set)"));

    assert_eq!(fields(&machine, "FAN1")[..3], ["0.000", "RPM", "nr"]);
    assert_eq!(fields(&machine, "CPU Temp")[0], "na");
    let elist = clean(machine.ipmitool(&["sdr", "elist"]));
    assert_says(&elist, &["PSU1 Status      | 29h | ok  | 10.1 | Presence detected, Failure detected"]);

    assert_eq!(machine.local(&["sensor", "clear", "FAN1"]).ok(), "one sensor reads by itself again\n");
    assert_eq!(machine.local(&["sensor", "clear"]).ok(), "3 sensors read by themselves again\n");
    let log = machine.ipmitool(&["sel", "elist"]).ok();
    assert_says(
        &log,
        &[
            "Fan FAN1 | Lower Critical going low  | Asserted | Reading 0 < Threshold 800 RPM",
            "Fan FAN1 | Lower Critical going low  | Deasserted",
            "Power Supply PSU1 Status | Failure detected | Asserted",
            "Power Supply PSU1 Status | Failure detected | Deasserted",
            "Temperature System Temp | Lower Critical going low  | Asserted | Reading -5 < Threshold 0 degrees C",
        ],
    );
    let refused = machine.local(&["sensor", "set", "FAN9", "0"]).failed();
    assert_says(&refused, &["there is no sensor \"FAN9\""]);
}

#[test]
fn a_reading_is_written_over_ipmi() {
    let machine = machine_that_is_on();
    machine.ipmitool(&["raw", "0x04", "0x30", "0x18", "0x01", "10"]).ok();
    assert_eq!(fields(&machine, "FAN1")[..3], ["800.000", "RPM", "cr"]);
}

/// A sensors file in a machine's folder.
fn sensors_file(setup: &Setup, text: &str) -> PathBuf {
    let path = setup.folder.path().join("sensors.toml");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_sensors_file_takes_effect_when_it_changes() {
    let setup = Setup::new();
    let file = sensors_file(&setup, "[[sensor]]\nname = 'FAN4'\nremove = true\n");
    let machine = setup.with("SENSORS_FILE", file.display()).start();
    machine.local(&["sensor", "set", "PSU1 Power", "444"]).ok();
    let elist = clean(machine.ipmitool(&["sdr", "elist"]));
    assert!(elist.contains("FAN3 ") && !elist.contains("FAN4 "), "{elist}");

    let good = "[[sensor]]\nname = 'Riser Temp'\ntype = 'temperature'\nstandby = true\nvalue = 31\n";
    fs::write(&file, good).unwrap();
    machine.wait_log("has changed: there are", SOON);
    let elist = clean(machine.ipmitool(&["sdr", "elist"]));
    assert_says(&elist, &["FAN4 ", "Riser Temp       | 40h | ok  |  7.1 | 31 degrees C", "444 Watts"]);

    fs::write(&file, "[[sensor]]\nname = 'FAN1'\ntype = 'fam'\n[[sensor]]\nname = 'X'\n").unwrap();
    machine.wait_log("sensors.toml: line 3: FAN1: type: got \"fam\"; takes temperature", SOON);
    machine.wait_log("line 4: X: there is no sensor of this name yet, so it needs a type", SOON);
    machine.wait_log("; the sensors stay as they were", SOON);
    assert_says(&clean(machine.ipmitool(&["sdr", "elist"])), &["Riser Temp "]);

    fs::write(&file, "").unwrap();
    wait_for("the standard sensors are back", SOON, || {
        let elist = clean(machine.ipmitool(&["sdr", "elist"]));
        (!elist.contains("Riser Temp")).then_some(())
    });
}

#[test]
fn a_bad_sensors_file_is_an_error_at_the_start() {
    let setup = Setup::new();
    let file = sensors_file(&setup, "[[sensor]]\nname = 'X'\ntype = 'fan'\n");
    let setup = setup.with("SENSORS_FILE", file.display());
    let said = crate::support::run(&mut setup.command(&["check"]), SOON);
    assert_eq!(said.status.code(), Some(2));
    assert_says(&said.failed(), &["sensors.toml: line 1: X: it needs a value, a range or states"]);
    fs::remove_file(file).unwrap();
    let said = crate::support::run(&mut setup.command(&["check"]), SOON).failed();
    assert_says(&said, &["SENSORS_FILE: got ", "it cannot be read: No such file"]);
}
