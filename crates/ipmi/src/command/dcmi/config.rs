//! DCMI configuration parameters (DCMI 1.5 §6.1.2 and §6.1.3, Table 6-6): how a DHCP client would look for its
//! manager.

use bmc::Setting;

use super::{CONFORMANCE, CompletionCode, Context, Reply, Result};

const REVISION: u8 = 1;
const UNSUPPORTED: CompletionCode = CompletionCode(0x80);
/// Random back-off, options 60 and 43, option 12.
const OPTIONS: u8 = 0x83;

/// 12h. No parameter has sets.
pub(in super::super) fn set_config(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (&[parameter, set], data) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    if !(2..=5).contains(&parameter) {
        return Err(UNSUPPORTED);
    }
    if set != 0 {
        return Err(CompletionCode::INVALID_FIELD);
    }
    let mut discovery = context.bmc.dcmi().discovery;
    match (parameter, data) {
        (2, &[options]) => discovery.options = options & OPTIONS,
        (3, &[seconds]) => discovery.initial_timeout = seconds,
        (4, &[low, high]) => discovery.contact_timeout = u16::from_le_bytes([low, high]),
        (5, &[low, high]) => discovery.retry_interval = u16::from_le_bytes([low, high]),
        _ => return Err(CompletionCode::INVALID_LENGTH),
    }
    let by = context.requester();
    context.bmc.change_dcmi(Setting::Discovery, by, |dcmi| dcmi.discovery = discovery);
    Ok(())
}

/// 13h.
pub(in super::super) fn get_config(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[parameter, set] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let discovery = context.bmc.dcmi().discovery;
    reply.put(&CONFORMANCE);
    reply.put(&[REVISION]);
    match parameter {
        2 => reply.put(&[discovery.options]),
        3 => reply.put(&[discovery.initial_timeout]),
        4 => reply.put(&discovery.contact_timeout.to_le_bytes()),
        5 => reply.put(&discovery.retry_interval.to_le_bytes()),
        _ => return Err(UNSUPPORTED),
    }
    if set == 0 { Ok(()) } else { Err(CompletionCode::INVALID_FIELD) }
}

#[cfg(test)]
mod tests {
    use super::super::super::{table::GROUP_EXTENSION, tests::Bench};

    #[test]
    fn parameters_have_the_specifications_defaults_and_come_back_as_set() {
        let mut bench = Bench::new();
        let cases: [(u8, &[u8], &[u8]); 4] =
            [(2, &[0x01], &[0x82]), (3, &[4], &[9]), (4, &[120, 0], &[0x34, 0x12]), (5, &[64, 0], &[1, 2])];
        for (parameter, default, other) in cases {
            let get = [0xdc, parameter, 0];
            assert_eq!(bench.ok(GROUP_EXTENSION, 0x13, &get), [&[0xdc, 1, 5, 1], default].concat());
            assert_eq!(bench.ok(GROUP_EXTENSION, 0x12, &[&get[..], other].concat()), [0xdc]);
            assert_eq!(bench.ok(GROUP_EXTENSION, 0x13, &get), [&[0xdc, 1, 5, 1], other].concat());
        }
        assert!(bench.bmc.take_unsaved());
    }

    #[test]
    fn there_is_no_dhcp_client_to_activate() {
        let mut bench = Bench::new();
        assert_eq!(bench.code(GROUP_EXTENSION, 0x12, &[0xdc, 1, 0, 1]), 0x80);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x13, &[0xdc, 1, 0]), 0x80);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x13, &[0xdc, 6, 0]), 0x80);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x13, &[0xdc, 2, 1]), 0xcc);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x12, &[0xdc, 2, 1, 1]), 0xcc);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x12, &[0xdc, 4, 0, 1]), 0xc7);
    }
}
