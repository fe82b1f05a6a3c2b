mod firmware;
mod nics;
mod several;
mod storage;

use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use super::*;
use crate::config::{BootSource, Cpus, FirmwareKind, Machines, Networks, control_sockets, host::PathKind};

/// A machine made of a few facts.
#[derive(Default)]
struct FakeHost {
    files: HashMap<&'static str, &'static [u8]>,
    folders: Vec<&'static str>,
    read_only: Vec<&'static str>,
    name: Option<&'static str>,
}

impl FakeHost {
    /// What a container has whose user mounted a volume with a disk.
    fn container() -> Self {
        Self {
            files: HashMap::from([("/vm/disk.qcow2", &b"QFI"[..])]),
            folders: vec!["/var/run/qemu", "/vm", "/vm/bmc"],
            read_only: Vec::new(),
            name: Some("node1"),
        }
    }

    fn file(mut self, path: &'static str, contents: &'static str) -> Self {
        self.files.insert(path, contents.as_bytes());
        self
    }
}

impl Host for FakeHost {
    fn kind(&self, path: &Path) -> Option<PathKind> {
        let path = path.to_str()?;
        if self.folders.contains(&path) {
            return Some(PathKind::Folder);
        }
        self.files.contains_key(path).then_some(PathKind::File)
    }

    fn can_write(&self, folder: &Path) -> bool {
        let read_only = folder.to_str().is_none_or(|folder| self.read_only.contains(&folder));
        self.kind(folder) == Some(PathKind::Folder) && !read_only
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let contents = path.to_str().and_then(|path| self.files.get(path));
        contents.map(|contents| contents.to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn name(&self) -> Option<String> {
        self.name.map(Into::into)
    }
}

fn load_on(host: &FakeHost, variables: &[(&str, &str)]) -> Result<Plan, ConfigErrors> {
    one(variables.iter().map(|(name, value)| (name.into(), value.into())), host)
}

fn one(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    host: &FakeHost,
) -> Result<Plan, ConfigErrors> {
    match Machines::load(environment, host, None)? {
        Machines::One(plan) => Ok(*plan),
        Machines::Several(_) => panic!("several machines"),
    }
}

fn load(variables: &[(&str, &str)]) -> Result<Plan, ConfigErrors> {
    load_on(&FakeHost::container(), variables)
}

fn errors(variables: &[(&str, &str)]) -> String {
    load(variables).unwrap_err().to_string()
}

/// The warnings besides the two that every container without any setting has.
fn warnings(host: &FakeHost, variables: &[(&str, &str)]) -> Vec<String> {
    let quiet = [("IPMI_PASS", "secret"), ("VNC_PASSWORD", "secret")];
    all_warnings(load_on(host, &[&quiet, variables].concat()).unwrap())
}

fn disk_paths(plan: &Plan) -> Vec<&Path> {
    plan.machine.storage.disks.iter().map(|disk| disk.path.as_path()).collect()
}

fn all_warnings(plan: Plan) -> Vec<String> {
    [plan.machine_warnings, plan.warnings].concat()
}

#[test]
fn nothing_said_is_the_image_as_users_know_it() {
    let plan = load(&[]).unwrap();
    assert_eq!(plan.machine.hardware.memory_mib, 2048);
    assert_eq!(plan.machine.hardware.cpus, Cpus { count: 2, max: 2, smp: "2".into() });
    assert_eq!(disk_paths(&plan), [Path::new("/vm/disk.qcow2")]);
    assert_eq!(plan.machine.storage.cdroms, [None]);
    assert_eq!(plan.machine.boot.sources(), [BootSource::Disk]);
    assert!(matches!(plan.machine.firmware.kind, FirmwareKind::Bios));
    assert_eq!(plan.machine.firmware.menu_timeout, None);
    assert_eq!(plan.machine.nics.networks, Networks::Auto);
    assert_eq!(plan.machine.identity.name, "node1");
    assert!(plan.machine.hardware.kvm && plan.machine.power_on_at_start);

    let [user] = plan.controller.users.as_slice() else { panic!("one user") };
    assert_eq!((user.name.as_str(), user.privilege, user.enabled), ("admin", Privilege::Administrator, true));
    assert_eq!(user.password, Password::new(b"password").unwrap());
    assert_eq!(plan.controller.cipher_suites, [17, 3]);
    assert!(plan.controller.kg.is_none() && !plan.controller.v15);

    assert_eq!((plan.lan.port, plan.lan.addresses.len(), plan.lan.advertised_port), (623, 2, None));
    assert_eq!((plan.vnc.port, plan.console.sol_port), (Some(5900), Some(9002)));
    assert_eq!(
        (plan.console.log, plan.console.log_size, plan.console.log_files),
        (ConsoleLog::File, 10 << 20, 3)
    );
    assert_eq!(
        plan.paths,
        Paths {
            run_dir: "/var/run/qemu".into(),
            state_dir: "/vm/bmc".into(),
            qmp_socket: "/var/run/qemu/qmp.sock".into(),
            power_state_file: "/var/run/qemu/power.state".into(),
            control_socket: "/var/run/qemu/control.sock".into(),
        }
    );
    assert_eq!(plan.times.stop, Duration::from_secs(8));
    assert_eq!(plan.times.soft_shutdown, Some(Duration::from_secs(120)));
    assert!(!plan.debug);
    assert_eq!(
        plan.warnings,
        ["admin has the default password, which everyone knows: set IPMI_PASS or IPMI_PASS_FILE"]
    );
    assert_eq!(
        plan.machine_warnings,
        [
            "VNC has no password: who reaches its port has the screen and the keyboard; set VNC_PASSWORD or VNC_PASSWORD_FILE"
        ]
    );
}

#[test]
fn every_mistake_is_in_one_message() {
    let host = FakeHost::container().file(
        "/etc/qemu-bmc.toml",
        "[machine]\nmemroy = '4G'\nfirmware = 'efi'\n[vnc]\npassword = 5\n[[user]]\nname = 'operator'\nprivilege = 'root'",
    );
    let variables = [
        ("VM_MEMORY", "lots"),
        ("VM_CDROM", "/iso/absent.iso"),
        ("IPMI_CIPHER_SUITES", "0,17"),
        ("IPMI_PASS", "correct horse battery staple"),
        ("IPMI_PORT", "tcp://10.96.0.7:623"),
        ("QEMU_EXTRA_ARGS", "-name 'x"),
        ("STATE_DIR", "/proc/bmc"),
        ("SOL_PORT", "5900"),
    ];
    assert_eq!(
        load_on(&host, &variables).unwrap_err().to_string(),
        r#"the configuration has 13 errors, nothing was started:
  /etc/qemu-bmc.toml: machine.memroy is not a setting; did you mean machine.memory?
  /etc/qemu-bmc.toml: vnc.password: it is not in quotes; takes text, of which VNC uses the first 8 bytes
  VM_MEMORY: got "lots"; takes a number of MiB, or a size such as 4G
  QEMU_EXTRA_ARGS: got "-name 'x": a single quote is not closed; takes arguments, quoted as for a shell
  VM_CDROM: got "/iso/absent.iso": there is no such file
  /etc/qemu-bmc.toml: machine.firmware: got "efi"; takes bios or uefi
  IPMI_PASS: a password has at most 20 bytes; takes 1 to 20 bytes
  /etc/qemu-bmc.toml: user 1: password: a password must not be empty; takes 1 to 20 bytes
  /etc/qemu-bmc.toml: user 1: privilege: got "root"; takes user, operator or administrator
  IPMI_CIPHER_SUITES: got "0,17": cipher suite 0 lets anyone in with any password; takes 17, 3 or both, with a comma between them
  IPMI_PORT: got "tcp://10.96.0.7:623": Kubernetes makes such a variable for a service of this name: rename the service, or set enableServiceLinks: false; takes a port, 0 to 65535
  STATE_DIR: got "/proc/bmc": this folder cannot be written
  SOL_PORT: got "5900": this is VNC's port too (VNC_PORT)"#
    );
}

#[test]
fn the_environment_goes_over_the_file_and_says_nothing_when_empty() {
    let host = FakeHost::container().file(
        "/etc/qemu-bmc.toml",
        "[machine]\nmemory = 4096\ncpus = 4\n[vnc]\nport = 'none'\n[ipmi]\nuser = ''",
    );
    let plan = load_on(&host, &[("VM_MEMORY", "1G"), ("VM_CPUS", "")]).unwrap();
    assert_eq!((plan.machine.hardware.memory_mib, plan.machine.hardware.cpus.count), (1024, 4));
    assert_eq!(plan.vnc.port, None);
    assert_eq!(plan.controller.users[0].name, "admin");
}

#[test]
fn a_file_that_was_named_has_to_exist() {
    assert_eq!(
        errors(&[("QEMU_BMC_CONFIG", "/etc/absent.toml")]),
        "the configuration has 1 error, nothing was started:\n  \
         QEMU_BMC_CONFIG: cannot read \"/etc/absent.toml\": entity not found"
    );
    let host = FakeHost::container().file("/vm/other.toml", "debug = true");
    assert!(load_on(&host, &[("QEMU_BMC_CONFIG", "/vm/other.toml")]).unwrap().debug);
}

#[test]
fn paths_keep_their_spaces_commas_and_equals_signs() {
    let host = FakeHost::container().file("/vm/my disk,v=2.qcow2", "QFI");
    let plan = load_on(&host, &[("VM_DISK", "/vm/my disk,v=2.qcow2")]).unwrap();
    assert_eq!(disk_paths(&plan), [Path::new("/vm/my disk,v=2.qcow2")]);
}

#[test]
fn an_absent_disk_is_a_warning_and_none_is_a_wish() {
    let host = FakeHost { files: HashMap::new(), ..FakeHost::container() };
    assert_eq!(
        warnings(&host, &[]),
        [
            r#"there is no disk image "/vm/disk.qcow2" (VM_DISK): the machine has no disk; VM_DISK_SIZE has one made"#
        ]
    );
    assert_eq!(warnings(&host, &[("VM_DISK", "none")]), <[String; 0]>::default());
    assert!(errors(&[("VM_DISK", "/vm")]).contains("VM_DISK: got \"/vm\": this is a folder"));
}

#[test]
fn state_is_in_the_volume_or_else_where_a_warning_says() {
    let host = FakeHost { folders: vec!["/var/run/qemu", "/vm"], ..FakeHost::container() };
    assert_eq!(load_on(&host, &[]).unwrap().paths.state_dir, Path::new("/var/run/qemu"));
    assert_eq!(
        warnings(&host, &[]),
        ["\"/vm/bmc\" cannot be written: settings and UEFI variables are kept in \"/var/run/qemu\", \
         which may not outlive a restart; mount a volume on \"/vm\" or set STATE_DIR"]
    );
    assert_eq!(warnings(&host, &[("STATE_DIR", "/var/run/qemu")]), <[String; 0]>::default());
}

#[test]
fn a_state_folder_that_can_only_be_read_is_read() {
    let host = FakeHost { read_only: vec!["/vm/bmc"], ..FakeHost::container() };
    let named = [("STATE_DIR", "/vm/bmc")];
    assert_eq!(load_on(&host, &named).unwrap().paths.state_dir, Path::new("/vm/bmc"));
    assert_eq!(
        warnings(&host, &named),
        ["\"/vm/bmc\" cannot be written (STATE_DIR): what changes is forgotten at the next restart"]
    );
}

#[test]
fn sockets_need_paths_that_fit() {
    let long = format!("/{}", "x".repeat(100));
    assert!(errors(&[("RUN_DIR", &long)]).contains("a socket's path would be longer than 107 bytes"));
    assert!(errors(&[("QMP_SOCK", &format!("{long}/socket"))]).contains("QMP_SOCK: got "));

    let folder = |length: usize| format!("/{}", "x".repeat(length - 1));
    let fits = |length: usize, name: &str, value: &str| {
        let folder = folder(length);
        let host =
            FakeHost { folders: vec![folder.clone().leak(), "/vm", "/vm/bmc"], ..FakeHost::container() };
        load_on(&host, &[("RUN_DIR", &folder), ("QMP_SOCK", "/q"), (name, value)]).is_ok()
    };
    assert!(fits(91, "VM_FIRMWARE_LOG", "false") && !fits(92, "VM_FIRMWARE_LOG", "false"));
    assert!(fits(89, "VM_FIRMWARE_LOG", "true") && !fits(90, "VM_FIRMWARE_LOG", "true"));
    assert!(fits(81, "VM_SHARE", "longer-tag:/vm") && !fits(82, "VM_SHARE", "longer-tag:/vm"));
}

#[test]
fn the_agents_port_makes_room_unless_it_was_asked_for() {
    let own = ("QEMU_EXTRA_ARGS", "-device e1000,addr=0xf");
    let plan = load(&[own]).unwrap();
    assert!(!plan.machine.guest_agent);
    assert!(all_warnings(plan).contains(
        &"there is no port for the guest's agent (VM_GUEST_AGENT): QEMU_EXTRA_ARGS has a device in its slot, 0xf".into()
    ));
    assert!(errors(&[own, ("VM_GUEST_AGENT", "true")]).contains(
        "VM_GUEST_AGENT: got \"true\": QEMU_EXTRA_ARGS has a device in its slot, 0xf: leave one out"
    ));
}

#[test]
fn folders_suit_all_programs_that_are_told_of_them() {
    let refused = "the TPM (VM_TPM) cannot have a comma in this path";
    for folder in ["RUN_DIR", "STATE_DIR"] {
        let comma = (folder, "/vm/a,b");
        let host = || FakeHost {
            folders: vec!["/vm/a,b", "/vm", "/vm/bmc", "/var/run/qemu"],
            ..FakeHost::container()
        };
        assert!(load_on(&host(), &[comma]).is_ok());
        let errors = load_on(&host(), &[comma, ("VM_TPM", "true")]).unwrap_err().to_string();
        assert!(errors.contains(&format!("{folder}: got \"/vm/a,b\": {refused}")));
    }
    assert!(errors(&[("RUN_DIR", "/run/a\nb")]).contains("cannot have a line break"));
}

#[test]
fn the_local_commands_need_the_run_folder_and_nothing_else() {
    let socket = |variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let sockets = control_sockets(variables, &FakeHost::default(), None)?;
        Ok::<_, ConfigErrors>(sockets.into_iter().next().unwrap().path)
    };
    assert_eq!(socket(&[]), Ok("/var/run/qemu/control.sock".into()));
    assert_eq!(socket(&[("RUN_DIR", "/run/x"), ("VM_MEMORY", "lots")]), Ok("/run/x/control.sock".into()));
    assert!(socket(&[("QEMU_BMC_CONFIG", "/absent")]).is_err());
}

#[test]
fn names_come_from_the_user_then_containerlab_then_the_host() {
    let name =
        |host: &FakeHost, variables: &[(&str, &str)]| load_on(host, variables).unwrap().machine.identity.name;
    let label = ("CLAB_LABEL_CLAB_NODE_NAME", "leaf1");
    let host = FakeHost::container();
    assert_eq!(name(&host, &[label, ("VM_NAME", "mine")]), "mine");
    assert_eq!(name(&host, &[label]), "leaf1");
    assert_eq!(name(&host, &[]), "node1");
    assert_eq!(name(&FakeHost { name: Some("na\u{ef}ve"), ..FakeHost::container() }, &[]), "qemu-bmc");
    let host = FakeHost::container().file("/etc/qemu-bmc.toml", "[machine]\nname = 'filed'");
    assert_eq!(name(&host, &[label]), "filed");
}

#[test]
fn a_secret_can_be_in_a_file_of_its_own() {
    let host = FakeHost::container()
        .file("/run/secrets/ipmi", "hunter2\n")
        .file("/run/secrets/vnc", "s3cret\r\n")
        .file("/run/secrets/long", "correct horse battery staple\n")
        .file("/run/secrets/empty", "\n");
    let plan =
        load_on(&host, &[("IPMI_PASS_FILE", "/run/secrets/ipmi"), ("VNC_PASSWORD_FILE", "/run/secrets/vnc")])
            .unwrap();
    assert_eq!(plan.controller.users[0].password, Password::new(b"hunter2").unwrap());
    assert_eq!(plan.vnc.password.as_ref().unwrap().expose(), "s3cret");
    assert_eq!(all_warnings(plan), <[String; 0]>::default());

    for (variables, error) in [
        (
            &[("IPMI_PASS_FILE", "/run/secrets/long")][..],
            "IPMI_PASS_FILE: contents of \"/run/secrets/long\": a password has at most 20 bytes; takes 1 to 20 bytes",
        ),
        (
            &[("IPMI_PASS_FILE", "/run/secrets/absent")],
            "IPMI_PASS_FILE: cannot read \"/run/secrets/absent\": entity not found",
        ),
        (
            &[("VNC_PASSWORD_FILE", "/run/secrets/empty")],
            "VNC_PASSWORD_FILE: \"/run/secrets/empty\" is empty",
        ),
        (
            &[("IPMI_PASS", "x"), ("IPMI_PASS_FILE", "/run/secrets/ipmi")],
            "IPMI_PASS and IPMI_PASS_FILE are both set: leave one out",
        ),
    ] {
        assert_eq!(load_on(&host, variables).unwrap_err(), ConfigErrors(vec![error.into()]));
    }
}

#[test]
fn a_secret_of_the_environment_goes_over_one_of_the_file_in_either_form() {
    let password = |config: &'static str, variables: &[(&str, &str)]| {
        let host = FakeHost::container().file("/secret", "from a file").file("/etc/qemu-bmc.toml", config);
        load_on(&host, variables).map(|plan| plan.controller.users[0].password.clone())
    };
    let expected = |text: &str| Ok(Password::new(text.as_bytes()).unwrap());
    let (text, file) = ("[ipmi]\npassword = 'from toml'", "[ipmi]\npassword_file = '/secret'");
    assert_eq!(password(text, &[]), expected("from toml"));
    assert_eq!(password(file, &[]), expected("from a file"));
    assert_eq!(password(text, &[("IPMI_PASS_FILE", "/secret")]), expected("from a file"));
    assert_eq!(password(file, &[("IPMI_PASS", "from outside")]), expected("from outside"));
    assert_eq!(
        password("[ipmi]\npassword = 'x'\npassword_file = '/secret'", &[]).unwrap_err().0,
        [
            "/etc/qemu-bmc.toml: ipmi.password and /etc/qemu-bmc.toml: ipmi.password_file are both set: leave one out"
        ]
    );
}

#[test]
fn the_file_has_more_users() {
    let host = FakeHost::container().file("/secret", "hunter2\n").file(
        "/etc/qemu-bmc.toml",
        "[[user]]\nname = 'op'\npassword = 'x'\nprivilege = 'operator'\n\
         [[user]]\nname = 'guest'\npassword_file = '/secret'\nenabled = false",
    );
    let users = load_on(&host, &[]).unwrap().controller.users;
    let shown: Vec<_> = users.iter().map(|user| (user.name.as_str(), user.privilege, user.enabled)).collect();
    assert_eq!(
        shown,
        [
            ("admin", Privilege::Administrator, true),
            ("op", Privilege::Operator, true),
            ("guest", Privilege::Administrator, false),
        ]
    );
    assert_eq!(users[2].password, Password::new(b"hunter2").unwrap());

    let host = FakeHost::container().file("/etc/qemu-bmc.toml", "[[user]]\nname = 'admin'\npassword = 'x'");
    assert_eq!(load_on(&host, &[]).unwrap_err().0, ["two users have the name \"admin\""]);
}

#[test]
fn users_fit_the_table_of_the_model() {
    let config = |more: usize| -> &'static str {
        let users: String = (0..more).map(|n| format!("[[user]]\nname = 'u{n}'\npassword = 'x'\n")).collect();
        users.leak()
    };
    let full = FakeHost::container().file("/etc/qemu-bmc.toml", config(14));
    let mut table = bmc::Users::default();
    for user in load_on(&full, &[]).unwrap().controller.users {
        table.add(&user.name, user.password, user.privilege).unwrap();
    }
    let over = FakeHost::container().file("/etc/qemu-bmc.toml", config(15));
    assert_eq!(load_on(&over, &[]).unwrap_err().0, ["there are 16 users, and room for 15"]);
}

#[test]
fn misspelt_variables_are_warned_of_and_strangers_are_not() {
    let strangers = [
        ("PATH", "/bin"),
        ("IPMI_PORT_623_UDP_ADDR", "10.0.0.1"),
        ("VM_COLOUR", "red"),
        ("QEMU_LD_PREFIX", "/"),
    ];
    assert_eq!(warnings(&FakeHost::container(), &strangers), <[String; 0]>::default());
    let slips = [("VM_MEMROY", "1"), ("IPMI_PASSWORD", "x"), ("vm_disk", "/x"), ("SOL_HISTROY", "true")];
    assert_eq!(
        warnings(&FakeHost::container(), &slips),
        [
            "IPMI_PASSWORD is not a setting; did you mean IPMI_PASS?",
            "SOL_HISTROY is not a setting; did you mean SOL_HISTORY?",
            "VM_MEMROY is not a setting; did you mean VM_MEMORY?",
            "vm_disk is not a setting; did you mean VM_DISK?",
        ]
    );
}

#[test]
fn weak_choices_are_warned_of() {
    let host = FakeHost::container();
    assert!(warnings(&host, &[("IPMI_LAN15", "yes")])[0].starts_with("IPMI 1.5 sessions are accepted"));
    assert_eq!(
        warnings(&host, &[("VNC_PASSWORD", "nine char")]),
        ["VNC uses only the first 8 bytes of its password"]
    );
    for quiet in [("VNC_PORT", "none"), ("VNC_ADDRESS", "127.0.0.1,::1")] {
        let plan = load(&[("IPMI_PASS", "x"), quiet]).unwrap();
        assert_eq!(all_warnings(plan), <[String; 0]>::default());
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    use std::os::unix::ffi::OsStringExt;

    let latin1 = OsString::from_vec(b"/vm/caf\xe9.qcow2".to_vec());
    let errors = one([("VM_DISK".into(), latin1)], &FakeHost::container()).unwrap_err();
    assert_eq!(errors.0, ["VM_DISK: it is not UTF-8 text"]);
}

#[test]
fn long_values_are_cut_and_odd_ones_escaped() {
    let long = "x".repeat(1000);
    assert!(errors(&[("VM_BOOT_MODE", &long)]).len() < 250);
    assert!(errors(&[("VM_BOOT_MODE", "\u{1b}[31m")]).contains(r#"got "\u{1b}[31m""#));
}

#[test]
fn check_shows_every_setting_and_no_secret() {
    let host = FakeHost::container()
        .file("/secret", "hunter2")
        .file("/etc/qemu-bmc.toml", "[machine]\nmemory = '4G'\n[[user]]\nname = 'op'\npassword = 'hunter2'");
    let plan = load_on(
        &host,
        &[
            ("VM_CPUS", "4"),
            ("IPMI_PASS_FILE", "/secret"),
            ("IPMI_KG", "hunter2"),
            ("VNC_PASSWORD", "hunter2"),
        ],
    )
    .unwrap();
    let text = plan.describe();
    for row in settings::rows() {
        assert!(text.lines().any(|line| line.split(' ').next() == Some(row.variable)), "{}", row.variable);
    }
    for line in [
        "VM_MEMORY  4G  /etc/qemu-bmc.toml",
        "VM_CPUS  4  environment",
        "VM_DISK  /vm/disk.qcow2  default",
        "VM_NAME  node1  default",
        "VM_UUID  -  default",
        "IPMI_KG  (secret)  environment",
        "IPMI_PASS  -  default",
        "IPMI_PASS_FILE  /secret  environment",
        "QMP_SOCK  /var/run/qemu/qmp.sock  default",
        "admin ADMINISTRATOR enabled",
    ] {
        let words: Vec<_> = line.split_whitespace().collect();
        assert!(
            text.lines().any(|shown| shown.split_whitespace().eq(words.iter().copied())),
            "{line}\n{text}"
        );
    }
    assert!(!text.contains("hunter2") && !format!("{plan:?}").contains("hunter2"), "{text}");
}

proptest::proptest! {
    /// Whatever is wrong, and wherever, what is secret is in no message.
    #[test]
    fn no_error_shows_a_secret(
        secret in "[g-z]{24}",
        variable in "IPMI_PASS|IPMI_KG|VNC_PASSWORD",
        line in "password = |kg = |password == |password = '|",
        table in "ipmi|vnc|[user]|machine",
    ) {
        let config = format!("[{table}]\n{line}{secret}\n");
        let host = FakeHost::container().file("/etc/qemu-bmc.toml", config.leak()).file("/secret", secret.clone().leak());
        for extra in [("VM_MEMORY", "none"), ("IPMI_PASS_FILE", "/secret")] {
            let message = load_on(&host, &[(&variable, &secret), extra]).unwrap_err().to_string();
            proptest::prop_assert!(!message.contains(&secret), "{message}");
        }
    }
}
