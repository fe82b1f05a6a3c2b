//! What the Data Center Manageability Interface keeps beside IPMI (DCMI 1.5): a power limit, a limit of the
//! inlet temperature, the controller's identifier string, and how a DHCP client would find its manager.
//!
//! The two limits are stored and reported. Nothing throttles a virtual machine or switches it off by them, and
//! the log says so when the power limit is activated.

use serde::{Deserialize, Serialize};

use crate::{Bmc, Event, Requester, Setting};

/// The longest identifier string, without the zero that ends it.
pub const CONTROLLER_ID_MAX: usize = 63;

/// What is done when the power limit can't be kept within the correction time (DCMI 1.5 §6.6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitAction {
    /// Nothing.
    #[default]
    None,
    /// The machine is switched off, and the event logged.
    PowerOff,
    /// One of the manufacturer's own, 02h to 10h.
    Oem(u8),
    /// The event is logged.
    Log,
}

impl LimitAction {
    /// The action with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0x00 => Self::None,
            0x01 => Self::PowerOff,
            0x02..=0x10 => Self::Oem(number),
            0x11 => Self::Log,
            _ => return None,
        })
    }

    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Self::None => 0x00,
            Self::PowerOff => 0x01,
            Self::Oem(number) => number,
            Self::Log => 0x11,
        }
    }
}

/// The power limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PowerLimit {
    /// What is done when it is exceeded.
    pub action: LimitAction,
    /// Watts.
    pub watts: u16,
    /// How long power may be above it, in milliseconds.
    pub correction_ms: u32,
    /// The period over which power is averaged, in seconds.
    pub sampling_seconds: u16,
}

/// The limit of the inlet temperature (DCMI 1.5 §6.7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThermalLimit {
    /// Bit 6: switch the machine off and log it; bit 5: log it.
    pub actions: u8,
    /// Degrees Celsius.
    pub celsius: u8,
    /// For how long it may be exceeded, in seconds.
    pub seconds: u16,
}

/// How a DHCP client would look for its manager (DCMI 1.5 §6.1.3). There is none in this program: the
/// container's address is its engine's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Discovery {
    /// Bit 0: send the identifier string (option 12); bit 1: vendor class and information (options 60 and 43);
    /// bit 7: random back-off.
    pub options: u8,
    /// Seconds until an unanswered request is repeated.
    pub initial_timeout: u8,
    /// Seconds for all attempts.
    pub contact_timeout: u16,
    /// Seconds between rounds of attempts.
    pub retry_interval: u16,
}

impl Default for Discovery {
    fn default() -> Self {
        Self { options: 0x01, initial_timeout: 4, contact_timeout: 120, retry_interval: 64 }
    }
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dcmi {
    /// The power limit, in force or not.
    pub power_limit: PowerLimit,
    power_limit_active: bool,
    /// The limit of the inlet temperature.
    pub thermal_limit: ThermalLimit,
    /// What somebody set; until then the node's name.
    controller_id: Option<Vec<u8>>,
    /// How a DHCP client would look for its manager.
    pub discovery: Discovery,
}

impl Dcmi {
    /// Whether the power limit is activated.
    pub fn is_power_limit_active(&self) -> bool {
        self.power_limit_active
    }
}

impl Bmc {
    /// What DCMI keeps.
    pub fn dcmi(&self) -> &Dcmi {
        &self.dcmi
    }

    /// Changes what DCMI keeps; `what` goes into the log, if it changes anything.
    pub fn change_dcmi(&mut self, what: Setting, by: Requester, change: impl FnOnce(&mut Dcmi)) {
        let before = self.dcmi.clone();
        change(&mut self.dcmi);
        if self.dcmi != before {
            self.unsaved = true;
            self.record(Event::SettingChanged { what, by });
        }
    }

    /// Puts the power limit in force, as far as it goes: it is reported.
    pub fn activate_power_limit(&mut self, active: bool, by: Requester) {
        let limit = self.dcmi.power_limit;
        self.dcmi.power_limit_active = active;
        self.unsaved = true;
        self.record(Event::PowerLimit { watts: active.then_some(limit.watts), by });
    }

    /// The controller's identifier string: what somebody set, else the node's name.
    pub fn controller_id(&self) -> &[u8] {
        let name = self.identity.name.as_bytes();
        let id = self.dcmi.controller_id.as_deref().unwrap_or(name);
        id.get(..CONTROLLER_ID_MAX).unwrap_or(id)
    }

    /// Sets the controller's identifier string, of which there are 63 bytes at most, up to its first zero.
    pub fn set_controller_id(&mut self, id: &[u8], by: Requester) {
        let id = id.iter().copied().take(CONTROLLER_ID_MAX).take_while(|byte| *byte != 0);
        self.change_dcmi(Setting::ControllerId, by, |dcmi| dcmi.controller_id = Some(id.collect()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Lan, Users};

    #[test]
    fn every_action_has_its_number() {
        for number in 0..=255 {
            let action = LimitAction::from_number(number);
            assert_eq!(action.map(LimitAction::number), (number <= 0x11).then_some(number));
        }
    }

    #[test]
    fn the_controller_is_called_as_the_node_until_somebody_says_otherwise() {
        let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        assert_eq!(bmc.controller_id(), b"node1");
        bmc.set_controller_id(b"rack 7\0rest", Requester::Guest);
        assert_eq!(bmc.controller_id(), b"rack 7");
        bmc.set_controller_id(&[b'x'; 80], Requester::Guest);
        assert_eq!(bmc.controller_id().len(), 63);
        assert!(bmc.take_unsaved());
    }

    #[test]
    fn a_power_limit_is_logged_with_what_it_does() {
        let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        bmc.dcmi.power_limit.watts = 300;
        bmc.activate_power_limit(true, Requester::Button);
        assert!(bmc.dcmi().is_power_limit_active());
        let said: Vec<_> = bmc.take_events().map(|event| event.to_string()).collect();
        assert_eq!(
            said,
            [
                "power limit of 300 W activated by the local command line: it is reported, and throttles nothing"
            ]
        );
    }
}
