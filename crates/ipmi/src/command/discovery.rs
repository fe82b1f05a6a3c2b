//! Command discovery and firmware firewall (IPMI 2.0 §21): which commands there are, which of them can be
//! disabled, and disabling them. All answers are made from [`TABLE`], so that they can't be wrong.
//!
//! A disabled command answers D6h. What is needed to log in, to find out and to enable again can't be disabled.
//! No command has parts that could be disabled by themselves: of sub-functions all are there, none is
//! configurable and all are enabled.

use bmc::CommandId;

use super::{
    Context, LAN_CHANNEL, Row, SYSTEM_INTERFACE, TABLE, THIS_CHANNEL,
    table::{APP, Channels, GROUP_EXTENSION},
};
use crate::{CompletionCode, Reply};

type Result<T = ()> = std::result::Result<T, CompletionCode>;

/// Commands of NetFn App that stay: Get Device ID, this file's, and those that open a session.
const ALWAYS: [u8; 19] = [
    0x01, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x54, 0x60, 0x61, 0x62, 0x63,
    0x64, 0x42,
];

/// Commands follow the specification; the other way would be "exist, and don't".
const LUN_0: u8 = 0b01;

fn is_configurable(row: &Row) -> bool {
    row.netfn != APP || !ALWAYS.contains(&row.command)
}

/// The row, as the firewall names it.
pub(super) fn id_of(row: &Row, channel: u8) -> CommandId {
    CommandId { channel, netfn: row.netfn, group: row.group, command: row.command }
}

/// Commands as a request names them: a channel, a NetFn, and a half of the numbers.
struct Scope {
    channel: u8,
    netfn: u8,
    group: Option<u8>,
    /// 00h, or 80h for the upper half.
    first: u8,
}

impl Scope {
    /// `rest` is what names a body or a manufacturer: for commands of the group extension, its first byte. Who
    /// leaves that out, as ipmitool does, means all bodies.
    fn parse(context: &Context<'_>, channel: u8, netfn: u8, lun: u8, rest: &[u8]) -> Result<Self> {
        const UPPER_HALF: u8 = 0x40;

        let channel = channel_of(context, channel)?;
        let scope = Self {
            channel,
            netfn: netfn & 0x3e,
            group: rest.first().copied().filter(|_| netfn & 0x3e == GROUP_EXTENSION),
            first: if netfn & UPPER_HALF != 0 { 0x80 } else { 0x00 },
        };
        // Nothing is served on the other logical units.
        if lun & 0x03 == 0 { Ok(scope) } else { Err(CompletionCode::INVALID_FIELD) }
    }

    /// The commands that it has, with the place of each in the mask.
    fn rows(&self) -> impl Iterator<Item = (&'static Row, u8)> {
        let Self { channel, netfn, group, first } = *self;
        TABLE.iter().filter(move |row| reaches(row, channel) && row.netfn == netfn).filter_map(move |row| {
            let place = row.command.checked_sub(first).filter(|place| *place < 0x80)?;
            (group.is_none() || group == row.group).then_some((row, place))
        })
    }

    /// A mask of 128 bits in which those commands have a bit that `with` picks.
    fn mask(&self, with: impl Fn(&Row) -> bool) -> [u8; 16] {
        let bits =
            self.rows().filter(|(row, _)| with(row)).fold(0_u128, |bits, (_, place)| bits | 1 << place);
        bits.to_le_bytes()
    }
}

fn channel_of(context: &Context<'_>, field: u8) -> Result<u8> {
    match field & 0x0f {
        THIS_CHANNEL => Ok(context.channel),
        channel @ (LAN_CHANNEL | SYSTEM_INTERFACE) => Ok(channel),
        _ => Err(CompletionCode::INVALID_FIELD),
    }
}

fn reaches(row: &Row, channel: u8) -> bool {
    match row.channels {
        Channels::Any => true,
        Channels::Lan => channel == LAN_CHANNEL,
        Channels::SystemInterface => channel == SYSTEM_INTERFACE,
    }
}

/// 09h.
pub(super) fn get_netfns(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[channel] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let channel = channel_of(context, channel)?;
    let rows = TABLE.iter().filter(|row| reaches(row, channel));
    let netfns = rows.fold(0_u32, |bits, row| bits | 1 << (row.netfn >> 1 & 0x1f));
    reply.put(&[LUN_0]);
    reply.put(&netfns.to_le_bytes());
    reply.put(&[0; 12]);
    Ok(())
}

/// 0Ah. A set bit is a command that is not there.
pub(super) fn get_commands(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let (&[channel, netfn, lun], rest) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let scope = Scope::parse(context, channel, netfn, lun, rest)?;
    reply.put(&scope.mask(|_| true).map(|byte| !byte));
    Ok(())
}

/// 0Ch.
pub(super) fn get_configurable(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let (&[channel, netfn, lun], rest) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let scope = Scope::parse(context, channel, netfn, lun, rest)?;
    reply.put(&scope.mask(is_configurable));
    Ok(())
}

/// 60h. A command that can't be disabled may only be left enabled; what isn't there, disabled.
pub(super) fn set_enables(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (&[channel, netfn, lun], rest) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let (mask, rest) = rest.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let scope = Scope::parse(context, channel, netfn, lun, rest)?;
    let wanted = u128::from_le_bytes(*mask);
    let fixed = u128::from_le_bytes(scope.mask(|row| !is_configurable(row)));
    if wanted & fixed != fixed {
        return Err(CompletionCode::INVALID_FIELD);
    }
    let by = context.requester();
    for (row, place) in scope.rows() {
        context.bmc.enable_command(id_of(row, scope.channel), wanted >> place & 1 != 0, by);
    }
    Ok(())
}

/// 61h.
pub(super) fn get_enables(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let (&[channel, netfn, lun], rest) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let scope = Scope::parse(context, channel, netfn, lun, rest)?;
    let firewall = context.bmc.firewall();
    reply.put(&scope.mask(|row| !firewall.blocks(id_of(row, scope.channel))));
    Ok(())
}

/// Takes what names one command.
fn expect_command(context: &Context<'_>, data: &[u8]) -> Result {
    let (&[channel, netfn, lun, command], rest) =
        data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let half = if command >= 0x80 { 0x40 } else { 0 };
    let scope = Scope::parse(context, channel, netfn & 0x3f | half, lun, rest)?;
    let found = scope.rows().any(|(row, _)| row.command == command);
    if found { Ok(()) } else { Err(CompletionCode::NOT_PRESENT) }
}

/// All sub-functions are there, or enabled; a set bit of 0Bh's answer is one that is not there.
const NO_SUBFUNCTION_MISSING: [u8; 4] = [0x00; 4];
const NO_SUBFUNCTION_CONFIGURABLE: [u8; 4] = [0x00; 4];
const ALL_SUBFUNCTIONS_ENABLED: [u8; 4] = [0xff; 4];

/// 0Bh.
pub(super) fn get_subfunctions(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    /// IPMI with errata 7, version 2.0, revision 1.1; DCMI 1.5 has no errata.
    const IPMI: [u8; 3] = [0x07, 0x02, 0x11];
    const DCMI: [u8; 3] = [0x00, 0x51, 0x10];

    expect_command(context, data)?;
    let group = data.get(1).is_some_and(|netfn| netfn & 0x3e == GROUP_EXTENSION);
    reply.put(if group { &DCMI } else { &IPMI });
    reply.put(&NO_SUBFUNCTION_MISSING);
    Ok(())
}

/// 0Dh.
pub(super) fn get_configurable_subfunctions(
    context: &mut Context<'_>,
    data: &[u8],
    reply: &mut Reply,
) -> Result {
    expect_command(context, data)?;
    reply.put(&NO_SUBFUNCTION_CONFIGURABLE);
    Ok(())
}

/// 62h. Whoever leaves all enabled changes nothing; the rest can't be done.
pub(super) fn set_subfunction_enables(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (command, rest) = data.split_at_checked(4).ok_or(CompletionCode::INVALID_LENGTH)?;
    let body = command.get(1).is_some_and(|netfn| netfn & 0x3e == GROUP_EXTENSION) && rest.len() % 4 == 1;
    let (body, enables) = rest.split_at_checked(usize::from(body)).ok_or(CompletionCode::INVALID_LENGTH)?;
    if !matches!(enables.len(), 4 | 8) {
        return Err(CompletionCode::INVALID_LENGTH);
    }
    expect_command(context, &[command, body].concat())?;
    if enables.iter().all(|byte| *byte == 0xff) { Ok(()) } else { Err(CompletionCode::INVALID_FIELD) }
}

/// 63h.
pub(super) fn get_subfunction_enables(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    expect_command(context, data)?;
    reply.put(&ALL_SUBFUNCTIONS_ENABLED);
    Ok(())
}

/// 64h. Of the NetFns that are others', the group extension alone is used, by one body.
pub(super) fn get_oem_netfns(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const LAST: u8 = 0x01;

    let &[channel, netfn, index] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    channel_of(context, channel)?;
    let mut bodies: Vec<_> =
        TABLE.iter().filter(|row| row.netfn == netfn & 0x3e).filter_map(|row| row.group).collect();
    bodies.dedup();
    let index = usize::from(index & 0x3f);
    let body = bodies.get(index).ok_or(CompletionCode::NOT_PRESENT)?;
    reply.put(&[if index + 1 == bodies.len() { LAST } else { 0 }, LUN_0, *body]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::Bench, *};
    use crate::Request;

    const CHASSIS: u8 = 0x00;

    fn bit(mask: &[u8], command: u8) -> bool {
        mask[usize::from(command & 0x7f) / 8] >> (command % 8) & 1 != 0
    }

    #[test]
    fn every_row_is_found_by_the_channels_that_it_comes_by() {
        let mut bench = Bench::new();
        for channel in [LAN_CHANNEL, SYSTEM_INTERFACE] {
            let netfns = bench.ok(APP, 0x09, &[channel]);
            assert_eq!((netfns[0], netfns.len()), (0x01, 17));
            for row in TABLE {
                let half = if row.command >= 0x80 { 0x40 } else { 0 };
                let request: Vec<u8> = [channel, row.netfn | half, 0].into_iter().chain(row.group).collect();
                let missing = bit(&bench.ok(APP, 0x0a, &request), row.command);
                assert_eq!(!missing, reaches(row, channel), "{} by {channel}", row.name);
                assert!(
                    missing || netfns[1 + usize::from(row.netfn >> 1) / 8] >> (row.netfn >> 1 & 7) & 1 != 0
                );
                let enabled = bit(&bench.ok(APP, 0x61, &request), row.command);
                assert_eq!(enabled, !missing, "{} by {channel}", row.name);
                if !missing {
                    let one = [channel, row.netfn, 0, row.command].into_iter().chain(row.group);
                    let one: Vec<u8> = one.collect();
                    assert_eq!(bench.ok(APP, 0x0b, &one)[3..], [0; 4]);
                    assert_eq!(bench.ok(APP, 0x0d, &one), [0; 4]);
                    assert_eq!(bench.ok(APP, 0x63, &one), [0xff; 4]);
                }
            }
        }
    }

    #[test]
    fn chassis_commands_byte_for_byte() {
        let mut bench = Bench::new();
        // 00h to 02h, 04h to 09h, 0Bh, 0Fh.
        let commands = [0xf7, 0x8b];
        let there = [&commands[..], &[0; 14]].concat();
        let missing: Vec<u8> = there.iter().map(|byte| !byte).collect();
        assert_eq!(bench.ok(APP, 0x0a, &[0x0e, CHASSIS, 0]), missing);
        assert_eq!(bench.ok(APP, 0x0c, &[0x0e, CHASSIS, 0]), there);
        assert_eq!(bench.ok(APP, 0x61, &[0x0e, CHASSIS, 0]), there);
        assert_eq!(bench.ok(APP, 0x0a, &[0x0e, 0x40 | CHASSIS, 0]), [0xff; 16]);
        assert_eq!(bench.ok(APP, 0x0b, &[0x0e, CHASSIS, 0, 0x01]), [0x07, 0x02, 0x11, 0, 0, 0, 0]);
    }

    #[test]
    fn a_disabled_command_says_so_by_its_channel_alone() {
        let mut bench = Bench::new();
        let mut mask = bench.ok(APP, 0x61, &[0x0e, CHASSIS, 0]);
        mask[0] &= !(1 << 2);
        bench.ok(APP, 0x60, &[&[0x0e, CHASSIS, 0], &mask[..]].concat());
        assert_eq!(bench.code(CHASSIS, 0x02, &[1]), 0xd6);
        assert_eq!(bench.ok(APP, 0x61, &[0x0e, CHASSIS, 0]), mask);
        bench.ok(CHASSIS, 0x01, &[]);
        assert!(bench.bmc.take_unsaved());

        bench.channel = SYSTEM_INTERFACE;
        let own = bench.sessions.own.take();
        bench.ok(CHASSIS, 0x02, &[1]);
        bench.channel = LAN_CHANNEL;
        bench.sessions.own = own;
        mask[0] |= 1 << 2;
        bench.ok(APP, 0x60, &[&[0x0e, CHASSIS, 0], &mask[..]].concat());
        bench.ok(CHASSIS, 0x02, &[1]);
    }

    #[test]
    fn a_command_of_another_body_is_disabled_with_its_body_or_without() {
        let mut bench = Bench::new();
        for body in [&[][..], &[0xdc]] {
            let mut mask = bench.ok(APP, 0x61, &[&[0x0e, GROUP_EXTENSION, 0], body].concat());
            mask[0] &= !(1 << 1);
            bench.ok(APP, 0x60, &[&[0x0e, GROUP_EXTENSION, 0], &mask[..], body].concat());
            assert_eq!(bench.code(GROUP_EXTENSION, 0x01, &[0xdc, 1]), 0xd6);
            mask[0] |= 1 << 1;
            bench.ok(APP, 0x60, &[&[0x0e, GROUP_EXTENSION, 0], &mask[..], body].concat());
            bench.ok(GROUP_EXTENSION, 0x01, &[0xdc, 1]);
        }
        assert_eq!(bench.ok(APP, 0x0a, &[0x0e, GROUP_EXTENSION, 0, 0x00]), [0xff; 16], "PICMG's");
    }

    #[test]
    fn nobody_can_lock_himself_out() {
        let mut bench = Bench::new();
        assert_eq!(bench.code(APP, 0x60, &[&[0x0e, APP, 0], &[0; 16][..]].concat()), 0xcc);
        let enabled = bench.ok(APP, 0x61, &[0x0e, APP, 0]);
        let configurable = bench.ok(APP, 0x0c, &[0x0e, APP, 0]);
        let least: Vec<u8> = enabled
            .iter()
            .zip(&configurable)
            .map(|(enabled, configurable)| enabled & !configurable)
            .collect();
        bench.ok(APP, 0x60, &[&[0x0e, APP, 0], &least[..]].concat());
        bench.ok(APP, 0x54, &[0x0e, 0, 0x80]);
        bench.ok(APP, 0x3b, &[4]);
        assert_eq!(bench.code(APP, 0x02, &[]), 0xd6);
        bench.ok(APP, 0x60, &[&[0x0e, APP, 0], &enabled[..]].concat());
        bench.ok(APP, 0x02, &[]);
    }

    #[test]
    fn sub_functions_are_not_configurable() {
        let mut bench = Bench::new();
        bench.ok(APP, 0x62, &[&[0x0e, CHASSIS, 0, 2], &[0xff; 4][..]].concat());
        assert_eq!(bench.code(APP, 0x62, &[&[0x0e, CHASSIS, 0, 2], &[0x7f; 4][..]].concat()), 0xcc);
        assert_eq!(bench.code(APP, 0x62, &[&[0x0e, CHASSIS, 0, 2], &[0xff; 5][..]].concat()), 0xc7);
        bench.ok(APP, 0x62, &[&[0x0e, GROUP_EXTENSION, 0, 1, 0xdc], &[0xff; 4][..]].concat());
        assert_eq!(bench.code(APP, 0x0b, &[0x0e, CHASSIS, 0, 0x03]), 0xcb);
    }

    #[test]
    fn one_other_body_is_known() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x64, &[0x0e, GROUP_EXTENSION, 0]), [0x01, 0x01, 0xdc]);
        assert_eq!(bench.code(APP, 0x64, &[0x0e, GROUP_EXTENSION, 1]), 0xcb);
        assert_eq!(bench.code(APP, 0x64, &[0x0e, 0x2e, 0]), 0xcb);
    }

    #[test]
    fn other_channels_and_units_have_no_commands() {
        let mut bench = Bench::new();
        for command in [0x0a, 0x0c, 0x61] {
            assert_eq!(bench.code(APP, command, &[2, CHASSIS, 0]), 0xcc);
            assert_eq!(bench.code(APP, command, &[0x0e, CHASSIS, 1]), 0xcc);
        }
        let request = Request { netfn: CHASSIS, lun: 1, command: 0x01, data: &[] };
        assert_eq!(bench.run(&request).code().0, 0xc2);
    }
}
