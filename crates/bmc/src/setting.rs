//! Settings whose change is worth a line of the log, with who made it. Users and the LAN channel have events of
//! their own, which the event log knows too.

use std::fmt;

use crate::{CommandId, SystemName};

/// What was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The firmware firewall: whether a command is served.
    Command {
        /// Which.
        command: CommandId,
        /// Whether it is served from now on.
        enabled: bool,
    },
    /// Event filtering: a configuration parameter, by its number.
    PefParameter(u8),
    /// The inventory (FRU). Said once for as many writes as follow each other.
    Inventory,
    /// The asset tag, which is part of the inventory.
    AssetTag,
    /// The limits of DCMI's power limit; whether it is in force has an event of its own.
    PowerLimit,
    /// DCMI's thermal limit.
    ThermalLimit,
    /// DCMI's identifier of the controller.
    ControllerId,
    /// How DCMI's controller finds its address.
    Discovery,
    /// A text of the system's.
    SystemText(SystemName),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { command, enabled } => {
                let done = if *enabled { "enabled" } else { "disabled" };
                write!(f, "{command} {done}")
            }
            Self::PefParameter(number) => match pef_parameter_name(*number) {
                Some(name) => write!(f, "PEF configuration parameter {number} ({name}) set"),
                None => write!(f, "PEF configuration parameter {number} set"),
            },
            Self::Inventory => f.write_str("inventory (FRU) written"),
            Self::AssetTag => f.write_str("asset tag set"),
            Self::PowerLimit => f.write_str("DCMI power limit set"),
            Self::ThermalLimit => f.write_str("DCMI thermal limit set"),
            Self::ControllerId => f.write_str("DCMI controller identifier set"),
            Self::Discovery => f.write_str("DCMI configuration parameters set"),
            Self::SystemText(name) => write!(
                f,
                "system info set: {}",
                match name {
                    SystemName::Firmware => "firmware version",
                    SystemName::System => "system name",
                    SystemName::PrimaryOs => "primary operating system",
                    SystemName::Os => "operating system",
                    SystemName::BmcUrl => "URL of the BMC",
                    SystemName::OsUrl => "URL of the operating system",
                }
            ),
        }
    }
}

/// The names of Table 30-6.
fn pef_parameter_name(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "control",
        2 => "action global control",
        3 => "startup delay",
        4 => "alert startup delay",
        6 => "event filter table",
        7 => "event filter table, first byte",
        9 => "alert policy table",
        10 => "system GUID",
        12 => "alert string keys",
        13 => "alert strings",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_named_as_people_look_for_it() {
        let command = CommandId { channel: 1, netfn: 0x2c, group: Some(0xdc), command: 0x02 };
        let said = [
            (
                Setting::Command { command, enabled: false },
                "command 2Ch:02h of group DCh on channel 1 disabled",
            ),
            (
                Setting::Command { command: CommandId { group: None, ..command }, enabled: true },
                "command 2Ch:02h on channel 1 enabled",
            ),
            (Setting::PefParameter(9), "PEF configuration parameter 9 (alert policy table) set"),
        ];
        for (setting, expected) in said {
            assert_eq!(setting.to_string(), expected);
        }
    }
}
