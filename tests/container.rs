//! The image, in containers: the README's quick start word for word, without privileges, health, docker stop.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::support::{
    BOOT, READY, Said,
    docker::{A_WHILE, docker, image, logs},
    guest_media, own_address, run, tail, wait_for,
};

/// A first build of the image; here it is there already, and every layer is found again.
const BUILD: Duration = Duration::from_secs(1800);

/// A container, removed when the test is over.
struct Container {
    name: String,
    vm: tempfile::TempDir,
    address: String,
}

impl Container {
    /// Starts one with IPMI on an address of its own, so that ports are as they are inside, which SOL needs.
    fn start(image: &str, disk: bool, options: &[&str]) -> Self {
        let vm = tempfile::Builder::new().prefix("qemu-bmc-vm-").tempdir().unwrap();
        if disk {
            fs::copy(guest_media().join("disk.qcow2"), vm.path().join("disk.qcow2")).unwrap();
        }
        let address = own_address().to_string();
        let name = format!("qemu-bmc-test-{}", address.replace('.', "-"));
        let container = Self { name, vm, address };
        let volume = format!("{}:/vm:rw", container.vm.path().display());
        let port = format!("{}:623:623/udp", container.address);
        let mut arguments = vec!["run", "-d", "--name", &container.name, "-p", &port, "-v", &volume];
        // No KVM device: the guest runs in software on every machine alike.
        arguments.extend(options);
        arguments.push(image);
        docker(&arguments).ok();
        container
    }

    fn health(&self) -> String {
        docker(&["inspect", "-f", "{{.State.Health.Status}}", &self.name]).ok().trim().to_owned()
    }

    #[track_caller]
    fn wait_healthy(&self) {
        let what = format!("{} is healthy; it says:\n{}", self.name, self.logs());
        wait_for(&what, Duration::from_secs(30), || (self.health() == "healthy").then_some(()));
    }

    fn logs(&self) -> String {
        logs(&self.name)
    }

    fn exec(&self, command: &[&str]) -> Said {
        docker(&[&["exec", &self.name, "qemu-bmc"], command].concat())
    }

    fn ipmitool(&self, arguments: &[&str]) -> Said {
        let session = ["-I", "lanplus", "-H", &self.address, "-U", "admin", "-P", "password"];
        run(Command::new("ipmitool").args(session).args(arguments), A_WHILE)
    }

    fn console(&self) -> String {
        let log = fs::read(self.vm.path().join("bmc/console.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "---- {} says\n{}\n---- the console's end\n{}",
                self.name,
                self.logs(),
                tail(&self.console())
            );
        }
        let _ = docker(&["rm", "-f", &self.name]);
    }
}

/// The fenced block behind a marker of the README.
fn readme_block(marker: &str) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = fs::read_to_string(readme).unwrap();
    let (_, rest) =
        text.split_once(&format!("<!-- {marker} -->\n```sh\n")).unwrap_or_else(|| panic!("{marker}"));
    let (block, _) = rest.split_once("```").unwrap();
    block.lines().map(str::to_owned).collect()
}

/// A clone of what is committed, as a user has it, with what is not committed yet on top.
fn clean_clone() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let repository: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let copy = "git ls-files -z --cached --others --exclude-standard | xargs -0 tar --ignore-failed-read -c | tar -x -C";
    let script = format!("{copy} '{}'", folder.path().display());
    let copied = run(Command::new("sh").args(["-ec", &script]).current_dir(repository), A_WHILE);
    copied.ok();
    folder
}

#[test]
fn the_quick_start_works_word_for_word() {
    if image().is_none() {
        return;
    }
    let folder = clean_clone();
    let shell = |line: &str| run(Command::new("sh").args(["-ec", line]).current_dir(folder.path()), BUILD);
    struct Remove;
    impl Drop for Remove {
        fn drop(&mut self) {
            let _ = docker(&["rm", "-f", "qemu-bmc"]);
        }
    }
    let _remove = Remove;
    for line in readme_block("quickstart:docker") {
        let mut said = shell(&line);
        if line.contains("--privileged") && !said.status.success() {
            // Some hosts have fewer capabilities than there are, and can't give them all; or have no KVM.
            eprintln!(
                "{line}\nis refused here: {}\nso it runs without --privileged, with NET_ADMIN named",
                said.err
            );
            let _ = docker(&["rm", "-f", "qemu-bmc"]);
            said = shell(&line.replace("--privileged", "--cap-add NET_ADMIN"));
        }
        let out = said.ok();
        if line.starts_with("ipmitool") {
            assert!(out.contains("IPMI Version              : 2.0"), "{out}");
        }
    }
}

#[test]
fn a_container_without_any_capability_is_healthy_without_a_disk_and_with_the_machine_off() {
    let Some(image) = image() else { return };
    let container = Container::start(
        &image,
        false,
        &[
            "--cap-drop",
            "ALL",
            "--security-opt",
            "no-new-privileges",
            "--read-only",
            "--tmpfs",
            "/run",
            "--tmpfs",
            "/tmp",
        ],
    );
    container.wait_healthy();
    assert_eq!(container.ipmitool(&["power", "status"]).ok(), "Chassis Power is on\n");
    container.ipmitool(&["power", "off"]).ok();
    wait_for("the machine is off", Duration::from_secs(3), || {
        (container.ipmitool(&["power", "status"]).ok() == "Chassis Power is off\n").then_some(())
    });
    container.exec(&["healthcheck"]).ok();
    // Two rounds of the engine's own probe.
    let probes = || docker(&["inspect", "-f", "{{len .State.Health.Log}}", &container.name]).ok();
    let before = probes();
    wait_for("another probe", A_WHILE, || (probes() != before || before.trim() == "5").then_some(()));
    assert_eq!(container.health(), "healthy");
}

#[test]
fn docker_stop_lets_the_guest_shut_down_and_its_state_is_in_the_volume() {
    let Some(image) = image() else { return };
    let container = Container::start(&image, true, &["-e", "VM_MEMORY=512"]);
    wait_for("the guest is ready", BOOT, || container.console().contains(READY).then_some(()));
    let stopped = docker(&["stop", "-t", "30", &container.name]);
    assert!(stopped.took < Duration::from_secs(10), "it took {:?}", stopped.took);
    stopped.ok();
    assert!(container.console().contains("qemu-bmc-guest: power button"), "{}", tail(&container.console()));
    assert!(container.logs().contains("the machine is off: the guest shut down"), "{}", container.logs());
    let status = docker(&["inspect", "-f", "{{.State.ExitCode}}", &container.name]).ok();
    assert_eq!(status.trim(), "0");
    assert!(container.vm.path().join("bmc/bmc.json").exists());
}

#[test]
fn a_killed_controller_is_back_within_a_second_and_the_guest_runs_on() {
    let Some(image) = image() else { return };
    let container = Container::start(&image, false, &[]);
    container.wait_healthy();
    let of = |what: &str| {
        let table = docker(&["top", &container.name, "-eo", "pid,args"]).ok();
        let line =
            table.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{table}")).to_owned();
        line.split_whitespace().next().unwrap().parse::<i32>().unwrap()
    };
    let (controller, qemu) = (of("qemu-bmc run"), of("qemu-system-x86_64"));
    let killed = Command::new("kill").args(["-9", &controller.to_string()]).status().unwrap();
    if !killed.success() {
        // The engine's processes are another user's here; the container's own kill will do.
        docker(&["exec", &container.name, "sh", "-c", "kill -9 $(pidof -s qemu-bmc)"]).ok();
    }
    wait_for("the controller answers again", Duration::from_secs(3), || {
        container.exec(&["healthcheck"]).status.success().then_some(())
    });
    assert_eq!(container.ipmitool(&["power", "status"]).ok(), "Chassis Power is on\n");
    assert_eq!(of("qemu-system-x86_64"), qemu, "the guest's process is the same");
    assert_ne!(of("qemu-bmc run"), controller);
}

#[test]
fn the_image_is_as_users_know_it() {
    let Some(image) = image() else { return };
    let inspect = |format: &str| docker(&["image", "inspect", "-f", format, &image]).ok().trim().to_owned();
    assert_eq!(inspect("{{json .Config.Entrypoint}}"), r#"["/usr/bin/qemu-bmc","init"]"#);
    assert_eq!(inspect("{{json .Config.ExposedPorts}}"), r#"{"5900/tcp":{},"623/udp":{}}"#);
    assert_eq!(inspect("{{json .Config.Volumes}}"), r#"{"/iso":{},"/vm":{}}"#);
    assert_eq!(inspect("{{.Config.StopSignal}}"), "SIGTERM");
    let health = inspect("{{json .Config.Healthcheck.Test}}");
    assert_eq!(health, r#"["CMD","/usr/bin/qemu-bmc","healthcheck"]"#, "no shell and no secret");
    assert!(inspect("{{json .Config.Labels}}").contains("org.opencontainers.image.title"));
    let size: u64 = inspect("{{.Size}}").parse().unwrap();
    assert!(size < 200_000_000, "the image has {size} bytes");
}

#[test]
fn the_image_has_a_boot_rom_for_each_usual_nic() {
    let Some(image) = image() else { return };
    // A device whose ROM is missing is none that QEMU starts with.
    let script = "for nic in virtio-net-pci e1000 e1000e rtl8139 vmxnet3 pcnet i82559er ne2k_pci; do
        echo quit | qemu-system-x86_64 -S -machine q35 -nodefaults -display none -device $nic -monitor stdio
        done";
    docker(&["run", "--rm", "--entrypoint", "sh", &image, "-ec", script]).ok();
}
