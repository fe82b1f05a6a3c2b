//! What is known of the system in words: its names, its operating system, where to manage it (IPMI 2.0 §22.14a,
//! Table 22-16c). Software in the guest writes it in band; what nobody wrote is as the guest's agent says.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use crate::{Bmc, GuestInfo, Requester, Setting};

/// Which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemName {
    /// The version of the system's firmware.
    Firmware,
    /// The system's own name, such as its host name.
    System,
    /// The operating system that it usually runs.
    PrimaryOs,
    /// The one that runs now.
    Os,
    /// Where the controller is managed by a browser.
    BmcUrl,
    /// Where the operating system or hypervisor is.
    OsUrl,
}

impl SystemName {
    /// The text that this parameter of Table 22-16c holds.
    pub fn from_parameter(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Firmware,
            2 => Self::System,
            3 => Self::PrimaryOs,
            4 => Self::Os,
            6 => Self::BmcUrl,
            7 => Self::OsUrl,
            _ => return None,
        })
    }

    /// Whether it is about the system as it was booted, and forgotten with that boot.
    fn is_volatile(self) -> bool {
        matches!(self, Self::Os | Self::OsUrl)
    }
}

/// A text as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SystemText {
    /// 0: ASCII and Latin-1; 1: UTF-8; 2: UTF-16, least significant byte first.
    pub encoding: u8,
    /// At most 255 bytes.
    pub bytes: Vec<u8>,
}

const UTF8: u8 = 1;

impl SystemText {
    /// A text of ours; what is too long loses its end, even within a character.
    fn of(text: &str) -> Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.truncate(u8::MAX.into());
        Self { encoding: UTF8, bytes }
    }
}

/// All that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SystemInfo {
    /// Parameter 0, of which there is one for everybody.
    #[serde(skip)]
    pub set_in_progress: u8,
    written: BTreeMap<SystemName, SystemText>,
}

impl Bmc {
    /// What is known of the system in words.
    pub fn system_info(&self) -> &SystemInfo {
        &self.system_info
    }

    /// As above, to set what is in progress.
    pub fn system_info_mut(&mut self) -> &mut SystemInfo {
        &mut self.system_info
    }

    /// A text of the system: as somebody wrote it, else as the guest's agent says; empty where neither did.
    pub fn system_text(&self, name: SystemName) -> Cow<'_, SystemText> {
        if let Some(text) = self.system_info.written.get(&name) {
            return Cow::Borrowed(text);
        }
        let said = self.guest().and_then(|GuestInfo { os, name: host, .. }| match name {
            SystemName::System => host.as_deref(),
            SystemName::Os => os.as_deref(),
            _ => None,
        });
        Cow::Owned(said.map(SystemText::of).unwrap_or_default())
    }

    /// Begins to write a text: its encoding, its length, its first bytes. An empty one is no text any more.
    pub fn write_system_text(&mut self, name: SystemName, text: SystemText, by: Requester) {
        let before = self.system_info.written.get(&name).cloned();
        let after = (!text.bytes.is_empty()).then_some(text);
        if before == after {
            return;
        }
        match after {
            Some(text) => drop(self.system_info.written.insert(name, text)),
            None => drop(self.system_info.written.remove(&name)),
        }
        self.unsaved = true;
        self.record(crate::Event::SettingChanged { what: Setting::SystemText(name), by });
    }

    /// Goes on with a text that was begun. Bytes past its length are left out; false where it hasn't got so far.
    pub fn continue_system_text(&mut self, name: SystemName, offset: usize, bytes: &[u8]) -> bool {
        let text = self.system_info.written.get_mut(&name);
        let Some(room) = text.and_then(|text| text.bytes.get_mut(offset..)) else { return false };
        room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.unsaved = true;
        true
    }

    /// The system boots anew: what was said of the last boot no longer holds.
    pub(crate) fn forget_booted_system(&mut self) {
        let before = self.system_info.written.len();
        self.system_info.written.retain(|name, _| !name.is_volatile());
        self.unsaved |= self.system_info.written.len() != before;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{Fact, Identity, Lan, Users};

    #[test]
    fn what_was_written_goes_over_what_the_agent_says_and_what_ran_is_forgotten_with_its_boot() {
        let now = Instant::now();
        let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        bmc.on_fact(now, Fact::Started);
        let info = GuestInfo { os: Some("Debian".into()), name: Some("db1".into()), addresses: Vec::new() };
        bmc.observe_guest(Some(info));
        let text = |bmc: &Bmc, name| String::from_utf8(bmc.system_text(name).bytes.clone()).unwrap();
        assert_eq!(text(&bmc, SystemName::System), "db1");
        assert_eq!(text(&bmc, SystemName::Os), "Debian");
        assert_eq!(text(&bmc, SystemName::PrimaryOs), "");
        for name in [SystemName::System, SystemName::Os] {
            bmc.write_system_text(name, SystemText::of("mine"), Requester::Button);
            assert_eq!(text(&bmc, name), "mine");
        }
        assert!(bmc.continue_system_text(SystemName::Os, 2, b"xxx"));
        assert_eq!(text(&bmc, SystemName::Os), "mixx");
        assert!(!bmc.continue_system_text(SystemName::Os, 5, b"x"));

        let saved = serde_json::to_vec(&bmc.to_saved(now)).unwrap();
        let mut again = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        again.restore(serde_json::from_slice(&saved).unwrap());
        assert_eq!(text(&again, SystemName::Os), "mixx");
        again.on_fact(now, Fact::Started);
        assert_eq!(
            (text(&again, SystemName::System).as_str(), text(&again, SystemName::Os).as_str()),
            ("mine", "")
        );
    }
}
