//! The guest's NICs in containers: the topologies of `containerlab/`, deployed as containerlab does it, and containers
//! that have less than they would need.

use std::{fs, io::Read as _, net::TcpStream, process::Command, time::Duration};

use crate::support::{
    BOOT, READY,
    docker::{A_WHILE, docker, image, logs, pid, provisioner_image},
    guest_media, installer, own_address, run,
    terminal::Terminal,
    topology::{Deployed, Lab},
    wait_for,
};

/// Puts the images under test into the places of those that the file names; a node with another has nothing to do.
fn with_images_under_test(lab: &mut Lab, ours: &str, provisioner: Option<&str>) {
    for node in lab.nodes().values_mut() {
        let image = match node.image.as_deref() {
            Some("qemu-bmc-provisioner:latest") => provisioner.unwrap(),
            Some("qemu-bmc:latest") => ours,
            _ => {
                (node.entrypoint, node.cmd) = (Some("sleep".into()), Some("infinity".into()));
                ours
            }
        };
        node.image = Some(image.to_owned());
        node.env.insert("VM_MEMORY".into(), "512".into());
        node.env.insert("VM_CPUS".into(), "1".into());
    }
}

#[test]
fn the_example_is_two_guests_on_one_cable_and_a_network_for_ipmi() {
    let Some(image) = image() else { return };
    let (mut example, beside) = Lab::read("example.yml");
    with_images_under_test(&mut example, &image, None);
    let lab = Deployed::start(example, &beside, |_, folder| {
        fs::copy(guest_media().join("disk.qcow2"), folder.join("disk.qcow2")).unwrap();
    });
    // There are no links yet, so the machine waits; its BMC doesn't.
    let servers = ["server1", "server2"];
    for server in servers {
        wait_for("the BMC answers", A_WHILE, || {
            docker(&["exec", &lab.container(server), "qemu-bmc", "healthcheck"])
                .status
                .success()
                .then_some(())
        });
        assert_eq!(lab.ipmitool(server, &["power", "status"]), "Chassis Power is off\n");
    }
    lab.connect();
    for server in servers {
        wait_for("the guest is ready", BOOT, || lab.console(server).contains(READY).then_some(()));
    }

    let guests = servers.map(|server| shell_in(&lab.container(server)));
    for (guest, address) in guests.iter().zip(["198.51.100.1", "198.51.100.2"]) {
        guest.line(&format!("ip addr add {address}/24 dev eth0; cat /sys/class/net/eth0/mtu"));
        guest.wait("\n9500", A_WHILE);
    }
    guests[0].line("ping -c 3 -w 30 -s 9000 198.51.100.2");
    guests[0].wait("3 packets received", A_WHILE);

    // The other side of the switch reaches the BMC by the address that it has on the lab's own network.
    lab.enter("ipmi-switch", "ip addr add 192.0.2.254/24 dev br0");
    let session = "ipmitool -I lanplus -H 192.0.2.1 -U admin -P password";
    assert_eq!(lab.enter("ipmi-switch", &format!("{session} power status")), "Chassis Power is on\n");
}

#[test]
fn a_server_of_the_pxe_lab_is_installed() {
    let (Some(image), Some(provisioner)) = (image(), provisioner_image()) else { return };
    let (mut pxe, beside) = Lab::read("pxe/pxe.clab.yml");
    with_images_under_test(&mut pxe, &image, Some(&provisioner));
    pxe.nodes().get_mut("provisioner").unwrap().binds.push("install:/install:ro".into());
    let lab = Deployed::start(pxe, &beside, |node, folder| match node {
        "provisioner" => installer::make(folder),
        _ => {
            let volume = format!("{}:/vm", folder.display());
            let disk = ["create", "-q", "-f", "qcow2", "/vm/disk.qcow2", "128M"];
            docker(
                &[&["run", "--rm", "-v", &volume, "--entrypoint", "qemu-img", &image], &disk[..]].concat(),
            )
            .ok();
        }
    });
    lab.connect();
    let server = "server2";
    wait_for("the BMC answers", A_WHILE, || {
        docker(&["exec", &lab.container(server), "qemu-bmc", "healthcheck"]).status.success().then_some(())
    });
    lab.ipmitool(server, &["chassis", "bootdev", "pxe"]);
    lab.ipmitool(server, &["power", "on"]);
    for text in ["installer: I am server2 at 10.10.10.12", "installer: the disk is written", READY] {
        wait_for(text, BOOT, || lab.console(server).contains(text).then_some(()));
    }
    assert!(lab.console(server).contains("booted medium=disk firmware=bios"), "{}", lab.console(server));
}

/// The shell of the guest in a container. Drivers of NICs come after "ready".
#[track_caller]
fn shell_in(container: &str) -> Terminal {
    let mut command = Command::new("docker");
    command.args(["exec", "-it", container, "qemu-bmc", "console"]);
    let guest = Terminal::start(command);
    guest.wait("Attached to the serial console", A_WHILE);
    guest.line("while [ ! -e /sys/class/net/eth0 ]; do usleep 100000; done; ip link set eth0 up; say NIC up");
    guest.wait("qemu-bmc-guest: NIC up", A_WHILE);
    guest
}

/// A container of a machine with the test guest's disk, removed when the test is over.
struct Machine {
    name: String,
    vm: tempfile::TempDir,
}

impl Machine {
    fn start(image: &str, label: &str, options: &[&str]) -> Self {
        let vm = tempfile::Builder::new().prefix("qemu-bmc-vm-").tempdir().unwrap();
        fs::copy(guest_media().join("disk.qcow2"), vm.path().join("disk.qcow2")).unwrap();
        let machine = Self { name: format!("qemu-bmc-test-{label}-{}", std::process::id()), vm };
        let volume = format!("{}:/vm", machine.vm.path().display());
        let own = ["run", "-d", "--name", &machine.name, "-v", &volume];
        let small = ["-e", "VM_MEMORY=512", "-e", "VM_CPUS=1"];
        docker(&[&own[..], &small, options, &[image]].concat()).ok();
        machine
    }

    fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.vm.path().join("bmc/console.log")).unwrap_or_default())
            .into_owned()
    }

    /// The guest's shell, once the guest is ready and its NIC is up.
    #[track_caller]
    fn shell(&self) -> Terminal {
        wait_for("the guest is ready", BOOT, || self.console().contains(READY).then_some(()));
        shell_in(&self.name)
    }

    /// Waits until the log has this.
    #[track_caller]
    fn wait_log(&self, text: &str) {
        wait_for(&format!("{text:?} in the log"), A_WHILE, || logs(&self.name).contains(text).then_some(()));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- {} says\n{}", self.name, logs(&self.name));
        }
        let _ = docker(&["rm", "-f", &self.name]);
    }
}

#[test]
fn a_guest_has_an_address_behind_nat_in_a_container_without_any_capability_or_device() {
    let Some(image) = image() else { return };
    let machine =
        Machine::start(&image, "nat", &["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]);
    let guest = machine.shell();
    guest.line("udhcpc -n -q -i eth0 -s /bin/true");
    guest.wait("lease of 10.0.2.15 obtained", A_WHILE);
}

#[test]
fn a_published_port_leads_into_the_guest() {
    let Some(image) = image() else { return };
    let address = own_address();
    let port = format!("{address}:2222:2222");
    let options = ["--cap-drop", "ALL", "-e", "VM_HOSTFWD=tcp:2222-:22", "-p", &port];
    let machine = Machine::start(&image, "forward", &options);
    let guest = machine.shell();
    guest.line("ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2");
    guest.line("while :; do echo so says the guest | nc -l -p 22; done");
    wait_for("the guest answers", A_WHILE, || {
        let mut connection = TcpStream::connect((address, 2222)).ok()?;
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut said = String::new();
        let _ = connection.read_to_string(&mut said);
        said.contains("so says the guest").then_some(())
    });
}

/// Puts a cable into the container, whose other end stays with nobody.
fn plug(container: &str, interface: &str) {
    let (pid, other) = (pid(container), format!("t{}x", std::process::id()));
    let commands = [
        format!("ip link add {other} type veth peer name {interface} netns {pid}"),
        format!("ip link set {other} netns {pid}"),
        format!("nsenter -t {pid} -n sh -c 'ip link set {interface} up; ip link set {other} up'"),
    ];
    for line in commands {
        run(Command::new("sh").args(["-ec", &line]), A_WHILE).ok();
    }
}

#[test]
fn what_a_container_lacks_for_a_lab_is_named() {
    let Some(image) = image() else { return };
    let wait = ["-e", "VM_NETWORKS=eth2", "-e", "VM_NETWORKS_WAIT=30"];
    let tun = &["--device", "/dev/net/tun"][..];
    // With MKNOD, which docker gives, the program makes the device by itself.
    let net_admin = &["--cap-add", "NET_ADMIN", "--cap-drop", "MKNOD"];
    for (label, given, named) in [
        ("cap", tun, "the capability NET_ADMIN is missing: run the container with --cap-add NET_ADMIN"),
        ("tun", net_admin, "there is no /dev/net/tun: run the container with"),
    ] {
        let machine = Machine::start(&image, label, &[&wait[..], given].concat());
        plug(&machine.name, "eth2");
        machine.wait_log(named);
        // It has a NIC all the same.
        let status = || docker(&["exec", &machine.name, "qemu-bmc", "status"]);
        wait_for("the machine is on", A_WHILE, || status().out.contains("on\n").then_some(()));
    }
}

#[test]
fn nothing_is_waited_for_in_a_container_without_a_lab() {
    let Some(image) = image() else { return };
    let machine = Machine::start(&image, "plain", &[]);
    wait_for("the machine is on", Duration::from_secs(20), || {
        docker(&["exec", &machine.name, "cat", "/var/run/qemu/power.state"]).out.contains("on").then_some(())
    });
}
