//! What breaks, and what must not break with it: the controller, QEMU, and the disk.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::support::{Machine, SOON, Setup, qemu::Qmp, run, signal, wait_for};
use serde_json::json;

/// A controller that died is to be back in this time.
const BACK_WITHIN: Duration = Duration::from_secs(1);
/// What an answer takes, even now that something else hangs: a client's whole run with room for a busy machine.
const USUAL: Duration = Duration::from_secs(2);
/// Power off is to show as off in this time, whatever it takes.
const OFF_WITHIN: Duration = Duration::from_secs(3);

fn on(machine: &Machine) -> i32 {
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    machine.qemu_pid().unwrap()
}

fn alive(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

fn chassis_status(machine: &Machine) -> String {
    let said = machine.ipmitool(&["chassis", "status"]);
    assert!(said.took < USUAL, "{said:?}");
    said.ok()
}

fn boot_flags(machine: &Machine) -> String {
    machine.ipmitool(&["chassis", "bootparam", "get", "5"]).ok()
}

/// Keeps clients busy while `action` runs.
fn under_load<T>(machine: &Machine, action: impl FnOnce() -> T) -> T {
    let enough = AtomicBool::new(false);
    let answered = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let said =
                        run(machine.ipmitool_command().args(["-R", "1", "-N", "1", "mc", "info"]), SOON);
                    answered.fetch_or(said.status.success(), Ordering::Relaxed);
                }
            });
        }
        wait_for("a client under load is answered", SOON, || answered.load(Ordering::Relaxed).then_some(()));
        let result = action();
        enough.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn a_controller_that_is_killed_leaves_the_machine_running_and_a_new_one_takes_it_over() {
    let mut machine = Setup::new().start();
    let qemu = on(&machine);
    under_load(&machine, || {
        // What was acknowledged is there afterwards.
        machine.ipmitool(&["chassis", "bootdev", "cdrom", "options=persistent"]).ok();
        machine.signal("KILL");
    });
    machine.wait_end(SOON);
    assert!(alive(qemu), "the machine runs on");

    let began = Instant::now();
    machine.launch();
    assert!(began.elapsed() < BACK_WITHIN, "{:?}", began.elapsed());
    machine.wait_power("on", BACK_WITHIN);
    assert_eq!(machine.qemu_pid(), Some(qemu));
    let flags = boot_flags(&machine);
    assert!(flags.contains("Force Boot from CD/DVD") && flags.contains("all future boots"), "{flags}");

    // It is in full command of it.
    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_log("the machine was reset by command", SOON);
    assert_eq!(machine.qemu_pid(), Some(qemu));
    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", OFF_WITHIN);
    wait_for("QEMU ends", OFF_WITHIN, || (!alive(qemu)).then_some(()));
}

#[test]
fn init_brings_a_killed_controller_back_within_a_second() {
    let mut machine = Setup::new().with("STOP_TIMEOUT", "200ms").start_as("init");
    let qemu = on(&machine);
    let first = machine.controller_pid().unwrap();
    machine.ipmitool(&["chassis", "bootdev", "pxe", "options=persistent"]).ok();
    let began = under_load(&machine, || {
        signal(first, "KILL");
        Instant::now()
    });
    wait_for("the controller answers again", SOON, || {
        machine.local(&["healthcheck"]).status.success().then_some(())
    });
    assert!(began.elapsed() < BACK_WITHIN + USUAL, "{:?}", began.elapsed());
    let second = machine.controller_pid().unwrap();
    assert_ne!(first, second);
    machine.wait_power("on", BACK_WITHIN);
    assert_eq!(machine.qemu_pid(), Some(qemu));
    assert!(alive(qemu));
    assert!(boot_flags(&machine).contains("Force PXE"));

    machine.signal("TERM");
    assert_eq!(machine.wait_end(SOON).code(), Some(0));
    assert!(!alive(qemu), "the machine is off when its container has stopped");
}

#[test]
fn a_machine_that_was_off_stays_off_when_only_the_controller_died() {
    // Powered on by its start, then off by a client: a crash is no return of mains power.
    let machine = Setup::new().with("POWER_ON_AT_START", true).start_as("init");
    machine.wait_power("on", SOON);
    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", OFF_WITHIN);
    let first = machine.controller_pid().unwrap();
    signal(first, "KILL");
    wait_for("another controller answers", SOON, || {
        (machine.controller_pid()? != first && machine.local(&["healthcheck"]).status.success()).then_some(())
    });
    assert!(machine.local(&["status"]).ok().contains("Power:           off\n"));
    assert_eq!(machine.log().matches("power on requested").count(), 1, "{}", machine.log());
}

#[test]
fn a_qemu_that_hangs_does_not_hang_the_controller() {
    let machine = Setup::new().start();
    let qemu = on(&machine);
    signal(qemu, "STOP");
    assert!(chassis_status(&machine).contains("System Power         : on"));
    // It can't be told anything, but its plug can be pulled.
    let asked = Instant::now();
    machine.ipmitool(&["power", "off"]).ok();
    assert!(asked.elapsed() < USUAL);
    assert!(machine.ipmitool(&["mc", "info"]).took < USUAL);
    wait_for("off", OFF_WITHIN, || {
        chassis_status(&machine).contains("System Power         : off").then_some(())
    });
    assert!(asked.elapsed() < OFF_WITHIN + USUAL);
    assert!(!alive(qemu));
    assert_ne!(on(&machine), qemu);
}

#[test]
fn a_qemu_that_hung_for_a_while_goes_on() {
    let machine = Setup::new().start();
    let qemu = on(&machine);
    signal(qemu, "STOP");
    machine.ipmitool(&["power", "diag"]).ok();
    machine.wait_log("inject an NMI", SOON);
    signal(qemu, "CONT");
    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_log("the machine was reset by command", SOON);
    assert_eq!(machine.power(), "on");
}

#[test]
fn a_qemu_that_is_killed_reads_as_off_by_a_fault_and_can_be_started_again() {
    let machine = Setup::new().start();
    let qemu = on(&machine);
    signal(qemu, "KILL");
    machine.wait_power("off", OFF_WITHIN);
    let status = chassis_status(&machine);
    assert!(status.contains("System Power         : off"), "{status}");
    assert!(status.contains("Last Power Event     : fault"), "{status}");
    machine.wait_log("signal 9", SOON);
    assert!(machine.local(&["status"]).ok().contains("signal 9"));

    assert_ne!(on(&machine), qemu);
    let status = chassis_status(&machine);
    assert!(!status.contains("fault \n"), "{status}");
}

#[test]
fn a_users_own_tool_on_qmp_disturbs_nothing_and_its_quit_reads_as_off() {
    let machine = Setup::new().start();
    on(&machine);
    let mut qmp = Qmp::connect(&machine);
    assert_eq!(qmp.execute("query-status", json!({}))["status"], "running");
    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_log("the machine was reset by command", SOON);
    qmp.execute("quit", json!({}));
    machine.wait_power("off", OFF_WITHIN);
    assert!(!chassis_status(&machine).contains("fault \n"), "somebody wanted this");
    on(&machine);
}

#[test]
fn a_stop_waits_for_the_guest_and_a_second_one_does_not() {
    let mut machine = Setup::new().with("STOP_TIMEOUT", 3600).start();
    let qemu = on(&machine);
    machine.signal("TERM");
    machine.wait_log("to shut down", SOON);
    assert!(alive(qemu));
    // While it waits, it answers.
    assert!(chassis_status(&machine).contains("System Power         : on"));
    machine.signal("INT");
    assert_eq!(machine.wait_end(SOON).code(), Some(0));
    assert!(!alive(qemu));
    assert_eq!(machine.power(), "off");
}

#[test]
fn a_qemu_that_cannot_start_leaves_the_machine_off_and_the_log_says_why() {
    let machine = Setup::new().with("QEMU_EXTRA_ARGS", "-device no-such-device").start();
    for _ in 0..2 {
        machine.ipmitool(&["power", "on"]).ok();
        machine.wait_log("the machine did not start", SOON);
        wait_for("a fault", SOON, || {
            chassis_status(&machine).contains("Last Power Event     : fault").then_some(())
        });
    }
    let log = machine.log();
    let reason = log.lines().find(|line| line.contains("the machine did not start")).unwrap();
    assert!(reason.contains("'no-such-device' is not a valid device model name"), "{reason}");
    assert_eq!(machine.power(), "off");
    // The record is there from the start of a process on; of one that failed it goes.
    wait_for("no record is left", SOON, || machine.qemu_pid().is_none().then_some(()));
}

#[test]
fn a_controller_that_dies_in_the_middle_of_a_start_leaves_nothing_behind() {
    let mut machine = Setup::new().start();
    for delay in [0, 20, 50, 80, 120, 200] {
        machine.local(&["power", "on"]).ok();
        thread::sleep(Duration::from_millis(delay));
        machine.signal("KILL");
        machine.wait_end(SOON);
        machine.launch();
        // Whether it was begun in time or not, from here on the machine does as it is told.
        machine.local(&["power", "on"]).ok();
        machine.wait_power("on", SOON);
        let qemu = machine.qemu_pid().unwrap();
        assert!(alive(qemu));
        machine.local(&["power", "off"]).ok();
        machine.wait_power("off", SOON);
        assert!(!alive(qemu));
    }
}

#[test]
fn a_qemu_that_does_not_exist_leaves_the_machine_off_and_the_log_says_why() {
    let machine = Setup::new().with("QEMU_BINARY", "/no/such/qemu").start();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_log("/no/such/qemu", SOON);
    assert!(chassis_status(&machine).contains("System Power         : off"));
}

#[test]
fn a_damaged_state_file_is_set_aside_and_the_controller_starts() {
    for text in ["", "{\"version\": 1, \"was", "\u{fffd}\u{0}garbage", "null"] {
        let setup = Setup::new();
        let state = setup.folder.path().join("state");
        fs::create_dir(&state).unwrap();
        fs::write(state.join("bmc.json"), text).unwrap();
        fs::write(state.join("identity.json"), text).unwrap();
        let machine = setup.start();
        machine.ipmitool(&["mc", "info"]).ok();
        for name in ["bmc.json", "identity.json"] {
            assert_eq!(fs::read_to_string(state.join(format!("{name}.unusable"))).unwrap(), text, "{name}");
            let log = machine.log();
            assert!(log.lines().any(|line| line.contains(name) && line.contains("set aside")), "{log}");
        }
    }
}

#[test]
fn a_state_folder_that_takes_nothing_is_said_and_survived() {
    // Not even root can make a file in there.
    let machine = Setup::new().with("STATE_DIR", "/proc/self").start();
    machine.ipmitool(&["chassis", "bootdev", "cdrom", "options=persistent"]).ok();
    assert!(boot_flags(&machine).contains("Force Boot from CD/DVD"), "kept in memory");
    machine.wait_log("save the controller's state", SOON);
    on(&machine);
    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", OFF_WITHIN);
}

#[test]
fn a_full_disk_is_said_and_survived_and_loses_nothing_that_was_there() {
    let setup = Setup::new();
    let state = setup.folder.path().join("state");
    fs::create_dir(&state).unwrap();
    let Some(setup) = setup.with_small_disk(&state) else {
        eprintln!("SKIPPED: a file system can't be mounted here");
        return;
    };
    let mut machine = setup.start();
    machine.ipmitool(&["chassis", "policy", "previous"]).ok();
    let fill =
        || wait_for("the disk is full", SOON, || fs::write(state.join("ballast"), [0; 256 << 10]).err());
    fill();
    machine.ipmitool(&["chassis", "bootdev", "cdrom", "options=persistent"]).ok();
    machine.wait_log("save the controller's state", SOON);
    assert!(boot_flags(&machine).contains("Force Boot from CD/DVD"), "kept in memory");
    on(&machine);
    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", OFF_WITHIN);
    // The last page of the file has room for some more lines.
    let events = machine.folder().join("events");
    fs::write(&events, "0x04 0x12 0x01 0x6f 0x00 0xff 0xff\n".repeat(100)).unwrap();
    machine.ipmitool(&["sel", "add", &events.display().to_string()]).ok();
    machine.wait_log("the event log is kept in memory only", SOON);

    // Both are written as soon as there is room, without anything else that happens.
    fs::remove_file(state.join("ballast")).unwrap();
    machine.wait_log("has the whole event log", SOON);
    machine.wait_log("the controller's state can be saved again", SOON);
    let entries = |machine: &Machine| machine.ipmitool(&["sel", "list"]).ok().lines().count();
    let logged = entries(&machine);
    machine.signal("KILL");
    machine.wait_end(SOON);

    machine.launch();
    assert!(entries(&machine) >= logged, "{} of {logged} entries", entries(&machine));
    assert!(boot_flags(&machine).contains("Force Boot from CD/DVD"), "kept on disk");
    let status = chassis_status(&machine);
    assert!(status.contains("Power Restore Policy : previous"), "{status}");
    fill();
    machine.signal("TERM");
    assert_eq!(machine.wait_end(SOON).code(), Some(0), "a full disk holds nothing up");
}

#[test]
fn the_restore_policy_decides_what_follows_a_stop() {
    // Policy, power when the container stops, power when it starts again.
    for (policy, before, after) in [
        ("always-on", "off", "on"),
        ("always-off", "on", "off"),
        ("previous", "on", "on"),
        ("previous", "off", "off"),
    ] {
        let mut machine = Setup::new().with("STOP_TIMEOUT", "100ms").start();
        machine.ipmitool(&["chassis", "policy", policy]).ok();
        if before == "on" {
            on(&machine);
        }
        machine.signal("TERM");
        assert_eq!(machine.wait_end(SOON).code(), Some(0));
        assert_eq!(machine.power(), "off", "a stopped container's machine is off");

        machine.launch();
        if after == "on" {
            machine.wait_power("on", SOON);
        } else {
            // A start would have been asked for before the program answered for the first time.
            let status = machine.local(&["status"]).ok();
            assert!(status.contains("Power:           off\n"), "{policy}, {before}: {status}");
        }
    }
}

#[test]
fn what_was_written_on_a_disk_that_forgets_goes_also_if_nobody_saw_the_machine_end() {
    let mut machine = Setup::new().with("VM_DISK_SIZE", "1M").with("VM_DISK_EPHEMERAL", "true").start();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    let overlay = machine.folder().join("run/disk0.ephemeral.qcow2");
    assert!(overlay.exists());
    let qemu = machine.qemu_pid().unwrap();
    machine.signal("KILL");
    machine.wait_end(SOON);
    signal(qemu, "KILL");
    machine.launch();
    wait_for("the overlay goes", SOON, || (!overlay.exists()).then_some(()));
    machine.wait_power("off", SOON);
}
