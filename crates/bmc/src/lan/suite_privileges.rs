//! How far a session of a cipher suite can go (IPMI 2.0 Table 23-4, parameter 24): sixteen levels of four
//! bits, of which 0 means that the suite is not used.
//!
//! The specification numbers them by a suite's place in parameter 23. The clients that write them (ipmitool,
//! FreeIPMI, and by it MAAS) number them by the suite's id, and on most servers the two are the same. Here
//! the id counts: suite 3 has the level at index 3. Suite 17 has an id that is too large and takes the last
//! one, which ipmitool, having only fifteen to give, always clears: for it alone, 0 is no limit.

use serde::{Deserialize, Serialize};

use crate::{Privilege, hex};

/// The levels, two in a byte, the lower half first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SuitePrivileges(#[serde(with = "hex::array")] [u8; Self::SIZE]);

impl Default for SuitePrivileges {
    fn default() -> Self {
        Self([0x44; Self::SIZE])
    }
}

impl SuitePrivileges {
    /// The size of its field.
    pub const SIZE: usize = 8;
    const LAST: u8 = 15;

    /// Reads the field; `None` if a level is reserved.
    pub fn from_field(field: &[u8; Self::SIZE]) -> Option<Self> {
        field.iter().all(|pair| pair & 0x0f <= 5 && pair >> 4 <= 5).then_some(Self(*field))
    }

    /// The field.
    pub fn field(&self) -> &[u8; Self::SIZE] {
        &self.0
    }

    /// The highest level of a session with this suite; `None`: it is not used.
    pub fn limit(&self, suite: u8) -> Option<Privilege> {
        match (suite, self.level(suite.min(Self::LAST))) {
            (Self::LAST.., 0) => Some(Privilege::Oem),
            (_, level) => Privilege::from_number(level),
        }
    }

    fn level(&self, index: u8) -> u8 {
        let pair = self.0.get(usize::from(index / 2)).copied().unwrap_or_default();
        if index.is_multiple_of(2) { pair & 0x0f } else { pair >> 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_found_by_the_suite_s_id() {
        let privileges = SuitePrivileges::from_field(&[0x44, 0x24, 0, 0, 0, 0, 0, 0x30]).unwrap();
        assert_eq!(privileges.limit(3), Some(Privilege::User));
        assert_eq!(privileges.limit(2), Some(Privilege::Administrator));
        assert_eq!(privileges.limit(8), None);
        assert_eq!(privileges.limit(17), Some(Privilege::Operator));
    }

    #[test]
    fn fifteen_levels_from_ipmitool_leave_suite_17_as_it_is() {
        let privileges = SuitePrivileges::from_field(&[0; 8]).unwrap();
        assert_eq!((privileges.limit(3), privileges.limit(17)), (None, Some(Privilege::Oem)));
    }

    #[test]
    fn reserved_levels_are_refused() {
        assert_eq!(SuitePrivileges::from_field(&[0x06, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(SuitePrivileges::from_field(&[0, 0, 0, 0, 0, 0, 0, 0x60]), None);
    }
}
