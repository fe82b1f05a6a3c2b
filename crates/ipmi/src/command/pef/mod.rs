//! Platform event filtering and alerting commands (IPMI 2.0 §30). What filters make happen is the model's; the
//! traps that leave are laid out in [`crate::pet`].

mod config;
mod entry;

use bmc::{Actions, FILTERS, Generator, ImmediateError, Outcome, PlatformEvent, Processed, SelKey};

pub(super) use self::config::{get as get_config, set as set_config};
use super::Context;
use crate::{CompletionCode, Reply, record::sel::parse_event};

type Result<T = ()> = std::result::Result<T, CompletionCode>;

/// 10h.
pub(super) fn get_capabilities(_: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    /// 1.5, the least significant digit first.
    const VERSION: u8 = 0x51;

    reply.put(&[VERSION, Actions::SUPPORTED.0, u8::try_from(FILTERS).unwrap_or(u8::MAX)]);
    Ok(())
}

/// 11h. FFh only asks.
pub(super) fn arm_postpone_timer(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const ASK: u8 = 0xff;

    let &[seconds] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    if seconds != ASK {
        context.bmc.postpone_filters(context.now, seconds);
    }
    reply.put(&[context.bmc.pef().postponed(context.now)]);
    Ok(())
}

/// 14h.
pub(super) fn set_last_processed(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const BY_BMC: u8 = 0x01;

    let &[who, low, high] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let id = u16::from_le_bytes([low, high]);
    let before = context.bmc.pef().processed();
    context.bmc.set_processed(if who & BY_BMC != 0 {
        Processed { by_bmc: id, ..before }
    } else {
        Processed { by_software: id, ..before }
    });
    Ok(())
}

/// 15h.
pub(super) fn get_last_processed(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    const NEVER: u32 = 0xffff_ffff;
    const EMPTY: u16 = 0xffff;

    let sel = context.bmc.sel();
    let last = sel.get(SelKey::Last).map_or(EMPTY, |(entry, _)| entry.id);
    let Processed { by_software, by_bmc } = context.bmc.pef().processed();
    reply.put(&sel.last_added().unwrap_or(NEVER).to_le_bytes());
    for id in [last, by_software, by_bmc] {
        reply.put(&id.to_le_bytes());
    }
    Ok(())
}

/// 16h. An alert that carries no event says so with a sensor type and event type of 0, "unspecified".
pub(super) fn alert_immediate(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const UNDER_WAY: CompletionCode = CompletionCode(0x81);
    const UNSPECIFIED: PlatformEvent = PlatformEvent {
        generator: Generator::BMC,
        sensor_type: 0,
        sensor: 0,
        event_type: 0,
        direction: bmc::Direction::Asserted,
        data: [0, 0xff, 0xff],
    };

    let (&[channel, destination, string], event) =
        data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    context.expect_lan(channel)?;
    match destination >> 6 {
        0 => {}
        1 => {
            reply.put(&[match context.bmc.immediate_alert() {
                Err(_) => 0xff,
                Ok(None) => 0x00,
                Ok(Some(Outcome::Arrived)) => 0x01,
                Ok(Some(Outcome::TimedOut)) => 0x03,
            }]);
            return Ok(());
        }
        2 => {
            context.bmc.clear_immediate_alert();
            return Ok(());
        }
        _ => return Err(CompletionCode::INVALID_FIELD),
    }
    let event = match *event {
        [] => UNSPECIFIED,
        [generator, _revision, ref event @ ..] => {
            let event = <[u8; 6]>::try_from(event).map_err(|_| CompletionCode::INVALID_LENGTH)?;
            parse_event(Generator(generator, 0), event)
        }
        _ => return Err(CompletionCode::INVALID_LENGTH),
    };
    let text = if string & 0x80 == 0 {
        Vec::new()
    } else {
        let strings = &context.bmc.pef().config().strings;
        let string = strings.get(usize::from(string & 0x7f)).ok_or(CompletionCode::OUT_OF_RANGE)?;
        string.as_sent().to_vec()
    };
    match context.bmc.alert_immediately(context.now, destination & 0x0f, event, text) {
        Ok(()) => Ok(()),
        Err(ImmediateError::UnderWay) => Err(UNDER_WAY),
        Err(ImmediateError::Full) => Err(CompletionCode::NODE_BUSY),
        Err(ImmediateError::NoDestination) => Err(CompletionCode::INVALID_FIELD),
    }
}

/// 17h. It comes without a session, from whoever got the trap; what it can do is end the trap's repetition.
/// The rest of the trap that it quotes adds nothing to the number.
pub(super) fn acknowledge(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (&sequence, _) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    context.bmc.acknowledge_alert(context.now, u16::from_le_bytes(sequence));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use bmc::DestinationAddress;

    use super::super::{table::SENSOR_EVENT, tests::Bench};

    impl Bench {
        /// Gives the first destination an address, and has its alerts acknowledged.
        fn with_receiver(mut self) -> Self {
            let destination = self.bmc.lan.destinations.get_mut(1).unwrap();
            destination.address = DestinationAddress::V4 {
                backup_gateway: false,
                ip: Ipv4Addr::new(192, 0, 2, 7),
                mac: [0; 6],
            };
            destination.acknowledge = true;
            self
        }
    }

    #[test]
    fn capabilities_are_those_of_this_controller() {
        assert_eq!(Bench::new().ok(SENSOR_EVENT, 0x10, &[]), [0x51, 0x2f, 20]);
    }

    #[test]
    fn the_postpone_timer_is_armed_asked_and_disarmed() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(SENSOR_EVENT, 0x11, &[0xff]), [0]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x11, &[100]), [100]);
        bench.now += Duration::from_secs(40);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x11, &[0xff]), [60]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x11, &[0xfe]), [0xfe]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x11, &[0]), [0]);
    }

    #[test]
    fn what_was_processed_last_is_remembered_for_both() {
        let mut bench = Bench::new();
        assert_eq!(
            bench.ok(SENSOR_EVENT, 0x15, &[]),
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00]
        );
        bench.bmc.observe_time(0x1234_5678);
        bench.ok(SENSOR_EVENT, 0x02, &[0x04, 0x01, 0x30, 0x01, 0x59, 0xff, 0xff]);
        bench.bmc.settle(bench.now);
        assert_eq!(
            bench.ok(SENSOR_EVENT, 0x15, &[]),
            [0x78, 0x56, 0x34, 0x12, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00]
        );
        bench.ok(SENSOR_EVENT, 0x14, &[0x00, 0x02, 0x01]);
        bench.ok(SENSOR_EVENT, 0x14, &[0x01, 0x04, 0x03]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x15, &[])[6..], [0x02, 0x01, 0x04, 0x03]);
    }

    #[test]
    fn an_alert_is_sent_at_once_and_its_end_told() {
        let mut bench = Bench::new().with_receiver();
        let status = |bench: &mut Bench| bench.ok(SENSOR_EVENT, 0x16, &[0x01, 0x41, 0x00]);
        assert_eq!(status(&mut bench), [0x00]);
        let event = [0x41, 0x04, 0x20, 0x04, 0x6f, 0x01, 0xff, 0xff];
        bench.ok(SENSOR_EVENT, 0x16, &[&[0x0e, 0x01, 0x00], &event[..]].concat());
        assert_eq!(status(&mut bench), [0xff]);
        assert_eq!(bench.code(SENSOR_EVENT, 0x16, &[0x01, 0x01, 0x00]), 0x81);
        let alerts = bench.bmc.take_alerts();
        assert_eq!(alerts.len(), 1);
        assert_eq!((alerts[0].report.event.sensor_type, alerts[0].report.event.data[0]), (0x20, 0x01));
        let [low, high] = alerts[0].sequence.to_le_bytes();
        let acknowledgement = [low, high, 0, 0, 0, 0, 0x20, 0x20, 0x04, 0x01, 0xff, 0xff];
        bench.sessions.own = None;
        assert_eq!(bench.ok(SENSOR_EVENT, 0x17, &acknowledgement), [], "without a session");
        let mut bench = Bench { sessions: Bench::new().sessions, ..bench };
        assert_eq!(status(&mut bench), [0x01]);
        bench.ok(SENSOR_EVENT, 0x16, &[0x01, 0x81, 0x00]);
        assert_eq!(status(&mut bench), [0x00]);
    }

    #[test]
    fn an_alert_that_nobody_acknowledges_has_timed_out() {
        let mut bench = Bench::new().with_receiver();
        bench.ok(SENSOR_EVENT, 0x16, &[0x01, 0x01, 0x80]);
        bench.bmc.tick(bench.now + Duration::from_secs(2));
        assert_eq!(bench.ok(SENSOR_EVENT, 0x16, &[0x01, 0x41, 0x00]), [0x03]);
    }

    #[test]
    fn an_alert_to_nobody_is_refused() {
        let mut bench = Bench::new();
        for (request, code) in [
            (&[0x01, 0x01, 0x00][..], 0xcc),
            (&[0x01, 0xc1, 0x00], 0xcc),
            (&[0x02, 0x01, 0x00], 0xcc),
            (&[0x01, 0x01, 0x89], 0xc9),
            (&[0x01, 0x01, 0x00, 0x20], 0xc7),
            (&[0x01, 0x01, 0x00, 0x20, 0x04, 0x20], 0xc7),
        ] {
            assert_eq!(bench.code(SENSOR_EVENT, 0x16, request), code, "{request:02x?}");
        }
    }
}
