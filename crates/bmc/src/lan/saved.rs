//! The form in which the LAN channel's settings outlive a restart. What the program's own settings say
//! (cipher suites, IPMI 1.5) is not in it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use super::{Access, CommunityString, Destinations, Ipv4Settings, Ipv6Settings, KgKey, Lan, SuitePrivileges};
use crate::{Secret, hex};

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedLan {
    access: Access,
    kg: Option<SavedKey>,
    kg_locked: bool,
    suite_privileges: SuitePrivileges,
    v15_levels: Option<[bool; 5]>,
    ipv4: Ipv4Settings,
    ipv6: Ipv6Settings,
    community: CommunityString,
    destinations: Destinations,
}

/// K_G, in digits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SavedKey(KgKey);

impl Serialize for SavedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(hex::encode(self.0.expose())))
    }
}

impl<'de> Deserialize<'de> for SavedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = hex::decode(&digits).map(Zeroizing::new);
        let key = bytes.and_then(|bytes| <[u8; 20]>::try_from(bytes.as_slice()).ok());
        key.map(|key| Self(Secret::new(key)))
            .ok_or_else(|| de::Error::custom("a K_G is 40 hexadecimal digits"))
    }
}

impl Lan {
    pub(crate) fn to_saved(&self) -> SavedLan {
        SavedLan {
            access: self.access.non_volatile,
            kg: self.kg.clone().map(SavedKey),
            kg_locked: self.kg_locked,
            suite_privileges: self.suite_privileges,
            v15_levels: self.v15_levels,
            ipv4: self.ipv4,
            ipv6: self.ipv6,
            community: self.community,
            destinations: self.destinations,
        }
    }

    pub(crate) fn restore(&mut self, saved: SavedLan) {
        self.access = saved.access.into();
        self.kg = saved.kg.map(|SavedKey(key)| key);
        self.kg_locked = saved.kg_locked;
        self.suite_privileges = saved.suite_privileges;
        self.v15_levels = saved.v15_levels;
        self.ipv4 = saved.ipv4;
        self.ipv6 = saved.ipv6;
        self.community = saved.community;
        self.destinations = saved.destinations;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccessMode;

    #[test]
    fn settings_come_back_from_a_file_and_what_is_volatile_does_not() {
        let mut lan = Lan { kg: Some(Secret::new([7; 20])), kg_locked: true, ..Lan::default() };
        lan.access.volatile.mode = AccessMode::Disabled;
        lan.access.non_volatile.user_level_authentication_disabled = true;
        lan.set_in_progress = 1;
        lan.destinations.get_mut(8).unwrap().retries = 7;
        lan.community = CommunityString::from_field(b"secret\0\0\0\0\0\0\0\0\0\0\0\0");
        lan.v15_levels = Some([true, true, true, true, false]);

        let file = serde_json::to_string(&lan.to_saved()).unwrap();
        let mut again = Lan::default();
        again.restore(serde_json::from_str(&file).unwrap());
        assert_eq!(again.to_saved(), lan.to_saved());
        assert_eq!(again.kg, lan.kg);
        assert_eq!((again.access.volatile.mode, again.set_in_progress), (AccessMode::Always, 0));
        assert!(again.access.volatile.user_level_authentication_disabled);
    }

    #[test]
    fn a_file_without_any_of_it_means_the_defaults() {
        let mut lan = Lan::default();
        lan.restore(serde_json::from_str("{}").unwrap());
        assert_eq!(lan.to_saved(), SavedLan::default());
        assert_eq!(lan.suite_privileges, SuitePrivileges::default());
    }
}
