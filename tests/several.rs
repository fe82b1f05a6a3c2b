//! Several machines from one configuration file: a process each, which neither crash nor stop of another touches.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use crate::support::{PROGRAM, SOON, Said, children, end_all, own_address, run, signal, tail, wait_for};

/// A host with a configuration file, and what runs by it. Machines have ports from 6231 on.
struct Host {
    folder: tempfile::TempDir,
    address: Ipv4Addr,
    process: Option<Child>,
}

impl Host {
    /// With this in its file besides what all tests need.
    fn new(machines: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("qemu-bmc-test-").tempdir().unwrap();
        let host = Self { folder, address: own_address(), process: None };
        let [run_dir, state_dir] = ["run", "state"].map(|name| host.path(name));
        let address = host.address;
        let file = format!(
            "[paths]\nrun_dir = {run_dir:?}\nstate_dir = {state_dir:?}\n\
             [ipmi]\naddress = '{address}'\npassword = 'password'\n\
             [vnc]\naddress = '{address}'\nport = 'none'\n\
             [power]\nstop_timeout = '100ms'\n\
             [defaults]\nkvm = false\ndisk = 'none'\nmemory = 128\n{machines}"
        );
        fs::write(host.path("file.toml"), file).unwrap();
        host
    }

    /// node1, node2 and so on, each on its own port, and on.
    fn of(count: u16) -> Self {
        let machine = |number| format!("[[machine]]\nname = 'node{number}'\nipmi.port = {}\n", 6230 + number);
        Self::new(&(1..=count).map(machine).collect::<String>())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("QEMU_BMC_CONFIG", self.path("file.toml"));
        command
    }

    fn local(&self, arguments: &[&str]) -> Said {
        run(&mut self.command(arguments), SOON)
    }

    /// Starts all machines, and waits until they answer.
    fn launch(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.command(&["run"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        self.wait_healthy();
    }

    #[track_caller]
    fn wait_healthy(&self) {
        wait_for("all answer", SOON, || self.local(&["healthcheck"]).status.success().then_some(()));
    }

    fn pid(&self) -> i32 {
        self.process.as_ref().unwrap().id().try_into().unwrap()
    }

    /// The controller of a machine.
    fn controller(&self, machine: &str) -> Option<i32> {
        children(self.pid()).into_iter().find(|child| {
            let line = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
            line.contains(&format!("--machine\0{machine}\0"))
        })
    }

    /// The QEMU of a machine, once it is on.
    #[track_caller]
    fn qemu(&self, machine: &str) -> i32 {
        self.wait_power(machine, "on");
        let record = fs::read_to_string(self.path("run").join(machine).join("machine.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        record["process"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap()
    }

    #[track_caller]
    fn wait_power(&self, machine: &str, state: &str) {
        let file = self.path("run").join(machine).join("power.state");
        wait_for(&format!("{machine} is {state}"), SOON, || {
            (fs::read_to_string(&file).ok()?.trim() == state).then_some(())
        });
    }

    fn ipmitool(&self, number: u16, arguments: &[&str]) -> Said {
        let mut command = Command::new("ipmitool");
        command.args(["-I", "lanplus", "-H", &self.address.to_string(), "-U", "admin", "-P", "password"]);
        run(command.args(["-p", &(6230 + number).to_string()]).args(arguments), SOON * 3)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Tells all to stop, and makes sure that nothing is left.
    #[track_caller]
    fn stop(mut self) {
        signal(self.pid(), "TERM");
        let process = self.process.as_mut().unwrap();
        let status = wait_for("all end", SOON, || process.try_wait().unwrap());
        self.process = None;
        assert_eq!((status.code(), end_all(self.folder.path())), (Some(0), vec![]));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("---- the log's end\n{}", tail(&self.log()));
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        end_all(self.folder.path());
    }
}

#[test]
fn each_machine_answers_for_itself() {
    let mut host = Host::of(3);
    host.launch();
    let qemu = [1, 2, 3].map(|number| host.qemu(&format!("node{number}")));
    // All at once, as a lab's management asks.
    thread::scope(|scope| {
        let host = &host;
        for number in [1, 2, 3] {
            scope.spawn(move || {
                let said = host.ipmitool(number, &["power", "status"]).ok();
                assert_eq!(said, "Chassis Power is on\n", "node{number}");
            });
        }
    });
    let guid = |number| host.ipmitool(number, &["mc", "guid"]).ok();
    assert_ne!(guid(1), guid(2));

    host.ipmitool(2, &["power", "off"]).ok();
    host.wait_power("node2", "off");
    let status = host.local(&["status"]).ok();
    let lines: Vec<_> =
        status.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>()).collect();
    assert_eq!(lines, [["node1", "on"], ["node2", "off"], ["node3", "on"]], "{status}");
    assert_eq!([host.qemu("node1"), host.qemu("node3")], [qemu[0], qemu[2]]);

    assert_eq!(host.local(&["power", "on", "--machine", "node2"]).ok(), "power on: under way\n");
    host.wait_power("node2", "on");
    let one = host.local(&["--machine", "node2", "status"]).ok();
    assert!(one.contains("Power:           on") && one.contains("Node:            node2"), "{one}");
    for command in [&["power", "off"][..], &["console"], &["sel", "list"], &["factory-reset"]] {
        let refused = host.local(command).failed();
        assert!(refused.contains("which machine? There is node1, node2 and node3"), "{refused}");
    }
    let log = host.log();
    assert!(
        log.lines().any(|line| line.ends_with(" node2  INFO the machine is off: powered off by command")),
        "{log}"
    );
    host.stop();
}

#[test]
fn a_controller_that_is_killed_is_its_own_machines_business() {
    let mut host = Host::of(2);
    host.launch();
    let qemu = ["node1", "node2"].map(|machine| host.qemu(machine));
    let controllers = || ["node1", "node2"].map(|machine| host.controller(machine));
    let [first, other] = controllers();
    signal(first.unwrap(), "KILL");
    wait_for("another controller", SOON, || controllers()[0].filter(|pid| Some(*pid) != first));
    host.wait_healthy();
    assert_eq!(controllers()[1], other);
    assert_eq!(["node1", "node2"].map(|machine| host.qemu(machine)), qemu);
    assert!(host.log().contains("the controller of node1 was killed by signal 9 and is started again"));

    signal(host.pid(), "HUP");
    wait_for("other controllers", SOON, || {
        controllers().iter().all(|pid| pid.is_some() && *pid != other).then_some(())
    });
    host.wait_healthy();
    assert_eq!(["node1", "node2"].map(|machine| host.qemu(machine)), qemu);
    host.stop();
}

#[test]
fn a_mistake_in_the_file_ends_no_machine() {
    let mut host = Host::of(2);
    host.launch();
    let qemu = ["node1", "node2"].map(|machine| host.qemu(machine));
    let controllers = || ["node1", "node2"].map(|machine| host.controller(machine));
    let before = controllers();
    let file = host.path("file.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{good}[[machine]\n")).unwrap();

    signal(host.pid(), "HUP");
    wait_for("the mistake is said", SOON, || host.log().contains("SIGHUP changes nothing").then_some(()));
    assert_eq!(controllers(), before);

    signal(before[0].unwrap(), "KILL");
    host.ipmitool(2, &["mc", "reset", "cold"]).ok();
    wait_for("both are tried again", SOON, || {
        let log = host.log();
        ["node1", "node2"]
            .iter()
            .all(|name| log.contains(&format!("the controller of {name} cannot use its configuration")))
            .then_some(())
    });
    fs::write(&file, good).unwrap();
    signal(host.pid(), "HUP");
    host.wait_healthy();
    assert_eq!(["node1", "node2"].map(|machine| host.qemu(machine)), qemu);
    host.stop();
}

#[test]
fn machines_outlive_whoever_watches_over_their_controllers() {
    let mut host = Host::of(2);
    host.launch();
    let qemu = ["node1", "node2"].map(|machine| host.qemu(machine));
    let controllers = ["node1", "node2"].map(|machine| host.controller(machine).unwrap());
    let mut process = host.process.take().unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    let is_gone =
        |pid: i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty();
    wait_for("the controllers end", SOON, || controllers.iter().all(|pid| is_gone(*pid)).then_some(()));
    assert!(!qemu.iter().any(|pid| is_gone(*pid)));

    host.launch();
    assert_eq!(["node1", "node2"].map(|machine| host.qemu(machine)), qemu);
    assert_eq!(host.ipmitool(2, &["power", "status"]).ok(), "Chassis Power is on\n");
    host.stop();
}

#[test]
fn one_that_has_ended_is_started_by_a_hangup() {
    let mut host = Host::of(2);
    host.launch();
    host.qemu("node1");
    signal(host.controller("node1").unwrap(), "TERM");
    wait_for("node1 ends", SOON, || host.log().contains("the controller of node1 has ended").then_some(()));
    let status = host.local(&["status"]).failed();
    assert!(
        status.contains("node1  no qemu-bmc answers") && status.contains("no good answer from node1\n"),
        "{status}"
    );
    assert!(host.ipmitool(2, &["mc", "info"]).status.success());
    signal(host.pid(), "HUP");
    host.wait_healthy();
    host.stop();
}

#[test]
fn what_machines_cannot_share_is_refused_before_anything_starts() {
    let host = Host::new(
        "[[machine]]\nname = 'node1'\n[[machine]]\nname = 'node2'\nmemory = '8GG'\n\
         [[machine]]\nname = 'node3'\nhostfwd = 'tcp:2222-:22'\n[[machine]]\nname = 'node4'\nhostfwd = 'tcp:2222-:22'",
    );
    for command in ["check", "run"] {
        let said = host.local(&[command]);
        assert_eq!(said.status.code(), Some(2), "{said:?}");
        for part in [
            "the configuration has 3 errors, nothing was started:",
            "machine.memory: got \"8GG\"; takes a number of MiB, or a size such as 4G",
            "node1, node3 and node4: udp port 623 can be only one machine's, for IPMI: give each a ipmi.port or",
            "node3 and node4: tcp port 2222 can be only one machine's, for a forward into the guest",
        ] {
            assert!(said.err.contains(part), "{part}: {}", said.err);
        }
    }
    assert!(!host.path("run").exists());
}

#[test]
fn check_shows_all_machines_or_one() {
    let host = Host::of(2);
    let all = host.local(&["check"]).ok();
    assert_eq!(all.matches("QEMU would be started as:").count(), 2, "{all}");
    assert!(all.starts_with("==== node1\n") && all.contains("\n==== node2\n"), "{all}");
    let one = host.local(&["check", "--machine", "node2"]).ok();
    assert!(one.contains("guest=node2") && !one.contains("node1"), "{one}");
    let absent = host.local(&["check", "--machine", "node9"]).failed();
    assert!(absent.contains("there is no machine \"node9\": there is node1 and node2"), "{absent}");
}

#[test]
fn the_example_is_a_good_configuration() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/several-machines.md");
    let page = fs::read_to_string(page).unwrap();
    let (example, _) = page.split_once("```toml\n").unwrap().1.split_once("```").unwrap();
    let host = Host::new("");
    let folder = host.folder.path().display();
    let example = example
        .replace("/run/qemu-bmc", &format!("{folder}/run"))
        .replace("/var/lib/qemu-bmc", &format!("{folder}/state"))
        .replace("/etc/qemu-bmc.password", &format!("{folder}/password"));
    fs::write(host.path("file.toml"), example).unwrap();
    fs::write(host.path("password"), "a secret\n").unwrap();
    let said = host.local(&["check"]).ok();
    assert_eq!(said.matches("QEMU would be started as:").count(), 3, "{said}");
}
