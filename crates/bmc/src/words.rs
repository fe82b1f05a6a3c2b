//! Platform events in words: what a sensor of this type means by this state (IPMI 2.0 Tables 42-2 and 42-3).
//!
//! For people who read the program's log or list the event log here; a client of IPMI has words of its own.

use std::fmt;

use crate::{Direction, Generator, PlatformEvent, SENSOR_SPECIFIC, THRESHOLD};

/// What an event says, to be shown after the name of its sensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a>(pub(crate) &'a PlatformEvent);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0;
        let [first, ..] = event.data;
        match state(event) {
            Some(state) => f.write_str(state.trim_start_matches('!'))?,
            None => write!(f, "state {}", first & 0x0f)?,
        }
        match event.direction {
            Direction::Asserted => Ok(()),
            Direction::Deasserted => f.write_str(" (ended)"),
        }
    }
}

/// Who an event's sensor belongs to, and its number: what can be said of a sensor that has no name here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stranger<'a>(pub(crate) &'a PlatformEvent);

impl fmt::Display for Stranger<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlatformEvent { generator, sensor_type, sensor, .. } = self.0;
        match SENSOR_TYPES.split('|').nth(usize::from(*sensor_type)) {
            Some(name) if !name.is_empty() => write!(f, "{name}, sensor {sensor:02x}h")?,
            _ => write!(f, "sensor {sensor:02x}h of type {sensor_type:02x}h")?,
        }
        match *generator {
            Generator::BMC => Ok(()),
            Generator::REMOTE_CONSOLE => f.write_str(" of a remote console"),
            generator if generator.is_system_software() => f.write_str(" of the guest"),
            Generator(address, _) => write!(f, " of {address:02x}h"),
        }
    }
}

/// Whether somebody should look at it.
pub(crate) fn alarming(event: &PlatformEvent) -> bool {
    event.direction == Direction::Asserted && state(event).is_some_and(|state| state.starts_with('!'))
}

fn state(event: &PlatformEvent) -> Option<&'static str> {
    let [first, ..] = event.data;
    let (table, key) = match event.event_type {
        SENSOR_SPECIFIC => (SPECIFIC, event.sensor_type),
        generic => (GENERIC, generic),
    };
    let (_, states) = table.iter().find(|(of, _)| *of == key)?;
    states.split('|').nth(usize::from(first & 0x0f))
}

/// A type, and its states from offset 0 on. An exclamation mark stands before what somebody should look at.
type Row = (u8, &'static str);

/// By event/reading type.
const GENERIC: &[Row] = &[
    (
        THRESHOLD,
        "!below lower non-critical|above lower non-critical|!below lower critical|\
         above lower critical|!below lower non-recoverable|above lower non-recoverable|\
         below upper non-critical|!above upper non-critical|below upper critical|\
         !above upper critical|below upper non-recoverable|!above upper non-recoverable",
    ),
    (0x02, "idle|active|busy"),
    (0x03, "not asserted|asserted"),
    (0x04, "no failure predicted|!failure predicted"),
    (0x05, "limit not exceeded|!limit exceeded"),
    (0x06, "performance met|!performance lags"),
    (
        0x07,
        "ok|!non-critical|!critical|!non-recoverable|back to non-critical|!back to critical|\
         !non-recoverable|monitored|informational",
    ),
    (0x08, "absent|present"),
    (0x09, "disabled|enabled"),
    (
        0x0a,
        "running|in test|powered off|on line|off line|off duty|!degraded|saving power|\
         !install error",
    ),
    (
        0x0b,
        "fully redundant|!redundancy lost|!redundancy degraded|\
         not redundant any more, resources suffice|not redundant yet, resources suffice|\
         !not redundant, resources do not suffice|!redundancy degraded from full|\
         redundancy degraded from none",
    ),
    (0x0c, "D0|D1|D2|D3"),
];

/// By sensor type.
const SPECIFIC: &[Row] = &[
    (
        0x05,
        "!chassis intrusion|!drive bay intrusion|!I/O card area intrusion|\
         !processor area intrusion|!LAN unplugged|!unauthorized dock|!fan area intrusion",
    ),
    (
        0x06,
        "!secure mode violation attempt|!pre-boot user password violation|\
         !pre-boot setup password violation|!network boot password violation|\
         !other pre-boot password violation|!out-of-band access password violation",
    ),
    (
        0x07,
        "!IERR|!thermal trip|!FRB1 or BIST failure|!FRB2: hang in POST|!FRB3: failure at startup|\
         !configuration error|!uncorrectable CPU complex error|present|disabled|\
         terminator present|!throttled|!uncorrectable machine check|!correctable machine check",
    ),
    (
        0x08,
        "present|!failed|!failure predicted|!input lost|!input lost or out of range|\
         !input out of range|!configuration error|inactive",
    ),
    (
        0x09,
        "power off|power cycle|!240 VA power down|!interlock power down|!input lost|\
         !soft power control failure|!failure|!failure predicted",
    ),
    (
        0x0c,
        "!correctable error|!uncorrectable error|!parity error|!scrub failed|device disabled|\
         !correctable error logging limit reached|present|!configuration error|spare|!throttled|\
         !critical overtemperature",
    ),
    (
        0x0d,
        "present|!fault|!failure predicted|hot spare|consistency check|!in critical array|\
         !in failed array|rebuild|!rebuild aborted",
    ),
    (0x0f, "!firmware error|!firmware hang|firmware progress"),
    (
        0x10,
        "correctable memory error logging disabled|logging of an event type disabled|\
         event log cleared|!all event logging disabled|!event log full|!event log almost full|\
         correctable machine check logging disabled",
    ),
    (
        0x12,
        "reconfigured|OEM boot event|!undetermined hardware failure|entry added to auxiliary log|\
         action of the event filters|clock of the event log set",
    ),
    (
        0x13,
        "!front panel NMI|!bus timeout|!I/O channel check NMI|!software NMI|!PCI PERR|!PCI SERR|\
         !EISA fail-safe timeout|!correctable bus error|!uncorrectable bus error|!fatal NMI|\
         !fatal bus error|!bus degraded",
    ),
    (0x14, "power button|sleep button|reset button|latch open|service requested"),
    (0x19, "!soft power control failure|!thermal trip"),
    (0x1b, "connected|!connected wrongly"),
    (
        0x1d,
        "started by power up|started by hard reset|started by warm reset|PXE boot requested|\
         boot to diagnostics|hard reset by software|warm reset by software|system restart",
    ),
    (
        0x1e,
        "!no bootable medium|!unbootable disk in drive|!no PXE server|!invalid boot sector|\
         nobody chose a boot source",
    ),
    (
        0x1f,
        "booted from A:|booted from C:|booted by PXE|booted diagnostics|booted from CD|\
         booted from ROM|booted|installation started|installation completed|\
         !installation aborted|!installation failed",
    ),
    (
        0x20,
        "!critical stop while loading|!run-time critical stop|graceful stop|graceful shutdown|\
         soft shutdown by event filter|!agent not responding",
    ),
    (
        0x21,
        "!fault|identified|device installed|ready for installation|ready for removal|power off|\
         removal requested|interlock|disabled|spare",
    ),
    (
        0x22,
        "S0|S1|S2|S3|S4|S5|S4 or S5|G3|sleeping in S1, S2 or S3|G1 sleeping|S5 by override|\
         legacy on|legacy off|state 13|unknown",
    ),
    (
        0x23,
        "!timer expired|!hard reset|!power down|!power cycle|state 4|state 5|state 6|state 7|\
         timer interrupt",
    ),
    (0x24, "page sent|LAN alert sent|event trap sent|OEM event trap sent"),
    (0x25, "present|absent|disabled"),
    (0x27, "!heartbeat lost|heartbeat"),
    (
        0x28,
        "!sensor access degraded|!controller access degraded|!controller off line|\
         !controller unavailable|!sensor failure|!FRU failure",
    ),
    (0x29, "!low|!failed|present"),
    (0x2a, "session activated|session deactivated|!invalid name or password|!password disabled"),
    (
        0x2b,
        "hardware changed|firmware or software changed|!hardware incompatible|\
         !firmware or software incompatible|!hardware of an unsupported version|\
         !firmware or software of an unsupported version|hardware changed successfully|\
         firmware or software changed successfully",
    ),
    (
        0x2c,
        "not installed|inactive|activation requested|activating|active|deactivation requested|\
         deactivating|!communication lost",
    ),
];

/// Names of sensor types, from 00h on.
const SENSOR_TYPES: &str = "|temperature|voltage|current|fan|physical security|platform security|processor|power supply|\
    power unit|cooling device|other units|memory|drive slot|POST memory resize|firmware progress|\
    event log|watchdog 1|system event|critical interrupt|button|module or board|microcontroller|\
    add-in card|chassis|chip set|other FRU|cable|terminator|restart|boot error|OS boot|OS stop|\
    slot|ACPI power state|watchdog|platform alert|entity presence|monitor ASIC|LAN|\
    management health|battery|session audit|version change|FRU state";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(event: PlatformEvent) -> String {
        format!("{}: {}", Stranger(&event), Words(&event))
    }

    #[test]
    fn an_event_is_a_sentence() {
        let fault = PlatformEvent::specific(0x0d, 0x31, 1);
        assert_eq!(said(fault), "drive slot, sensor 31h: fault");
        assert!(alarming(&fault) && !alarming(&PlatformEvent { direction: Direction::Deasserted, ..fault }));
        assert!(!alarming(&PlatformEvent::specific(0x0d, 0x31, 0)));
        let hot = PlatformEvent {
            generator: Generator::SYSTEM_SOFTWARE,
            event_type: THRESHOLD,
            direction: Direction::Deasserted,
            ..PlatformEvent::specific(0x01, 0x30, 9).with_extension(0x50, 0x4b)
        };
        assert_eq!(said(hot), "temperature, sensor 30h of the guest: above upper critical (ended)");
        let unknown = PlatformEvent { generator: Generator(0x24, 0), ..PlatformEvent::specific(0xc0, 7, 3) };
        assert_eq!(said(unknown), "sensor 07h of type c0h of 24h: state 3");
    }

    #[test]
    fn tables_have_as_many_states_as_there_can_be_and_name_each_type_once() {
        for table in [GENERIC, SPECIFIC] {
            for (index, (key, states)) in table.iter().enumerate() {
                assert!((2..=15).contains(&states.split('|').count()), "{key:02x}");
                assert!(states.split('|').all(|state| !state.trim_start_matches('!').is_empty()), "{states}");
                assert_eq!(table.iter().position(|(other, _)| other == key), Some(index), "{key:02x}");
            }
        }
        let last = PlatformEvent::specific(0x2c, 1, 7);
        assert_eq!(said(last), "FRU state, sensor 01h: communication lost");
        let powered = PlatformEvent::specific(0x22, 1, 14);
        assert_eq!(said(powered), "ACPI power state, sensor 01h: unknown");
    }

    proptest! {
        #[test]
        fn every_event_has_words(sensor_type: u8, event_type: u8, data: [u8; 3], generator: (u8, u8)) {
            let generator = Generator(generator.0, generator.1);
            let event = PlatformEvent { generator, event_type, data, ..PlatformEvent::specific(sensor_type, 0, 0) };
            prop_assert!(!said(event).contains("  "));
        }
    }
}
