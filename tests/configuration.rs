//! What a configuration means, what is kept secret, and which doors are open.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
};

use crate::support::{Machine, SOON, Setup, run};

#[test]
fn every_bad_value_is_named_in_one_message_and_nothing_starts() {
    let setup = Setup::new();
    let file = setup.folder.path().join("qemu-bmc.toml");
    fs::write(&file, "[machine]\ncpuz = 2\n\n[[user]]\nname = \"op\"\nprivilege = \"boss\"\n").unwrap();
    let setup = setup
        .with("QEMU_BMC_CONFIG", file.display())
        .with("VM_MEMORY", "lots")
        .with("VM_BOOT_MODE", "coreboot")
        .with("VM_BOOT", "x")
        .with("IPMI_PORT", "70000")
        .with("IPMI_PASS", "a password of many bytes")
        .with("IPMI_CIPHER_SUITES", "0")
        .with("SOL_PORT", "console")
        .with("QEMU_EXTRA_ARGS", "-name 'unfinished");
    let said = run(&mut setup.command(&["run"]), SOON);
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    for name in [
        "VM_MEMORY: got \"lots\"",
        "VM_BOOT_MODE: got \"coreboot\"",
        "VM_BOOT: got \"x\"",
        "IPMI_PORT: got \"70000\"",
        "IPMI_PASS: ",
        "IPMI_CIPHER_SUITES: got \"0\"",
        "SOL_PORT: got \"console\"",
        "QEMU_EXTRA_ARGS: ",
        "machine.cpuz is not a setting; did you mean machine.cpus?",
        "boss",
    ] {
        assert!(said.err.contains(name), "no {name:?} in:\n{}", said.err);
    }
    assert!(!said.err.contains("a password of many bytes"), "{}", said.err);
    for folder in ["run", "state"] {
        assert!(!setup.folder.path().join(folder).exists(), "{folder} was made");
    }
    // Whatever the role, the answer is the same.
    let check = run(&mut setup.command(&["check"]), SOON);
    assert_eq!((check.status.code(), check.err), (Some(2), said.err));
}

#[test]
fn mistakes_about_nics_are_named_by_the_place_where_they_were_made() {
    let setup = Setup::new();
    let file = setup.folder.path().join("qemu-bmc.toml");
    let lines =
        "[machine]\nnetwork_fallbak = 'user'\nmgmt = 'yes'\n[machine.mac]\neth3 = '01:00:5e:00:00:01'\n";
    fs::write(&file, lines).unwrap();
    let setup = setup
        .with("QEMU_BMC_CONFIG", file.display())
        .with("VM_NETWORKS", "eth2,eth3")
        .with("VM_NETWORKS_WAIT", "soon")
        .with("VM_NETWORK_MODE", "redirect,eth2=tap")
        .with("VM_HOSTFWD", "tcp:2222:22")
        .with("VM_NIC_MODEL", "e1000,mac=x")
        .with("VM_MAC_BASE", "52:54:00")
        .with("CLAB_INTFS", "many")
        .with("IPMI_INTERFACE", "eth/1");
    let said = run(&mut setup.command(&["run"]), SOON);
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    let path = file.display();
    for problem in [
        &format!("{path}: machine.network_fallbak is not a setting; did you mean machine.network_fallback?"),
        &format!("{path}: machine.mgmt: got \"yes\"; takes user or none"),
        "VM_NETWORKS_WAIT: got \"soon\"; takes seconds",
        "VM_NETWORK_MODE: got \"redirect,eth2=tap\"; takes redirect, bridge",
        "VM_HOSTFWD: got \"tcp:2222:22\"; takes forwards such as",
        "VM_NIC_MODEL: got \"e1000,mac=x\"; takes QEMU's name",
        "VM_MAC_BASE: got \"52:54:00\"; takes a unicast MAC address",
        "CLAB_INTFS: got \"many\"; takes a number",
        "IPMI_INTERFACE: got \"eth/1\"; takes the name of an interface",
    ] {
        assert!(said.err.contains(problem), "no {problem:?} in:\n{}", said.err);
    }

    // Good each by itself, and not together.
    fs::write(&file, "[machine.mac]\neth3 = '52:54:00:00:00:12'\n").unwrap();
    let setup = Setup { environment: Setup::new().environment, ..setup }
        .with("QEMU_BMC_CONFIG", file.display())
        .with("VM_NETWORKS", "eth2,eth3")
        .with("VM_MAC_BASE", "52:54:00:00:00:10")
        .with("VM_HOSTFWD", "tcp:5900-:22")
        .with("VNC_ADDRESS", "all")
        .with("VM_BOOT_NIC", "eth4")
        .with("IPMI_INTERFACE", "eth2");
    let said = run(&mut setup.command(&["check"]), SOON);
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    for problem in [
        "eth2 and eth3 would have the same address, 52:54:00:00:00:12",
        "VM_HOSTFWD: got \"tcp:5900-:22\": tcp port 5900 is VNC's (VNC_PORT)",
        "VM_BOOT_NIC: got \"eth4\": the guest has no such NIC",
        "IPMI_INTERFACE: got \"eth2\": this interface is the guest's (VM_NETWORKS)",
    ] {
        assert!(said.err.contains(problem), "no {problem:?} in:\n{}", said.err);
    }
}

#[test]
fn check_shows_each_nic_s_address_and_what_is_odd_about_nics() {
    let setup = Setup::new()
        .with("VM_NETWORKS", "eth2,eth3")
        .with("VM_MAC_ETH3", "52-54-00-00-00-03")
        .with("VM_MAC_ETH4", "52:54:00:00:00:04")
        .with("VM_MAC_BAES", "52:54:00:00:00:00")
        .with("VM_NETWORK_MODE", "eth5=bridge");
    let said = run(&mut setup.command(&["check"]), SOON).ok();
    let shows = |words: &[&str]| said.lines().any(|line| line.split_whitespace().eq(words.iter().copied()));
    assert!(shows(&["VM_MAC_ETH3", "52-54-00-00-00-03", "environment"]), "{said}");
    for warning in [
        "warning: VM_MAC_ETH4: the guest has no such NIC",
        "warning: VM_MAC_BAES: the guest has no such NIC; did you mean VM_MAC_BASE?",
        "warning: VM_NETWORK_MODE: eth5 is not one of the guest's interfaces (VM_NETWORKS)",
    ] {
        assert!(said.lines().any(|line| line == warning), "no {warning:?} in:\n{said}");
    }
}

#[test]
fn a_configuration_under_init_that_cannot_work_ends_init() {
    let setup = Setup::new().with("VM_MEMORY", "lots");
    let said = run(&mut setup.command(&["init"]), SOON);
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    assert!(said.err.contains("VM_MEMORY: got \"lots\""), "{}", said.err);
}

#[test]
fn a_port_that_is_taken_ends_the_program_with_a_word_on_what_to_do() {
    let machine = Setup::new().start();
    let mut second = Setup::new();
    second.address = machine.setup.address;
    let second = second.with("IPMI_ADDRESS", machine.address());
    let said = run(&mut second.command(&["run"]), SOON);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let expected = format!("bind udp {}:6230 for IPMI", machine.address());
    assert!(said.err.contains(&expected) && said.err.contains("IPMI_PORT"), "{}", said.err);
}

#[test]
fn two_programs_in_one_folder_do_not_share_a_machine() {
    let machine = Setup::new().start();
    let said = run(&mut machine.setup.command(&["run"]), SOON);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.err.contains("another qemu-bmc answers") && said.err.contains("RUN_DIR"), "{}", said.err);
    machine.ipmitool(&["mc", "info"]).ok();
}

#[test]
fn check_prints_a_command_line_that_a_shell_reads_back() {
    let setup = Setup::new();
    // A path with what shells and QEMU have a meaning for.
    let disk = setup.folder.path().join("a disk, 'quoted' $HOME=1.raw");
    fs::File::create(&disk).unwrap().set_len(1 << 20).unwrap();
    let setup = setup.with("VM_DISK", disk.display()).with("QEMU_EXTRA_ARGS", "-k 'two words'");
    let said = run(&mut setup.command(&["check"]), SOON).ok();
    let line = said.split_once("QEMU would be started as:\n").unwrap().1;
    // The shell shows what it would have given to QEMU.
    let arguments = line.strip_prefix("qemu-system-x86_64 ").unwrap();
    let script = format!("printf '%s\\n' {arguments}");
    let words = run(Command::new("sh").args(["-e", "-c", &script]), SOON).ok();
    let words: Vec<&str> = words.lines().collect();
    assert!(words.ends_with(&["-k", "two words"]), "{words:#?}");
    let filename = format!("\"filename\":\"{}\"", disk.display());
    assert!(words.iter().any(|word| word.contains(&filename)), "no {filename} in {words:#?}");
    assert!(!said.contains("IPMI_PASS             password"), "{said}");
}

#[test]
fn a_disk_with_an_awkward_name_is_the_machines_disk() {
    let setup = Setup::new();
    let disk = setup.folder.path().join("a disk, 'quoted' $HOME=1.raw");
    fs::File::create(&disk).unwrap().set_len(1 << 20).unwrap();
    let machine = setup.with("VM_DISK", disk.display()).start();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    let open = open_files(machine.qemu_pid().unwrap());
    assert!(open.contains(&disk.display().to_string()), "{open:#?}");
}

#[test]
fn the_health_check_is_about_the_controller() {
    let mut machine = Setup::new().start();
    // Off is healthy, on is healthy; gone is not.
    assert_eq!(machine.local(&["healthcheck"]).ok(), "healthy\n");
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    assert_eq!(machine.local(&["healthcheck"]).ok(), "healthy\n");
    machine.local(&["power", "off"]).ok();
    machine.wait_power("off", SOON);

    machine.signal("STOP");
    let hung = machine.local(&["healthcheck"]);
    machine.signal("CONT");
    assert_eq!(hung.status.code(), Some(1), "{hung:?}");

    machine.signal("TERM");
    assert_eq!(machine.wait_end(SOON).code(), Some(0));
    let gone = machine.local(&["healthcheck"]);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    assert!(gone.err.contains("no qemu-bmc answers"), "{gone:?}");
}

#[test]
fn a_machine_that_starts_with_the_program_does_so() {
    let machine = Setup::new().with("POWER_ON_AT_START", true).start();
    machine.wait_power("on", SOON);
    machine.wait_log("power on requested by the power restore policy", SOON);
}

#[test]
fn the_identity_is_stable_and_every_nodes_own() {
    let guid = |machine: &Machine| {
        let status = machine.local(&["status"]).ok();
        let line = |key| status.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        (line("GUID:"), line("Serial number:"))
    };
    let mut machine = Setup::new().with("VM_NAME", "node1").start();
    let first = guid(&machine);
    machine.signal("TERM");
    machine.wait_end(SOON);
    machine.launch();
    assert_eq!(guid(&machine), first, "after a restart");

    // The same name is the same node, also where nothing was kept.
    assert_eq!(guid(&Setup::new().with("VM_NAME", "node1").start()), first);
    let other = guid(&Setup::new().with("VM_NAME", "node2").start());
    assert!(other.0 != first.0 && other.1 != first.1, "{other:?} {first:?}");

    let uuid = "01234567-89ab-4def-8123-456789abcdef";
    let set = Setup::new().with("VM_UUID", uuid).with("VM_SERIAL", "S123").start();
    let set = guid(&set);
    assert!(set.0.ends_with(uuid) && set.1.ends_with("S123"), "{set:?}");
}

#[test]
fn the_default_password_works_and_is_warned_about() {
    let mut setup = Setup::new();
    setup.environment.remove("IPMI_PASS");
    let machine = setup.start();
    machine.ipmitool(&["mc", "info"]).ok();
    machine.wait_log("default password", SOON);
    assert!(machine.log().contains("IPMI_PASS_FILE"), "{}", machine.log());
    let other = Setup::new().with("IPMI_PASS", "another").start();
    assert!(!other.log().contains("default password"), "{}", other.log());
}

/// Every text by which a secret could be seen: the log, and the words and environment of processes.
fn places(machine: &Machine, process: i32) -> Vec<(String, Vec<u8>)> {
    let mut places = vec![("the log".to_owned(), machine.log().into_bytes())];
    let path = format!("/proc/{process}/cmdline");
    let words = fs::read(&path).unwrap();
    places.push((path, words));
    places
}

#[test]
fn secrets_are_in_no_log_argv_or_environment_of_another() {
    let secrets = ["Sesame-17", "KeyOfTheBmc", "VncOnly8"];
    let setup = Setup::new();
    let file = setup.folder.path().join("password");
    fs::write(&file, "FromAFile-3\n").unwrap();
    let machine = setup
        .with("IPMI_PASS", secrets[0])
        .with("IPMI_KG", secrets[1])
        .with("VNC_PASSWORD", secrets[2])
        .with("DEBUG", true)
        .start();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    machine.ipmitool(&["-P", secrets[0], "-k", secrets[1], "mc", "info"]).ok();
    machine.ipmitool(&["-U", "nobody", "-P", secrets[0], "-k", secrets[1], "mc", "info"]).failed();

    let qemu = machine.qemu_pid().unwrap();
    let mut places = [places(&machine, machine.pid()), places(&machine, qemu)].concat();
    places.push(("QEMU's environment".into(), fs::read(format!("/proc/{qemu}/environ")).unwrap()));
    places.push(("check".into(), machine.local(&["check"]).ok().into_bytes()));
    places.push(("status".into(), machine.local(&["status"]).ok().into_bytes()));
    for (place, text) in &places {
        for secret in secrets {
            let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {place}");
        }
    }

    let mut from_file = Setup::new().with("IPMI_PASS_FILE", file.display());
    from_file.environment.remove("IPMI_PASS");
    let machine = from_file.start();
    machine.ipmitool(&["-P", "FromAFile-3", "mc", "info"]).ok();
    assert!(!machine.log().contains("FromAFile-3"), "{}", machine.log());
}

#[test]
fn files_and_sockets_are_their_owners_alone() {
    let machine = Setup::new().start();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    let mut seen = BTreeSet::new();
    for folder in ["run", "state"] {
        for entry in fs::read_dir(machine.folder().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let (name, kind) = (entry.file_name().into_string().unwrap(), entry.file_type().unwrap());
            let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
            // What the contract lets everybody read.
            let allowed = if name == "power.state" { 0o644 } else { 0o600 };
            // QEMU's own sockets have the execute bit, which means nothing there.
            let allowed = if kind.is_socket() { allowed | 0o100 } else { allowed };
            assert_eq!(mode & !allowed, 0, "{folder}/{name} has mode {mode:o}");
            seen.insert(name);
        }
    }
    for name in ["control.sock", "bmc-qmp.sock", "qmp.sock", "bmc-serial.sock", "bmc.json", "power.state"] {
        assert!(seen.contains(name), "no {name} in {seen:?}");
    }
}

#[test]
fn nothing_listens_that_the_readme_does_not_list() {
    let sol = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let machine = Setup::new().with("SOL_PORT", sol).start();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    assert_eq!(ports(machine.pid()), listed_ports(&machine.setup));
    assert_eq!(ports(machine.qemu_pid().unwrap()), BTreeSet::new());

    let closed = Setup::new().with("VNC_PORT", "none").start();
    let expected = [format!("udp {}:6230", closed.address())];
    assert_eq!(ports(closed.pid()), expected.into_iter().collect());
}

/// The rows `| 623/udp | … | IPMI_ADDRESS, IPMI_PORT |` of the README's table, with this machine's settings.
fn listed_ports(setup: &Setup) -> BTreeSet<String> {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let row = |line: &str| {
        let protocol = ["udp", "tcp"].into_iter().find(|name| line.contains(&format!("/{name} |")))?;
        let setting = |end: &str| line.split('`').skip(1).step_by(2).find(|name| name.ends_with(end));
        let address = setting("_ADDRESS").map_or("127.0.0.1", |name| &setup.environment[name]);
        Some(format!("{protocol} {address}:{}", setup.environment[setting("_PORT")?]))
    };
    let ports: BTreeSet<String> = readme.lines().filter_map(row).collect();
    assert_eq!(ports.len(), 3, "IPMI, VNC and the serial console: {ports:?}");
    ports
}

fn open_files(pid: i32) -> BTreeSet<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    files.filter_map(|file| Some(fs::read_link(file.path()).ok()?.to_str()?.to_owned())).collect()
}

/// The IPv4 and IPv6 ports on which a process hears from anybody.
fn ports(pid: i32) -> BTreeSet<String> {
    let sockets = open_files(pid);
    let mut ports = BTreeSet::new();
    for protocol in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        let table = Path::new("/proc/net").join(protocol);
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (columns[1], columns[3], columns[9]);
            // 0A is TCP's LISTEN; the others hear whatever comes.
            if sockets.contains(&format!("socket:[{inode}]"))
                && (state == "0A" || !protocol.starts_with("tcp"))
            {
                let local = if protocol.ends_with('6') { local.to_owned() } else { ipv4(local) };
                ports.insert(format!("{protocol} {local}"));
            }
        }
    }
    ports
}

/// An address as the kernel's table has it: the bytes of the address reversed, in hexadecimal.
fn ipv4(text: &str) -> String {
    let (address, port) = text.split_once(':').unwrap();
    let address = std::net::Ipv4Addr::from(u32::from_str_radix(address, 16).unwrap().to_le_bytes());
    format!("{address}:{}", u16::from_str_radix(port, 16).unwrap())
}

#[test]
fn no_id_of_the_machines_own_can_be_taken() {
    let setup = Setup::new();
    let user_data = setup.folder.path().join("user-data");
    fs::write(&user_data, "#cloud-config\n").unwrap();
    let mut setup = setup
        .with("VM_USER_DATA", user_data.display())
        .with("VM_SHARE", "data:/tmp")
        .with("VM_SHARE_MODE", "9p")
        .with("VM_NUMA", 2)
        .with("VM_CPUS", 2)
        .with("VM_BOOT_MODE", "uefi")
        .with("VM_FIRMWARE_LOG", true)
        .with("VM_TPM", true);
    for (number, bus) in (2..=9).zip(["scsi", "usb", "sata", "sata", "sata", "sata", "sata", "sata"]) {
        let image = setup.folder.path().join(format!("{bus}{number}"));
        setup = setup.with(&format!("VM_DISK{number}"), image.display());
        setup = setup.with(&format!("VM_DISK{number}_BUS"), bus).with(&format!("VM_DISK{number}_SIZE"), "1M");
    }
    let said = run(&mut setup.command(&["check"]), SOON).ok();
    let (_, line) = said.split_once("QEMU would be started as:").unwrap();
    let names = [",id=", "\"id\":\"", "\"node-name\":\""];
    let ids: BTreeSet<_> = names
        .iter()
        .flat_map(|name| line.split(name).skip(1))
        .filter_map(|rest| rest.split([',', '"', '\'', ' ', '\n']).next())
        .collect();
    assert!(ids.len() > 30 && ids.contains("seed0") && ids.contains("ahci1"), "{ids:?}");
    let taken: String = ids.iter().map(|id| format!("-device x,id={id} ")).collect();
    let refused = run(&mut setup.with("QEMU_EXTRA_ARGS", taken).command(&["check"]), SOON).failed();
    let free: Vec<_> = ids.iter().filter(|id| !refused.contains(&format!("the id {id} is the"))).collect();
    assert!(free.is_empty(), "{free:?} in\n{refused}");
}
