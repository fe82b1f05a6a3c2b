//! Users, channels and keys over IPMI, with real clients: what is set counts at once, and is there after a
//! restart, a kill, and a change of the settings.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{ChildStdin, Command, Stdio},
    time::Duration,
};

use crate::support::{Machine, SOON, Said, Setup, run, wait_for};

const BOB: &str = "user set name 3 bob\nuser set password 3 first\nuser priv 3 4 1\nuser enable 3\n";

/// ipmitool as another user, with a level of its own.
fn as_user(machine: &Machine, name: &str, password: &str, level: &str, arguments: &[&str]) -> Said {
    let mut command = Command::new("ipmitool");
    command.args(["-I", "lanplus", "-H", &machine.address().to_string(), "-p", "6230", "-R", "1", "-N", "1"]);
    command.args(["-U", name, "-P", password, "-L", level]).args(arguments);
    run(&mut command, Duration::from_secs(30))
}

/// Runs ipmitool's commands, one per line.
#[track_caller]
fn exec(machine: &Machine, lines: &str) {
    for line in lines.lines() {
        machine.ipmitool(&line.split(' ').collect::<Vec<_>>()).ok();
    }
}

/// An ipmitool that stays logged in as bob, and is told what to do one line after the other.
struct Shell {
    process: std::process::Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

impl Shell {
    fn open(machine: &Machine) -> Self {
        let mut command = Command::new("ipmitool");
        command.args(["-I", "lanplus", "-H", &machine.address().to_string(), "-p", "6230"]);
        command.args(["-R", "1", "-N", "1", "-U", "bob", "-P", "first", "shell"]);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, input, output: BufReader::new(output) }
    }

    fn send(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
    }

    /// Reads until a line has this.
    fn expect(&mut self, text: &str) {
        let mut said = String::new();
        while !said.lines().any(|line| line.contains(text)) {
            assert!(self.output.read_line(&mut said).unwrap() > 0, "no {text:?} in {said}");
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_user_who_was_made_over_ipmi_logs_in_and_stays() {
    let mut machine = Setup::new().start();
    exec(&machine, BOB);
    let list = machine.ipmitool(&["user", "list"]).ok();
    assert!(list.contains("3   bob              true    false      true       ADMINISTRATOR"), "{list}");
    as_user(&machine, "bob", "first", "ADMINISTRATOR", &["mc", "info"]).ok();
    as_user(&machine, "bob", "other", "ADMINISTRATOR", &["mc", "info"]).failed();

    machine.signal("TERM");
    machine.wait_end(SOON);
    machine.launch();
    as_user(&machine, "bob", "first", "ADMINISTRATOR", &["mc", "info"]).ok();
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let mut machine = Setup::new().start();
    exec(&machine, BOB);
    machine.ipmitool(&["user", "set", "password", "3", "second"]).ok();
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    as_user(&machine, "bob", "second", "ADMINISTRATOR", &["mc", "info"]).ok();
    as_user(&machine, "bob", "first", "ADMINISTRATOR", &["mc", "info"]).failed();
}

#[test]
fn passwords_have_sixteen_or_twenty_bytes_and_can_be_tested() {
    let machine = Setup::new().start();
    exec(&machine, BOB);
    machine.ipmitool(&["user", "test", "3", "16", "first"]).ok();
    machine.ipmitool(&["user", "test", "3", "16", "wrong"]).failed();
    let size = machine.ipmitool(&["user", "test", "3", "20", "first"]).failed();
    assert!(size.contains("wrong password size"), "{size}");
    let twenty = "twenty-bytes-of-it!!";
    machine.ipmitool(&["user", "set", "password", "3", twenty, "20"]).ok();
    machine.ipmitool(&["user", "test", "3", "20", twenty]).ok();
    as_user(&machine, "bob", twenty, "ADMINISTRATOR", &["mc", "info"]).ok();
}

#[test]
fn a_limit_lowered_takes_effect_on_an_open_session() {
    let machine = Setup::new().start();
    exec(&machine, BOB);
    let mut shell = Shell::open(&machine);
    shell.send("chassis power status");
    shell.expect("Chassis Power is off");

    machine.ipmitool(&["user", "priv", "3", "2", "1"]).ok();
    shell.send("chassis power on");
    shell.send("chassis power status");
    shell.expect("Chassis Power is off");
    assert_eq!(machine.power(), "off", "the command was refused");

    machine.ipmitool(&["user", "priv", "3", "3", "1"]).ok();
    shell.send("chassis identify 1");
    shell.expect("Chassis identify interval: 1 seconds");
}

#[test]
fn a_disabled_user_s_session_ends_and_nobody_logs_in() {
    let machine = Setup::new().start();
    exec(&machine, BOB);
    let mut shell = Shell::open(&machine);
    shell.send("chassis power status");
    shell.expect("Chassis Power is off");
    machine.ipmitool(&["user", "disable", "3"]).ok();
    let sessions = machine.ipmitool(&["session", "info", "active"]).ok();
    assert!(sessions.contains("active sessions               : 1"), "{sessions}");
    as_user(&machine, "bob", "first", "ADMINISTRATOR", &["mc", "info"]).failed();
    let access = machine.ipmitool(&["channel", "getaccess", "1", "3"]).ok();
    assert!(access.contains("Enable Status        : disabled"), "{access}");
}

#[test]
fn access_without_messaging_is_none() {
    let machine = Setup::new().start();
    exec(&machine, BOB);
    let set = |bits: &[&str]| machine.ipmitool(&[&["channel", "setaccess", "1", "3"], bits].concat()).ok();
    set(&["link=on", "privilege=3"]);
    // ipmitool 1.8.19 says "successful" to ipmi=off, and asks for nothing of the kind.
    machine.ipmitool(&["raw", "0x06", "0x43", "0xa1", "0x03", "0x03"]).ok();
    let access = machine.ipmitool(&["channel", "getaccess", "1", "3"]).ok();
    for line in ["IPMI Messaging       : disabled", "Link Authentication  : enabled", ": OPERATOR"] {
        assert!(access.contains(line), "no {line:?} in {access}");
    }
    as_user(&machine, "bob", "first", "OPERATOR", &["mc", "info"]).failed();
    set(&["ipmi=on"]);
    as_user(&machine, "bob", "first", "OPERATOR", &["mc", "info"]).ok();
    as_user(&machine, "bob", "first", "ADMINISTRATOR", &["mc", "info"]).failed();
}

#[test]
fn sol_takes_the_payload_right() {
    let machine = Setup::new().start();
    exec(&machine, BOB);
    let status = || machine.ipmitool(&["sol", "payload", "status", "1", "3"]).ok();
    let activate = ["raw", "0x06", "0x48", "0x01", "0x01", "0xc0", "0", "0", "0"];
    assert!(status().contains("User 3 on channel 1 is disabled"));
    let refused = as_user(&machine, "bob", "first", "ADMINISTRATOR", &activate).failed();
    assert!(refused.contains("Insufficient privilege level"), "{refused}");
    machine.ipmitool(&["sol", "payload", "enable", "1", "3"]).ok();
    assert!(status().contains("User 3 on channel 1 is enabled"));
    as_user(&machine, "bob", "first", "ADMINISTRATOR", &activate).ok();
    machine.ipmitool(&["sol", "payload", "disable", "1", "3"]).ok();
    assert!(status().contains("User 3 on channel 1 is disabled"));
}

#[test]
fn a_change_over_ipmi_outlives_the_setting_and_a_changed_setting_wins() {
    let mut machine = Setup::new().with("IPMI_PASS", "configured").start();
    let admin = |machine: &Machine, password: &str| {
        as_user(machine, "admin", password, "ADMINISTRATOR", &["mc", "info"])
    };
    let set = ["user", "set", "password", "2", "changed"];
    as_user(&machine, "admin", "configured", "ADMINISTRATOR", &set).ok();
    admin(&machine, "configured").failed();
    machine.signal("TERM");
    machine.wait_end(SOON);
    machine.launch();
    admin(&machine, "changed").ok();

    machine.signal("TERM");
    machine.wait_end(SOON);
    machine.setup.environment.insert("IPMI_PASS".into(), "configured anew".into());
    machine.launch();
    admin(&machine, "configured anew").ok();
    admin(&machine, "changed").failed();

    machine.signal("TERM");
    machine.wait_end(SOON);
    machine.setup.environment.insert("IPMI_USER".into(), "root".into());
    machine.launch();
    as_user(&machine, "root", "configured anew", "ADMINISTRATOR", &["mc", "info"]).ok();
    admin(&machine, "configured anew").failed();
}

#[test]
fn passwords_are_in_a_file_of_the_owner_s_and_in_no_log() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Setup::new().with("DEBUG", true).with("IPMI_PASS", "hunter2-of-settings").start();
    let set = ["user", "set", "password", "3", "hunter2-of-ipmi"];
    as_user(&machine, "admin", "hunter2-of-settings", "ADMINISTRATOR", &["user", "set", "name", "3", "bob"])
        .ok();
    as_user(&machine, "admin", "hunter2-of-settings", "ADMINISTRATOR", &set).ok();
    let log = machine.log();
    assert!(log.contains("user 3 (\"bob\") given another password by user 2"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
    let state = machine.folder().join("state/bmc.json");
    assert_eq!(fs::metadata(state).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_channel_that_is_disabled_opens_no_session_until_the_restart() {
    let mut machine = Setup::new().start();
    let mode = |volatile: u8| format!("0x{:02x}", volatile << 6);
    let off = ["raw", "0x06", "0x40", "0x01", &mode(2), "0x00"];
    machine.ipmitool(&off).ok();
    machine.ipmitool(&["-R", "1", "-N", "1", "mc", "info"]).failed();
    machine.signal("TERM");
    machine.wait_end(SOON);
    machine.launch();
    let info = machine.ipmitool(&["channel", "info", "1"]).ok();
    assert_eq!(info.matches("Access Mode         : always available").count(), 2, "{info}");
}

#[test]
fn a_cipher_suite_that_is_not_used_is_refused_and_one_that_is_limited_limits() {
    let machine = Setup::new().start();
    machine.ipmitool(&["lan", "set", "1", "cipher_privs", "XXXXXXXXXXXXXXX"]).ok();
    let print = machine.ipmitool(&["lan", "print", "1"]).ok();
    assert!(print.contains("Cipher Suite Priv Max   : XXXXXXXXXXXXXXX"), "{print}");
    machine.ipmitool(&["-C", "3", "mc", "info"]).failed();
    machine.ipmitool(&["-C", "17", "mc", "info"]).ok();
    let suites = machine.ipmitool(&["channel", "getciphers", "ipmi"]).ok();
    assert!(!suites.contains("hmac_sha1 "), "{suites}");

    machine.ipmitool(&["lan", "set", "1", "cipher_privs", "aaauaaaaaaaaaaa"]).ok();
    machine.ipmitool(&["-C", "3", "-L", "USER", "mc", "info"]).ok();
    machine.ipmitool(&["-C", "3", "mc", "info"]).failed();
}

#[test]
fn the_channel_s_limit_limits_everybody() {
    let machine = Setup::new().start();
    machine.ipmitool(&["raw", "0x06", "0x40", "0x01", "0x00", "0x82"]).ok();
    machine.ipmitool(&["mc", "info"]).failed();
    machine.ipmitool(&["-L", "USER", "mc", "info"]).ok();
}

#[test]
fn a_key_that_was_set_over_ipmi_is_needed_from_then_on() {
    let mut machine = Setup::new().start();
    let config = |machine: &Machine, arguments: &[&str]| {
        machine.freeipmi("ipmi-config", &[&["--category=core"], arguments].concat())
    };
    let said = config(&machine, &["--commit", "--key-pair=Lan_Conf_Security_Keys:K_G=secret"]);
    assert_eq!(said.err, "");
    said.ok();
    for _ in 0..2 {
        machine.ipmitool(&["-R", "1", "-N", "1", "mc", "info"]).failed();
        machine.ipmitool(&["-k", "secret", "mc", "info"]).ok();
        machine.signal("KILL");
        machine.wait_end(SOON);
        machine.launch();
    }
}

#[test]
fn freeipmi_checks_users_out_and_back_in() {
    let machine = Setup::new().start();
    exec(&machine, BOB);
    let file = machine.folder().join("users.conf");
    let file = format!("--filename={}", file.display());
    let sections: Vec<String> = (1..=16).map(|number| format!("--section=User{number}")).collect();
    let sections: Vec<&str> = sections.iter().map(String::as_str).collect();
    let config = |how: &str, sections: &[&str]| {
        let said = machine.freeipmi("ipmi-config", &[&["--category=core", how, &file], sections].concat());
        assert_eq!((said.err.as_str(), said.status.success()), ("", true), "{how}: {}", said.out);
    };
    let before = machine.ipmitool(&["user", "list"]).ok();
    config("--checkout", &sections);
    config("--commit", &[]);
    config("--diff", &[]);
    assert_eq!(machine.ipmitool(&["user", "list"]).ok(), before);
    as_user(&machine, "bob", "first", "ADMINISTRATOR", &["mc", "info"]).ok();
}

#[test]
fn factory_settings_come_back_by_each_way_and_the_machine_runs_on() {
    let mut machine = Setup::new().start();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    let qemu = machine.qemu_pid();
    let set = |machine: &Machine| {
        exec(machine, BOB);
        machine.ipmitool(&["lan", "set", "1", "snmp", "secret"]).ok();
        machine.ipmitool(&["sol", "set", "retry-count", "2", "1"]).ok();
    };
    #[track_caller]
    fn assert_default(machine: &Machine) {
        assert!(!machine.ipmitool(&["user", "list"]).ok().contains("bob"));
        let print = machine.ipmitool(&["lan", "print", "1"]).ok();
        assert!(print.contains("SNMP Community String   : public"), "{print}");
        let sol = machine.ipmitool(&["sol", "info", "1"]).ok();
        assert!(sol.contains("Retry Count                     : 7"), "{sol}");
    }
    let wait_restart = |machine: &Machine, times: usize| {
        wait_for("the controller has restarted", SOON, || {
            let taken_over = machine.log().matches("is under control again").count() == times;
            (taken_over && machine.local(&["healthcheck"]).status.success()).then_some(())
        });
    };

    set(&machine);
    let refused = machine.ipmitool(&["raw", "0x30", "0x40", "0x43", "0x4c", "0x00"]).failed();
    assert!(refused.contains("0xcc"), "{refused}");
    machine.ipmitool(&["raw", "0x30", "0x40", "0x43", "0x4c", "0x52"]).ok();
    wait_restart(&machine, 1);
    assert_default(&machine);

    set(&machine);
    machine.local(&["factory-reset"]).ok();
    wait_restart(&machine, 2);
    assert_default(&machine);
    assert_eq!((machine.qemu_pid(), machine.power().as_str()), (qemu, "on"));

    machine.local(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    set(&machine);
    machine.signal("TERM");
    machine.wait_end(SOON);
    let said = machine.local(&["factory-reset"]).ok();
    assert!(said.contains("no controller runs"), "{said}");
    machine.launch();
    assert_default(&machine);
}
