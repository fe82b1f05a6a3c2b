//! Platform Event Traps: an alert as an SNMPv1 trap (PET 1.0; RFC 1157 §4.1.6).
//!
//! ```text
//!   SEQUENCE
//!     INTEGER 0                     version 1
//!     OCTET STRING                  community
//!     [4] Trap-PDU
//!       OBJECT IDENTIFIER           enterprise 1.3.6.1.4.1.3183.1.1
//!       [APPLICATION 0] 4 bytes     agent address
//!       INTEGER 6                   enterprise-specific
//!       INTEGER                     sensor type, event type, direction and offset, a byte each
//!       [APPLICATION 3] INTEGER     time stamp
//!       SEQUENCE of one SEQUENCE
//!         OBJECT IDENTIFIER         enterprise.1
//!         OCTET STRING              47 bytes or more, Table 3 of PET 1.0
//! ```
//!
//! Numbers in the octet string are most significant byte first, unlike all of IPMI's.

use std::net::Ipv4Addr;

use bmc::{Alert, Direction, PlatformEvent, Report};

/// 1.3.6.1.4.1.3183.1.1, encoded: the first two numbers in one byte, 3183 in base 128.
const ENTERPRISE: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x98, 0x6f, 0x01, 0x01];
/// The same with .1: the variable.
const VARIABLE: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x98, 0x6f, 0x01, 0x01, 0x01];
/// 1998-01-01 00:00, from which the trap's time counts, in seconds since 1970.
const EPOCH: u32 = 883_612_800;
/// "IPMI", as source of the trap and of the event.
const SOURCE_IPMI: u8 = 0x20;
const UTC_UNSPECIFIED: u16 = 0xffff;
const LANGUAGE_UNSPECIFIED: u8 = 0xff;
/// No manufacturer's and no product's number, as in Get Device ID.
const MANUFACTURER: [u8; 4] = [0; 4];
const SYSTEM: [u8; 2] = [0; 2];
const END_OF_FIELDS: u8 = 0xc1;
/// The type of a field with a text of 8-bit characters.
const TEXT: u8 = 0xc0;
/// The most bytes of a field.
const FIELD_MAX: usize = 63;

/// The trap, as a datagram. `agent` is the controller's own address, and `uptime` how long it has been up, in
/// hundredths of a second.
pub fn trap(alert: &Alert, agent: Ipv4Addr, uptime: u32) -> Vec<u8> {
    let variable = [tlv(0x06, VARIABLE), tlv(0x04, &octets(&alert.report, alert.sequence))].concat();
    let pdu = [
        tlv(0x06, ENTERPRISE),
        tlv(0x40, &agent.octets()),
        tlv(0x02, &unsigned(6)),
        tlv(0x02, &unsigned(specific(&alert.report.event))),
        tlv(0x43, &unsigned(uptime)),
        tlv(0x30, &tlv(0x30, &variable)),
    ]
    .concat();
    tlv(0x30, &[tlv(0x02, &unsigned(0)), tlv(0x04, &alert.community), tlv(0xa4, &pdu)].concat())
}

/// The specific trap number: which sensor type changed to which state.
fn specific(event: &PlatformEvent) -> u32 {
    let [first, ..] = event.data;
    let direction = match event.direction {
        Direction::Asserted => 0,
        Direction::Deasserted => 0x80,
    };
    u32::from_be_bytes([0, event.sensor_type, event.event_type, direction | first & 0x0f])
}

fn octets(report: &Report, sequence: u16) -> Vec<u8> {
    let utc_offset =
        report.utc_offset.map_or(UTC_UNSPECIFIED.to_be_bytes(), |utc| utc.minutes().to_be_bytes());
    let event = &report.event;
    let [e1, e2, e3] = event.data;
    let mut octets = report.guid.to_vec();
    octets.extend(sequence.to_be_bytes());
    octets.extend(report.time.saturating_sub(EPOCH).to_be_bytes());
    octets.extend(utc_offset);
    octets.extend([SOURCE_IPMI, SOURCE_IPMI, report.severity, event.generator.0, event.sensor]);
    octets.extend(report.entity);
    octets.extend([e1, e2, e3, 0, 0, 0, 0, 0]);
    octets.push(LANGUAGE_UNSPECIFIED);
    octets.extend(MANUFACTURER);
    octets.extend(SYSTEM);
    if let Some(text) = report.text.chunks(FIELD_MAX).next() {
        // A field of one character would be the end of the fields.
        let blank: &[u8] = if text.len() == 1 { b" " } else { b"" };
        octets.push(TEXT | u8::try_from(text.len() + blank.len()).unwrap_or_default());
        octets.extend(text);
        octets.extend(blank);
    }
    octets.push(END_OF_FIELDS);
    octets
}

/// A number that is not negative, in as few bytes as it takes.
fn unsigned(number: u32) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(3);
    let mut content = bytes.get(zeros..).unwrap_or_default().to_vec();
    // The first bit is the sign.
    if content.first().is_some_and(|byte| byte & 0x80 != 0) {
        content.insert(0, 0);
    }
    content
}

/// Tag, length, value (BER, definite lengths).
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match (u8::try_from(value.len()), u16::try_from(value.len())) {
        (Ok(length @ 0..=0x7f), _) => bytes.push(length),
        (Ok(length), _) => bytes.extend([0x81, length]),
        (_, length) => {
            bytes.push(0x82);
            bytes.extend(length.unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    bytes.extend(value);
    bytes
}

#[cfg(test)]
mod tests {
    use bmc::UtcOffset;
    use proptest::prelude::*;

    use super::*;

    fn alert() -> Alert {
        Alert {
            report: Report {
                event: PlatformEvent::specific(0x20, 0x04, 0x01),
                severity: 0x10,
                entity: [0x23, 0x01],
                guid: *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
                time: EPOCH + 0x0102_0304,
                utc_offset: UtcOffset::new(-90),
                text: b"hot".to_vec(),
            },
            sequence: 0x0507,
            to: Ipv4Addr::new(192, 0, 2, 7).into(),
            community: b"public".to_vec(),
        }
    }

    #[test]
    fn a_trap_is_laid_out_as_the_documents_say() {
        #[rustfmt::skip]
        let expected = [
            &[0x30, 0x6f, 0x02, 0x01, 0x00, 0x04, 0x06][..], b"public",
            &[0xa4, 0x62],
            &[0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x98, 0x6f, 0x01, 0x01],
            &[0x40, 0x04, 127, 0, 0, 1],
            &[0x02, 0x01, 0x06],
            &[0x02, 0x03, 0x20, 0x6f, 0x01],
            &[0x43, 0x02, 0x00, 0xfa],
            &[0x30, 0x43, 0x30, 0x41],
            &[0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x98, 0x6f, 0x01, 0x01, 0x01],
            &[0x04, 0x33],
            b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
            &[0x05, 0x07],
            &[0x01, 0x02, 0x03, 0x04],
            &[0xff, 0xa6],
            &[0x20, 0x20, 0x10, 0x20, 0x04, 0x23, 0x01],
            &[0x01, 0xff, 0xff, 0, 0, 0, 0, 0],
            &[0xff, 0, 0, 0, 0, 0, 0],
            &[0xc3], b"hot",
            &[0xc1],
        ]
        .concat();
        let mut alert = alert();
        assert_eq!(trap(&alert, Ipv4Addr::LOCALHOST, 250), expected);
        alert.report.text.clear();
        alert.report.utc_offset = None;
        let bare = octets(&alert.report, 1);
        assert_eq!((bare.len(), &bare[22..24]), (47, &[0xff, 0xff][..]));
        alert.report.text = b"x".to_vec();
        assert_eq!(octets(&alert.report, 1)[46..], *b"\xc2x \xc1");
    }

    #[test]
    fn the_specific_trap_tells_an_end_from_a_beginning() {
        let mut event = alert().report.event;
        assert_eq!(specific(&event), 0x20_6f_01);
        event.direction = Direction::Deasserted;
        assert_eq!(specific(&event), 0x20_6f_81);
    }

    #[test]
    fn a_time_before_the_epoch_is_the_epoch() {
        let mut report = alert().report;
        report.time = 5;
        assert_eq!(octets(&report, 1)[18..22], [0; 4]);
    }

    /// The value of the first element, and what follows it.
    fn read(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
        let (length, start) = match bytes[1] {
            0x81 => (usize::from(bytes[2]), 3),
            0x82 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            length => (usize::from(length), 2),
        };
        let (value, rest) = bytes[start..].split_at(length);
        (bytes[0], value, rest)
    }

    proptest! {
        #[test]
        fn numbers_and_lengths_can_be_read_back(number: u32, value in proptest::collection::vec(any::<u8>(), 0..600)) {
            let content = unsigned(number);
            prop_assert!(content[0] & 0x80 == 0, "it would be negative");
            prop_assert_eq!(content.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte)), u64::from(number));
            let bytes = tlv(0x04, &value);
            prop_assert_eq!(read(&bytes), (0x04, &value[..], &[][..]));
        }

        #[test]
        fn a_trap_is_one_element_whatever_it_says(
            community in proptest::collection::vec(any::<u8>(), 0..19),
            text in proptest::collection::vec(any::<u8>(), 0..65),
            uptime: u32,
        ) {
            let mut alert = alert();
            alert.community = community.clone();
            alert.report.text = text;
            let bytes = trap(&alert, Ipv4Addr::LOCALHOST, uptime);
            let (tag, message, rest) = read(&bytes);
            prop_assert_eq!((tag, rest.len()), (0x30, 0));
            let (_, version, message) = read(message);
            let (_, read_community, message) = read(message);
            let (pdu, _, rest) = read(message);
            prop_assert_eq!((version, read_community, pdu, rest.len()), (&[0][..], &community[..], 0xa4, 0));
        }
    }
}
