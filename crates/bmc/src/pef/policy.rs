//! Alert policies (IPMI 2.0 §17.11) and alert strings (§17.12).

use serde::{Deserialize, Serialize};

use super::{LAN_CHANNEL, filter::ANY};

/// What the alert before decides about a policy's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Nothing: it is always sent.
    #[default]
    Always,
    /// If that one arrived, this one isn't sent.
    IfFailed,
    /// If that one arrived, neither this one nor any later of its set is sent.
    IfFailedElseStop,
    /// If that one arrived, the next of its set that goes by another channel is tried.
    IfFailedElseNextChannel,
    /// If that one arrived, the next of its set to another type of destination is tried.
    IfFailedElseNextType,
}

impl Rule {
    /// The rule with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Always,
            1 => Self::IfFailed,
            2 => Self::IfFailedElseStop,
            3 => Self::IfFailedElseNextChannel,
            4 => Self::IfFailedElseNextType,
            _ => return None,
        })
    }

    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Self::Always => 0,
            Self::IfFailed => 1,
            Self::IfFailedElseStop => 2,
            Self::IfFailedElseNextChannel => 3,
            Self::IfFailedElseNextType => 4,
        }
    }
}

/// An alert policy: a destination for a set of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertPolicy {
    /// The number of the set, 4 bits.
    pub number: u8,
    /// Whether it counts.
    pub enabled: bool,
    /// When it is sent.
    pub rule: Rule,
    /// The channel, 4 bits.
    pub channel: u8,
    /// The destination there, 4 bits.
    pub destination: u8,
    /// Whether the string depends on the event: it is looked up by filter and by string set.
    pub event_specific: bool,
    /// The string set, or the string itself; 7 bits, 0 is none.
    pub string: u8,
}

impl Default for AlertPolicy {
    /// A policy that does not count. It names the LAN channel all the same, for clients that list policies ask
    /// for each one's channel.
    fn default() -> Self {
        Self {
            number: 0,
            enabled: false,
            rule: Rule::Always,
            channel: LAN_CHANNEL,
            destination: 1,
            event_specific: false,
            string: 0,
        }
    }
}

/// The most bytes of a string.
pub const ALERT_STRING_MAX: usize = 64;

/// An alert string, with the key that finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertString {
    /// The filter whose alerts carry it, 7 bits.
    pub filter: u8,
    /// The string set that it is in, 7 bits.
    pub set: u8,
    /// The string's blocks, up to [`ALERT_STRING_MAX`] bytes; a zero ends the string.
    pub text: Vec<u8>,
}

impl AlertString {
    /// The string, up to the zero that ends it.
    pub fn as_sent(&self) -> &[u8] {
        self.text.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Whether it is the one for an alert of this filter with this string set.
    pub(crate) fn is_for(&self, filter: u8, set: u8) -> bool {
        self.set == set && (self.filter == filter || self.filter == ANY & 0x7f)
    }
}

/// The policy that a controller begins with: alerts of set 1 go to the first LAN destination. As long as that
/// has no address, nothing leaves.
pub(crate) fn factory() -> AlertPolicy {
    AlertPolicy { number: 1, enabled: true, ..AlertPolicy::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_number() {
        for number in 0..=255 {
            assert_eq!(Rule::from_number(number).map(Rule::number), (number < 5).then_some(number));
        }
    }
}
