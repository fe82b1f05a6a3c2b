//! Chassis commands (IPMI 2.0 §28) other than the boot options.
//!
//! Absent on purpose: Chassis Reset (03h), which the specification itself replaced by Chassis Control, and
//! Set Front Panel Button Enables (0Ah), for there is no panel whose buttons could be disabled.

use std::time::Duration;

use bmc::{Capabilities, HostPower, IdentifyState, PowerRequest, Refusal, RestartCause, RestorePolicy};

use super::{Context, LAN_CHANNEL, SYSTEM_INTERFACE};
use crate::{CompletionCode, Reply};

type Result = std::result::Result<(), CompletionCode>;

/// How long the identify lamp shines if the request does not say (§28.5).
const IDENTIFY_DEFAULT: u8 = 15;
const MINUTES_PER_COUNT: u8 = 60;

/// 00h.
pub(super) fn get_capabilities(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    let Capabilities { flags, fru, sdr, sel, sm, bridge } = context.bmc.chassis().capabilities;
    reply.put(&[flags, fru, sdr, sel, sm, bridge]);
    Ok(())
}

/// 05h.
pub(super) fn set_capabilities(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (&[flags, fru, sdr, sel, sm], bridge) =
        data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let capabilities = &mut context.bmc.chassis_mut().capabilities;
    let bridge = bridge.first().copied().unwrap_or(capabilities.bridge);
    *capabilities = Capabilities { flags: flags & 0x0f, fru, sdr, sel, sm, bridge };
    Ok(())
}

/// 01h. The optional fourth byte is about the buttons of a front panel.
pub(super) fn get_status(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    const IDENTIFY_SUPPORTED: u8 = 1 << 6;

    let chassis = context.bmc.chassis();
    let power = u8::from(context.bmc.host_power() == HostPower::On);
    let policy: u8 = match chassis.restore_policy() {
        RestorePolicy::AlwaysOff => 0,
        RestorePolicy::Previous => 1,
        RestorePolicy::AlwaysOn => 2,
    };
    let identify: u8 = match chassis.identify() {
        IdentifyState::Off => 0,
        IdentifyState::Until(_) => 1,
        IdentifyState::Indefinite => 2,
    };
    let last = chassis.last_power_event();
    reply.put(&[
        policy << 5 | power,
        u8::from(last.on_by_command) << 4 | u8::from(last.fault) << 3,
        IDENTIFY_SUPPORTED | identify << 4,
    ]);
    Ok(())
}

/// 02h. The answer says that the request was taken, not that it is done.
pub(super) fn control(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let &[control] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let request = match control & 0x0f {
        0 => PowerRequest::Off,
        1 => PowerRequest::On,
        2 => PowerRequest::Cycle,
        3 => PowerRequest::Reset,
        4 => PowerRequest::Nmi,
        5 => PowerRequest::Soft,
        _ => return Err(CompletionCode::INVALID_FIELD),
    };
    let by = context.requester();
    match context.bmc.power(context.now, request, by) {
        Ok(_) => Ok(()),
        Err(Refusal::PoweredOff | Refusal::Unable) => Err(CompletionCode::NOT_IN_PRESENT_STATE),
        Err(Refusal::Busy) => Err(CompletionCode::NODE_BUSY),
    }
}

/// 04h.
pub(super) fn identify(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let seconds = data.first().copied().unwrap_or(IDENTIFY_DEFAULT);
    let force = data.get(1).is_some_and(|force| force & 1 != 0);
    let state = match (force, seconds) {
        (true, _) => IdentifyState::Indefinite,
        (false, 0) => IdentifyState::Off,
        (false, seconds) => IdentifyState::Until(context.now + Duration::from_secs(seconds.into())),
    };
    context.bmc.chassis_mut().set_identify(state);
    Ok(())
}

/// 06h. Answers which policies there are: all.
pub(super) fn set_restore_policy(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const ALL_SUPPORTED: u8 = 0b111;

    let &[policy] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let policy = match policy & 0x07 {
        0 => Some(RestorePolicy::AlwaysOff),
        1 => Some(RestorePolicy::Previous),
        2 => Some(RestorePolicy::AlwaysOn),
        3 => None,
        _ => return Err(CompletionCode::INVALID_FIELD),
    };
    if let Some(policy) = policy {
        context.bmc.chassis_mut().set_restore_policy(policy);
    }
    reply.put(&[ALL_SUPPORTED]);
    Ok(())
}

/// 07h.
pub(super) fn get_restart_cause(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    let chassis = context.bmc.chassis();
    let channel = match chassis.restart_cause() {
        RestartCause::ChassisControl if chassis.restarted_by_guest() => SYSTEM_INTERFACE,
        RestartCause::ChassisControl => LAN_CHANNEL,
        _ => 0,
    };
    reply.put(&[chassis.restart_cause() as u8, channel]);
    Ok(())
}

/// 0Bh.
pub(super) fn set_cycle_interval(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let &[seconds] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.bmc.chassis_mut().set_cycle_interval(seconds);
    Ok(())
}

/// 0Fh.
pub(super) fn get_power_on_hours(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    let minutes = context.bmc.chassis().power_on_time(context.now).as_secs() / 60;
    let count = u32::try_from(minutes / u64::from(MINUTES_PER_COUNT)).unwrap_or(u32::MAX);
    reply.put(&[MINUTES_PER_COUNT]);
    reply.put(&count.to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use bmc::{Abilities, Fact, Intent, ResetBy, StopReason};

    use super::{super::tests::Bench, *};

    const CHASSIS: u8 = 0x00;

    #[test]
    fn capabilities_come_back_as_set() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(CHASSIS, 0x00, &[]), [0x00, 0x20, 0x20, 0x20, 0x20, 0x20]);
        bench.ok(CHASSIS, 0x05, &[0xf5, 0x22, 0x24, 0x26, 0x28]);
        assert_eq!(bench.ok(CHASSIS, 0x00, &[]), [0x05, 0x22, 0x24, 0x26, 0x28, 0x20]);
        bench.ok(CHASSIS, 0x05, &[0x00, 0x20, 0x20, 0x20, 0x20, 0x2a]);
        assert_eq!(bench.ok(CHASSIS, 0x00, &[]), [0x00, 0x20, 0x20, 0x20, 0x20, 0x2a]);
    }

    #[test]
    fn status_shows_power_policy_fault_and_lamp() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(CHASSIS, 0x01, &[]), [0x40, 0x00, 0x40]);
        bench.ok(CHASSIS, 0x02, &[1]);
        bench.carry_out(Fact::Started);
        bench.ok(CHASSIS, 0x06, &[1]);
        bench.ok(CHASSIS, 0x04, &[30]);
        assert_eq!(bench.ok(CHASSIS, 0x01, &[]), [0x21, 0x10, 0x50]);
        bench.bmc.on_fact(bench.now, Fact::Stopped { why: StopReason::Crashed("signal 9".into()) });
        bench.ok(CHASSIS, 0x06, &[0]);
        bench.ok(CHASSIS, 0x04, &[0, 1]);
        assert_eq!(bench.ok(CHASSIS, 0x01, &[]), [0x00, 0x18, 0x60]);
    }

    #[test]
    fn control_asks_for_what_its_number_says() {
        use PowerRequest as R;
        for (number, request) in
            [(0, R::Off), (2, R::Cycle), (3, R::Reset), (4, R::Nmi), (5, R::Soft), (0xf0, R::Off)]
        {
            let mut bench = Bench::new();
            bench.power_on();
            assert_eq!(bench.ok(CHASSIS, 0x02, &[number]), []);
            assert_eq!(bench.bmc.take_intent(), Some(Intent::Power(request)));
        }
        let mut bench = Bench::new();
        bench.ok(CHASSIS, 0x02, &[1]);
        assert_eq!(bench.bmc.take_intent(), Some(Intent::Power(R::On)));
        assert_eq!(bench.code(CHASSIS, 0x02, &[6]), 0xcc);
    }

    #[test]
    fn what_cannot_be_done_now_is_refused_with_the_reason() {
        let mut bench = Bench::new();
        for number in 2..=5 {
            assert_eq!(bench.code(CHASSIS, 0x02, &[number]), 0xd5, "the machine is off");
        }
        bench.ok(CHASSIS, 0x02, &[0]);
        bench.power_on();
        bench.bmc.set_abilities(Abilities::NONE);
        assert_eq!(bench.code(CHASSIS, 0x02, &[3]), 0xd5, "nobody here can");
        bench.bmc.set_abilities(Abilities::ALL);
        bench.ok(CHASSIS, 0x02, &[2]);
        assert_eq!(bench.code(CHASSIS, 0x02, &[5]), 0xc0, "a cycle is under way");
    }

    #[test]
    fn the_lamp_shines_as_long_as_asked() {
        let mut bench = Bench::new();
        bench.ok(CHASSIS, 0x04, &[]);
        assert_eq!(bench.bmc.next_timeout(), Some(bench.now + Duration::from_secs(15)));
        bench.ok(CHASSIS, 0x04, &[60, 0]);
        assert_eq!(bench.bmc.next_timeout(), Some(bench.now + Duration::from_secs(60)));
        bench.ok(CHASSIS, 0x04, &[60, 1]);
        assert_eq!(bench.bmc.chassis().identify(), IdentifyState::Indefinite);
        bench.ok(CHASSIS, 0x04, &[0]);
        assert_eq!(bench.bmc.chassis().identify(), IdentifyState::Off);
    }

    #[test]
    fn asking_for_the_policies_changes_none() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(CHASSIS, 0x06, &[1]), [0x07]);
        assert_eq!(bench.ok(CHASSIS, 0x06, &[3]), [0x07]);
        assert_eq!(bench.bmc.chassis().restore_policy(), RestorePolicy::Previous);
        assert_eq!(bench.code(CHASSIS, 0x06, &[4]), 0xcc);
    }

    #[test]
    fn the_restart_cause_is_the_last_start() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(CHASSIS, 0x07, &[]), [0x00, 0x00]);
        bench.ok(CHASSIS, 0x02, &[1]);
        bench.carry_out(Fact::Started);
        assert_eq!(bench.ok(CHASSIS, 0x07, &[]), [0x01, 0x01]);

        // The guest resets itself by its own BMC.
        (bench.channel, bench.sessions.own) = (SYSTEM_INTERFACE, None);
        bench.ok(CHASSIS, 0x02, &[3]);
        bench.carry_out(Fact::Reset { by: ResetBy::Command });
        assert_eq!(bench.ok(CHASSIS, 0x07, &[]), [0x01, 0x0f]);
        bench.bmc.on_fact(bench.now, Fact::Reset { by: ResetBy::Guest });
        assert_eq!(bench.ok(CHASSIS, 0x07, &[]), [0x0a, 0x00]);
    }

    #[test]
    fn the_cycle_interval_is_seconds() {
        let mut bench = Bench::new();
        bench.ok(CHASSIS, 0x0b, &[10]);
        assert_eq!(bench.bmc.cycle_interval(), Duration::from_secs(10));
    }

    #[test]
    fn power_on_hours_count_in_hours() {
        let mut bench = Bench::new();
        bench.power_on();
        bench.now += Duration::from_secs(3600 * 0x0102 + 3599);
        assert_eq!(bench.ok(CHASSIS, 0x0f, &[]), [60, 0x02, 0x01, 0x00, 0x00]);
    }
}
