//! The power limit and the limit of the inlet temperature (DCMI 1.5 §6.6.2 to §6.6.4, §6.7.1 and §6.7.2). Both
//! are kept and reported: a virtual machine has nothing to throttle.

use bmc::{LimitAction, PowerLimit, Setting, ThermalLimit};

use super::{CompletionCode, Context, Reply, Result};

const NO_ACTIVE_LIMIT: CompletionCode = CompletionCode(0x80);

/// 03h. A limit that is not activated is told too, with a completion code that says so.
pub(in super::super) fn get_power_limit(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    let PowerLimit { action, watts, correction_ms, sampling_seconds } = context.bmc.dcmi().power_limit;
    reply.put(&[0, 0, action.number()]);
    reply.put(&watts.to_le_bytes());
    reply.put(&correction_ms.to_le_bytes());
    reply.put(&[0, 0]);
    reply.put(&sampling_seconds.to_le_bytes());
    if !context.bmc.dcmi().is_power_limit_active() {
        reply.remark(NO_ACTIVE_LIMIT);
    }
    Ok(())
}

/// 04h.
pub(in super::super) fn set_power_limit(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let &[_, _, _, action, w0, w1, c0, c1, c2, c3, _, _, s0, s1] = data else {
        return Err(CompletionCode::INVALID_LENGTH);
    };
    let limit = PowerLimit {
        action: LimitAction::from_number(action).ok_or(CompletionCode::INVALID_FIELD)?,
        watts: u16::from_le_bytes([w0, w1]),
        correction_ms: u32::from_le_bytes([c0, c1, c2, c3]),
        sampling_seconds: u16::from_le_bytes([s0, s1]),
    };
    let by = context.requester();
    context.bmc.change_dcmi(Setting::PowerLimit, by, |dcmi| dcmi.power_limit = limit);
    Ok(())
}

/// 05h.
pub(in super::super) fn activate_power_limit(
    context: &mut Context<'_>,
    data: &[u8],
    _: &mut Reply,
) -> Result {
    let &[activate, _, _] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let active = match activate {
        0 => false,
        1 => true,
        _ => return Err(CompletionCode::INVALID_FIELD),
    };
    let by = context.requester();
    context.bmc.activate_power_limit(active, by);
    Ok(())
}

/// Takes the entity of a thermal limit: the inlet, by either of its ids, of which there is one.
fn expect_inlet(entity: u8, instance: u8) -> Result {
    match (entity, instance) {
        (0x37 | 0x40, 1) => Ok(()),
        _ => Err(CompletionCode::NOT_PRESENT),
    }
}

/// 0Bh. Whether it holds for this boot alone (bit 7 of the actions) is not told apart.
pub(in super::super) fn set_thermal_limit(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const ACTIONS: u8 = 0x60;

    let &[entity, instance, actions, celsius, low, high] = data else {
        return Err(CompletionCode::INVALID_LENGTH);
    };
    expect_inlet(entity, instance)?;
    let seconds = u16::from_le_bytes([low, high]);
    let limit = ThermalLimit { actions: actions & ACTIONS, celsius, seconds };
    let by = context.requester();
    context.bmc.change_dcmi(Setting::ThermalLimit, by, |dcmi| dcmi.thermal_limit = limit);
    Ok(())
}

/// 0Ch.
pub(in super::super) fn get_thermal_limit(
    context: &mut Context<'_>,
    data: &[u8],
    reply: &mut Reply,
) -> Result {
    let &[entity, instance] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    expect_inlet(entity, instance)?;
    let ThermalLimit { actions, celsius, seconds } = context.bmc.dcmi().thermal_limit;
    reply.put(&[actions, celsius]);
    reply.put(&seconds.to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::{Request, table::GROUP_EXTENSION, tests::Bench};

    impl Bench {
        fn power_limit(&mut self) -> (u8, Vec<u8>) {
            let reply =
                self.run(&Request { netfn: GROUP_EXTENSION, lun: 0, command: 0x03, data: &[0xdc, 0, 0] });
            (reply.code().0, reply.data().to_vec())
        }
    }

    #[test]
    fn a_power_limit_is_told_whether_it_is_active_or_not() {
        let mut bench = Bench::new();
        let none = [&[0xdc, 0, 0][..], &[0; 11]].concat();
        assert_eq!(bench.power_limit(), (0x80, none));
        let limit = [0x11, 0x2c, 0x01, 0x88, 0x13, 0, 0, 0, 0, 0x3c, 0];
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x04, &[&[0xdc, 0, 0, 0], &limit[..]].concat()), [0xdc]);
        let told = [&[0xdc, 0, 0], &limit[..]].concat();
        assert_eq!(bench.power_limit(), (0x80, told.clone()));
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x05, &[0xdc, 1, 0, 0]), [0xdc]);
        assert_eq!(bench.power_limit(), (0x00, told.clone()));
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x05, &[0xdc, 0, 0, 0]), [0xdc]);
        assert_eq!(bench.power_limit(), (0x80, told));
        assert!(bench.bmc.take_unsaved());
    }

    #[test]
    fn a_power_limit_with_a_reserved_action_is_refused() {
        let mut bench = Bench::new();
        let before = bench.power_limit();
        let data = [0xdc, 0, 0, 0, 0x12, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0];
        assert_eq!(bench.code(GROUP_EXTENSION, 0x04, &data), 0xcc);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x05, &[0xdc, 2, 0, 0]), 0xcc);
        assert_eq!(bench.power_limit(), before);
    }

    #[test]
    fn the_inlet_has_a_thermal_limit_by_both_its_ids() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x0c, &[0xdc, 0x37, 1]), [0xdc, 0, 0, 0, 0]);
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x0b, &[0xdc, 0x40, 1, 0xe0, 45, 0x3c, 0x01]), [0xdc]);
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x0c, &[0xdc, 0x37, 1]), [0xdc, 0x60, 45, 0x3c, 0x01]);
        for (entity, instance) in [(0x03, 1), (0x37, 2), (0x40, 0)] {
            assert_eq!(bench.code(GROUP_EXTENSION, 0x0c, &[0xdc, entity, instance]), 0xcb);
            assert_eq!(bench.code(GROUP_EXTENSION, 0x0b, &[0xdc, entity, instance, 0, 45, 0, 0]), 0xcb);
        }
    }
}
