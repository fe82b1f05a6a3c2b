//! ipmitool 1.8.19, as people and scripts use it: what it prints, what it does, and how soon.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{Machine, SOON, Setup, wait_for};

/// ipmitool waits 10 s where a query before the session goes unanswered; one whole command takes far less.
const NO_STALL: Duration = Duration::from_secs(2);

/// What scripts rely on.
const OFF_WITHIN: Duration = Duration::from_secs(3);
const ON_WITHIN: Duration = Duration::from_secs(5);
const BACK_WITHIN: Duration = Duration::from_secs(20);

fn power_status(machine: &Machine) -> String {
    machine.ipmitool(&["power", "status"]).ok().trim().to_owned()
}

#[track_caller]
fn wait_power_status(machine: &Machine, state: &str, limit: Duration) {
    let wanted = format!("Chassis Power is {state}");
    wait_for(&wanted, limit, || (power_status(machine) == wanted).then_some(()));
}

/// A machine that is on, and the number of its QEMU.
fn machine_on() -> (Machine, i32) {
    let machine = Setup::new().start();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    let pid = machine.qemu_pid().unwrap();
    (machine, pid)
}

#[track_caller]
fn assert_says(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "no {line:?} in:\n{said}");
    }
}

#[test]
fn the_first_command_takes_no_stall_whatever_the_cipher_suite() {
    let machine = Setup::new().start();
    for suite in [&[][..], &["-C", "17"], &["-C", "3"]] {
        let said = machine.ipmitool(&[suite, &["mc", "info"]].concat());
        assert!(said.took < NO_STALL, "{said:?}");
        assert_says(
            &said.ok(),
            &["IPMI Version              : 2.0", "Device Available          : yes", "Chassis Device"],
        );
    }
}

#[test]
fn only_what_is_served_is_advertised() {
    let machine = Setup::new().start();
    let said = machine.ipmitool(&["channel", "getciphers", "ipmi"]).ok();
    let suites: Vec<&str> = said.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(suites, ["17", "3"], "{said}");

    let machine = Setup::new().with("IPMI_CIPHER_SUITES", "3").start();
    let said = machine.ipmitool(&["channel", "getciphers", "ipmi"]).ok();
    assert_says(&said, &["3    N/A     hmac_sha1       hmac_sha1_96    aes_cbc_128"]);
    assert_eq!(said.lines().filter(|line| line.contains("hmac_")).count(), 1, "{said}");
}

#[test]
fn the_guid_is_the_one_that_status_shows() {
    let machine = Setup::new().start();
    let status = machine.local(&["status"]).ok();
    let guid = status.lines().find_map(|line| line.strip_prefix("GUID:")).unwrap().trim().to_owned();
    let said = machine.ipmitool(&["mc", "guid"]).ok();
    assert!(said.contains(&format!("System GUID   : {guid}\n")), "{guid} in:\n{said}");
}

#[test]
fn the_controller_is_well() {
    let machine = Setup::new().start();
    assert_eq!(machine.ipmitool(&["mc", "selftest"]).ok(), "Selftest: passed\n");
    assert_eq!(machine.ipmitool(&["chassis", "selftest"]).ok(), "Self Test Results    : passed\n");
    let enables = machine.ipmitool(&["mc", "getenables"]).ok();
    assert_says(&enables, &["System Event Logging                     : enabled"]);
    let unknown = machine.ipmitool(&["raw", "0x06", "0x99"]).failed();
    assert_says(&unknown, &["rsp=0xc1): Invalid command"]);
}

#[test]
fn a_reset_of_the_controller_leaves_the_machine_alone() {
    let (machine, qemu) = machine_on();
    for (times, kind) in [(1, "cold"), (2, "warm")] {
        machine.ipmitool(&["mc", "reset", kind]).ok();
        wait_for("the controller restarts", SOON, || {
            let restarts = machine.log().matches("the controller restarts").count();
            let takeovers = machine.log().matches("it is taken over").count();
            (restarts == times && takeovers == times).then_some(())
        });
        wait_power_status(&machine, "on", SOON);
        assert_eq!(machine.qemu_pid(), Some(qemu), "after mc reset {kind}");
        assert_eq!(machine.power(), "on");
    }
    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", OFF_WITHIN);
}

/// A client that one controller had begun to serve and another met in the middle would repeat itself for 20 s.
#[test]
fn a_client_that_comes_while_the_controller_restarts_is_served_by_the_next_one() {
    let machine = Setup::new().start();
    let begun = Instant::now();
    machine.ipmitool(&["mc", "reset", "cold"]).ok();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while begun.elapsed() < Duration::from_secs(1) {
                    let next = machine.ipmitool(&["mc", "info"]);
                    assert!(next.status.success() && next.took < Duration::from_secs(8), "{next:?}");
                }
            });
        }
    });
}

#[test]
fn power_goes_on_and_off_in_the_times_that_scripts_allow() {
    let machine = Setup::new().start();
    assert_eq!(power_status(&machine), "Chassis Power is off");
    assert_says(&machine.ipmitool(&["power", "on"]).ok(), &["Chassis Power Control: Up/On"]);
    wait_power_status(&machine, "on", ON_WITHIN);
    assert_eq!(machine.power(), "on");
    machine.ipmitool(&["power", "on"]).ok();

    assert_says(&machine.ipmitool(&["power", "off"]).ok(), &["Chassis Power Control: Down/Off"]);
    wait_power_status(&machine, "off", OFF_WITHIN);
    assert_eq!(machine.power(), "off");
    assert_eq!(machine.qemu_pid(), None, "nothing is left to be taken over");
    // Off is what was wanted, so off again is no error.
    machine.ipmitool(&["power", "off"]).ok();
}

#[test]
fn a_cycle_makes_another_process_and_a_reset_keeps_it() {
    let (machine, first) = machine_on();

    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_log("the machine was reset by command", BACK_WITHIN);
    wait_power_status(&machine, "on", BACK_WITHIN);
    assert_eq!(machine.qemu_pid(), Some(first));

    machine.ipmitool(&["power", "cycle"]).ok();
    let second = wait_for("another QEMU", BACK_WITHIN, || machine.qemu_pid().filter(|pid| *pid != first));
    wait_power_status(&machine, "on", BACK_WITHIN);
    assert_ne!(first, second);
    assert!(!std::path::Path::new(&format!("/proc/{first}")).exists(), "the first QEMU is gone");
    let cause = machine.ipmitool(&["chassis", "restart_cause"]).ok();
    assert_says(&cause, &["System restart cause: chassis power control command"]);
}

#[test]
fn what_needs_a_running_machine_is_refused_when_it_is_off() {
    let machine = Setup::new().start();
    for request in ["reset", "cycle", "diag", "soft"] {
        let refused = machine.ipmitool(&["power", request]).failed();
        assert_says(&refused, &["Command not supported in present state"]);
        assert_eq!(machine.power(), "off");
    }
}

#[test]
fn every_command_is_answered_at_once_while_the_machine_is_starting() {
    let machine = Setup::new().start();
    machine.ipmitool(&["power", "on"]).ok();
    // The machine has only begun to start; none of these waits for it.
    for arguments in [&["power", "status"][..], &["chassis", "status"], &["power", "on"], &["mc", "info"]] {
        let said = machine.ipmitool(arguments);
        assert!(said.took < NO_STALL, "{said:?}");
        said.ok();
    }
    // Off and on again before it has started: both are done, in this order.
    let began = Instant::now();
    machine.ipmitool(&["power", "off"]).ok();
    machine.ipmitool(&["power", "on"]).ok();
    assert!(began.elapsed() < 2 * NO_STALL);
    wait_power_status(&machine, "on", ON_WITHIN);
}

#[test]
fn a_diagnostic_interrupt_leaves_the_machine_on() {
    let (machine, qemu) = machine_on();
    assert_says(&machine.ipmitool(&["power", "diag"]).ok(), &["Chassis Power Control: Diag"]);
    machine.wait_log("diagnostic interrupt requested by user 2", SOON);
    assert_eq!(power_status(&machine), "Chassis Power is on");
    assert_eq!(machine.qemu_pid(), Some(qemu));
}

#[test]
fn a_guest_that_ignores_a_soft_shutdown_stays_on_or_is_switched_off_as_configured() {
    // Firmware with nothing to boot doesn't look at the power button.
    for (action, after) in [("leave", "on"), ("off", "off")] {
        let machine = Setup::new().with("SOFT_TIMEOUT", 1).with("SOFT_TIMEOUT_ACTION", action).start();
        machine.ipmitool(&["power", "on"]).ok();
        machine.wait_power("on", SOON);
        assert_says(&machine.ipmitool(&["power", "soft"]).ok(), &["Chassis Power Control: Soft"]);
        machine.wait_log("the guest ignored a soft shutdown", SOON);
        machine.wait_power(after, OFF_WITHIN);
    }
}

#[test]
fn the_chassis_tells_its_state() {
    let machine = Setup::new().start();
    let off = machine.ipmitool(&["chassis", "status"]).ok();
    assert_says(
        &off,
        &[
            "System Power         : off",
            "Main Power Fault     : false",
            "Power Control Fault  : false",
            "Power Restore Policy : always-off",
        ],
    );
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    let on = machine.ipmitool(&["chassis", "status"]).ok();
    assert_says(&on, &["System Power         : on", "Last Power Event     : command"]);
    assert_eq!(machine.ipmitool(&["chassis", "poh"]).ok(), "POH Counter  : 0 days, 0 hours\n");
}

#[test]
fn the_restore_policy_is_listed_and_set() {
    let machine = Setup::new().start();
    let list = machine.ipmitool(&["chassis", "policy", "list"]).ok();
    assert_eq!(list, "Supported chassis power policy:  always-off always-on previous\n");
    for policy in ["previous", "always-on", "always-off"] {
        let said = machine.ipmitool(&["chassis", "policy", policy]).ok();
        assert_eq!(said, format!("Set chassis power restore policy to {policy}\n"));
        let status = machine.ipmitool(&["chassis", "status"]).ok();
        assert_says(&status, &[&format!("Power Restore Policy : {policy}")]);
        assert_says(&machine.local(&["status"]).ok(), &[&format!("Restore policy:  {policy}")]);
    }
}

#[test]
fn the_identify_lamp_goes_on_and_off() {
    let machine = Setup::new().start();
    for (arguments, said) in [
        (&["chassis", "identify"][..], "default (15 seconds)"),
        (&["chassis", "identify", "5"], "5 seconds"),
        (&["chassis", "identify", "force"], "indefinite"),
        (&["chassis", "identify", "0"], "off"),
    ] {
        assert_says(&machine.ipmitool(arguments).ok(), &[&format!("Chassis identify interval: {said}")]);
    }
    // Get Chassis Status, byte 3: bit 6 says that the lamp's state is told, bits 5:4 are the state.
    let lamp = || {
        let status = machine.ipmitool(&["raw", "0x00", "0x01"]).ok();
        u8::from_str_radix(status.split_whitespace().nth(2).unwrap(), 16).unwrap() & 0x70
    };
    for (argument, state) in [("200", 0x50), ("force", 0x60), ("0", 0x40)] {
        machine.ipmitool(&["chassis", "identify", argument]).ok();
        assert_eq!(lamp(), state, "after identify {argument}");
    }
}

#[test]
fn boot_devices_and_their_options_are_kept_as_set() {
    let machine = Setup::new().start();
    for (device, selector) in [
        ("pxe", "Force PXE"),
        ("disk", "Force Boot from default Hard-Drive"),
        ("safe", "Force Boot from default Hard-Drive, request Safe-Mode"),
        ("diag", "Force Boot from Diagnostic Partition"),
        ("cdrom", "Force Boot from CD/DVD"),
        ("bios", "Force Boot into BIOS Setup"),
        ("floppy", "Force Boot from Floppy/primary removable media"),
        ("none", "No override"),
    ] {
        let said = machine.ipmitool(&["chassis", "bootdev", device]).ok();
        assert_eq!(said, format!("Set Boot Device to {device}\n"));
        let flags = machine.ipmitool(&["chassis", "bootparam", "get", "5"]).ok();
        assert_says(&flags, &[&format!("Boot Device Selector : {selector}\n")]);
    }
    for (options, shown) in [
        ("persistent", ["Boot Flag Valid", "apply to all future boots", "BIOS PC Compatible (legacy) boot"]),
        ("efiboot", ["Boot Flag Valid", "apply to only next boot", "BIOS EFI boot"]),
        ("persistent,efiboot", ["Boot Flag Valid", "apply to all future boots", "BIOS EFI boot"]),
    ] {
        machine.ipmitool(&["chassis", "bootdev", "pxe", &format!("options={options}")]).ok();
        assert_says(&machine.ipmitool(&["chassis", "bootparam", "get", "5"]).ok(), &shown);
    }
}

#[test]
fn boot_parameters_are_read_and_set() {
    let machine = Setup::new().start();
    for parameter in 0..=7 {
        let said = machine.ipmitool(&["chassis", "bootparam", "get", &parameter.to_string()]).ok();
        assert_says(&said, &[&format!("Boot parameter {parameter} is valid/unlocked")]);
    }
    machine.ipmitool(&["chassis", "bootparam", "set", "bootflag", "force_cdrom"]).ok();
    let flags = machine.ipmitool(&["chassis", "bootparam", "get", "5"]).ok();
    assert_says(&flags, &["Boot Flag Valid", "Force Boot from CD/DVD"]);
    machine.ipmitool(&["raw", "0x00", "0x08", "0x03", "0x1f"]).ok();
    let clearing = machine.ipmitool(&["chassis", "bootparam", "get", "3"]).ok();
    assert_says(
        &clearing,
        &[
            "Don't automatically clear boot flag valid bit on timeout",
            "Don't clear valid bit on push button reset",
        ],
    );
    // Initiator info, as a client that tells who it is would set it.
    let info = ["0x00", "0x08", "0x06", "0x01", "1", "2", "3", "4", "5", "6", "7", "8"];
    machine.ipmitool(&[&["raw"][..], &info].concat()).ok();
    let said = machine.ipmitool(&["raw", "0x00", "0x09", "0x06", "0x00", "0x00"]).ok();
    assert_eq!(said.split_whitespace().collect::<Vec<_>>().join(" "), "01 06 01 01 02 03 04 05 06 07 08");
}

#[test]
fn ironic_sets_the_boot_device_with_raw_commands() {
    let machine = Setup::new().start();
    // No timeout for the flags, then the flags: valid, persistent and UEFI as asked, device in bits 5:2.
    machine.ipmitool(&["raw", "0x00", "0x08", "0x03", "0x08"]).ok();
    for (flags, device, shown) in [
        ("0xe0", "0x08", ["all future boots", "BIOS EFI boot", "Force Boot from default Hard-Drive"]),
        ("0xa0", "0x04", ["only next boot", "BIOS EFI boot", "Force PXE"]),
        ("0xc0", "0x14", ["all future boots", "legacy", "Force Boot from CD/DVD"]),
    ] {
        machine.ipmitool(&["raw", "0x00", "0x08", "0x05", flags, device, "0x00", "0x00", "0x00"]).ok();
        assert_says(&machine.ipmitool(&["chassis", "bootparam", "get", "5"]).ok(), &shown);
    }
}

#[test]
fn sessions_are_listed() {
    let machine = Setup::new().start();
    let said = machine.ipmitool(&["session", "info", "active"]).ok();
    assert_says(
        &said,
        &["active sessions               : 1", "privilege level               : ADMINISTRATOR"],
    );
    let all = machine.ipmitool(&["session", "info", "all"]).ok();
    assert_eq!(all.matches("console ip                    : 127.0.0.1").count(), 1, "{all}");
}

#[test]
fn sol_parameters_are_read_and_set() {
    let machine = Setup::new().start();
    let info = machine.ipmitool(&["sol", "info"]).ok();
    assert_says(
        &info,
        &[
            "Enabled                         : true",
            "Payload Port                    : 6230",
            "(kbps)        : 115.2",
        ],
    );
    machine.ipmitool(&["sol", "set", "retry-count", "3"]).ok();
    machine.ipmitool(&["sol", "set", "retry-interval", "20"]).ok();
    machine.ipmitool(&["sol", "set", "privilege-level", "operator"]).ok();
    let info = machine.ipmitool(&["sol", "info"]).ok();
    assert_says(
        &info,
        &[
            "Retry Count                     : 3",
            "Retry Interval (ms)             : 200",
            "Privilege Level                 : OPERATOR",
        ],
    );
    let machine = Setup::new().with("IPMI_ADVERTISED_PORT", "623").start();
    assert_says(&machine.ipmitool(&["sol", "info"]).ok(), &["Payload Port                    : 623\n"]);
}

#[test]
fn all_addresses_are_answered_from_the_address_that_was_asked() {
    // ipmitool connects its socket, so an answer from any other address would not reach it.
    let port = std::net::UdpSocket::bind("[::]:0").unwrap().local_addr().unwrap().port();
    let setup = Setup::new().with("IPMI_ADDRESS", "all").with("IPMI_PORT", port);
    let other = crate::support::own_address().to_string();
    let machine = setup.start();
    let own = machine.address().to_string();
    for host in ["127.0.0.1", &own, &other, "::1"] {
        let said = machine.ipmitool(&["-H", host, "-p", &port.to_string(), "power", "status"]);
        assert!(said.took < NO_STALL, "{said:?}");
        assert_eq!(said.ok(), "Chassis Power is off\n", "from {host}");
    }
}
