//! The controller of a machine that something else started: here a plain QEMU, without a guest, that a test has
//! in its own hands.

use crate::support::{
    Machine, SOON, Setup,
    qemu::{PlainQemu, Qmp},
    run, wait_for,
};

const WITH_MONITOR: bool = true;
const WITHOUT: bool = false;

/// A controller that waits for its machine on a unix socket.
fn controller(monitor: bool) -> Machine {
    let setup = Setup::new();
    let folder = setup.folder.path().to_owned();
    let endpoint = format!("unix:{}", folder.join("ipmi.sock").display());
    let qmp = folder.join("qmp.sock").display().to_string();
    let mut arguments = vec!["attach", "--inband", &endpoint];
    if monitor {
        arguments.extend(["--qmp", &qmp]);
    }
    setup.start_with(&arguments)
}

fn qemu(machine: &Machine) -> PlainQemu {
    let ipmi = format!("path={}", machine.folder().join("ipmi.sock").display());
    PlainQemu::start(machine, &ipmi, &["-m", "64"])
}

#[track_caller]
fn refused(machine: &Machine, request: &str) {
    let said = machine.ipmitool(&["power", request]).failed();
    assert!(said.contains("Command not supported in present state"), "{request}: {said}");
}

#[test]
fn by_its_interface_alone_a_machine_can_be_watched_reset_and_switched_off() {
    let machine = controller(WITHOUT);
    assert_eq!(machine.power(), "off");
    refused(&machine, "on");
    let mut qemu = qemu(&machine);
    machine.wait_power("on", SOON);
    let status = machine.ipmitool(&["chassis", "status"]).ok();
    assert!(status.contains("System Power         : on"), "{status}");
    refused(&machine, "cycle");
    machine.ipmitool(&["power", "diag"]).ok();
    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_log("the machine was reset by command", SOON);
    let cause = machine.ipmitool(&["chassis", "restart_cause"]).ok();
    assert!(cause.contains("chassis power control command"), "{cause}");
    assert!(qemu.runs(), "a reset ends no process");
    machine.ipmitool(&["power", "off"]).ok();
    qemu.wait_end(SOON);
    machine.wait_power("off", SOON);
    machine.wait_log("the machine is off: powered off by command", SOON);
}

#[test]
fn a_machine_that_ends_by_itself_is_off_and_one_that_comes_is_on() {
    let machine = controller(WITHOUT);
    for _ in 0..2 {
        let mut qemu = qemu(&machine);
        machine.wait_power("on", SOON);
        qemu.kill();
        machine.wait_power("off", SOON);
    }
    machine.wait_log("the machine is off: its QEMU hung up", SOON);
    assert!(
        !machine.log().contains("disk image"),
        "that of another's machine is no concern: {}",
        machine.log()
    );
}

#[test]
fn with_its_monitor_a_machine_can_be_cycled() {
    let machine = controller(WITH_MONITOR);
    let mut qemu = qemu(&machine);
    machine.wait_log("the machine's monitor answers", SOON);
    machine.ipmitool(&["power", "cycle"]).ok();
    machine.wait_log("the machine is off: powered off by command", SOON);
    wait_for("the machine is on again", SOON, || {
        (machine.log().matches("the machine is on").count() == 2).then_some(())
    });
    assert!(qemu.runs());
    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_log("the machine was reset by command", SOON);
    assert!(!machine.log().contains("the guest rebooted"), "{}", machine.log());

    machine.ipmitool(&["power", "off"]).ok();
    qemu.wait_end(SOON);
    machine.wait_power("off", SOON);
    wait_for("both connections are seen to be gone", SOON, || {
        let said = machine.ipmitool(&["power", "on"]);
        (!said.status.success()).then_some(())
    });
    refused(&machine, "on");
    assert_eq!(machine.log().matches("the machine is on").count(), 2, "{}", machine.log());
}

#[test]
fn a_machine_that_somebody_else_pauses_is_not_reset_by_its_watchdog() {
    let machine = controller(WITH_MONITOR);
    let qemu = qemu(&machine);
    machine.wait_log("the machine's monitor answers", SOON);
    machine.ipmitool(&["mc", "watchdog", "set", "use=oem", "action=reset", "timeout=2"]).ok();
    machine.ipmitool(&["mc", "watchdog", "reset"]).ok();
    qemu.monitor("stop");
    machine.wait_log("the machine is paused", SOON);
    let timer = |machine: &Machine| machine.ipmitool(&["mc", "watchdog", "get"]).ok();
    assert_eq!(timer(&machine), timer(&machine), "it stands still");
    qemu.monitor("cont");
    machine.wait_log("the machine goes on", SOON);
    machine.wait_log("reset requested by the watchdog timer", SOON);
}

#[test]
fn a_reset_by_somebody_else_is_seen_by_the_monitor() {
    let machine = controller(WITH_MONITOR);
    let qemu = qemu(&machine);
    machine.wait_log("the machine's monitor answers", SOON);
    qemu.monitor("system_reset");
    machine.wait_log("the machine was reset by command", SOON);
    assert_eq!(machine.power(), "on");
}

#[test]
fn whatever_ends_the_controller_leaves_the_machine_and_the_next_one_knows_it() {
    let mut machine = controller(WITHOUT);
    let mut qemu = qemu(&machine);
    machine.wait_power("on", SOON);
    machine.ipmitool(&["mc", "watchdog", "off"]).ok();
    machine.ipmitool(&["mc", "watchdog", "reset"]).ok();
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    machine.wait_log("is under control again", SOON);
    let watchdog = machine.ipmitool(&["mc", "watchdog", "get"]).ok();
    assert!(watchdog.contains("Started"), "it guards the machine on: {watchdog}");
    let log = machine.ipmitool(&["sel", "elist"]).ok();
    assert!(!log.contains("AC lost"), "the machine had power all the time: {log}");

    machine.ipmitool(&["mc", "reset", "warm"]).ok();
    wait_for("the machine is taken over again", SOON, || {
        (machine.log().matches("is under control again").count() == 2).then_some(())
    });
    machine.signal("TERM");
    machine.wait_end(SOON);
    assert!(qemu.runs(), "it is not the controller's to end");
}

#[test]
fn there_is_no_console_where_none_is_connected() {
    let machine = controller(WITHOUT);
    let _qemu = qemu(&machine);
    machine.wait_power("on", SOON);
    let said = machine.ipmitool(&["sol", "activate"]);
    assert!(!said.status.success());
    assert!(format!("{}{}", said.out, said.err).contains("disabled"), "{said:?}");
}

#[test]
fn the_interface_can_come_by_tcp() {
    let setup = Setup::new();
    let endpoint = format!("tcp:{}:9002", setup.address);
    let host = format!("host={},port=9002", setup.address);
    let machine = setup.start_with(&["attach", "--inband", &endpoint]);
    let mut qemu = PlainQemu::start(&machine, &host, &["-m", "64"]);
    machine.wait_power("on", SOON);
    machine.ipmitool(&["power", "off"]).ok();
    qemu.wait_end(SOON);
    machine.wait_power("off", SOON);
}

#[test]
fn an_endpoint_that_is_none_is_refused_before_anything_starts() {
    let setup = Setup::new();
    for endpoint in ["9002", "tcp:9002", "unix:"] {
        let said = run(&mut setup.command(&["attach", "--inband", endpoint]), SOON);
        assert_eq!(said.status.code(), Some(2), "{said:?}");
        assert!(said.err.contains("takes tcp:ADDRESS:PORT"), "{said:?}");
    }
}

#[test]
fn a_way_to_the_machine_is_needed_and_the_old_name_still_means_this() {
    let setup = Setup::new();
    let said = run(&mut setup.command(&["attach"]), SOON);
    assert!(
        said.err.contains("--qmp") && said.err.contains("--serial") && said.err.contains("--inband"),
        "{said:?}"
    );
    let said = run(&mut setup.command(&["serve", "--inband", "9002"]), SOON);
    assert!(said.err.contains("takes tcp:ADDRESS:PORT"), "{said:?}");
}

/// A controller that has its machine's monitor alone, and what more is said.
fn by_monitor(arguments: &[&str]) -> Machine {
    let setup = Setup::new();
    let qmp = setup.folder.path().join("qmp.sock").display().to_string();
    setup.start_with(&[&["attach", "--qmp", &qmp], arguments].concat())
}

#[test]
fn a_start_command_that_fails_says_why_and_the_machine_stays_off() {
    let machine = by_monitor(&["--start", "sh -c 'echo no such domain >&2; exit 3'"]);
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_log(
        "the machine did not start: the start command ended with exit status 3: no such domain",
        SOON,
    );
    assert_eq!(machine.power(), "off");
    let machine = by_monitor(&["--start", "/nonexistent/virsh start vm"]);
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_log("the machine did not start: start /nonexistent/virsh", SOON);
}

#[test]
fn a_start_command_powers_on_what_was_powered_off_with_the_boot_device_that_was_asked_for() {
    let setup = Setup::new();
    let path = |name: &str| setup.folder.path().join(name).display().to_string();
    let (qmp, test) = (path("qmp.sock"), path("test.sock"));
    // It is the machine itself and stays in the foreground, as virsh does not.
    let start = format!(
        "qemu-system-x86_64 -machine q35 -accel tcg -nodefaults -display none -m 64 \
         -device virtio-net-pci,id=net0,bootindex=7,netdev=user0 -netdev user,id=user0,restrict=on \
         -device virtio-scsi-pci,id=scsi0 -device scsi-cd,id=cd0,bootindex=3 \
         -qmp unix:{qmp},server=on,wait=off -qmp unix:{test},server=on,wait=off"
    );
    let mut machine = setup.start_with(&["attach", "--qmp", &qmp, "--start", &start]);
    machine.ipmitool(&["chassis", "bootdev", "pxe"]).ok();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    // It had its owner's order at first, so it began once more; and that used the boot device up.
    let parameter = || machine.ipmitool(&["chassis", "bootparam", "get", "5"]).ok();
    wait_for("the boot device is used up", SOON, || parameter().contains("Boot Flag Invalid").then_some(()));
    let index = |machine: &Machine, id: &str| {
        let mut qmp = Qmp::connect_at(&machine.folder().join("test.sock"));
        qmp.property(&format!("/machine/peripheral/{id}"), "bootindex")
    };
    wait_for("the owner's order is back", SOON, || {
        (index(&machine, "net0") == 7 && index(&machine, "cd0") == 3).then_some(())
    });

    machine.ipmitool(&["chassis", "bootdev", "pxe", "options=persistent"]).ok();
    wait_for("the NIC is first", SOON, || (index(&machine, "net0") == 1).then_some(()));
    assert_eq!(index(&machine, "cd0"), 2);
    // Whoever comes after one that was killed knows what the owner wanted.
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    machine.wait_log("is under control again", SOON);
    assert_eq!(index(&machine, "net0"), 1);
    machine.ipmitool(&["chassis", "bootdev", "none"]).ok();
    wait_for("the owner's order is back", SOON, || {
        (index(&machine, "net0") == 7 && index(&machine, "cd0") == 3).then_some(())
    });

    let refused = machine.ipmitool(&["chassis", "bootdev", "bios"]).err;
    assert!(refused.contains("not supported in present state"), "{refused}");
    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
}

#[test]
fn a_serial_port_is_a_console_that_comes_back_with_its_machine() {
    let setup = Setup::new().with("CONSOLE_LOG", "file");
    let port = format!("unix:{}", setup.folder.path().join("serial.sock").display());
    let machine = setup.start_with(&["attach", "--serial", &port]);
    assert_eq!(machine.power(), "off");
    refused(&machine, "on");
    for times in 1..=2 {
        // SeaBIOS says who it is on a serial port where there is no screen.
        let mut qemu = PlainQemu::start(
            &machine,
            &format!("path={}", machine.folder().join("nobody.sock").display()),
            &["-m", "64", "-machine", "graphics=off", "-boot", "reboot-timeout=500"],
        );
        machine.wait_power("on", SOON);
        wait_for("the firmware is seen", SOON, || (machine.printed("SeaBIOS") >= times).then_some(()));
        qemu.kill();
        machine.wait_power("off", SOON);
    }
    refused(&machine, "on");
}
