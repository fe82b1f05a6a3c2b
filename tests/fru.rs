//! The inventory, as ipmitool and FreeIPMI read and write it.

use std::fs;

use crate::support::{Machine, SOON, Setup};

/// The rest of the line that begins with this label, and with nothing but blanks before its colon.
#[track_caller]
fn line(text: &str, label: &str) -> String {
    let found = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == label).then(|| value.trim().to_owned())
    });
    found.unwrap_or_else(|| panic!("no {label:?} in:\n{text}"))
}

fn print(machine: &Machine) -> String {
    machine.ipmitool(&["fru", "print", "0"]).ok()
}

/// ipmitool's exit status says nothing about an edit that changes a text's length: it is always 1.
#[track_caller]
fn edit(machine: &Machine, area: &str, index: &str, text: &str) {
    let said = machine.ipmitool(&["fru", "edit", "0", "field", area, index, text]);
    assert!(said.out.ends_with("Done.\n") && said.err.is_empty(), "{said:#?}");
}

fn named() -> Setup {
    Setup::new()
        .with("VM_MANUFACTURER", "Example, Inc.")
        .with("VM_PRODUCT", "Model 1")
        .with("VM_PART_NUMBER", "P-1")
        .with("VM_SERIAL", "S1")
        .with("VM_ASSET_TAG", "7")
}

#[test]
fn every_client_reads_the_settings() {
    let machine = named().start();
    let said = machine.ipmitool(&["fru", "print"]);
    assert_eq!(said.err, "");
    let all = said.ok();
    assert!(all.starts_with("FRU Device Description : Builtin FRU Device (ID 0)\n"), "{all}");
    for (label, value) in [
        ("Chassis Type", "Other"),
        ("Chassis Part Number", "P-1"),
        ("Chassis Serial", "S1"),
        ("Board Mfg", "Example, Inc."),
        ("Board Product", "Model 1"),
        ("Board Serial", "S1"),
        ("Board Part Number", "P-1"),
        ("Product Manufacturer", "Example, Inc."),
        ("Product Name", "Model 1"),
        ("Product Part Number", "P-1"),
        ("Product Version", env!("CARGO_PKG_VERSION")),
        ("Product Serial", "S1"),
        ("Product Asset Tag", "7"),
    ] {
        assert_eq!(line(&all, label), value, "{label}");
    }

    let cache = machine.folder().display().to_string();
    let said = machine.freeipmi("ipmi-fru", &["--quiet-cache", "--sdr-cache-directory", &cache]);
    assert_eq!(said.err, "");
    let all = said.ok();
    for (label, value) in [
        ("FRU Chassis Part Number", "P-1"),
        ("FRU Board Manufacturer", "Example, Inc."),
        ("FRU Product Name", "Model 1"),
        ("FRU Product Asset Tag", "7"),
    ] {
        assert_eq!(line(&all, label), value, "{label}");
    }

    let read = "import sys\nfrom pyghmi.ipmi import command\n\
        bmc = command.Command(bmc=sys.argv[1], userid='admin', password='password', port=6230)\n\
        print(sorted((k, v) for k, v in dict(bmc.get_inventory())['System'].items() if isinstance(v, str)))";
    let said = machine.python(read).ok();
    assert!(
        said.contains("('Manufacturer', 'Example, Inc.')") && said.contains("('Serial Number', 'S1')"),
        "{said}"
    );
}

#[test]
fn the_dmi_tables_say_the_same() {
    let setup = named();
    let said = crate::support::run(&mut setup.command(&["check"]), SOON).ok();
    for table in [
        "type=1,manufacturer=Example,, Inc.,serial=S1,product=Model 1,",
        "type=2,manufacturer=Example,, Inc.,serial=S1,product=Model 1,asset=7",
        "type=3,manufacturer=Example,, Inc.,serial=S1,asset=7",
    ] {
        assert!(said.contains(table), "no {table:?} in:\n{said}");
    }
}

#[test]
fn what_is_edited_stays_and_a_changed_setting_takes_its_place() {
    let mut machine = named().start();
    edit(&machine, "b", "0", "Somebody");
    edit(&machine, "p", "5", "rack seven, place nine");
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    let said = machine.ipmitool(&["fru", "print", "0"]);
    assert_eq!(said.err, "");
    let all = said.ok();
    assert_eq!(line(&all, "Board Mfg"), "Somebody");
    assert_eq!(line(&all, "Product Asset Tag"), "rack seven, place nine");
    assert_eq!(line(&all, "Product Manufacturer"), "Example, Inc.");

    machine.signal("TERM");
    machine.wait_end(SOON);
    machine.setup.environment.insert("VM_PRODUCT".into(), "Model 2".into());
    machine.launch();
    let all = print(&machine);
    assert_eq!(line(&all, "Board Product"), "Model 2");
    assert_eq!(line(&all, "Product Name"), "Model 2");
    assert_eq!(line(&all, "Board Mfg"), "Somebody");
}

#[test]
fn the_whole_device_is_read_and_written_as_a_file() {
    let machine = named().start();
    let file = |name: &str| machine.folder().join(name).display().to_string();
    machine.ipmitool(&["fru", "read", "0", &file("first")]).ok();
    let first = fs::read(file("first")).unwrap();
    assert_eq!(first.len(), 2048);
    edit(&machine, "c", "1", "S-9");
    assert_eq!(line(&print(&machine), "Chassis Serial"), "S-9");
    machine.ipmitool(&["fru", "write", "0", &file("first")]).ok();
    assert_eq!(line(&print(&machine), "Chassis Serial"), "S1");

    // What no reader makes sense of is read as it was written.
    fs::write(file("noise"), [0x5a; 2048]).unwrap();
    machine.ipmitool(&["fru", "write", "0", &file("noise")]).ok();
    machine.ipmitool(&["fru", "read", "0", &file("second")]).ok();
    assert_eq!(fs::read(file("second")).unwrap(), [0x5a; 2048]);
}
