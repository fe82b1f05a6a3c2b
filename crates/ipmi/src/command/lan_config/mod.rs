//! LAN configuration parameters (IPMI 2.0 §23.1 and §23.2, Table 23-4), and the other two LAN commands
//! (§23.3 and §23.4).
//!
//! | parameters | what | in |
//! |---|---|---|
//! | 0 to 2, 22 to 24 | set in progress, IPMI 1.5's authentication, cipher suites | here |
//! | 3 to 15, 20, 21 | IPv4 and VLAN | `ipv4` |
//! | 16 to 19, 25 | alerts | `alert` |
//! | 50 to 80 | IPv6 | `ipv6` |
//!
//! Of a parameter that can't be set, writing what it is is no error: clients write back what they have read.

mod alert;
mod ipv4;
mod ipv6;

use bmc::{Lan, LanPart, LanStatistics, SuitePrivileges};

use super::{Context, boot_options::next_progress};
use crate::{CompletionCode, Reply};

type Result<T = ()> = std::result::Result<T, CompletionCode>;

const REVISION: u8 = 0x11;
const UNSUPPORTED: CompletionCode = CompletionCode(0x80);
const READ_ONLY: CompletionCode = CompletionCode(0x82);

const SET_IN_PROGRESS: u8 = 0;
/// The bit of MD5 among the authentication types (Table 23-4, parameter 1).
const MD5: u8 = 1 << 2;

/// 01h.
pub(super) fn set(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (&[channel, parameter], data) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    context.expect_lan(channel)?;
    let mut lan = context.bmc.lan.clone();
    match parameter {
        SET_IN_PROGRESS => {
            let [state] = exactly(data)?;
            context.bmc.lan.set_in_progress = next_progress(lan.set_in_progress, state)?;
            return Ok(());
        }
        2 => set_authentication(&mut lan, exactly(data)?)?,
        24 => {
            let [_reserved, levels @ ..] = exactly::<9>(data)?;
            lan.suite_privileges =
                SuitePrivileges::from_field(&levels).ok_or(CompletionCode::INVALID_FIELD)?;
        }
        1 | 22 | 23 => unchanged(&lan, parameter, 0, data)?,
        3..=15 | 20 | 21 => ipv4::set(&mut lan, parameter, data)?,
        16..=19 | 25 => alert::set(&mut lan, parameter, data)?,
        50..=80 => ipv6::set(&mut lan, parameter, data)?,
        _ => return Err(UNSUPPORTED),
    }
    if lan != context.bmc.lan {
        let by = context.requester();
        context.bmc.change_lan(LanPart::Parameter(parameter), by, |own| *own = lan);
    }
    Ok(())
}

/// 02h. With bit 7 of the channel the revision alone is asked for.
pub(super) fn get(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const REVISION_ONLY: u8 = 0x80;

    let &[channel, parameter, set, block] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.expect_lan(channel)?;
    reply.put(&[REVISION]);
    if channel & REVISION_ONLY != 0 {
        return Ok(());
    }
    put(&context.bmc.lan, parameter, set, block, reply)
}

fn put(lan: &Lan, parameter: u8, set: u8, block: u8, reply: &mut Reply) -> Result {
    match parameter {
        SET_IN_PROGRESS => reply.put(&[lan.set_in_progress]),
        1 => reply.put(&[if lan.v15 { MD5 } else { 0 }]),
        2 => reply.put(&lan.v15_enables().map(|enabled| if enabled { MD5 } else { 0 })),
        22 => reply.put(&[u8::try_from(lan.cipher_suites.len()).unwrap_or(u8::MAX)]),
        23 => {
            reply.put(&[0]);
            reply.put(&lan.cipher_suites);
        }
        24 => {
            reply.put(&[0]);
            reply.put(lan.suite_privileges.field());
        }
        3..=15 | 20 | 21 => return ipv4::put(lan, parameter, reply),
        16..=19 | 25 => return alert::put(lan, parameter, set, reply),
        50..=80 => return ipv6::put(lan, parameter, set, block, reply),
        _ => return Err(UNSUPPORTED),
    }
    Ok(())
}

/// Parameter 2: authentication types by level. MD5 can be enabled while there is none: then it is for when
/// there will be.
fn set_authentication(lan: &mut Lan, levels: [u8; 5]) -> Result {
    if levels.iter().any(|types| types & 0x3f & !MD5 != 0) {
        return Err(CompletionCode::INVALID_FIELD);
    }
    let levels = levels.map(|types| types & MD5 != 0);
    if levels != lan.v15_enables() {
        lan.v15_levels = Some(levels);
    }
    Ok(())
}

/// Takes the data of a parameter that has a fixed size.
fn exactly<const N: usize>(data: &[u8]) -> Result<[u8; N]> {
    data.try_into().map_err(|_| CompletionCode::INVALID_LENGTH)
}

/// Takes what can't be set: nothing but what is there.
fn unchanged(lan: &Lan, parameter: u8, set: u8, data: &[u8]) -> Result {
    let mut own = Reply::default();
    put(lan, parameter, set, 0, &mut own)?;
    if own.data() == data { Ok(()) } else { Err(READ_ONLY) }
}

/// 03h. The answer says which ARPs go on: the kernel answers requests, and sends none by itself.
pub(super) fn suspend_arps(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const RESPONSES_GO_ON: u8 = 1 << 1;

    let &[channel, _] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.expect_lan(channel)?;
    reply.put(&[RESPONSES_GO_ON]);
    Ok(())
}

/// 04h.
pub(super) fn get_statistics(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const CLEAR: u8 = 1 << 0;

    let &[channel, operation] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.expect_lan(channel)?;
    if operation & CLEAR != 0 && context.is_untrusted_guest() {
        return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
    }
    let LanStatistics { received, sent, rmcp_valid } = context.bmc.lan.statistics;
    // Errors of the IP header, wrong addresses and fragments are the kernel's, proxies are not there.
    for count in [received, 0, 0, 0, sent, received, rmcp_valid, 0, 0] {
        reply.put(&count.to_le_bytes());
    }
    if operation & CLEAR != 0 {
        context.bmc.lan.statistics = LanStatistics::default();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
