//! What QEMU is to be run: its version, whose processors it has, and what it was built with.
//!
//! It is asked, not guessed: one that people built themselves is called what they like and has what they chose. So
//! `qemu-bmc check` knows what would else be QEMU's last words at power on.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fmt, io,
    path::Path,
    time::Duration,
};

use rustix::thread::CapabilitySet;
use serde_json::{Value, json};

use crate::{
    config::{HardwarePlan, Platform},
    os::children::{Brief, BriefError, Said},
};

/// How long it may take to answer, on a host that has much else to do.
const LIMIT: Duration = Duration::from_secs(10);

/// The oldest version that this program is tested with.
const OLDEST: (u64, u64) = (7, 2);

/// Why nothing is known of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("{program} is not there: install the package {package}, or set QEMU_BINARY")]
    Missing { program: String, package: &'static str },
    #[error("run {program}: {source}")]
    Run { program: String, source: io::Error },
    #[error("{program} does not answer as QEMU does{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    Strange { program: String, said: String },
    #[error("{program} did not answer within {LIMIT:?}")]
    Silent { program: String },
}

/// A QEMU, as it says itself.
#[derive(Debug)]
pub(crate) struct Emulator {
    version: (u64, u64, u64),
    /// What its packager calls it.
    package: String,
    /// Whose processors it has.
    architecture: String,
    machines: HashSet<String>,
    cpus: HashSet<String>,
    devices: HashSet<String>,
}

impl Emulator {
    /// Asks it. Blocks for some tenths of a second.
    pub(crate) fn ask(hardware: &HardwarePlan) -> Result<Self, AskError> {
        let qemu = Asked { program: &hardware.qemu_binary, package: hardware.machine.platform.package() };
        let monitor =
            ["-machine", "none", "-nodefaults", "-no-user-config", "-display", "none", "-qmp", "stdio"];
        let said = qemu.run(&monitor, &questions())?;
        let strange = || qemu.strange(&said);
        let out = String::from_utf8_lossy(&said.out);
        let answer = |id: &str| answer(&out, id).ok_or_else(strange);
        let version = answer("query-version")?;
        let number = |part: &str| {
            version.pointer(&format!("/qemu/{part}")).and_then(Value::as_u64).ok_or_else(strange)
        };
        Ok(Self {
            version: (number("major")?, number("minor")?, number("micro")?),
            package: text(&version, "package").unwrap_or_default().to_owned(),
            architecture: text(&answer("query-target")?, "arch").unwrap_or_default().to_owned(),
            machines: names(&answer("query-machines")?, &["name", "alias"]),
            cpus: names(&answer("query-cpu-definitions")?, &["name"]),
            devices: devices(&String::from_utf8_lossy(&qemu.run(&["-device", "help"], "")?.out)),
        })
    }

    /// Whether it was built with a device.
    pub(crate) fn has_device(&self, driver: &str) -> bool {
        self.devices.contains(driver)
    }

    /// What of a command line it has not, one sentence each.
    pub(crate) fn lacks(&self, hardware: &HardwarePlan, arguments: &[OsString]) -> Vec<String> {
        let platform = hardware.machine.platform;
        if self.architecture != platform.architecture() {
            let machine =
                if self.architecture == Platform::Virt.architecture() { "virt" } else { "q35 or pc" };
            return vec![format!(
                "it is a QEMU for {}, and {} is a machine for {}: set VM_MACHINE to {machine}, or QEMU_BINARY to another",
                self.architecture,
                hardware.machine.name,
                platform.architecture(),
            )];
        }
        let mut lacks = Vec::new();
        if !self.machines.contains(&hardware.machine.name) {
            lacks.push(format!("it has no machine {} (VM_MACHINE)", hardware.machine.name));
        }
        if let Some(cpu) =
            hardware.cpu.as_ref().filter(|cpu| cpu.name != "host" && !self.cpus.contains(&cpu.name))
        {
            lacks.push(format!("it has no processor {} (VM_CPU)", cpu.name));
        }
        let mut drivers: Vec<_> = drivers(arguments).filter(|driver| !self.has_device(driver)).collect();
        drivers.dedup();
        lacks.extend(drivers.iter().map(|driver| format!("it has no device {driver}")));
        lacks
    }

    /// What is odd about it.
    pub(crate) fn warning(&self) -> Option<String> {
        let (major, minor, _) = self.version;
        let (oldest_major, oldest_minor) = OLDEST;
        ((major, minor) < OLDEST).then(|| {
            format!("QEMU {major}.{minor} is older than {oldest_major}.{oldest_minor}, with which this program is tested")
        })
    }
}

impl fmt::Display for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, micro) = self.version;
        write!(f, "QEMU {major}.{minor}.{micro} for {}", self.architecture)?;
        if self.package.is_empty() { Ok(()) } else { write!(f, " ({})", self.package) }
    }
}

const QUERIES: [&str; 4] = ["query-version", "query-target", "query-machines", "query-cpu-definitions"];

/// What is said to its monitor: every query, called by its name.
fn questions() -> String {
    let commands = ["qmp_capabilities"].iter().chain(&QUERIES).chain(&["quit"]);
    commands.map(|command| format!("{}\n", json!({ "execute": command, "id": command }))).collect()
}

/// The answer to the query with this id.
fn answer(said: &str, id: &str) -> Option<Value> {
    said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|mut line| {
        let is_it = text(&line, "id") == Some(id);
        line.get_mut("return").filter(|_| is_it).map(Value::take)
    })
}

fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

/// All names in a list of objects, by the keys that have names.
fn names(list: &Value, keys: &[&str]) -> HashSet<String> {
    let objects = list.as_array().into_iter().flatten();
    objects.flat_map(|object| keys.iter().filter_map(|key| text(object, key).map(str::to_owned))).collect()
}

/// The devices of `-device help`: lines such as `name "virtio-net-pci", bus PCI, alias "virtio-net"`. The monitor
/// knows no aliases.
fn devices(help: &str) -> HashSet<String> {
    let after = |line: &str, mark: &str| Some(line.split_once(mark)?.1.split_once('"')?.0.to_owned());
    help.lines().flat_map(|line| [after(line, "name \""), after(line, ", alias \"")]).flatten().collect()
}

/// The drivers of the devices that a command line has.
fn drivers(arguments: &[OsString]) -> impl Iterator<Item = String> {
    let pairs = arguments.iter().zip(arguments.iter().skip(1));
    let values = pairs
        .filter(|(option, _)| *option == OsStr::new("-device"))
        .map(|(_, value)| value.to_string_lossy());
    values.filter_map(|value| {
        if value.starts_with('{') {
            let object: Value = serde_json::from_str(&value).ok()?;
            return text(&object, "driver").map(str::to_owned);
        }
        let first = value.split(',').next()?;
        Some(first.strip_prefix("driver=").unwrap_or(first).to_owned())
    })
}

/// The program, for whoever runs it and complains about it.
struct Asked<'a> {
    program: &'a Path,
    package: &'static str,
}

impl Asked<'_> {
    fn name(&self) -> String {
        self.program.display().to_string()
    }

    fn strange(&self, said: &Said) -> AskError {
        let said = String::from_utf8_lossy(&said.err);
        AskError::Strange { program: self.name(), said: said.lines().next().unwrap_or_default().to_owned() }
    }

    fn run(&self, arguments: &[&str], input: &str) -> Result<Said, AskError> {
        // As when it runs the guest: it may be in a folder of another user's.
        let qemu = Brief::new(self.program, LIMIT).keep(CapabilitySet::DAC_OVERRIDE);
        qemu.args(arguments).input(input).run().map_err(|error| match error {
            BriefError::Run(source) if source.kind() == io::ErrorKind::NotFound => {
                AskError::Missing { program: self.name(), package: self.package }
            }
            BriefError::Run(source) => AskError::Run { program: self.name(), source },
            BriefError::Late(_) => AskError::Silent { program: self.name() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Cpus, MachineType};

    fn hardware(program: &str) -> HardwarePlan {
        HardwarePlan {
            qemu_binary: program.into(),
            machine: MachineType { platform: Platform::Q35, name: "q35".into(), options: Vec::new() },
            cpu: None,
            memory_mib: 512,
            cpus: Cpus { count: 1, max: 1, smp: "1".into() },
            numa: Vec::new(),
            kvm: false,
            hide_hypervisor: false,
            qemu_config: None,
            extra_args: Vec::new(),
        }
    }

    #[test]
    fn qemu_says_what_it_is() {
        let mut hardware = hardware("qemu-system-x86_64");
        let qemu = Emulator::ask(&hardware).unwrap();
        assert!(qemu.to_string().starts_with("QEMU ") && qemu.to_string().contains(" for x86_64"), "{qemu}");
        assert_eq!(qemu.warning(), None);
        let line = ["-device", "virtio-net,id=x", "-device", r#"{"driver":"no-such"}"#].map(OsString::from);
        assert_eq!(qemu.lacks(&hardware, &line), ["it has no device no-such"]);
        hardware.machine.name = "pc-q35-99.0".into();
        hardware.cpu = Some(crate::config::CpuModel { name: "Skylike".into(), flags: Vec::new() });
        assert_eq!(
            qemu.lacks(&hardware, &[]),
            ["it has no machine pc-q35-99.0 (VM_MACHINE)", "it has no processor Skylike (VM_CPU)"]
        );
        hardware.machine.platform = Platform::Virt;
        assert_eq!(qemu.lacks(&hardware, &[]).len(), 1);
    }

    #[test]
    fn what_is_no_qemu_is_told_apart() {
        assert!(matches!(Emulator::ask(&hardware("/no/such/qemu")), Err(AskError::Missing { .. })));
        let error = Emulator::ask(&hardware("false")).unwrap_err();
        assert!(matches!(error, AskError::Strange { .. }), "{error}");
        let error = Emulator::ask(&hardware("ls")).unwrap_err().to_string();
        assert!(error.starts_with("ls does not answer as QEMU does: ls: "), "{error}");
    }

    #[test]
    fn an_old_one_is_a_warning() {
        let mut qemu = Emulator::ask(&hardware("qemu-system-x86_64")).unwrap();
        qemu.version = (6, 2, 0);
        assert!(qemu.warning().unwrap().starts_with("QEMU 6.2 is older than 7.2"));
    }
}
