//! What QEMU can be told: one type a command, named after it, and its answer.
//!
//! The fields of a command are its arguments under QEMU's own names. Answers list the members that a BMC
//! reads; members that QEMU has besides are passed over, and members that a version of QEMU lacks take their
//! empty value. A command that is not here goes through [`Client::execute`](crate::Client::execute).
//!
//! To add one: a type with `Serialize`, a type for the answer if there is one, a row of the table below.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::codec::Version;
use crate::qapi::RunState;

/// A command of the QMP reference manual. It serialises to its arguments: an object, or null for none.
pub trait Command: Serialize {
    /// The command's name in the protocol.
    const NAME: &'static str;
    /// What it returns.
    type Answer: DeserializeOwned;
}

macro_rules! commands {
    ($($name:literal $command:ty => $answer:ty;)+) => {
        $(impl Command for $command {
            const NAME: &'static str = $name;
            type Answer = $answer;
        })+
    };
}

commands! {
    "qmp_capabilities"       QmpCapabilities            => Done;
    "query-version"          QueryVersion               => Version;
    "query-name"             QueryName                  => Name;
    "query-uuid"             QueryUuid                  => Uuid;
    "query-kvm"              QueryKvm                   => Kvm;
    "query-status"           QueryStatus                => Status;
    "cont"                   Cont                       => Done;
    "stop"                   Stop                       => Done;
    "system_reset"           SystemReset                => Done;
    "system_powerdown"       SystemPowerdown            => Done;
    "quit"                   Quit                       => Done;
    "inject-nmi"             InjectNmi                  => Done;
    "qom-get"                QomGet<'_>                 => Value;
    "qom-set"                QomSet<'_>                 => Done;
    "qom-list"               QomList<'_>                => Vec<QomProperty>;
    "query-pci"              QueryPci                   => Vec<PciBus>;
    "query-block"            QueryBlock                 => Vec<BlockDevice>;
    "query-blockstats"       QueryBlockstats            => Vec<BlockStatistics>;
    "blockdev-change-medium" BlockdevChangeMedium<'_>   => Done;
    "eject"                  Eject<'_>                  => Done;
    "set_link"               SetLink<'_>                => Done;
    "getfd"                  GetFd<'_>                  => Done;
    "closefd"                CloseFd<'_>                => Done;
    "netdev_add"             NetdevAdd                  => Done;
    "netdev_del"             NetdevDel<'_>              => Done;
    "device_add"             DeviceAdd                  => Done;
    "device_del"             DeviceDel<'_>              => Done;
    "screendump"             Screendump<'_>             => Done;
    "send-key"               SendKey<'_>                => Done;
    "input-send-event"       InputSendEvent<'_>         => Done;
    "human-monitor-command"  HumanMonitorCommand<'_>    => String;
}

/// The answer of a command that returns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Done {}

/// Ends the handshake; [`negotiate`](crate::negotiate) does it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QmpCapabilities;

/// Asks for QEMU's version.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QueryVersion;

/// Asks for the guest's name (`-name`).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QueryName;

/// The guest's name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Name {
    /// None where QEMU was started without `-name`.
    pub name: Option<String>,
}

/// Asks for the guest's identity (`-uuid`).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QueryUuid;

/// The guest's identity.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Uuid {
    /// In the hyphenated form; all zeros where QEMU was started without `-uuid`.
    #[serde(rename = "UUID")]
    pub uuid: String,
}

/// Asks whether KVM is in use.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QueryKvm;

/// KVM's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Kvm {
    /// The guest runs on KVM.
    pub enabled: bool,
    /// This QEMU was built with KVM.
    pub present: bool,
}

/// Asks what the machine is doing.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QueryStatus;

/// What the machine is doing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The virtual processors run.
    pub running: bool,
    /// Why they run, or do not.
    pub status: RunState,
}

/// Lets the virtual processors run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cont;

/// Stops the virtual processors.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Stop;

/// Presses the reset button. `RESET` follows.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SystemReset;

/// Presses the power button (ACPI). `POWERDOWN` follows, and `SHUTDOWN` if the guest obeys.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SystemPowerdown;

/// Ends QEMU. The connection may be closed before the answer arrives.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Quit;

/// Sends the guest a non-maskable interrupt.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct InjectNmi;

/// Reads a property of an object.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QomGet<'a> {
    /// The object: its path from the root, or a unique end of it.
    pub path: &'a str,
    /// The property.
    pub property: &'a str,
}

/// Writes a property of an object.
#[derive(Debug, Clone, Serialize)]
pub struct QomSet<'a> {
    /// The object: its path from the root, or a unique end of it.
    pub path: &'a str,
    /// The property.
    pub property: &'a str,
    /// Its new value.
    pub value: Value,
}

/// Lists the properties of an object, its children among them.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QomList<'a> {
    /// The object: its path from the root, or a unique end of it.
    pub path: &'a str,
}

/// A property of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct QomProperty {
    /// Its name.
    pub name: String,
    /// Its type; `child<...>` for a child object, `link<...>` for a reference to another.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Asks for the PCI devices.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QueryPci;

/// A PCI bus.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct PciBus {
    /// Its number.
    pub bus: i64,
    /// The devices on it.
    pub devices: Vec<PciDevice>,
}

/// A PCI function.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct PciDevice {
    /// The number of its bus.
    pub bus: i64,
    /// Its slot on the bus.
    pub slot: i64,
    /// Its function in the slot.
    pub function: i64,
    /// The device's `id`; empty if it has none.
    pub qdev_id: String,
    /// What kind of device it is.
    pub class_info: PciClass,
    /// Who made it.
    pub id: PciId,
    /// The bus behind it, where it is a bridge.
    pub pci_bridge: Option<PciBridge>,
}

/// The class of a PCI device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct PciClass {
    /// Class and subclass: 0x0200 is Ethernet.
    pub class: i64,
    /// The same in words.
    pub desc: Option<String>,
}

/// Vendor and device of a PCI device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct PciId {
    /// The device.
    pub device: i64,
    /// The vendor.
    pub vendor: i64,
}

/// What is behind a PCI bridge.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct PciBridge {
    /// The devices there; none until the guest's firmware has numbered the bus.
    pub devices: Vec<PciDevice>,
}

/// Asks for the disks and drives.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QueryBlock;

/// A disk or a drive (`BlockInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct BlockDevice {
    /// The name of its backend; empty for drives made with `-blockdev`.
    pub device: String,
    /// The device's `id`, or its path in the object tree; none where no device uses the backend.
    pub qdev: Option<String>,
    /// Its medium can be changed.
    pub removable: bool,
    /// The guest holds the tray shut.
    pub locked: bool,
    /// The tray is open; none where there is no tray.
    pub tray_open: Option<bool>,
    /// The medium in it.
    pub inserted: Option<Medium>,
}

/// A medium in a drive (`BlockDeviceInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Medium {
    /// The image's file name.
    pub file: String,
    /// The block node; none in some versions of QEMU for nodes without a name.
    #[serde(rename = "node-name")]
    pub node_name: Option<String>,
    /// The image's format.
    pub drv: String,
    /// It cannot be written to.
    pub ro: bool,
}

/// Asks how much has been read and written.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QueryBlockstats;

/// What was done to a disk or a drive so far (`BlockStats`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct BlockStatistics {
    /// The device's path in the object tree, or its `id`; none where no device uses the backend.
    pub qdev: Option<String>,
    /// The counts.
    pub stats: BlockCounts,
}

/// Counts since QEMU started (`BlockDeviceStats`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct BlockCounts {
    /// Nanoseconds that all reads took together.
    pub rd_total_time_ns: u64,
    /// Nanoseconds that all writes took together.
    pub wr_total_time_ns: u64,
    /// Nanoseconds that all flushes took together.
    pub flush_total_time_ns: u64,
}

/// Replaces the medium of a drive, opening and closing the tray.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BlockdevChangeMedium<'a> {
    /// The drive's device.
    pub id: &'a str,
    /// The image's file name.
    pub filename: &'a str,
    /// The image's format. Without it QEMU guesses, which lets a raw image pose as another format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<&'a str>,
    /// Do it although the guest holds the tray shut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Opens the tray of a drive and takes the medium out.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Eject<'a> {
    /// The drive's device.
    pub id: &'a str,
    /// Do it although the guest holds the tray shut.
    pub force: bool,
}

/// Plugs the cable of a network card in, or pulls it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SetLink<'a> {
    /// The card's device, or its network backend.
    pub name: &'a str,
    /// Plugged in.
    pub up: bool,
}

/// Hands QEMU the descriptor that goes with it
/// ([`call_with_descriptor`](crate::Client::call_with_descriptor)).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct GetFd<'a> {
    /// What later commands of this connection call it. An earlier one of that name is closed.
    pub fdname: &'a str,
}

/// Closes a descriptor that no command has taken.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CloseFd<'a> {
    /// What it is called.
    pub fdname: &'a str,
}

/// Makes a network backend, of the arguments that `-netdev` takes as JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct NetdevAdd(pub Value);

/// Takes a network backend away.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct NetdevDel<'a> {
    /// Its `id`.
    pub id: &'a str,
}

/// Plugs a device in, of the arguments that `-device` takes as JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct DeviceAdd(pub Value);

/// Asks the guest to let go of a device. `DEVICE_DELETED` follows if it does.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DeviceDel<'a> {
    /// Its `id`.
    pub id: &'a str,
}

/// Writes the screen to a file, which QEMU creates.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Screendump<'a> {
    /// The file.
    pub filename: &'a str,
    /// `ppm` (the default) or `png`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<&'a str>,
}

/// Presses keys together, holds them, and lets them go.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SendKey<'a> {
    /// The keys, in the order in which they go down.
    pub keys: Vec<Key<'a>>,
    /// For how long, in milliseconds; 100 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<u32>,
}

/// A key (`KeyValue`).
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
pub enum Key<'a> {
    /// By QEMU's name for it (`QKeyCode`), such as `ctrl`, `a` or `f12`.
    Qcode(&'a str),
    /// By its scan code.
    Number(u32),
}

/// Sends input events at once, to the devices that take them.
#[derive(Debug, Clone, Serialize)]
pub struct InputSendEvent<'a> {
    /// The events, in order.
    pub events: Vec<InputEvent<'a>>,
}

/// What keyboard and pointer do (`InputEvent`).
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
pub enum InputEvent<'a> {
    /// A key goes down or up.
    Key {
        /// Which.
        key: Key<'a>,
        /// Down.
        down: bool,
    },
    /// A pointer button goes down or up.
    Btn {
        /// Which: `left`, `middle`, `right`, `wheel-up` and so on.
        button: &'a str,
        /// Down.
        down: bool,
    },
    /// The pointer is at a place.
    Abs {
        /// `x` or `y`.
        axis: &'a str,
        /// From 0 to 32767 over the screen.
        value: i64,
    },
    /// The pointer moves.
    Rel {
        /// `x` or `y`.
        axis: &'a str,
        /// By how much.
        value: i64,
    },
}

/// Executes a command of the human monitor and returns what it prints.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HumanMonitorCommand<'a> {
    /// The command line.
    pub command_line: &'a str,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments<C: Command>(command: C) -> (&'static str, Value) {
        (C::NAME, serde_json::to_value(command).unwrap())
    }

    #[test]
    fn arguments_have_the_names_of_the_manual() {
        assert_eq!(arguments(SystemReset), ("system_reset", Value::Null));
        assert_eq!(
            arguments(QomSet { path: "/machine/peripheral/disk0", property: "bootindex", value: json!(-1) }),
            ("qom-set", json!({"path": "/machine/peripheral/disk0", "property": "bootindex", "value": -1}))
        );
        assert_eq!(
            arguments(BlockdevChangeMedium {
                id: "cd0",
                filename: "/a.iso",
                format: Some("raw"),
                force: true
            }),
            (
                "blockdev-change-medium",
                json!({"id": "cd0", "filename": "/a.iso", "format": "raw", "force": true})
            )
        );
        assert_eq!(
            arguments(BlockdevChangeMedium { id: "cd0", filename: "/a.iso", format: None, force: false }).1,
            json!({"id": "cd0", "filename": "/a.iso"})
        );
        assert_eq!(
            arguments(HumanMonitorCommand { command_line: "info status" }),
            ("human-monitor-command", json!({"command-line": "info status"}))
        );
        assert_eq!(
            arguments(SendKey { keys: vec![Key::Qcode("ctrl"), Key::Number(30)], hold_time: Some(20) }),
            (
                "send-key",
                json!({"keys": [{"type": "qcode", "data": "ctrl"}, {"type": "number", "data": 30}],
                       "hold-time": 20})
            )
        );
        let events = vec![
            InputEvent::Key { key: Key::Qcode("a"), down: true },
            InputEvent::Abs { axis: "x", value: 32767 },
        ];
        assert_eq!(
            arguments(InputSendEvent { events }),
            (
                "input-send-event",
                json!({"events": [
                    {"type": "key", "data": {"key": {"type": "qcode", "data": "a"}, "down": true}},
                    {"type": "abs", "data": {"axis": "x", "value": 32767}}]})
            )
        );
    }

    #[test]
    fn answers_of_other_versions_are_read() {
        let status: Status = serde_json::from_value(
            json!({"status": "a state of QEMU 12", "running": true, "singlestep": false}),
        )
        .unwrap();
        assert_eq!(status.status, RunState::Other("a state of QEMU 12".to_owned()));

        let drives: Vec<BlockDevice> = serde_json::from_value(json!([
            {"io-status": "ok", "device": "", "locked": false, "removable": true, "qdev": "cd0",
             "tray_open": true, "type": "unknown"},
            {"device": "", "qdev": "/machine/peripheral/disk0/virtio-backend",
             "inserted": {"file": "/d.qcow2", "drv": "qcow2", "ro": false, "image": {}}},
        ]))
        .unwrap();
        assert_eq!(drives[0].tray_open, Some(true));
        assert_eq!(drives[0].inserted, None);
        assert_eq!(drives[1].inserted.as_ref().unwrap().file, "/d.qcow2");

        let buses: Vec<PciBus> = serde_json::from_value(json!([{"bus": 0, "devices": [{
            "bus": 0, "slot": 3, "function": 0, "qdev_id": "rp0", "regions": [],
            "class_info": {"class": 1540, "desc": "PCI bridge"}, "id": {"device": 12, "vendor": 6966},
            "pci_bridge": {"bus": {"number": 0}, "devices": [{"bus": 1, "slot": 0, "qdev_id": "nic0"}]},
        }]}]))
        .unwrap();
        let bridge = buses[0].devices[0].pci_bridge.as_ref().unwrap();
        assert_eq!(bridge.devices[0].qdev_id, "nic0");
    }
}
