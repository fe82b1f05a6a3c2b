//! What the LAN channel offers: how to log in, with which cipher suites, and what kind of channel it is
//! (IPMI 2.0 §22.13, §22.15 and §22.24). The first two are answered to anybody, so they are short.

use bmc::Privilege;

use super::{Context, LAN_CHANNEL};
use crate::{CompletionCode, Reply, crypto::Suite};

type Result = std::result::Result<(), CompletionCode>;

/// 38h. Nothing is on offer but named users: no null user, no anonymous login, no type "none".
pub(super) fn get_authentication(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const EXTENDED: u8 = 1 << 7;
    const MD5: u8 = 1 << 2;
    const KG_IS_SET: u8 = 1 << 5;
    const NAMED_USERS: u8 = 1 << 2;
    const IPMI_1_5: u8 = 1 << 0;
    const IPMI_2_0: u8 = 1 << 1;

    let &[channel, privilege] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.expect_lan(channel)?;
    Privilege::from_number(privilege & 0x0f).ok_or(CompletionCode::INVALID_FIELD)?;

    let bmc = &*context.bmc;
    let if_so = |condition: bool, bits: u8| if condition { bits } else { 0 };
    let extended = channel & EXTENDED != 0;
    reply.put(&[
        LAN_CHANNEL,
        if_so(extended, EXTENDED) | if_so(bmc.lan.v15, MD5),
        if_so(extended && bmc.lan.kg.is_some(), KG_IS_SET)
            | if_so(bmc.users.enabled_count() > 0, NAMED_USERS),
        if_so(extended, IPMI_2_0 | if_so(bmc.lan.v15, IPMI_1_5)),
    ]);
    reply.put(&[0; 4]);
    Ok(())
}

/// 54h. The list comes in blocks of 16 bytes; the first that is not full is the last.
pub(super) fn get_cipher_suites(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const BY_SUITE: u8 = 1 << 7;
    const BLOCK: usize = 16;

    let &[channel, payload_type, list] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.expect_lan(channel)?;
    if payload_type & 0x3f > 1 {
        return Err(CompletionCode::INVALID_FIELD);
    }
    let suites = context.bmc.lan.cipher_suites.iter().filter_map(|id| Suite::from_id(*id));
    let records = if list & BY_SUITE != 0 { suites.flat_map(record).collect() } else { algorithms(suites) };
    reply.put(&[LAN_CHANNEL]);
    reply.put(records.chunks(BLOCK).nth(usize::from(list & 0x3f)).unwrap_or_default());
    Ok(())
}

const INTEGRITY: u8 = 0x40;
const CONFIDENTIALITY: u8 = 0x80;

/// Table 22-19: a standard suite, one algorithm of each kind.
fn record(suite: Suite) -> [u8; 5] {
    const STANDARD: u8 = 0xc0;

    let algorithms = suite.algorithms();
    [
        STANDARD,
        suite.id(),
        algorithms.authentication,
        INTEGRITY | algorithms.integrity,
        CONFIDENTIALITY | algorithms.confidentiality,
    ]
}

/// Every algorithm of any suite once, in the order of its tagged number.
fn algorithms(suites: impl Iterator<Item = Suite>) -> Vec<u8> {
    let mut all: Vec<u8> = suites.flat_map(|suite| record(suite).into_iter().skip(2)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// 42h.
pub(super) fn get_info(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const MEDIUM_LAN: u8 = 0x04;
    const PROTOCOL_IPMB: u8 = 0x01;
    const MULTI_SESSION: u8 = 0x80;
    /// The IANA number of the IPMI forum, whose protocol the channel speaks.
    const IPMI_FORUM: [u8; 3] = [0xf2, 0x1b, 0x00];

    let &[channel] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.expect_lan(channel)?;
    let active = context.port.active().min(0x3f);
    reply.put(&[LAN_CHANNEL, MEDIUM_LAN, PROTOCOL_IPMB, MULTI_SESSION | active]);
    reply.put(&IPMI_FORUM);
    reply.put(&[0; 2]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bmc::Secret;

    use super::super::{SYSTEM_INTERFACE, table::APP, tests::Bench};

    #[test]
    fn ipmi_2_0_with_named_users_is_all_there_is() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x38, &[0x8e, 4]), [1, 0x80, 0x04, 0x02, 0, 0, 0, 0]);
        assert_eq!(bench.ok(APP, 0x38, &[0x81, 4]), [1, 0x80, 0x04, 0x02, 0, 0, 0, 0]);
        assert_eq!(bench.ok(APP, 0x38, &[0x0e, 4]), [1, 0x00, 0x04, 0x00, 0, 0, 0, 0]);
    }

    #[test]
    fn capabilities_follow_the_settings() {
        let mut bench = Bench::new();
        bench.bmc.lan.v15 = true;
        bench.bmc.lan.kg = Some(Secret::new([7; 20]));
        assert_eq!(bench.ok(APP, 0x38, &[0x8e, 4]), [1, 0x84, 0x24, 0x03, 0, 0, 0, 0]);
        assert_eq!(bench.ok(APP, 0x38, &[0x0e, 4]), [1, 0x04, 0x04, 0x00, 0, 0, 0, 0]);
        bench.bmc.users = bmc::Users::default();
        assert_eq!(bench.ok(APP, 0x38, &[0x8e, 4])[2], 0x20);
    }

    #[test]
    fn other_channels_and_levels_do_not_exist() {
        let mut bench = Bench::new();
        for channel in [0x80, 0x82, 0x8f] {
            assert_eq!(bench.code(APP, 0x38, &[channel, 4]), 0xcc);
            assert_eq!(bench.code(APP, 0x54, &[channel & 0x0f, 0, 0x80]), 0xcc);
            assert_eq!(bench.code(APP, 0x42, &[channel & 0x0f]), 0xcc);
        }
        assert_eq!(bench.code(APP, 0x38, &[0x8e, 0]), 0xcc);
        assert_eq!(bench.code(APP, 0x38, &[0x8e, 6]), 0xcc);
        bench.channel = SYSTEM_INTERFACE;
        assert_eq!(bench.code(APP, 0x38, &[0x8e, 4]), 0xcc, "in band, Eh is the system interface");
        assert_eq!(bench.ok(APP, 0x38, &[0x81, 4])[0], 1);
    }

    #[test]
    fn cipher_suites_are_those_that_are_served() {
        let mut bench = Bench::new();
        let both = [1, 0xc0, 17, 0x03, 0x44, 0x81, 0xc0, 3, 0x01, 0x41, 0x81];
        assert_eq!(bench.ok(APP, 0x54, &[0x0e, 0, 0x80]), both);
        assert_eq!(bench.ok(APP, 0x54, &[0x0e, 1, 0x80]), both, "for SOL as well");
        assert_eq!(bench.ok(APP, 0x54, &[0x0e, 0, 0x81]), [1], "a second block has nothing");
        assert_eq!(bench.ok(APP, 0x54, &[0x0e, 0, 0x00]), [1, 0x01, 0x03, 0x41, 0x44, 0x81]);
        assert_eq!(bench.code(APP, 0x54, &[0x0e, 2, 0x80]), 0xcc);
        bench.bmc.lan.cipher_suites = vec![0, 3];
        assert_eq!(bench.ok(APP, 0x54, &[0x0e, 0, 0x80]), [1, 0xc0, 3, 0x01, 0x41, 0x81]);
    }

    #[test]
    fn the_channel_is_a_lan_with_sessions() {
        let mut bench = Bench::new();
        let info = [1, 0x04, 0x01, 0x82, 0xf2, 0x1b, 0x00, 0, 0];
        assert_eq!(bench.ok(APP, 0x42, &[0x0e]), info);
        assert_eq!(bench.ok(APP, 0x42, &[0x01]), info);
    }
}
