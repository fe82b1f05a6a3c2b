//! QEMU's command line. A pure function of what was decided, so that `qemu-bmc check` shows exactly what
//! would be run.
//!
//! QEMU starts paused (`-S`) and listens on unix sockets; the controller connects to all of them and then
//! lets it run. So the first byte of the firmware is seen, and a controller that restarts connects again.

mod board;
mod drives;
mod firmware;
mod identity;
mod line;
mod provisioning;
mod shares;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use bmc::Identity;
pub(crate) use drives::medium_node;
use line::{Line, Part};

use super::{
    boot,
    nic::{self, NicSet},
    parts::Parts,
    share,
};
use crate::config::{BootSource, MachinePlan, Medium, SystemInterface, quoted};

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

/// Where QEMU listens, all in one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sockets {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// The controller's own QMP connection.
    pub(crate) qmp: PathBuf,
    /// The serial port.
    pub(crate) serial: PathBuf,
    /// A copy of the serial port's output, for a controller that was away for a moment.
    pub(crate) serial_log: PathBuf,
    /// The BMC's end of the guest's own interface to it.
    pub(crate) ipmi: PathBuf,
    /// The TPM, which is not QEMU's own.
    pub(crate) tpm: PathBuf,
    /// What firmware says of its work.
    pub(crate) firmware_log: PathBuf,
    /// The port of the guest's agent.
    pub(crate) agent: PathBuf,
    /// The screen.
    pub(crate) vnc: PathBuf,
    /// QMP for the user's own tools.
    pub(crate) user_qmp: PathBuf,
    /// Two bytes for SeaBIOS: the I/O address of its serial console.
    pub(crate) sercon_port: PathBuf,
}

impl Sockets {
    pub(crate) fn new(run_dir: &Path, user_qmp: &Path) -> Self {
        Self {
            folder: run_dir.to_owned(),
            qmp: run_dir.join("bmc-qmp.sock"),
            serial: run_dir.join("bmc-serial.sock"),
            serial_log: run_dir.join("bmc-serial.log"),
            ipmi: run_dir.join("bmc-ipmi.sock"),
            tpm: run_dir.join("bmc-tpm.sock"),
            firmware_log: run_dir.join("bmc-firmware.sock"),
            agent: run_dir.join("bmc-agent.sock"),
            vnc: run_dir.join("bmc-vnc.sock"),
            user_qmp: user_qmp.to_owned(),
            sercon_port: run_dir.join("bmc-sercon-port"),
        }
    }

    /// All that this machine needs in the folder, those of processes beside QEMU among them.
    pub(crate) fn in_folder(&self, plan: &MachinePlan) -> Vec<PathBuf> {
        let Self { folder, qmp, serial, ipmi, tpm, firmware_log, agent, vnc, .. } = self;
        let wanted = [
            (true, qmp),
            (true, serial),
            (true, vnc),
            (plan.ipmi.is_some(), ipmi),
            (plan.firmware.tpm, tpm),
            (plan.firmware.log, firmware_log),
            (plan.guest_agent, agent),
        ];
        let own = wanted.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, socket)| socket.clone());
        own.chain(share::sockets(&plan.shares, folder)).collect()
    }
}

/// Where the guest's agent finds its port, and the slot that it takes.
pub(crate) const AGENT_PORT: &str = "org.qemu.guest_agent.0";
pub(crate) const AGENT_SLOT: u8 = 0xf;

/// What SeaBIOS reads from `etc/sercon-port`: COM1, little-endian. It keeps VGA output as well.
pub(crate) const SERCON_PORT: [u8; 2] = 0x03f8_u16.to_le_bytes();

/// Everything that a command line is made of.
#[derive(Debug)]
pub(crate) struct Spec<'a> {
    pub(crate) plan: &'a MachinePlan,
    pub(crate) identity: &'a Identity,
    pub(crate) accelerator: Accelerator,
    pub(crate) parts: &'a Parts,
    pub(crate) sockets: &'a Sockets,
    /// What is in each CD drive.
    pub(crate) media: &'a [Option<Medium>],
    pub(crate) nics: &'a NicSet,
    /// The order of the first boot.
    pub(crate) order: &'a [BootSource],
    /// Whether the firmware is to wait for the key of its setup.
    pub(crate) setup: bool,
}

/// The arguments, without the program's name.
pub(crate) fn arguments(spec: &Spec<'_>) -> Vec<OsString> {
    let mut line = Line::default();
    let Spec { plan, identity, sockets, .. } = spec;
    let uuid = uuid::Uuid::from_bytes(identity.uuid);

    line.pair("-name", &[Part::Text("guest="), Part::Value(&identity.name)]);
    line.pair("-uuid", &[Part::Text(&uuid.to_string())]);
    line.words(&["-S", "-nodefaults", "-no-user-config", "-display", "none"]);
    if !plan.hardware.extra_args.iter().any(|argument| argument.trim_start_matches('-') == "sandbox") {
        line.words(&["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]);
    }
    // A panic is reported and the machine stays as it is, like a physical one.
    line.words(&["-action", "panic=none"]);

    board::board(&mut line, spec);
    identity::smbios(&mut line, identity, &uuid.to_string(), plan.hardware.hide_hypervisor);
    firmware::firmware(&mut line, spec);
    firmware::boot_menu(&mut line, spec);
    if plan.firmware.log {
        firmware::log(&mut line, &sockets.firmware_log);
    }
    if spec.parts.tpm.is_some() {
        firmware::tpm(&mut line, plan.hardware.machine.platform, &sockets.tpm);
    }

    for (id, socket) in [("qmp", &sockets.qmp), ("qmp-user", &sockets.user_qmp)] {
        let id_part = format!("socket,id={id},server=on,wait=off,path=");
        line.pair("-chardev", &[Part::Text(&id_part), Part::Path(socket)]);
        line.words(&["-mon", &format!("chardev={id},mode=control")]);
    }
    line.pair(
        "-chardev",
        &[
            Part::Text("socket,id=serial0,server=on,wait=off,path="),
            Part::Path(&sockets.serial),
            Part::Text(",logappend=on,logfile="),
            Part::Path(&sockets.serial_log),
        ],
    );
    line.words(&["-serial", "chardev:serial0"]);
    line.pair("-vnc", &[Part::Text("unix:"), Part::Path(&sockets.vnc), Part::Text(",share=force-shared")]);

    let platform = plan.hardware.machine.platform;
    line.words(&["-device", &format!("{},id=vga0", platform.screen())]);
    let ports = drives::usb_ports(&spec.parts.disks).map(|ports| format!(",p2={ports},p3={ports}"));
    line.words(&["-device", &format!("qemu-xhci,id=usb0{}", ports.unwrap_or_default())]);
    line.words(&["-device", "usb-tablet,id=tablet0,bus=usb0.0"]);
    if !platform.has_keyboard() {
        line.words(&["-device", "usb-kbd,id=keyboard0,bus=usb0.0"]);
    }
    line.words(&["-object", "rng-random,id=rng0,filename=/dev/urandom"]);
    line.words(&["-device", "virtio-rng-pci,id=virtio-rng0,rng=rng0"]);
    line.words(&["-device", &format!("{},id=pvpanic0", platform.panic_notifier())]);
    if plan.guest_agent {
        guest_agent(&mut line, &sockets.agent);
    }
    drives::drives(&mut line, spec);
    provisioning::provisioning(&mut line, spec);
    shares::shares(&mut line, spec);
    line.words(&["-nic", "none"]);
    nics(&mut line, spec);
    if let Some(interface) = spec.parts.ipmi {
        system_interface(&mut line, interface, &sockets.ipmi);
    }

    if let Some(file) = &plan.hardware.qemu_config {
        line.file("-readconfig", file);
    }
    line.0.extend(plan.hardware.extra_args.iter().map(OsString::from));
    line.0
}

/// The guest's own way to the BMC. Firmware describes it to the guest, so that it needs no configuration there.
fn system_interface(line: &mut Line, interface: SystemInterface, socket: &Path) {
    line.pair("-chardev", &[Part::Text("socket,id=ipmi0,server=on,wait=off,path="), Part::Path(socket)]);
    line.words(&["-device", "ipmi-bmc-extern,id=bmc0,chardev=ipmi0"]);
    let mut registers = format!("{},id=ipmi-si0,bmc=bmc0", interface.driver());
    if interface == SystemInterface::Ssif {
        // The address that is usual for it (IPMI 2.0 §12.2).
        registers.push_str(",address=0x10");
    }
    line.words(&["-device", &registers]);
}

/// The port that qemu-guest-agent looks for by its name. It has a slot of its own, so that no other device's
/// address, by which guests name their NICs and disks, depends on it.
fn guest_agent(line: &mut Line, socket: &Path) {
    line.pair("-chardev", &[Part::Text("socket,id=agent0,server=on,wait=off,path="), Part::Path(socket)]);
    line.words(&["-device", &format!("virtio-serial-pci,id=virtio-serial0,addr={AGENT_SLOT:#x}")]);
    line.words(&["-device", &format!("virtserialport,id=agent-port0,chardev=agent0,name={AGENT_PORT}")]);
}

fn nics(line: &mut Line, spec: &Spec<'_>) {
    let NicSet { nics, ports, .. } = spec.nics;
    let platform = spec.plan.hardware.machine.platform;
    for port in nic::ports(platform, *ports) {
        line.words(&["-device", &port.to_string()]);
    }
    for nic in nics {
        let device = nic.device(bootindex(spec, &nic.device_id()));
        line.words(&["-netdev", &nic.netdev().to_string(), "-device", &device.to_string()]);
    }
}

/// The place of a device in the first boot's order.
fn bootindex(spec: &Spec<'_>, id: &str) -> Option<i32> {
    let cdroms = boot::CDROMS.iter().take(spec.media.len());
    let there = |id: &&str| {
        let strange = !boot::DISKS.contains(id) && !boot::CDROMS.contains(id);
        strange
            || cdroms.clone().any(|other| other == id)
            || spec.parts.disks.iter().any(|disk| disk.id == **id)
    };
    let sequence = boot::sequence(spec.order, &spec.nics.boot_order);
    let mut places = (boot::FIRST_PLACE..).zip(sequence.into_iter().filter(there));
    places.find_map(|(place, other)| (other == id).then_some(place))
}

/// The command line as somebody could type it into a shell.
pub(crate) fn shell(program: &Path, arguments: &[OsString]) -> String {
    let mut text = quoted(&program.to_string_lossy());
    for argument in arguments {
        let argument = argument.to_string_lossy();
        text.push_str(if argument.starts_with('-') { " \\\n    " } else { " " });
        text.push_str(&quoted(&argument));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_written() {
        let arguments = ["plain,a=b", "two words", "it's", "", "$HOME"].map(OsString::from);
        let text = shell(Path::new("printf"), &[&[OsString::from("%s\\n")], &arguments[..]].concat());
        let output = std::process::Command::new("sh").arg("-c").arg(text).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "plain,a=b\ntwo words\nit's\n\n$HOME\n");
    }
}
