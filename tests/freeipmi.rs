//! FreeIPMI's tools without a single workaround flag, and what MAAS does with them.

use std::{net::UdpSocket, process::Command, time::Duration};

use crate::support::{Machine, SOON, Setup, run, wait_for};

const BACK_WITHIN: Duration = Duration::from_secs(20);

/// `ipmipower` with these options, and what it says about the machine.
#[track_caller]
fn ipmipower(machine: &Machine, options: &[&str]) -> String {
    let said = machine.freeipmi("ipmipower", options).ok();
    said.trim().trim_start_matches(&format!("{}: ", machine.address())).to_owned()
}

#[test]
fn bmc_info_tells_who_the_controller_is_with_both_cipher_suites() {
    let machine = Setup::new().start();
    for suite in [&[][..], &["-I", "3"], &["-I", "17"]] {
        let said = machine.freeipmi("bmc-info", &[suite, &["--get-device-id"]].concat()).ok();
        for line in
            ["IPMI Version          : 2.0", "Chassis Device        : supported", "yes (normal operation)"]
        {
            assert!(said.contains(line), "no {line:?} in:\n{said}");
        }
    }
}

#[test]
fn the_guid_is_the_one_that_status_shows_byte_for_byte() {
    // FreeIPMI reads a GUID as the specification has it, from the last byte to the first; the controller, as
    // most do, sends SMBIOS' order.
    let machine = Setup::new().start();
    let status = machine.local(&["status"]).ok();
    let guid = status.lines().find_map(|line| line.strip_prefix("GUID:")).unwrap().trim();
    let mut bytes = uuid::Uuid::parse_str(guid).unwrap().to_bytes_le();
    bytes.reverse();
    let expected = uuid::Uuid::from_bytes(bytes).to_string();
    for option in ["--get-device-guid", "--get-system-guid"] {
        assert_eq!(machine.freeipmi("bmc-info", &[option]).ok().trim(), expected);
    }
}

#[test]
fn bmc_device_reads_the_device() {
    let machine = Setup::new().start();
    let test = machine.freeipmi("bmc-device", &["--get-self-test-results"]).ok();
    assert_eq!(test, "Self Test Result : No Error\n");
    let acpi = || machine.freeipmi("bmc-device", &["--get-acpi-power-state"]).ok();
    assert!(acpi().contains("ACPI System Power State : S5/G2"), "{}", acpi());
    let enables = machine.freeipmi("bmc-device", &["--get-bmc-global-enables"]).ok();
    assert!(enables.contains("System Event Logging"), "{enables}");
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    assert!(acpi().contains("ACPI System Power State : S0/G0"), "{}", acpi());
}

#[test]
fn bmc_device_resets_the_controller_and_not_the_machine() {
    let machine = Setup::new().start();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    let qemu = machine.qemu_pid();
    machine.freeipmi("bmc-device", &["--cold-reset"]).ok();
    machine.wait_log("is under control again", SOON);
    assert_eq!(ipmipower(&machine, &["--stat"]), "on");
    assert_eq!(machine.qemu_pid(), qemu);
}

#[test]
fn ipmipower_has_all_its_verbs() {
    let machine = Setup::new().start();
    for suite in ["3", "17"] {
        assert_eq!(ipmipower(&machine, &["-I", suite, "--stat"]), "off");
    }
    assert_eq!(ipmipower(&machine, &["--on", "--wait-until-on"]), "ok");
    assert_eq!(ipmipower(&machine, &["--stat"]), "on");
    let first = machine.qemu_pid().unwrap();

    assert_eq!(ipmipower(&machine, &["--reset"]), "ok");
    machine.wait_log("the machine was reset by command", BACK_WITHIN);
    assert_eq!(machine.qemu_pid(), Some(first));
    assert_eq!(ipmipower(&machine, &["--pulse"]), "ok");
    assert_eq!(ipmipower(&machine, &["--soft"]), "ok");
    machine.wait_log("soft shutdown requested by user 2", SOON);

    assert_eq!(ipmipower(&machine, &["--cycle"]), "ok");
    wait_for("another QEMU", BACK_WITHIN, || machine.qemu_pid().filter(|pid| *pid != first));
    machine.wait_power("on", BACK_WITHIN);

    assert_eq!(ipmipower(&machine, &["--off", "--wait-until-off"]), "ok");
    assert_eq!(ipmipower(&machine, &["--stat"]), "off");
    assert_eq!(machine.power(), "off");
}

#[test]
fn ipmi_chassis_reads_and_controls() {
    let machine = Setup::new().start();
    let chassis = |options: &[&str]| machine.freeipmi("ipmi-chassis", options).ok();
    let status = chassis(&["--get-chassis-status"]);
    assert!(status.contains("System Power                        : off"), "{status}");
    chassis(&["--set-power-restore-policy=RESTORE"]);
    let status = chassis(&["--get-chassis-status"]);
    assert!(status.contains("Power restore policy                : Restore"), "{status}");
    chassis(&["--chassis-identify=FORCE"]);
    let status = chassis(&["--get-chassis-status"]);
    assert!(status.contains("Chassis Identify state              : Indefinite on"), "{status}");

    chassis(&["--chassis-control=POWER-UP"]);
    machine.wait_power("on", SOON);
    let cause = chassis(&["--get-system-restart-cause"]);
    assert!(cause.contains("Chassis control command"), "{cause}");
    let hours = chassis(&["--get-power-on-hours-counter"]);
    assert!(hours.contains("0 Hours"), "{hours}");
    let capabilities = chassis(&["--get-chassis-capabilities"]);
    assert!(capabilities.contains("Sys Mgmt Device Address : 20h"), "{capabilities}");
    chassis(&["--chassis-control=POWER-DOWN"]);
    machine.wait_power("off", SOON);
}

#[test]
fn ipmi_raw_says_what_came_back() {
    let machine = Setup::new().start();
    let said = machine.freeipmi("ipmi-raw", &["0", "6", "4"]).ok();
    assert_eq!(said.trim(), "rcvd: 04 00 55 00");
    let said = machine.freeipmi("ipmi-raw", &["0", "6", "0x99"]).ok();
    assert_eq!(said.trim(), "rcvd: 99 C1");
}

#[test]
fn maas_sets_pxe_for_the_next_boot_as_operator_and_cycles() {
    let machine = Setup::new().start();
    for (suite, boot_type, expected) in
        [("3", "PC-COMPATIBLE", "BIOS PC Compatible"), ("17", "EFI", "BIOS EFI boot")]
    {
        let commit = [
            "-I",
            suite,
            "-l",
            "OPERATOR",
            "--category=chassis",
            "--commit",
            "--key-pair=Chassis_Boot_Flags:Boot_Device=PXE",
            "--key-pair=Chassis_Boot_Flags:Boot_Flags_Persistent=No",
            &format!("--key-pair=Chassis_Boot_Flags:BIOS_Boot_Type={boot_type}"),
        ];
        machine.freeipmi("ipmi-config", &commit).ok();
        let flags = machine.ipmitool(&["chassis", "bootparam", "get", "5"]).ok();
        for line in ["Boot Flag Valid", "apply to only next boot", "Force PXE", expected] {
            assert!(flags.contains(line), "no {line:?} in:\n{flags}");
        }

        let before = machine.qemu_pid();
        assert_eq!(ipmipower(&machine, &["-I", suite, "-l", "OPERATOR", "--cycle", "--on-if-off"]), "ok");
        wait_for("another QEMU", BACK_WITHIN, || machine.qemu_pid().filter(|pid| Some(*pid) != before));
        machine.wait_power("on", BACK_WITHIN);
        // One boot has begun, so what was for one boot is used up.
        wait_for("the boot flags are no longer valid", SOON, || {
            let flags = machine.ipmitool(&["chassis", "bootparam", "get", "5"]).ok();
            flags.contains("Boot Flag Invalid").then_some(())
        });
    }
}

#[test]
fn ipmi_config_checks_out_the_chassis() {
    let machine = Setup::new().start();
    machine.ipmitool(&["chassis", "bootdev", "cdrom", "options=persistent"]).ok();
    let said = machine.freeipmi("ipmi-config", &["--category=chassis", "--checkout"]).ok();
    let value = |key: &str| {
        let line = said.lines().find(|line| line.trim_start().starts_with(key));
        line.and_then(|line| line.split_whitespace().nth(1)).map(str::to_owned)
    };
    assert_eq!(value("Boot_Device").as_deref(), Some("CD-DVD"), "{said}");
    assert_eq!(value("Boot_Flags_Persistent").as_deref(), Some("Yes"), "{said}");
    assert_eq!(value("Power_Restore_Policy").as_deref(), Some("Off_State_AC_Apply"), "{said}");
}

#[test]
fn ipmiconsole_opens_and_closes_a_console() {
    let machine = Setup::new().start();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    for suite in ["3", "17"] {
        // It wants a terminal, which `script` gives it, and is told to leave once it has begun.
        let console = format!("ipmiconsole -h {}:6230 -u admin -p password -I {suite}", machine.address());
        let mut command = Command::new("sh");
        let session = "mkfifo in; (script -qec \"$0\" /dev/null < in | tee out) & exec 3> in
            until grep -q 'SOL established' out; do sleep 0.05; done; printf '&.' >&3; wait";
        command.current_dir(machine.folder()).args(["-c", session, &console]);
        let said = run(&mut command, Duration::from_secs(30)).ok();
        assert!(said.contains("[SOL established]") && said.contains("[closing the connection]"), "{said}");
        for file in ["in", "out"] {
            std::fs::remove_file(machine.folder().join(file)).unwrap();
        }
    }
}

#[test]
fn ipmi_1_5_is_spoken_where_it_is_asked_for() {
    // LAN is FreeIPMI's default driver.
    let target = |machine: &Machine| format!("{}:6230", machine.address());
    let bmc_info = |machine: &Machine| {
        let mut command = Command::new("bmc-info");
        command.args(["-h", &target(machine), "-u", "admin", "-p", "password", "--get-device-id"]);
        run(command.args(["--session-timeout=3000"]), SOON)
    };
    let machine = Setup::new().with("IPMI_LAN15", true).start();
    assert!(bmc_info(&machine).ok().contains("IPMI Version          : 2.0"));
    let mut stat = Command::new("ipmipower");
    stat.args(["-D", "LAN", "-h", &target(&machine), "-u", "admin", "-p", "password", "--stat"]);
    assert_eq!(run(&mut stat, SOON).ok(), format!("{}: off\n", machine.address()));

    let machine = Setup::new().start();
    bmc_info(&machine).failed();
}

#[test]
fn pings_are_answered() {
    // They speak to port 623 alone.
    let setup = Setup::new().with("IPMI_PORT", 623);
    if let Err(error) = UdpSocket::bind((setup.address, 623)) {
        eprintln!("SKIPPED: port 623 can't be bound here: {error}");
        return;
    }
    let machine = setup.start();
    let host = machine.address().to_string();
    let rmcp = run(Command::new("rmcp-ping").args(["-c", "1", &host]), SOON).ok();
    assert!(rmcp.contains("1 pongs received"), "{rmcp}");
    let ipmi = run(Command::new("ipmi-ping").args(["-c", "1", &host]), SOON).ok();
    assert!(ipmi.contains("1 responses received"), "{ipmi}");
    let with_2_0 = run(Command::new("ipmi-ping").args(["-c", "1", "-r", "2.0", "-v", &host]), SOON).ok();
    for flag in ["ipmi_v2.0=set", "ipmi_v1.5=clear", "none=clear", "anon=clear", "null=clear", "non-null=set"]
    {
        assert!(with_2_0.contains(flag), "no {flag} in {with_2_0}");
    }
}
