//! The guest's NICs, as far as the controller knows: which there are, and which have a link. Each has a sensor
//! for that, whose events say when a link is lost and when it is back.
//!
//! Which NICs there are is kept over a restart, so that the sensors' records are the same before the machine's
//! first start as after it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::{
    Bmc,
    sensors::{Definition, Entity, Kind, NAME_MAX, StateSource},
};

/// Sensor type LAN (Table 42-3), and its states.
const LAN: u8 = 0x27;
const HEARTBEAT_LOST: u16 = 1 << 0;
const HEARTBEAT: u16 = 1 << 1;

/// Entity id of an add-in card (Table 43-13).
const ADD_IN_CARD: u8 = 0x0b;

/// A NIC of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Its name: its interface's, if it has one.
    pub name: String,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// How it is attached, in a word.
    pub attached: String,
    /// Whether it has a link.
    #[serde(skip, default = "yes")]
    pub up: bool,
}

fn yes() -> bool {
    true
}

impl Bmc {
    /// The NICs of the machine that runs, or of the one that ran last.
    pub fn nics(&self) -> &[Nic] {
        &self.nics
    }

    /// The machine has these NICs.
    pub fn set_nics(&mut self, now: Instant, nics: Vec<Nic>) {
        self.unsaved |= self.nics != nics;
        self.nics = nics;
        self.describe_nics();
        self.read_sensors(now);
    }

    /// A NIC has a link, or has lost it.
    pub(crate) fn set_link(&mut self, name: &str, up: bool) {
        if let Some(nic) = self.nics.iter_mut().find(|nic| nic.name == name) {
            nic.up = up;
        }
        self.describe_nics();
    }

    /// Lets the sensors know of the NICs.
    pub(crate) fn describe_nics(&mut self) {
        let links = self.nics.iter().map(|nic| (sensor_name(&nic.name), nic.up));
        let at = self.log_time();
        self.unsaved |= self.sensors.set_links(links.collect(), at);
    }
}

/// Clients show so much of a name; the longest interface's name fits alone.
fn sensor_name(nic: &str) -> String {
    let printable = |char: char| if char.is_ascii_graphic() { char } else { '?' };
    let nic: String = nic.chars().map(printable).take(NAME_MAX).collect();
    let whole = format!("{nic} Link");
    if whole.len() <= NAME_MAX { whole } else { nic }
}

/// The sensor for the link of a NIC that is so many after the first.
pub(crate) fn link_sensor(number: u8, name: String, index: u8) -> Definition {
    Definition {
        number,
        name,
        sensor_type: LAN,
        entity: Entity::new(ADD_IN_CARD, index + 1),
        standby: false,
        kind: Kind::specific(HEARTBEAT_LOST | HEARTBEAT, StateSource::Link),
    }
}

/// The state of such a sensor.
pub(crate) fn link_state(up: bool) -> u16 {
    if up { HEARTBEAT } else { HEARTBEAT_LOST }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Fact, Identity, Lan, SelRecord, StopReason, Users, sensors::number};

    fn nic(name: &str, up: bool) -> Nic {
        Nic { name: name.into(), mac: [0x52, 0x54, 0, 0, 0, 1], attached: "redirect".into(), up }
    }

    fn bmc() -> Bmc {
        Bmc::new(Identity::derive("node1"), Users::default(), Lan::default())
    }

    fn reads(bmc: &Bmc, name: &str) -> Option<u16> {
        bmc.sensors().named(name).unwrap().states()
    }

    /// What the event log has of links: sensor and offset.
    fn logged(bmc: &Bmc) -> Vec<(u8, u8)> {
        let events = bmc.sel().entries().filter_map(|entry| match &entry.record {
            SelRecord::Event { event, .. } => Some(*event),
            _ => None,
        });
        events.filter(|event| event.sensor_type == LAN).map(|event| (event.sensor, event.data[0])).collect()
    }

    #[test]
    fn a_lost_link_is_an_event_and_so_is_its_return() {
        let (mut bmc, now) = (bmc(), Instant::now());
        let population = bmc.sensors().population();
        bmc.on_fact(now, Fact::Started);
        bmc.set_nics(now, vec![nic("mgmt", true), nic("eth2", true)]);
        assert_ne!(bmc.sensors().population(), population);
        assert_eq!(reads(&bmc, "eth2 Link"), Some(HEARTBEAT));
        assert_eq!(logged(&bmc), [], "it began so");

        let change = |bmc: &mut Bmc, up| bmc.on_fact(now, Fact::LinkChanged { nic: "eth2".into(), up });
        change(&mut bmc, false);
        assert_eq!(
            (reads(&bmc, "eth2 Link"), reads(&bmc, "mgmt Link")),
            (Some(HEARTBEAT_LOST), Some(HEARTBEAT))
        );
        change(&mut bmc, false);
        change(&mut bmc, true);
        let sensor = number::FIRST_LINK + 1;
        assert_eq!(logged(&bmc), [(sensor, 0), (sensor, 1)]);
        let said: Vec<_> =
            bmc.take_events().filter(|event| matches!(event, Event::Platform { .. })).collect();
        assert_eq!(said, [], "the fact says it");

        bmc.on_fact(now, Fact::Stopped { why: StopReason::Command });
        assert_eq!(reads(&bmc, "eth2 Link"), None);
    }

    #[test]
    fn which_nics_there_are_is_known_after_a_restart_and_changes_no_record() {
        let (mut bmc, now) = (bmc(), Instant::now());
        bmc.observe_time(1_000_000);
        bmc.set_nics(now, vec![nic("eth2", true)]);
        let saved = bmc.to_saved(now);
        let mut next = self::bmc();
        next.observe_time(2_000_000);
        next.restore(saved);
        next.set_sensors(now, crate::sensors::standard());
        assert_eq!(next.nics(), [nic("eth2", true)]);
        assert!(next.sensors().named("eth2 Link").is_some());
        assert_eq!(next.sensors().changed(), bmc.sensors().changed());
        next.set_nics(now, vec![nic("eth2", true), nic("eth3", true)]);
        assert_ne!(next.sensors().changed(), bmc.sensors().changed());
    }

    #[test]
    fn a_sensors_file_keeps_its_numbers() {
        let (mut bmc, now) = (bmc(), Instant::now());
        let mut definitions = crate::sensors::standard();
        definitions.push(Definition {
            number: number::FIRST_LINK,
            name: "mine".into(),
            ..definitions[0].clone()
        });
        bmc.set_nics(now, vec![nic("eth2", true)]);
        bmc.set_sensors(now, definitions);
        let number = |name: &str| bmc.sensors().named(name).unwrap().definition().number;
        assert_eq!((number("mine"), number("eth2 Link")), (number::FIRST_LINK, number::FIRST_LINK + 1));
    }

    #[test]
    fn a_sensor_is_called_after_its_nic() {
        assert_eq!(sensor_name("eth2"), "eth2 Link");
        assert_eq!(sensor_name("fifteen-letters"), "fifteen-letters");
        assert_eq!(sensor_name("é"), "? Link");
    }
}
