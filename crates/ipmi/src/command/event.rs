//! Event commands (IPMI 2.0 §29): events that come from outside, and whether the controller makes its own.

use bmc::Generator;

use super::{Context, SYSTEM_INTERFACE};
use crate::{CompletionCode, Reply, record::sel::parse_event, wire::message::BMC_ADDRESS};

type Result = std::result::Result<(), CompletionCode>;

/// The address that stands for no receiver.
const NOBODY: u8 = 0xff;

/// 00h. This controller is its own event receiver, and there is no bus on which another could be: it can be
/// named, or event generation be turned off.
pub(super) fn set_receiver(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let &[address, lun] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.bmc.generates_events = match (address, lun & 0x03) {
        (NOBODY, _) => false,
        (BMC_ADDRESS, 0) => true,
        _ => return Err(CompletionCode::INVALID_FIELD),
    };
    Ok(())
}

/// 01h.
pub(super) fn get_receiver(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    reply.put(&[if context.bmc.generates_events { BMC_ADDRESS } else { NOBODY }, 0]);
    Ok(())
}

/// 02h. By the system interface the request begins with the software's id; by LAN it is a remote console's.
/// Software does not speak for this controller or another, whose addresses are even.
pub(super) fn platform_event(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    /// IPMI 1.0's, which Linux still uses when it panics, and all later ones'.
    const REVISIONS: std::ops::RangeInclusive<u8> = 0x03..=0x04;
    let (generator, data) = match (context.channel, data) {
        (SYSTEM_INTERFACE, [generator, rest @ ..]) => (Generator(*generator, 0), rest),
        (_, data) => (Generator::REMOTE_CONSOLE, data),
    };
    let &[revision, ref event @ ..] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let event = <[u8; 6]>::try_from(event).map_err(|_| CompletionCode::INVALID_LENGTH)?;
    if !REVISIONS.contains(&revision) || !generator.is_software() {
        return Err(CompletionCode::INVALID_FIELD);
    }
    context.expect_allowance()?;
    context.bmc.platform_event(parse_event(generator, event));
    Ok(())
}

#[cfg(test)]
mod tests {
    use bmc::{Direction, SelKey, SelRecord};

    use super::super::tests::Bench;

    const SENSOR_EVENT: u8 = 0x04;

    #[test]
    fn a_consoles_event_is_logged_as_a_consoles() {
        let mut bench = Bench::new();
        bench.ok(SENSOR_EVENT, 0x02, &[0x04, 0x01, 0x30, 0x81, 0x59, 0xff, 0xff]);
        let (entry, _) = bench.bmc.sel().get(SelKey::Last).unwrap();
        let SelRecord::Event { revision: 4, event } = entry.record else { panic!("{entry:?}") };
        assert_eq!((event.generator.0, event.generator.1), (0x81, 0));
        assert_eq!((event.sensor_type, event.sensor, event.event_type), (1, 0x30, 1));
        assert_eq!((event.direction, event.data), (Direction::Deasserted, [0x59, 0xff, 0xff]));
    }

    #[test]
    fn the_guests_software_says_who_it_is() {
        let mut bench = Bench::new();
        bench.channel = super::SYSTEM_INTERFACE;
        bench.sessions.own = None;
        bench.ok(SENSOR_EVENT, 0x02, &[0x41, 0x04, 0x0f, 0x20, 0x6f, 0x02, 0xff, 0xff]);
        let (entry, _) = bench.bmc.sel().get(SelKey::Last).unwrap();
        let SelRecord::Event { event, .. } = entry.record else { panic!("{entry:?}") };
        assert_eq!((event.generator.0, event.sensor), (0x41, 0x20));
        assert_eq!(bench.code(SENSOR_EVENT, 0x02, &[0x04, 0x0f, 0x20, 0x6f, 0x02, 0xff, 0xff]), 0xc7);
    }

    #[test]
    fn linux_says_that_it_panics() {
        let mut bench = Bench::new();
        bench.channel = super::SYSTEM_INTERFACE;
        bench.sessions.own = None;
        bench.ok(SENSOR_EVENT, 0x02, &[0x41, 0x03, 0x20, 0x73, 0x6f, 0xa1, 0x6f, 0x6f]);
        let (entry, _) = bench.bmc.sel().get(SelKey::Last).unwrap();
        let SelRecord::Event { event, .. } = entry.record else { panic!("{entry:?}") };
        assert_eq!((event.sensor_type, event.data), (0x20, [0xa1, 0x6f, 0x6f]));
    }

    #[test]
    fn a_guest_does_not_speak_for_the_controller() {
        let mut bench = Bench::new();
        bench.channel = super::SYSTEM_INTERFACE;
        bench.sessions.own = None;
        assert_eq!(bench.code(SENSOR_EVENT, 0x02, &[0x20, 0x04, 0x09, 0x02, 0x6f, 0x06, 0xff, 0xff]), 0xcc);
        assert!(bench.bmc.sel().is_empty());
    }

    #[test]
    fn an_event_of_another_length_or_format_is_none() {
        let mut bench = Bench::new();
        assert_eq!(bench.code(SENSOR_EVENT, 0x02, &[0x41, 0x04, 1, 0x30, 1, 0x59, 0xff, 0xff]), 0xc7);
        assert_eq!(bench.code(SENSOR_EVENT, 0x02, &[0x05, 1, 0x30, 1, 0x59, 0xff, 0xff]), 0xcc);
        assert!(bench.bmc.sel().is_empty());
    }

    #[test]
    fn with_logging_off_only_the_guests_events_are_logged() {
        let mut bench = Bench::new();
        bench.bmc.global_enables = 0;
        bench.ok(SENSOR_EVENT, 0x02, &[0x04, 0x01, 0x30, 0x01, 0x59, 0xff, 0xff]);
        bench.power_on();
        assert!(bench.bmc.sel().is_empty());
        bench.channel = super::SYSTEM_INTERFACE;
        bench.ok(SENSOR_EVENT, 0x02, &[0x41, 0x04, 0x0f, 0x20, 0x6f, 0x02, 0xff, 0xff]);
        assert_eq!(bench.bmc.sel().len(), 1);
    }

    #[test]
    fn the_receiver_is_this_controller_or_nobody() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(SENSOR_EVENT, 0x01, &[]), [0x20, 0x00]);
        bench.ok(SENSOR_EVENT, 0x00, &[0xff, 0x00]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x01, &[]), [0xff, 0x00]);
        bench.power_on();
        assert!(bench.bmc.sel().is_empty(), "no event is generated");
        for other in [[0x24, 0x00], [0x20, 0x01]] {
            assert_eq!(bench.code(SENSOR_EVENT, 0x00, &other), 0xcc);
        }
        bench.ok(SENSOR_EVENT, 0x00, &[0x20, 0x00]);
        bench.power_on();
        assert!(!bench.bmc.sel().is_empty());
    }
}
