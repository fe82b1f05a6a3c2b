use super::*;
use crate::config::{ConsoleLog, MachineName};

/// A host with folders for node1 and node2.
fn host(config: &'static str) -> FakeHost {
    let mut host = FakeHost::default().file("/etc/qemu-bmc.toml", config).file("/a.qcow2", "QFI");
    host.folders = vec!["/var/run/qemu/node1", "/var/run/qemu/node2", "/state/node1", "/state/node2", "/own"];
    host.name = Some("host");
    host
}

fn several_on(
    host: &FakeHost,
    variables: &[(&str, &str)],
    asked_for: Option<&str>,
) -> Result<Vec<Plan>, ConfigErrors> {
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    Machines::load(variables, host, asked_for).map(|machines| match machines {
        Machines::One(plan) => vec![*plan],
        Machines::Several(plans) => plans,
    })
}

fn several(config: &'static str) -> Vec<Plan> {
    several_on(&host(config), &[], None).unwrap()
}

fn problems(config: &'static str, variables: &[(&str, &str)]) -> Vec<String> {
    several_on(&host(config), variables, None).unwrap_err().0
}

const TWO: &str = "
    [defaults]
    memory = '1G'
    disk = 'none'
    [power]
    stop_timeout = 3
    [vnc]
    port = 'none'
    [[user]]
    name = 'op'
    password = 'x'
    [[machine]]
    name = 'node1'
    ipmi.port = 6231
    [[machine]]
    name = 'node2'
    memory = '2G'
    system_interface = 'none'
    ipmi.port = 6232
    power.stop_timeout = 5
    [[machine.user]]
    name = 'helper'
    password = 'y'
";

#[test]
fn what_is_said_of_one_machine_goes_over_what_is_said_of_all() {
    let plans = several(TWO);
    let said: Vec<_> = plans
        .iter()
        .map(|plan| {
            let users: Vec<_> = plan.controller.users.iter().map(|user| user.name.as_str()).collect();
            (
                plan.name.as_ref().map(MachineName::as_str).unwrap(),
                plan.machine.identity.name.as_str(),
                plan.machine.hardware.memory_mib,
                plan.lan.port,
                plan.times.stop.as_secs(),
                plan.machine.ipmi.is_some(),
                users,
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("node1", "node1", 1024, 6231, 3, true, vec!["admin", "op"]),
            ("node2", "node2", 2048, 6232, 5, false, vec!["admin", "op", "helper"]),
        ]
    );
}

#[test]
fn the_environment_goes_over_both() {
    let plans = several_on(&host(TWO), &[("VM_MEMORY", "512"), ("STOP_TIMEOUT", "1")], None).unwrap();
    assert!(plans.iter().all(|plan| plan.machine.hardware.memory_mib == 512));
    assert!(plans.iter().all(|plan| plan.times.stop.as_secs() == 1));
}

#[test]
fn each_has_folders_of_its_own() {
    let folders = |plan: &Plan| [plan.paths.run_dir.clone(), plan.paths.state_dir.clone()];
    let plans = several_on(&host(TWO), &[("STATE_DIR", "/state")], None).unwrap();
    let own = |name: &str| ["/var/run/qemu", "/state"].map(|folder| Path::new(folder).join(name));
    assert_eq!(plans.iter().map(folders).collect::<Vec<_>>(), [own("node1"), own("node2")]);
    let plans = several(
        "vnc.port = 'none'\n[[machine]]\nname = 'node1'\npaths.run_dir = '/own'\npaths.state_dir = '/own'\n\
         [[machine]]\nname = 'node2'\nipmi.port = 6231",
    );
    assert_eq!(folders(&plans[0]), ["/own", "/own"].map(PathBuf::from));
    assert_eq!(folders(&plans[1]), ["/var/run/qemu/node2"; 2].map(PathBuf::from), "no /vm");
}

#[test]
fn none_takes_of_the_host_what_it_was_not_given() {
    let plan = several(TWO).remove(0);
    assert_eq!((plan.console.sol_port, &plan.machine.nics.networks), (None, &Networks::None));
    assert!(plan.machine.nics.management, "a NIC behind NAT");
    assert_eq!(plan.console.log, ConsoleLog::File);
}

#[test]
fn a_password_of_ones_own_goes_over_the_file_with_that_of_all() {
    let host = host(
        "[ipmi]\npassword_file = '/secret'\n[vnc]\nport = 'none'\n[[machine]]\nname = 'node1'\n\
         ipmi.password = 'mine'\n[[machine]]\nname = 'node2'\nipmi.port = 1",
    );
    let plans = several_on(&host.file("/secret", "shared"), &[], None).unwrap();
    let has = |plan: &Plan, word: &str| {
        plan.controller.users[0].password == Password::new(word.as_bytes()).unwrap()
    };
    assert!(has(&plans[0], "mine") && has(&plans[1], "shared"));
}

#[test]
fn what_two_would_have_is_named_with_both() {
    let shared = problems(
        "[defaults]\nuuid = '6f0b0a3e-3d3c-4b61-9a3e-5a3d0f6f9f01'\ndisk = '/a.qcow2'\n[console]\nlog = 'stdout'\n\
         [[machine]]\nname = 'node1'\nnetworks = ['eth2', 'eth3']\nhostfwd = 'tcp:127.0.0.1:2222-:22'\n\
         [[machine]]\nname = 'node2'\nnetworks = ['eth3']\nhostfwd = 'tcp:2222-:22'",
        &[],
    );
    let both = |what: &str, purpose: &str, key: &str| {
        format!(
            "node1 and node2: {what} can be only one machine's, for {purpose}: give each a {key} of its own"
        )
    };
    assert_eq!(
        shared,
        [
            both("udp port 623", "IPMI", "ipmi.port or ipmi.address"),
            both("tcp port 5900", "VNC", "vnc.port or vnc.address"),
            both("tcp port 2222", "a forward into the guest", "hostfwd"),
            both("the interface eth3", "the guest", "networks"),
            both("6f0b0a3e-3d3c-4b61-9a3e-5a3d0f6f9f01", "the system GUID", "uuid"),
            both("standard output", "the serial console's output", "console.log"),
            both("\"/a.qcow2\"", "a disk", "disk"),
        ]
    );
}

#[test]
fn one_address_for_each_is_enough() {
    let plans = several(
        "vnc.port = 'none'\n[[machine]]\nname = 'node1'\nipmi.address = '127.0.0.1'\n\
         [[machine]]\nname = 'node2'\nipmi.address = '127.0.0.2'",
    );
    assert_eq!(plans.len(), 2);
}

#[test]
fn a_variable_that_would_be_everybodys_is_named() {
    assert_eq!(
        problems(TWO, &[("IPMI_PORT", "623"), ("VM_NAME", "x")]),
        [
            "VM_NAME: each [[machine]] has a name of its own: leave it out",
            "node1 and node2: udp port 623 can be only one machine's, for IPMI: IPMI_PORT is set in the \
             environment, for all of them; leave it out, and give each a ipmi.port or ipmi.address of its own"
        ]
    );
}

#[test]
fn mistakes_have_the_machine_to_which_they_belong() {
    let config = "vnc.port = 'none'\n[[machine]]\nname = 'node1'\nmemroy = 1\ncpus = 'many'\n\
                  [[machine]]\nname = 'node2'\nipmi.prot = 1";
    let [slip, _, other] = problems(config, &[]).try_into().unwrap();
    assert_eq!(slip, "node1: /etc/qemu-bmc.toml: memroy is not a setting; did you mean memory?");
    assert_eq!(other, "node2: /etc/qemu-bmc.toml: ipmi.prot is not a setting; did you mean ipmi.port?");
    // A mistake that all make is said once.
    let all = problems("vnc.port = 'x'\n[[machine]]\nname = 'node1'\n[[machine]]\nname = 'node2'", &[]);
    assert_eq!(all, [r#"/etc/qemu-bmc.toml: vnc.port: got "x"; takes a port, 1 to 65535, or none"#]);
}

#[test]
fn one_machine_runs_whatever_is_wrong_with_others() {
    let config = "vnc.port = 'none'\n[[machine]]\nname = 'node1'\nmemory = 'x'\n[[machine]]\nname = 'node2'";
    let plans = several_on(&host(config), &[], Some("node2")).unwrap();
    assert_eq!(plans[0].name.as_ref().map(MachineName::as_str), Some("node2"));
    assert!(several_on(&host(config), &[], Some("node1")).is_err());
    let absent = several_on(&host(config), &[], Some("node3")).unwrap_err();
    assert_eq!(absent.0, [r#"there is no machine "node3": there is node1 and node2"#]);
    let single = load_named(&FakeHost::container(), "node1").unwrap_err();
    assert!(single.0[0].contains("there is one without a name"), "{single}");
}

fn load_named(host: &FakeHost, name: &str) -> Result<Vec<Plan>, ConfigErrors> {
    several_on(host, &[], Some(name))
}

#[test]
fn names_are_safe_and_there_once() {
    for (config, problem) in [
        ("[[machine]]\nname = '../x'", "machine 1: name: takes 1 to 63 letters"),
        ("[[machine]]\nmemory = 1", "machine 1: name: takes 1 to 63 letters"),
        ("[[machine]]\nname = 'a'\n[[machine]]\nname = 'a'", "two machines have the name a"),
        ("[[machine]]\nname = 'a'\n[defaults]\nname = 'b'", "defaults: "),
        ("[machine]\nmemory = 1\n[defaults]\nmemory = 2", "defaults is for several machines"),
    ] {
        assert!(
            problems(config, &[]).iter().any(|found| found.contains(problem)),
            "{config}: {:?}",
            problems(config, &[])
        );
    }
}

#[test]
fn what_is_only_read_can_be_shared_and_not_written_by_another() {
    let config = |last: &str| -> &'static str {
        let machine = |name: &str, port: u16, rest: &str| {
            format!("[[machine]]\nname = '{name}'\nipmi.port = {port}\n{rest}\n")
        };
        let text = format!(
            "vnc.port = 'none'\n[defaults]\ncdrom = '/a.qcow2'\n{}{}",
            machine("node1", 1, "disk = 'none'\nipmi.interface = 'lan1'"),
            machine("node2", 2, last),
        );
        text.leak()
    };
    assert_eq!(several(config("disk = 'none'\nipmi.interface = 'lan1'")).len(), 2);
    assert_eq!(several(config("disk = '/a.qcow2'\ndisk_ephemeral = true")).len(), 2);
    for (last, what) in [("disk = '/a.qcow2'", "\"/a.qcow2\""), ("networks = ['lan1']", "the interface lan1")]
    {
        let problems = problems(config(last), &[]);
        let expected = format!("node1 and node2: {what} can be only one machine's");
        assert!(problems.iter().any(|problem| problem.starts_with(&expected)), "{last}: {problems:?}");
    }
}
