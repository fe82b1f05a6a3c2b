//! Get DCMI Capabilities Info (DCMI 1.5 §6.1.1, Table 6-3).

use super::{super::LAN_CHANNEL, CONFORMANCE, CompletionCode, Context, Reply, Result};

const REVISION: u8 = 2;
/// Parameter 1, first byte. Reserved since 1.1; before, and to ipmitool, it says identification, event log,
/// chassis power and temperature monitoring, all of which are mandatory.
const MANDATORY: u8 = 0x0f;
const POWER_MANAGEMENT: u8 = 0x01;
/// In-band KCS channel, primary LAN channel, SOL, VLANs.
const ACCESS: u8 = 0x01 | 0x08 | 0x10 | 0x20;
/// Parameter 2, where 1.0 has identification (GUID, host name, asset tag) and temperatures (inlet, processor,
/// board).
const IDENTIFICATION: u8 = 0x07;
const TEMPERATURES: u8 = 0x07;
/// Seconds between two readings of the temperatures.
const SAMPLING: u8 = 2;
/// The largest number of event log entries that its field can say.
const ENTRIES_MAX: usize = 0x0fff;
/// With that number: old entries make way, one by one.
const ROLLOVER: u16 = 0x8000 | 0x2000;
/// 20h, the BMC's, from bit 1 on: so ipmitool and FreeIPMI both read it.
const BMC_ADDRESS: u8 = 0x20 << 1;
const DEVICE_REVISION: u8 = 1;
const NO_CHANNEL: u8 = 0xff;

/// 01h.
pub(in super::super) fn get_capabilities(
    context: &mut Context<'_>,
    data: &[u8],
    reply: &mut Reply,
) -> Result {
    let &[parameter] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let sel = context.bmc.sel();
    let entries = u16::try_from(sel.capacity().min(ENTRIES_MAX)).unwrap_or_default();
    let [low, high] = if sel.wraps() { entries | ROLLOVER } else { entries }.to_le_bytes();
    let parameter: &[u8] = match parameter {
        1 => &[MANDATORY, POWER_MANAGEMENT, ACCESS],
        2 => &[low, high, IDENTIFICATION, TEMPERATURES, SAMPLING],
        3 => &[BMC_ADDRESS, DEVICE_REVISION],
        4 => &[LAN_CHANNEL, NO_CHANNEL, NO_CHANNEL],
        // No rolling averages: power is averaged since measuring began.
        5 => &[0],
        _ => return Err(CompletionCode::OUT_OF_RANGE),
    };
    reply.put(&CONFORMANCE);
    reply.put(&[REVISION]);
    reply.put(parameter);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::{table::GROUP_EXTENSION, tests::Bench};

    #[test]
    fn every_parameter_is_answered_with_version_and_revision() {
        let mut bench = Bench::new();
        let expected: [&[u8]; 5] = [
            &[0x0f, 0x01, 0x39],
            &[0xff, 0xaf, 0x07, 0x07, 0x02],
            &[0x40, 0x01],
            &[0x01, 0xff, 0xff],
            &[0x00],
        ];
        for (parameter, expected) in (1..).zip(expected) {
            let reply = bench.ok(GROUP_EXTENSION, 0x01, &[0xdc, parameter]);
            assert_eq!(reply, [&[0xdc, 1, 5, 2], expected].concat(), "parameter {parameter}");
        }
        for parameter in [0, 6] {
            assert_eq!(bench.code(GROUP_EXTENSION, 0x01, &[0xdc, parameter]), 0xc9);
        }
    }

    #[test]
    fn other_bodies_have_no_commands() {
        let mut bench = Bench::new();
        // PICMG, VITA, and no body at all.
        for data in [&[0x00, 1][..], &[0x03, 1], &[]] {
            assert_eq!(bench.code(GROUP_EXTENSION, 0x01, data), 0xc1);
        }
    }
}
