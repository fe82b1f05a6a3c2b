//! SOL configuration parameters of the LAN channel (IPMI 2.0 §26.2 and §26.3, Table 26-5). They count
//! from the next activation on.

use super::{Context, LAN_CHANNEL, boot_options::next_progress};
use crate::{CompletionCode, Reply};

type Result = std::result::Result<(), CompletionCode>;

const REVISION: u8 = 0x11;
const UNSUPPORTED: CompletionCode = CompletionCode(0x80);
const READ_ONLY: CompletionCode = CompletionCode(0x82);

const ENABLED: u8 = 0x01;
const FORCE_ENCRYPTION: u8 = 0x80;
const FORCE_AUTHENTICATION: u8 = 0x40;

/// 21h.
pub(super) fn set(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (&[channel, parameter], data) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    context.expect_lan(channel)?;
    let mut sol = *context.bmc.sol();
    match (parameter, data) {
        (0, &[state]) => sol.set_in_progress = next_progress(sol.set_in_progress, state)?,
        (1, &[enable]) => sol.enabled = enable & ENABLED != 0,
        (2, &[authentication]) => {
            sol.privilege = in_range(authentication & 0x0f, 2, 5)?;
            sol.force_encryption = authentication & FORCE_ENCRYPTION != 0;
            sol.force_authentication = authentication & FORCE_AUTHENTICATION != 0;
        }
        (3, &[interval, threshold]) => {
            sol.accumulate_interval = in_range(interval, 1, u8::MAX)?;
            sol.send_threshold = in_range(threshold, 1, u8::MAX)?;
        }
        (4, &[count, interval]) => {
            sol.retry_count = count & 0x07;
            sol.retry_interval = interval;
        }
        (5, &[rate]) => sol.bit_rate = bit_rate(rate)?,
        (6, &[rate]) => sol.volatile_bit_rate = bit_rate(rate)?,
        (7 | 8, _) => return Err(READ_ONLY),
        (0..=8, _) => return Err(CompletionCode::INVALID_LENGTH),
        _ => return Err(UNSUPPORTED),
    }
    *context.bmc.sol_mut() = sol;
    Ok(())
}

fn in_range(value: u8, first: u8, last: u8) -> std::result::Result<u8, CompletionCode> {
    if (first..=last).contains(&value) { Ok(value) } else { Err(CompletionCode::INVALID_FIELD) }
}

/// 0 means the rate of the serial port, 6 to 10 are 9,600 to 115,200 bit/s; the rest is reserved.
fn bit_rate(field: u8) -> std::result::Result<u8, CompletionCode> {
    match field & 0x0f {
        rate @ (0 | 6..=10) => Ok(rate),
        _ => Err(CompletionCode::INVALID_FIELD),
    }
}

/// 22h. With bit 7 of the channel the revision alone is asked for. Set and block selector have no
/// meaning in any of the parameters.
pub(super) fn get(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const REVISION_ONLY: u8 = 0x80;

    let &[channel, parameter, _, _] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.expect_lan(channel)?;
    let sol = context.bmc.sol();
    let if_so = |condition: bool, bit: u8| if condition { bit } else { 0 };
    reply.put(&[REVISION]);
    if channel & REVISION_ONLY != 0 {
        return Ok(());
    }
    match parameter {
        0 => reply.put(&[sol.set_in_progress]),
        1 => reply.put(&[if_so(sol.enabled, ENABLED)]),
        2 => reply.put(&[if_so(sol.force_encryption, FORCE_ENCRYPTION)
            | if_so(sol.force_authentication, FORCE_AUTHENTICATION)
            | sol.privilege]),
        3 => reply.put(&[sol.accumulate_interval, sol.send_threshold]),
        4 => reply.put(&[sol.retry_count, sol.retry_interval]),
        5 => reply.put(&[sol.bit_rate]),
        6 => reply.put(&[sol.volatile_bit_rate]),
        7 => reply.put(&[LAN_CHANNEL]),
        8 => reply.put(&context.port.sol_port().to_le_bytes()),
        _ => return Err(UNSUPPORTED),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{table::TRANSPORT, tests::Bench};

    impl Bench {
        fn sol_parameter(&mut self, parameter: u8) -> Vec<u8> {
            self.ok(TRANSPORT, 0x22, &[0x0e, parameter, 0, 0])
        }
    }

    #[test]
    fn every_parameter_has_its_start_value() {
        let mut bench = Bench::new();
        let expected: [&[u8]; 9] = [
            &[0x11, 0],
            &[0x11, 1],
            &[0x11, 0xc2],
            &[0x11, 1, 220],
            &[0x11, 7, 50],
            &[0x11, 10],
            &[0x11, 10],
            &[0x11, 1],
            &[0x11, 0x6f, 0x02],
        ];
        for (parameter, expected) in (0..).zip(expected) {
            assert_eq!(bench.sol_parameter(parameter), expected, "parameter {parameter}");
        }
    }

    #[test]
    fn parameters_come_back_as_set() {
        let mut bench = Bench::new();
        let sets: [&[u8]; 7] = [&[0, 1], &[1, 0], &[2, 0x43], &[3, 12, 60], &[4, 3, 9], &[5, 6], &[6, 0]];
        for set in sets {
            assert_eq!(bench.ok(TRANSPORT, 0x21, &[&[0x01], set].concat()), []);
            assert_eq!(bench.sol_parameter(set[0]), [&[0x11], &set[1..]].concat());
        }
        assert!(bench.bmc.take_unsaved());
    }

    #[test]
    fn one_party_sets_at_a_time() {
        let mut bench = Bench::new();
        bench.ok(TRANSPORT, 0x21, &[0x0e, 0, 1]);
        assert_eq!(bench.code(TRANSPORT, 0x21, &[0x0e, 0, 1]), 0x81);
        bench.ok(TRANSPORT, 0x21, &[0x0e, 0, 2]);
        bench.ok(TRANSPORT, 0x21, &[0x0e, 0, 0]);
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut bench = Bench::new();
        let before = *bench.bmc.sol();
        let refusals: [(&[u8], u8); 12] = [
            (&[0x0e, 2, 0xc1], 0xcc),
            (&[0x0e, 2, 0xc6], 0xcc),
            (&[0x0e, 3, 0, 60], 0xcc),
            (&[0x0e, 3, 12, 0], 0xcc),
            (&[0x0e, 3, 12], 0xc7),
            (&[0x0e, 5, 5], 0xcc),
            (&[0x0e, 6, 11], 0xcc),
            (&[0x0e, 7, 1], 0x82),
            (&[0x0e, 8, 0x6f, 0x02], 0x82),
            (&[0x0e, 9, 0], 0x80),
            (&[0x02, 1, 0], 0xcc),
            (&[0x0e, 1, 0, 0], 0xc7),
        ];
        for (request, code) in refusals {
            assert_eq!(bench.code(TRANSPORT, 0x21, request), code, "{request:x?}");
        }
        assert_eq!(*bench.bmc.sol(), before);
        assert_eq!(bench.code(TRANSPORT, 0x22, &[0x0e, 9, 0, 0]), 0x80);
        assert_eq!(bench.code(TRANSPORT, 0x22, &[0x02, 0, 0, 0]), 0xcc);
    }

    #[test]
    fn the_revision_can_be_asked_for_alone() {
        assert_eq!(Bench::new().ok(TRANSPORT, 0x22, &[0x8e, 5, 0, 0]), [0x11]);
    }
}
