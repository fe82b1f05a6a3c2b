//! The firmware firewall (IPMI 2.0 §21): commands that an administrator has disabled. Which commands there are,
//! and which of them can be disabled, is the protocol's to know.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::{Bmc, Event, Requester, Setting};

/// A command as it comes by a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CommandId {
    /// The channel.
    pub channel: u8,
    /// Network function, even.
    pub netfn: u8,
    /// The defining body, of a command of the group extension.
    pub group: Option<u8>,
    /// Command number.
    pub command: u8,
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command {:02X}h:{:02X}h", self.netfn, self.command)?;
        if let Some(group) = self.group {
            write!(f, " of group {group:02X}h")?;
        }
        write!(f, " on channel {}", self.channel)
    }
}

/// The commands that are disabled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Firewall(BTreeSet<CommandId>);

impl Firewall {
    /// Whether a command is disabled.
    pub fn blocks(&self, command: CommandId) -> bool {
        self.0.contains(&command)
    }
}

impl Bmc {
    /// The firmware firewall.
    pub fn firewall(&self) -> &Firewall {
        &self.firewall
    }

    /// Enables or disables a command.
    pub fn enable_command(&mut self, command: CommandId, enabled: bool, by: Requester) {
        let disabled = &mut self.firewall.0;
        let changed = if enabled { disabled.remove(&command) } else { disabled.insert(command) };
        if changed {
            self.unsaved = true;
            self.record(Event::SettingChanged { what: Setting::Command { command, enabled }, by });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{Identity, Lan, Users};

    #[test]
    fn what_is_disabled_stays_so_until_it_is_enabled() {
        let new = || Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        let command = CommandId { channel: 1, netfn: 0x2c, group: Some(0xdc), command: 0x02 };
        let mut bmc = new();
        bmc.enable_command(command, false, Requester::Guest);
        bmc.enable_command(command, false, Requester::Guest);
        assert_eq!(bmc.take_events().count(), 1, "what changes nothing is not told");
        assert!(bmc.firewall().blocks(command) && bmc.take_unsaved());
        assert!(!bmc.firewall().blocks(CommandId { channel: 15, ..command }));
        let json = serde_json::to_vec(&bmc.to_saved(Instant::now())).unwrap();
        let mut again = new();
        again.restore(serde_json::from_slice(&json).unwrap());
        assert!(again.firewall().blocks(command));
        again.enable_command(command, true, Requester::Guest);
        assert!(!again.firewall().blocks(command));
    }
}
