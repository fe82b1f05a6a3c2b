//! The settings of event filtering (IPMI 2.0 §30.3, Table 30-6): tables of fixed sizes.

use serde::{Deserialize, Serialize};

use super::{Actions, AlertPolicy, AlertString, EventFilter, filter, policy};

/// Event filters, numbered from 1 on.
pub const FILTERS: usize = 20;
/// Alert policies, numbered from 1 on.
pub const POLICIES: usize = 20;
/// Alert strings beside string 0, which is volatile.
pub const STRINGS: usize = 8;

/// The GUID that alerts carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SystemGuid {
    /// Whether it takes the place of the machine's own.
    pub used: bool,
    /// The UUID, in the order in which it is written.
    pub guid: [u8; 16],
}

/// All settings. Of what is kept, string 0 and the parameter lock are not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PefConfig {
    /// Parameter 0: 0 set complete, 1 set in progress. Volatile.
    #[serde(skip)]
    pub set_in_progress: u8,
    /// Parameter 1, bit 0: events are filtered.
    pub enabled: bool,
    /// Bit 1: what the filters do is logged.
    pub tells: bool,
    /// Bit 2: filters wait after a start of the machine.
    pub delays_start: bool,
    /// Bit 3: alerts do.
    pub delays_alerts: bool,
    /// Parameter 2: the actions that may happen, whatever a filter says.
    pub actions: Actions,
    /// Parameter 3: how long filters wait, in seconds.
    pub startup_delay: u8,
    /// Parameter 4: how long alerts do.
    pub alert_startup_delay: u8,
    /// Parameter 6: [`FILTERS`] of them.
    pub filters: Vec<EventFilter>,
    /// Parameter 9: [`POLICIES`] of them.
    pub policies: Vec<AlertPolicy>,
    /// Parameter 10.
    pub guid: SystemGuid,
    /// Parameters 12 and 13: the volatile string, and [`STRINGS`] more.
    pub strings: Vec<AlertString>,
}

impl Default for PefConfig {
    fn default() -> Self {
        let config = Self {
            set_in_progress: 0,
            enabled: true,
            tells: false,
            delays_start: false,
            delays_alerts: false,
            actions: Actions(Actions::SUPPORTED.0),
            startup_delay: 60,
            alert_startup_delay: 60,
            filters: filter::factory().collect(),
            policies: vec![policy::factory()],
            guid: SystemGuid::default(),
            strings: Vec::new(),
        };
        config.in_full()
    }
}

impl PefConfig {
    /// With tables of the sizes that they have, whatever a file had.
    pub(crate) fn in_full(mut self) -> Self {
        self.filters.resize(FILTERS, EventFilter::default());
        self.policies.resize(POLICIES, AlertPolicy::default());
        self.strings.resize(1 + STRINGS, AlertString::default());
        if let Some(volatile) = self.strings.first_mut() {
            *volatile = AlertString::default();
        }
        self
    }

    /// The string that an alert of this policy carries, if this filter made it.
    pub(crate) fn text_of(&self, policy: &AlertPolicy, filter: u8) -> &[u8] {
        let string = match policy {
            AlertPolicy { string: 0, .. } => None,
            AlertPolicy { event_specific: true, string, .. } => {
                self.strings.iter().find(|candidate| candidate.is_for(filter, *string))
            }
            AlertPolicy { string, .. } => self.strings.get(usize::from(*string)),
        };
        string.map(AlertString::as_sent).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_their_sizes_whatever_a_file_had() {
        let config: PefConfig = serde_json::from_str(r#"{"filters":[],"strings":[{"text":[65]}]}"#).unwrap();
        let config = config.in_full();
        assert_eq!((config.filters.len(), config.policies.len(), config.strings.len()), (20, 20, 9));
        assert!(config.strings[0].text.is_empty(), "string 0 is volatile");
    }

    #[test]
    fn a_string_is_found_by_its_number_or_by_filter_and_set() {
        let mut config = PefConfig::default();
        config.strings[1] = AlertString { filter: 3, set: 1, text: b"three".to_vec() };
        config.strings[2] = AlertString { filter: 0x7f, set: 1, text: b"any".to_vec() };
        let policy =
            |event_specific, string| AlertPolicy { event_specific, string, ..AlertPolicy::default() };
        assert_eq!(config.text_of(&policy(false, 2), 3), b"any");
        assert_eq!(config.text_of(&policy(true, 1), 3), b"three");
        assert_eq!(config.text_of(&policy(true, 1), 4), b"any");
        assert_eq!(config.text_of(&policy(true, 2), 3), b"");
        assert_eq!(config.text_of(&policy(false, 0), 3), b"");
        assert_eq!(config.text_of(&policy(false, 99), 3), b"");
    }
}
