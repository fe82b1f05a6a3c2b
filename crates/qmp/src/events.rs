//! What QEMU says by itself: guest started, stopped, reset, panicked, and why.
//!
//! Typed are the events that a BMC acts on or records, with the members that tell their causes apart; every
//! other event is [`Event::Other`], whole. A member that is missing or of an unexpected type takes its empty
//! value: an event whose details cannot be read has still happened.

use serde_json::Value;

use crate::qapi::{IoErrorAction, IoOperation, PanicAction, ShutdownCause, WatchdogAction};

/// An event, as the QMP reference manual describes it under the name in capitals.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// `SHUTDOWN`: the machine is off; QEMU ends next unless it runs with `-no-shutdown`.
    Shutdown {
        /// The guest did it, not the host.
        guest: bool,
        /// What brought it about.
        reason: ShutdownCause,
    },
    /// `POWERDOWN`: the power button was pressed (ACPI); what follows is up to the guest.
    Powerdown,
    /// `RESET`: the machine was reset.
    Reset {
        /// The guest did it, not the host.
        guest: bool,
        /// What brought it about.
        reason: ShutdownCause,
    },
    /// `STOP`: the virtual processors stopped.
    Stop,
    /// `RESUME`: the virtual processors run.
    Resume,
    /// `SUSPEND`: the guest sleeps in memory (ACPI S3).
    Suspend,
    /// `SUSPEND_DISK`: the guest sleeps on disk (ACPI S4); `SHUTDOWN` follows.
    SuspendDisk,
    /// `WAKEUP`: the guest woke from ACPI S3.
    Wakeup,
    /// `GUEST_PANICKED`: the guest's operating system reported its own panic.
    GuestPanicked {
        /// What QEMU does next.
        action: PanicAction,
        /// What the guest told of it, in a form of its own; null where it told nothing.
        info: Value,
    },
    /// `WATCHDOG`: an emulated watchdog device ran out.
    Watchdog {
        /// What QEMU does next.
        action: WatchdogAction,
    },
    /// `DEVICE_TRAY_MOVED`: the tray of a removable drive was opened or closed, by the guest or by a command.
    DeviceTrayMoved {
        /// The name of the drive's backend; empty for drives made with `-blockdev`.
        device: String,
        /// The device's `id`, or its path in the object tree if it has none.
        id: String,
        /// Open now.
        open: bool,
    },
    /// `BLOCK_IO_ERROR`: a read or a write of a disk image failed.
    BlockIoError {
        /// The name of the drive's backend; empty for drives made with `-blockdev`.
        device: String,
        /// The block node that failed; empty if it is unknown.
        node: String,
        /// Read or write.
        operation: IoOperation,
        /// What QEMU does next.
        action: IoErrorAction,
        /// The host's file system is full.
        nospace: bool,
        /// For people.
        reason: String,
    },
    /// `DEVICE_DELETED`: the guest let go of an unplugged device, which is gone now.
    DeviceDeleted {
        /// The device's `id`; empty if it had none.
        device: String,
        /// Its path in the object tree.
        path: String,
    },
    /// `RTC_CHANGE`: the guest set its real-time clock.
    RtcChange {
        /// Seconds between the guest's clock and the host's.
        offset: i64,
    },
    /// `VNC_CONNECTED`, `VNC_INITIALIZED`, `VNC_DISCONNECTED`: the life of one viewer.
    Vnc {
        /// How far the viewer is.
        stage: VncStage,
        /// QEMU's description of the viewer.
        client: Value,
    },
    /// Any other event.
    Other {
        /// Its name, in capitals.
        name: String,
        /// Its data; null where it has none.
        data: Value,
    },
}

/// How far a VNC viewer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VncStage {
    /// The connection is there.
    Connected,
    /// Authentication is done and the screen is shown.
    Initialized,
    /// The viewer is gone.
    Disconnected,
}

impl Event {
    /// The event called `name` with its `data`. There is one for any name and any data.
    pub fn new(name: &str, mut data: Value) -> Self {
        match name {
            "SHUTDOWN" => {
                Self::Shutdown { guest: flag(&data, "guest"), reason: text(&mut data, "reason").into() }
            }
            "POWERDOWN" => Self::Powerdown,
            "RESET" => Self::Reset { guest: flag(&data, "guest"), reason: text(&mut data, "reason").into() },
            "STOP" => Self::Stop,
            "RESUME" => Self::Resume,
            "SUSPEND" => Self::Suspend,
            "SUSPEND_DISK" => Self::SuspendDisk,
            "WAKEUP" => Self::Wakeup,
            "GUEST_PANICKED" => Self::GuestPanicked {
                action: text(&mut data, "action").into(),
                info: member(&mut data, "info"),
            },
            "WATCHDOG" => Self::Watchdog { action: text(&mut data, "action").into() },
            "DEVICE_TRAY_MOVED" => Self::DeviceTrayMoved {
                device: text(&mut data, "device"),
                id: text(&mut data, "id"),
                open: flag(&data, "tray-open"),
            },
            "BLOCK_IO_ERROR" => Self::BlockIoError {
                device: text(&mut data, "device"),
                node: text(&mut data, "node-name"),
                operation: text(&mut data, "operation").into(),
                action: text(&mut data, "action").into(),
                nospace: flag(&data, "nospace"),
                reason: text(&mut data, "reason"),
            },
            "DEVICE_DELETED" => {
                Self::DeviceDeleted { device: text(&mut data, "device"), path: text(&mut data, "path") }
            }
            "RTC_CHANGE" => {
                Self::RtcChange { offset: data.get("offset").and_then(Value::as_i64).unwrap_or_default() }
            }
            "VNC_CONNECTED" => Self::vnc(VncStage::Connected, data),
            "VNC_INITIALIZED" => Self::vnc(VncStage::Initialized, data),
            "VNC_DISCONNECTED" => Self::vnc(VncStage::Disconnected, data),
            _ => Self::Other { name: name.to_owned(), data },
        }
    }

    fn vnc(stage: VncStage, mut data: Value) -> Self {
        Self::Vnc { stage, client: member(&mut data, "client") }
    }
}

fn member(data: &mut Value, key: &str) -> Value {
    data.get_mut(key).map(Value::take).unwrap_or_default()
}

fn text(data: &mut Value, key: &str) -> String {
    match member(data, key) {
        Value::String(text) => text,
        _ => String::new(),
    }
}

fn flag(data: &Value, key: &str) -> bool {
    data.get(key).and_then(Value::as_bool).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn causes_are_told_apart() {
        let reset = |guest, reason| Event::new("RESET", json!({"guest": guest, "reason": reason}));
        assert_eq!(
            reset(true, "guest-reset"),
            Event::Reset { guest: true, reason: ShutdownCause::GuestReset }
        );
        assert_eq!(
            reset(false, "host-qmp-system-reset"),
            Event::Reset { guest: false, reason: ShutdownCause::HostQmpSystemReset }
        );
        assert_eq!(
            Event::new("SHUTDOWN", json!({"guest": true, "reason": "guest-shutdown"})),
            Event::Shutdown { guest: true, reason: ShutdownCause::GuestShutdown }
        );
        assert_eq!(
            Event::new("SHUTDOWN", json!({"guest": false, "reason": "a reason of QEMU 12"})),
            Event::Shutdown { guest: false, reason: ShutdownCause::Other("a reason of QEMU 12".to_owned()) }
        );
    }

    #[test]
    fn details_are_read() {
        let info = json!({"type": "hyper-v", "arg1": 1});
        assert_eq!(
            Event::new("GUEST_PANICKED", json!({"action": "pause", "info": info})),
            Event::GuestPanicked { action: PanicAction::Pause, info }
        );
        assert_eq!(
            Event::new(
                "BLOCK_IO_ERROR",
                json!({"device": "", "node-name": "disk0", "operation": "write", "action": "stop",
                       "nospace": true, "reason": "No space left on device", "qom-path": "/machine"})
            ),
            Event::BlockIoError {
                device: String::new(),
                node: "disk0".to_owned(),
                operation: IoOperation::Write,
                action: IoErrorAction::Stop,
                nospace: true,
                reason: "No space left on device".to_owned(),
            }
        );
        assert_eq!(
            Event::new("DEVICE_TRAY_MOVED", json!({"device": "", "id": "cd0", "tray-open": true})),
            Event::DeviceTrayMoved { device: String::new(), id: "cd0".to_owned(), open: true }
        );
        assert_eq!(Event::new("RTC_CHANGE", json!({"offset": -78})), Event::RtcChange { offset: -78 });
        assert_eq!(
            Event::new("VNC_CONNECTED", json!({"server": {}, "client": {"family": "unix"}})),
            Event::Vnc { stage: VncStage::Connected, client: json!({"family": "unix"}) }
        );
        assert_eq!(
            Event::new("WATCHDOG", json!({"action": "inject-nmi"})),
            Event::Watchdog { action: WatchdogAction::InjectNmi }
        );
        assert_eq!(
            Event::new("DEVICE_DELETED", json!({"path": "/machine/peripheral/nic0"})),
            Event::DeviceDeleted { device: String::new(), path: "/machine/peripheral/nic0".to_owned() }
        );
    }

    #[test]
    fn an_unknown_event_is_kept_whole() {
        let data = json!({"qom-path": "/machine", "size": 4});
        assert_eq!(
            Event::new("MEMORY_DEVICE_SIZE_CHANGE", data.clone()),
            Event::Other { name: "MEMORY_DEVICE_SIZE_CHANGE".to_owned(), data }
        );
    }

    proptest! {
        #[test]
        fn odd_data_never_hides_an_event(
            name in prop::sample::select(vec![
                "SHUTDOWN", "POWERDOWN", "RESET", "STOP", "RESUME", "SUSPEND", "SUSPEND_DISK", "WAKEUP",
                "GUEST_PANICKED", "WATCHDOG", "DEVICE_TRAY_MOVED", "BLOCK_IO_ERROR", "DEVICE_DELETED",
                "RTC_CHANGE", "VNC_CONNECTED", "VNC_INITIALIZED", "VNC_DISCONNECTED",
            ]),
            data in crate::codec::tests::json(),
        ) {
            let event = Event::new(name, data);
            prop_assert_eq!(discriminant(&event), discriminant(&Event::new(name, Value::Null)));
            let unknown = matches!(event, Event::Other { .. });
            prop_assert!(!unknown);
        }
    }
}
