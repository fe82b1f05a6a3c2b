//! What would take QEMU out of the BMC's hands, if it were among somebody's own arguments.
//!
//! Whoever sets `QEMU_EXTRA_ARGS` may do what QEMU may: this is no defence against them. It is for people who
//! don't know that their argument makes the power state a lie, or that there is a setting for what they want. So
//! what is refused is refused with that, before anything starts, instead of in QEMU's words at power on or not at
//! all.

use crate::machine::argv::{AGENT_PORT, AGENT_SLOT};

/// Options that can't be had beside a BMC, and why or what to use instead.
const REFUSED: &[(&str, &str)] = &[
    ("S", "the machine starts paused anyway, and the controller lets it run"),
    ("daemonize", "the controller follows its QEMU, which has to stay its child"),
    ("no-shutdown", "a machine that is off is a QEMU that has ended"),
    ("no-reboot", "a reset must not end QEMU"),
    ("preconfig", "the guest would never run"),
    ("incoming", "the guest would never run"),
    ("nographic", "the serial port is the controller's: see `qemu-bmc console`"),
    ("runas", "QEMU runs without privileges already"),
    ("chroot", "the controller's sockets and images would be out of QEMU's sight"),
    ("name", "set VM_NAME"),
    ("uuid", "set VM_UUID"),
    ("machine", "set VM_MACHINE"),
    ("M", "set VM_MACHINE"),
    ("cpu", "set VM_CPU"),
    ("smp", "set VM_CPUS or VM_CPU_TOPOLOGY"),
    ("m", "set VM_MEMORY"),
    ("accel", "set ENABLE_KVM"),
    ("enable-kvm", "set ENABLE_KVM"),
    ("no-kvm", "set ENABLE_KVM=false"),
    ("readconfig", "set VM_QEMU_CONFIG"),
    ("hda", "set VM_DISK"),
    ("hdb", "set VM_DISK2"),
    ("hdc", "set VM_DISK3"),
    ("hdd", "set VM_DISK4"),
    ("cdrom", "set VM_CDROM"),
    ("loadvm", "a machine starts anew at each power on"),
    ("snapshot", "set VM_DISK_EPHEMERAL"),
];

/// Keys of options that can be had otherwise, and why these can't.
const REFUSED_KEYS: &[(&str, &str, &str)] = &[
    ("action", "reboot", "a reset must not end QEMU"),
    ("action", "shutdown", "a machine that is off is a QEMU that has ended"),
    ("action", "panic", "a panic is reported by the controller, and the machine stays as it is"),
    ("run-with", "chroot", "the controller's sockets and images would be out of QEMU's sight"),
    ("run-with", "user", "QEMU runs without privileges already"),
    ("boot", "order", "set VM_BOOT"),
    ("boot", "once", "use `chassis bootdev`, over IPMI"),
    ("boot", "menu", "set VM_BOOT_MENU_TIMEOUT"),
    ("boot", "splash-time", "set VM_BOOT_MENU_TIMEOUT"),
    ("numa", "node", "set VM_NUMA"),
];

/// What the tables of these types (SMBIOS) have from settings.
const SMBIOS: &[(&str, &str)] = &[
    ("manufacturer", "VM_MANUFACTURER"),
    ("product", "VM_PRODUCT"),
    ("serial", "VM_SERIAL"),
    ("uuid", "VM_UUID"),
    ("sku", "VM_PART_NUMBER"),
    ("asset", "VM_ASSET_TAG"),
];

/// Ids that the machine's own parts have, and what those of a family begin with.
const OWN_IDS: &[&str] = &[
    "qmp",
    "qmp-user",
    "serial0",
    "vga0",
    "usb0",
    "tablet0",
    "keyboard0",
    "rng0",
    "virtio-rng0",
    "pvpanic0",
    "ipmi0",
    "bmc0",
    "ipmi-si0",
    "tpm0",
    "seed0",
    "seed0-image",
    "scsi0",
    "agent0",
    "virtio-serial0",
    "agent-port0",
];
const OWN_FAMILIES: &[&str] =
    &["nic-", "net-", "firmware-", "cdrom-", "share-", "disk", "cdrom", "ram", "ahci"];

/// Whether a part of the machine has this id, or may have it.
pub(crate) fn is_own_id(id: &str) -> bool {
    let numbered = |family: &&str| {
        id.strip_prefix(*family).is_some_and(|rest| {
            family.ends_with('-') || rest.starts_with(|first: char| first.is_ascii_digit())
        })
    };
    OWN_IDS.contains(&id) || OWN_FAMILIES.iter().any(numbered)
}

/// What is wrong with arguments, one sentence each.
pub(super) fn objections(arguments: &[String]) -> Vec<String> {
    let objections = options(arguments).into_iter().filter_map(|(word, option, keys)| {
        objection(option, &keys).map(|why| format!("{word} can't be used here: {why}"))
    });
    objections.collect()
}

/// What among arguments is in the way of the agent's port.
pub(super) fn in_the_agents_way(arguments: &[String]) -> Option<&'static str> {
    let devices = options(arguments).into_iter().filter(|(_, option, _)| *option == "device");
    devices.map(|(.., keys)| keys).find_map(|keys| meets_agent(&keys))
}

/// What in a file for `-readconfig` is.
pub(super) fn in_the_agents_way_in_file(text: &str) -> Option<&'static str> {
    let devices = sections(text).into_iter().filter(|(group, _)| group == "device");
    devices.map(|(_, keys)| keys).find_map(|keys| meets_agent(&keys))
}

fn meets_agent(device: &Keys) -> Option<&'static str> {
    let slot = device.value("addr").and_then(|addr| {
        let slot = addr.split_once('.').map_or(addr, |(slot, _function)| slot);
        u8::from_str_radix(slot.trim_start_matches("0x"), 16).ok()
    });
    if device.value("name") == Some(AGENT_PORT) {
        Some("has a port of that name already")
    } else if slot == Some(AGENT_SLOT) && matches!(device.value("bus"), None | Some("pcie.0" | "pci.0")) {
        Some("has a device in its slot, 0xf")
    } else {
        None
    }
}

/// Each option as it was said, its name, and what its value has.
fn options(arguments: &[String]) -> Vec<(&str, &str, Keys)> {
    let mut options = Vec::new();
    let mut words = arguments.iter().peekable();
    while let Some(word) = words.next() {
        // QEMU takes two dashes for one.
        let Some(option) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { continue };
        let value = words.next_if(|next| !next.starts_with('-')).map_or("", String::as_str);
        options.push((word.as_str(), option, Keys::of(value)));
    }
    options
}

/// What is wrong with a file for `-readconfig`.
pub(super) fn objections_to_file(text: &str) -> Vec<String> {
    let sections = sections(text);
    let objections = sections.iter().filter_map(|(group, keys)| {
        let option = match group.as_str() {
            "memory" => "m",
            "smp-opts" => "smp",
            "boot-opts" => "boot",
            group => group,
        };
        objection(option, keys).map(|why| format!("[{group}] can't be used here: {why}"))
    });
    objections.collect()
}

/// Sections of options, `[device "id"]`, and keys in quotes.
fn sections(text: &str) -> Vec<(String, Keys)> {
    let mut sections: Vec<(String, Keys)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let (group, id) = header.split_once(' ').unwrap_or((header, ""));
            let id = id.trim().trim_matches('"');
            let keys = if id.is_empty() { Vec::new() } else { vec![("id".into(), id.into())] };
            sections.push((group.to_owned(), Keys(keys)));
        } else if let Some((key, value)) = line.split_once('=')
            && let Some((_, keys)) = sections.last_mut()
        {
            keys.0.push((key.trim().into(), value.trim().trim_matches('"').into()));
        }
    }
    sections
}

fn objection(option: &str, keys: &Keys) -> Option<String> {
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == option) {
        return Some((*why).to_owned());
    }
    let keyed = REFUSED_KEYS.iter().find(|(refused, key, _)| *refused == option && keys.has(key));
    if let Some((_, key, why)) = keyed {
        return Some(format!("{key}: {why}"));
    }
    if option == "smbios" && matches!(keys.value("type"), Some("1" | "2" | "3")) {
        let (key, setting) = SMBIOS.iter().find(|(key, _)| keys.has(key))?;
        return Some(format!("{key}: set {setting}"));
    }
    // A back end's name, as it is said of what uses it, is no id.
    let named = ["id", "node-name"].iter().find_map(|key| keys.value(key))?;
    is_own_id(named).then(|| format!("the id {named} is the machine's own: take another"))
}

/// The keys of an option's value: `type,key=value,flag`, or JSON.
struct Keys(Vec<(String, String)>);

impl Keys {
    fn of(value: &str) -> Self {
        if let Ok(serde_json::Value::Object(object)) = serde_json::from_str(value) {
            let text =
                |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return Self(object.into_iter().map(|(key, value)| (key, text(value))).collect());
        }
        let items = value.split(',').map(|item| item.split_once('=').unwrap_or((item, "")));
        Self(items.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Vec<String> {
        objections(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_the_bmc_would_lose_its_hold_by_is_refused_with_the_reason() {
        for (line, why) in [
            (
                "-daemonize",
                "-daemonize can't be used here: the controller follows its QEMU, which has to stay its child",
            ),
            ("--cpu max", "--cpu can't be used here: set VM_CPU"),
            (
                "-action watchdog=none,shutdown=pause",
                "-action can't be used here: shutdown: a machine that is off is a QEMU that has ended",
            ),
            ("-boot strict=on,once=n", "-boot can't be used here: once: use `chassis bootdev`, over IPMI"),
            (
                "-device e1000,id=nic-eth2",
                "-device can't be used here: the id nic-eth2 is the machine's own: take another",
            ),
            (
                r#"-blockdev {"driver":"null-co","node-name":"disk0-image"}"#,
                "-blockdev can't be used here: the id disk0-image is the machine's own: take another",
            ),
            ("-smbios type=1,family=x,serial=1", "-smbios can't be used here: serial: set VM_SERIAL"),
            ("-numa node,memdev=x", "-numa can't be used here: node: set VM_NUMA"),
        ] {
            assert_eq!(said(line), [why], "{line}");
        }
    }

    #[test]
    fn what_harms_nothing_is_taken() {
        for line in [
            "-device virtio-rng-pci,id=mine",
            "-device pcie-root-port,id=disks,chassis=70",
            "-netdev user,id=n0 -device e1000,netdev=n0",
            "-smbios type=1,family=x -smbios type=11,value=serial",
            "-action watchdog=none",
            "-numa dist,src=0,dst=1,val=20",
            "-kernel -S",
            "-pidfile /tmp/pid -gdb tcp::1234",
        ] {
            let expected = usize::from(line == "-kernel -S");
            assert_eq!(said(line).len(), expected, "{line}");
        }
    }

    #[test]
    fn the_agents_port_is_met_by_its_name_and_in_its_slot() {
        let way = |line: &str| in_the_agents_way(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let (name, slot) = (Some("has a port of that name already"), Some("has a device in its slot, 0xf"));
        for (line, meets) in [
            ("-device virtserialport,chardev=a,name=org.qemu.guest_agent.0", name),
            ("-device e1000,addr=0xf", slot),
            ("-device e1000,bus=pcie.0,addr=0f.1", slot),
            (r#"-device {"driver":"e1000","addr":"f"}"#, slot),
            ("-device e1000,addr=0x10", None),
            ("-device e1000,addr=15", None),
            ("-device e1000,bus=mine,addr=0xf", None),
            ("-netdev user,id=a,name=x", None),
        ] {
            assert_eq!(way(line), meets, "{line}");
        }
        assert_eq!(in_the_agents_way_in_file("[device]\n driver = \"e1000\"\n addr = \"0xf\"\n"), slot);
    }

    #[test]
    fn a_file_is_looked_at_as_arguments_are() {
        let text = "# a comment\n[machine]\n  type = \"pc\"\n[device \"disk0\"]\n  driver = \"nvme\"\n[device \"own\"]\n  driver = \"e1000\"\n[chardev \"serial0\"]\n[memory]\n size = \"1G\"\n";
        assert_eq!(
            objections_to_file(text),
            [
                "[machine] can't be used here: set VM_MACHINE",
                "[device] can't be used here: the id disk0 is the machine's own: take another",
                "[chardev] can't be used here: the id serial0 is the machine's own: take another",
                "[memory] can't be used here: set VM_MEMORY",
            ]
        );
    }
}
