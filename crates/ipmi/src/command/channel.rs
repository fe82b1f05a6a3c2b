//! Channels: how to log in, with which cipher suites, how far, and what kind of channel it is (IPMI 2.0 §22.13,
//! §22.15, §22.22 to §22.25). The first two are answered to anybody, so they are short.

use bmc::{Access, AccessMode, ChannelAccess, LanPart, Privilege, Secret};

use super::{Context, LAN_CHANNEL, SYSTEM_INTERFACE};
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
    let level = Privilege::from_number(privilege & 0x0f).ok_or(CompletionCode::INVALID_FIELD)?;

    let bmc = &*context.bmc;
    let if_so = |condition: bool, bits: u8| if condition { bits } else { 0 };
    let extended = channel & EXTENDED != 0;
    reply.put(&[
        LAN_CHANNEL,
        if_so(extended, EXTENDED) | if_so(bmc.lan.v15_admits(level), MD5),
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
    let lan = &context.bmc.lan;
    let used = lan.cipher_suites.iter().filter(|id| lan.suite_limit(**id).is_some());
    let suites = used.filter_map(|id| Suite::from_id(*id));
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

/// 40h. Bits 7:6 say which of the two sets is meant, the volatile or the non-volatile one, if any.
pub(super) fn set_access(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const MODE_NOT_SUPPORTED: CompletionCode = CompletionCode(0x83);

    let &[channel, access, limit] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    expect_sessions(context, channel)?;
    let (for_access, for_limit) = (Set::meant(access)?, Set::meant(limit)?);
    let mode = AccessMode::from_number(access & 0x07).ok_or(MODE_NOT_SUPPORTED);
    let level = Privilege::from_number(limit & 0x0f).ok_or(CompletionCode::INVALID_FIELD);
    let mut changed = context.bmc.lan.access;
    if let Some(set) = for_access {
        let set = set.of(&mut changed);
        *set = Access {
            mode: mode?,
            alerting_disabled: access & ALERTING_DISABLED != 0,
            per_message_authentication_disabled: access & PER_MESSAGE_DISABLED != 0,
            user_level_authentication_disabled: access & USER_LEVEL_DISABLED != 0,
            limit: set.limit,
        };
    }
    if let Some(set) = for_limit {
        set.of(&mut changed).limit = level?;
    }
    if changed != context.bmc.lan.access {
        let by = context.requester();
        context.bmc.change_lan(LanPart::Access, by, |lan| lan.access = changed);
    }
    Ok(())
}

/// 41h.
pub(super) fn get_access(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[channel, which] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    expect_sessions(context, channel)?;
    let set = Set::meant(which)?.ok_or(CompletionCode::INVALID_FIELD)?;
    let access = *set.of(&mut context.bmc.lan.access);
    let if_so = |condition: bool, bit: u8| if condition { bit } else { 0 };
    reply.put(&[
        if_so(access.alerting_disabled, ALERTING_DISABLED)
            | if_so(access.per_message_authentication_disabled, PER_MESSAGE_DISABLED)
            | if_so(access.user_level_authentication_disabled, USER_LEVEL_DISABLED)
            | access.mode.number(),
        access.limit as u8,
    ]);
    Ok(())
}

const ALERTING_DISABLED: u8 = 1 << 5;
const PER_MESSAGE_DISABLED: u8 = 1 << 4;
const USER_LEVEL_DISABLED: u8 = 1 << 3;

/// Which of the two sets of channel access is meant.
#[derive(Clone, Copy)]
enum Set {
    Volatile,
    NonVolatile,
}

impl Set {
    /// By bits 7:6 of a byte; `None`: neither.
    fn meant(byte: u8) -> std::result::Result<Option<Self>, CompletionCode> {
        match byte >> 6 {
            0 => Ok(None),
            1 => Ok(Some(Self::NonVolatile)),
            2 => Ok(Some(Self::Volatile)),
            _ => Err(CompletionCode::INVALID_FIELD),
        }
    }

    fn of(self, access: &mut ChannelAccess) -> &mut Access {
        match self {
            Self::Volatile => &mut access.volatile,
            Self::NonVolatile => &mut access.non_volatile,
        }
    }
}

/// Takes the channel field of a command that is about sessions: the system interface has none.
fn expect_sessions(context: &Context<'_>, channel: u8) -> Result {
    const SESSIONLESS: CompletionCode = CompletionCode(0x82);

    if context.named_channel(channel)? == LAN_CHANNEL { Ok(()) } else { Err(SESSIONLESS) }
}

/// 42h.
pub(super) fn get_info(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const MEDIUM_LAN: u8 = 0x04;
    const MEDIUM_SYSTEM_INTERFACE: u8 = 0x0c;
    const PROTOCOL_IPMB: u8 = 0x01;
    const PROTOCOL_KCS: u8 = 0x05;
    const SESSIONLESS: u8 = 0x00;
    const MULTI_SESSION: u8 = 0x80;
    /// The IANA number of the IPMI forum, whose protocol the channel speaks.
    const IPMI_FORUM: [u8; 3] = [0xf2, 0x1b, 0x00];
    /// The interrupts of the system interface are the operating system's to find out.
    const UNSPECIFIED_INTERRUPTS: [u8; 2] = [0xff; 2];

    let &[channel] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    if context.named_channel(channel)? == LAN_CHANNEL {
        let active = context.port.active().min(0x3f);
        reply.put(&[LAN_CHANNEL, MEDIUM_LAN, PROTOCOL_IPMB, MULTI_SESSION | active]);
        reply.put(&IPMI_FORUM);
        reply.put(&[0; 2]);
    } else {
        reply.put(&[SYSTEM_INTERFACE, MEDIUM_SYSTEM_INTERFACE, PROTOCOL_KCS, SESSIONLESS]);
        reply.put(&IPMI_FORUM);
        reply.put(&UNSPECIFIED_INTERRUPTS);
    }
    Ok(())
}

/// 56h. Of the two keys of §13.33 the channel has K_G; K_R, of OEM algorithms, is not used.
pub(super) fn set_security_keys(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const KEY_IS_LOCKED: CompletionCode = CompletionCode(0x80);
    const TOO_FEW_BYTES: CompletionCode = CompletionCode(0x81);
    const TOO_MANY_BYTES: CompletionCode = CompletionCode(0x82);
    const K_R_IS_NOT_USED: CompletionCode = CompletionCode(0x84);
    const READ: u8 = 0;
    const SET: u8 = 1;
    const LOCK: u8 = 2;
    const K_R: u8 = 0;
    const K_G: u8 = 1;
    const LOCKED: u8 = 1;
    const UNLOCKED: u8 = 2;

    let (&[channel, operation, key], value) =
        data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    context.expect_lan(channel)?;
    match key & 0x03 {
        K_G => {}
        K_R => return Err(K_R_IS_NOT_USED),
        _ => return Err(CompletionCode::INVALID_FIELD),
    }
    let by = context.requester();
    let locked = context.bmc.lan.kg_locked;
    match operation & 0x03 {
        READ | SET if locked => return Err(KEY_IS_LOCKED),
        READ => {
            reply.put(&[UNLOCKED]);
            let none = [0; 20];
            reply.put(context.bmc.lan.kg.as_ref().map_or(&none, Secret::expose).as_slice());
        }
        SET => {
            let key: [u8; 20] = match value.len() {
                ..20 => return Err(TOO_FEW_BYTES),
                _ => value.try_into().map_err(|_| TOO_MANY_BYTES)?,
            };
            // All zeros is what a channel without a key has: its users' own keys take its place.
            let key = (key != [0; 20]).then(|| Secret::new(key));
            context.bmc.change_lan(LanPart::KgKey, by, |lan| lan.kg = key);
            reply.put(&[UNLOCKED]);
        }
        LOCK => {
            if !locked {
                context.bmc.change_lan(LanPart::KgKey, by, |lan| lan.kg_locked = true);
            }
            reply.put(&[LOCKED]);
        }
        _ => return Err(CompletionCode::INVALID_FIELD),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bmc::{Secret, SuitePrivileges};

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
    fn a_suite_that_is_not_used_is_not_offered() {
        let mut bench = Bench::new();
        bench.bmc.lan.suite_privileges = SuitePrivileges::from_field(&[0; 8]).unwrap();
        assert_eq!(bench.ok(APP, 0x54, &[0x0e, 0, 0x80]), [1, 0xc0, 17, 0x03, 0x44, 0x81]);
    }

    #[test]
    fn access_is_kept_in_two_sets() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x41, &[0x0e, 0x40]), [0x02, 0x04]);
        bench.ok(APP, 0x40, &[0x01, 0x40 | 0x38 | 1, 0x40 | 3]);
        assert_eq!(bench.ok(APP, 0x41, &[0x0e, 0x40]), [0x39, 0x03]);
        assert_eq!(bench.ok(APP, 0x41, &[0x0e, 0x80]), [0x02, 0x04], "the volatile one is as before");
        assert!(bench.bmc.take_unsaved());
        bench.ok(APP, 0x40, &[0x0e, 0x80, 0]);
        assert_eq!(bench.ok(APP, 0x41, &[0x0e, 0x80]), [0x00, 0x04]);
        bench.ok(APP, 0x40, &[0x0e, 0, 0x80 | 2]);
        assert_eq!(bench.ok(APP, 0x41, &[0x0e, 0x80]), [0x00, 0x02]);
    }

    #[test]
    fn what_access_cannot_be_is_refused_and_changes_nothing() {
        let mut bench = Bench::new();
        let before = bench.bmc.lan.access;
        let refusals = [
            ([0x01, 0x44, 0x44], 0x83),
            ([0x01, 0xc2, 0x44], 0xcc),
            ([0x01, 0x42, 0x40], 0xcc),
            ([0x01, 0x82, 0x86], 0xcc),
            ([0x02, 0x42, 0x44], 0xcc),
            ([0x0f, 0x42, 0x44], 0x82),
        ];
        for (request, code) in refusals {
            assert_eq!(bench.code(APP, 0x40, &request), code, "{request:x?}");
        }
        assert_eq!(bench.bmc.lan.access, before);
        bench.ok(APP, 0x40, &[0x01, 0x07, 0x07]);
        assert_eq!(bench.bmc.lan.access, before, "neither set was meant");
        assert_eq!(bench.code(APP, 0x41, &[0x0e, 0]), 0xcc);
        assert_eq!(bench.code(APP, 0x41, &[0x0f, 0x40]), 0x82);
    }

    #[test]
    fn the_key_is_set_read_and_locked() {
        let mut bench = Bench::new();
        let set = |byte: u8| [&[0x0e, 1, 1][..], &[byte; 20]].concat();
        assert_eq!(bench.ok(APP, 0x56, &[0x0e, 0, 1]), [&[2][..], &[0; 20]].concat());
        assert_eq!(bench.ok(APP, 0x56, &set(7)), [2]);
        assert_eq!(bench.bmc.lan.kg, Some(Secret::new([7; 20])));
        assert_eq!(bench.ok(APP, 0x56, &[0x0e, 0, 1]), [&[2][..], &[7; 20]].concat());
        assert_eq!(bench.ok(APP, 0x56, &set(0)), [2]);
        assert_eq!(bench.bmc.lan.kg, None);
        assert_eq!(bench.ok(APP, 0x56, &[0x0e, 2, 1]), [1]);
        assert_eq!(bench.ok(APP, 0x56, &[0x0e, 2, 1]), [1]);
        assert_eq!(bench.code(APP, 0x56, &set(7)), 0x80);
        assert_eq!(bench.code(APP, 0x56, &[0x0e, 0, 1]), 0x80);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let mut bench = Bench::new();
        for (request, code) in [
            (&[0x0e, 0, 0][..], 0x84),
            (&[0x0e, 0, 2], 0xcc),
            (&[0x0e, 3, 1], 0xcc),
            (&[0x0f, 0, 1], 0xcc),
            (&[[0x0e, 1, 1].as_slice(), &[7; 19]].concat(), 0x81),
            (&[[0x0e, 1, 1].as_slice(), &[7; 21]].concat(), 0x82),
        ] {
            assert_eq!(bench.code(APP, 0x56, request), code, "{request:x?}");
        }
        assert_eq!(bench.bmc.lan.kg, None);
    }

    #[test]
    fn the_system_interface_has_no_sessions_and_other_channels_are_not_there() {
        let mut bench = Bench::new();
        let info = [0x0f, 0x0c, 0x05, 0x00, 0xf2, 0x1b, 0x00, 0xff, 0xff];
        assert_eq!(bench.ok(APP, 0x42, &[0x0f]), info);
        for channel in (0..0x0e).filter(|channel| *channel != 1) {
            assert_eq!(bench.code(APP, 0x42, &[channel]), 0xcc);
        }
        bench.channel = SYSTEM_INTERFACE;
        bench.sessions.own = None;
        assert_eq!(bench.ok(APP, 0x42, &[0x0e]), info);
    }

    #[test]
    fn the_channel_is_a_lan_with_sessions() {
        let mut bench = Bench::new();
        let info = [1, 0x04, 0x01, 0x82, 0xf2, 0x1b, 0x00, 0, 0];
        assert_eq!(bench.ok(APP, 0x42, &[0x0e]), info);
        assert_eq!(bench.ok(APP, 0x42, &[0x01]), info);
    }
}
