//! Sessions as commands see them (IPMI 2.0 §22.16 to §22.20). How they are opened in IPMI 2.0 is not a
//! command but the RAKP exchange of the LAN server.

use std::net::{IpAddr, Ipv4Addr};

use bmc::Privilege;

use super::{Context, LAN_CHANNEL, SessionFacts, SessionRef};
use crate::{CompletionCode, Reply};

type Result = std::result::Result<(), CompletionCode>;

const MD5: u8 = 0x02;
/// The field is six bits wide.
const COUNT_MAX: u8 = 0x3f;

/// 39h.
pub(super) fn get_challenge(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    expect_v15(context)?;
    let (&authentication, name) = data.split_first().ok_or(CompletionCode::INVALID_LENGTH)?;
    let name = name.try_into().map_err(|_| CompletionCode::INVALID_LENGTH)?;
    expect_md5(authentication)?;
    if !context.bmc.lan.access.volatile.admits(context.bmc.host_power()) {
        return Err(CompletionCode::NOT_IN_PRESENT_STATE);
    }
    let (id, challenge) = context.port.challenge_v15(name)?;
    reply.put(&id.to_le_bytes());
    reply.put(&challenge);
    Ok(())
}

/// 3Ah.
pub(super) fn activate(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const LEVEL_EXCEEDS_LIMIT: CompletionCode = CompletionCode(0x86);

    expect_v15(context)?;
    let (&[authentication, privilege], data) =
        data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let (challenge, data) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let sequence = data.try_into().map_err(|_| CompletionCode::INVALID_LENGTH)?;
    expect_md5(authentication)?;
    let max = Privilege::from_number(privilege & 0x0f).ok_or(CompletionCode::INVALID_FIELD)?;
    if !context.bmc.lan.v15_admits(max) {
        return Err(LEVEL_EXCEEDS_LIMIT);
    }
    let (id, inbound_seq, max) = context.port.activate_v15(max, challenge, u32::from_le_bytes(sequence))?;
    reply.put(&[MD5]);
    reply.put(&id.to_le_bytes());
    reply.put(&inbound_seq.to_le_bytes());
    reply.put(&[max as u8]);
    Ok(())
}

/// Without IPMI 1.5 its commands are unknown ones.
fn expect_v15(context: &Context<'_>) -> Result {
    if context.bmc.lan.v15 { Ok(()) } else { Err(CompletionCode::INVALID_COMMAND) }
}

fn expect_md5(authentication: u8) -> Result {
    if authentication & 0x0f == MD5 { Ok(()) } else { Err(CompletionCode::INVALID_FIELD) }
}

/// 3Bh. Level 0 asks for the present one.
pub(super) fn set_privilege(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const NOT_AVAILABLE: CompletionCode = CompletionCode(0x80);
    const EXCEEDS_LIMIT: CompletionCode = CompletionCode(0x81);

    let &[level] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let session = context.port.current().ok_or(CompletionCode::NOT_IN_PRESENT_STATE)?;
    let level = match level & 0x0f {
        0 => session.privilege,
        level => {
            let level = Privilege::from_number(level).ok_or(CompletionCode::INVALID_FIELD)?;
            if matches!(level, Privilege::Callback | Privilege::Oem) {
                return Err(NOT_AVAILABLE);
            }
            let limit = context.bmc.users.user(session.user).limit();
            if level > session.max || level > context.bmc.lan.max_privilege() || Some(level) > limit {
                return Err(EXCEEDS_LIMIT);
            }
            context.port.set_privilege(level);
            level
        }
    };
    reply.put(&[level as u8]);
    Ok(())
}

/// 3Ch. By id, or by handle where the id is 0.
pub(super) fn close(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const NO_SUCH_ID: CompletionCode = CompletionCode(0x87);
    const NO_SUCH_HANDLE: CompletionCode = CompletionCode(0x88);

    let (id, handle) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let (which, unknown) = match (u32::from_le_bytes(*id), handle) {
        (0, &[handle]) => (SessionRef::Handle(handle), NO_SUCH_HANDLE),
        (0, _) => return Err(NO_SUCH_ID),
        (id, []) => (SessionRef::Id(id), NO_SUCH_ID),
        _ => return Err(CompletionCode::INVALID_LENGTH),
    };
    let named = context.port.find(which);
    if named.is_some() && named == context.port.current() {
        context.port.close(SessionRef::Own);
        return Ok(());
    }
    if context.privilege() < Some(Privilege::Administrator) {
        return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
    }
    if context.port.close(which) { Ok(()) } else { Err(unknown) }
}

/// 3Dh. Without such a session the answer ends after the counts.
pub(super) fn get_info(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const BY_HANDLE: u8 = 0xfe;
    const BY_ID: u8 = 0xff;

    let capacity = context.port.capacity().min(COUNT_MAX);
    let session = match *data {
        [0] => context.port.current(),
        [BY_HANDLE, handle] => Some(find(context, SessionRef::Handle(handle))?),
        [BY_ID, a, b, c, d] => Some(find(context, SessionRef::Id(u32::from_le_bytes([a, b, c, d])))?),
        [BY_HANDLE | BY_ID] => return Err(CompletionCode::INVALID_LENGTH),
        [nth] if nth <= capacity => context.port.find(SessionRef::Nth(nth)),
        [_] => return Err(CompletionCode::OUT_OF_RANGE),
        _ => return Err(CompletionCode::INVALID_LENGTH),
    };
    reply.put(&[session.map_or(0, |session| session.handle), capacity, context.port.active().min(COUNT_MAX)]);
    if let Some(session) = session {
        put_info(reply, &session);
    }
    Ok(())
}

fn find(context: &Context<'_>, which: SessionRef) -> std::result::Result<SessionFacts, CompletionCode> {
    context.port.find(which).ok_or(CompletionCode::NOT_PRESENT)
}

/// A peer that is not IPv4 has address 0.0.0.0, for the field is four bytes; nobody here knows its MAC.
fn put_info(reply: &mut Reply, session: &SessionFacts) {
    let address = match session.peer.ip().to_canonical() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    let protocol = u8::from(session.v20) << 4;
    reply.put(&[session.user.number(), session.privilege as u8, protocol | LAN_CHANNEL]);
    reply.put(&address.octets());
    reply.put(&[0; 6]);
    reply.put(&session.peer.port().to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::{
        super::{SYSTEM_INTERFACE, table::APP, tests::Bench},
        *,
    };

    #[test]
    fn without_ipmi_1_5_its_commands_do_not_exist() {
        let mut bench = Bench::new();
        assert_eq!(bench.code(APP, 0x39, &[2; 17]), 0xc1);
        assert_eq!(bench.code(APP, 0x3a, &[2; 22]), 0xc1);
    }

    #[test]
    fn a_challenge_is_for_md5_alone() {
        let mut bench = Bench::new();
        bench.bmc.lan.v15 = true;
        let request = |authentication: u8| [&[authentication], &b"admin\0\0\0\0\0\0\0\0\0\0\0"[..]].concat();
        let expected = [&[0x44, 0x33, 0x22, 0x11][..], &[0xcc; 16]].concat();
        assert_eq!(bench.ok(APP, 0x39, &request(2)), expected);
        for authentication in [0, 1, 4, 5] {
            assert_eq!(bench.code(APP, 0x39, &request(authentication)), 0xcc);
        }
        let nobody = [&[2][..], &[b'x'; 16]].concat();
        assert_eq!(bench.code(APP, 0x39, &nobody), 0x81);
    }

    #[test]
    fn an_activation_says_how_the_session_goes_on() {
        let mut bench = Bench::new();
        bench.bmc.lan.v15 = true;
        let request = |authentication: u8, privilege: u8| {
            [&[authentication, privilege][..], &[0xcc; 16], &[0x01, 0x02, 0x03, 0x04]].concat()
        };
        let expected = [2, 0x88, 0x77, 0x66, 0x55, 0x05, 0x03, 0x03, 0x04, 3];
        assert_eq!(
            bench.ok(APP, 0x3a, &request(2, 3)),
            expected,
            "the sequence number is the test's, plus 1"
        );
        assert_eq!(bench.code(APP, 0x3a, &request(0, 3)), 0xcc);
        assert_eq!(bench.code(APP, 0x3a, &request(2, 0)), 0xcc);
    }

    #[test]
    fn a_session_is_raised_up_to_its_users_limit() {
        let mut bench = Bench::new();
        bench.own().privilege = Privilege::User;
        assert_eq!(bench.ok(APP, 0x3b, &[0]), [2]);
        assert_eq!(bench.ok(APP, 0x3b, &[4]), [4]);
        assert_eq!(bench.own().privilege, Privilege::Administrator);
        assert_eq!(bench.ok(APP, 0x3b, &[0xf3]), [3]);
        assert_eq!(bench.code(APP, 0x3b, &[1]), 0x80);
        assert_eq!(bench.code(APP, 0x3b, &[5]), 0x80);
        assert_eq!(bench.code(APP, 0x3b, &[6]), 0xcc);
        assert_eq!(bench.own().privilege, Privilege::Operator);
    }

    #[test]
    fn a_session_is_not_raised_above_any_limit() {
        let mut bench = Bench::new();
        bench.own().privilege = Privilege::User;
        bench.own().max = Privilege::Operator;
        assert_eq!(bench.code(APP, 0x3b, &[4]), 0x81);

        let mut bench = Bench::new();
        bench.own().privilege = Privilege::User;
        let user = bench.own().user;
        bench.bmc.users.set_limit(user, Some(Privilege::Operator)).unwrap();
        assert_eq!(bench.code(APP, 0x3b, &[4]), 0x81);
        assert_eq!(bench.ok(APP, 0x3b, &[3]), [3]);

        let mut bench = Bench::new();
        bench.own().privilege = Privilege::User;
        bench.bmc.lan.access.volatile.limit = Privilege::User;
        assert_eq!(bench.code(APP, 0x3b, &[3]), 0x81);
    }

    #[test]
    fn in_band_there_is_no_session_to_raise() {
        let mut bench = Bench::new();
        bench.channel = SYSTEM_INTERFACE;
        bench.sessions.own = None;
        assert_eq!(bench.code(APP, 0x3b, &[0]), 0xd5);
        assert_eq!(bench.ok(APP, 0x3d, &[0]), [0, 63, 2]);
    }

    #[test]
    fn everybody_may_close_his_own_session() {
        for request in [&[0x01, 0, 0, 0xa0][..], &[0, 0, 0, 0, 1]] {
            let mut bench = Bench::new();
            bench.own().privilege = Privilege::Callback;
            bench.ok(APP, 0x3c, request);
            assert_eq!(bench.sessions.closed, [SessionRef::Own]);
        }
    }

    #[test]
    fn an_administrator_alone_may_close_another() {
        let mut bench = Bench::new();
        bench.own().privilege = Privilege::Operator;
        assert_eq!(bench.code(APP, 0x3c, &[0x02, 0, 0, 0xa0]), 0xd4);
        assert_eq!(bench.code(APP, 0x3c, &[0, 0, 0, 0, 2]), 0xd4);
        bench.own().privilege = Privilege::Administrator;
        bench.ok(APP, 0x3c, &[0x02, 0, 0, 0xa0]);
        bench.ok(APP, 0x3c, &[0, 0, 0, 0, 2]);
        assert_eq!(bench.sessions.closed, [SessionRef::Id(0xa000_0002), SessionRef::Handle(2)]);
    }

    #[test]
    fn what_is_not_open_cannot_be_closed() {
        let mut bench = Bench::new();
        assert_eq!(bench.code(APP, 0x3c, &[1, 2, 3, 4]), 0x87);
        assert_eq!(bench.code(APP, 0x3c, &[0, 0, 0, 0]), 0x87);
        assert_eq!(bench.code(APP, 0x3c, &[0, 0, 0, 0, 9]), 0x88);
        assert_eq!(bench.code(APP, 0x3c, &[1, 2, 3, 4, 5]), 0xc7);
    }

    #[test]
    fn session_info_names_user_level_and_peer() {
        let mut bench = Bench::new();
        let own = [1, 63, 2, 2, 4, 0x11, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0x39, 0x30];
        let other = [2, 63, 2, 3, 2, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x3a, 0x30];
        assert_eq!(bench.ok(APP, 0x3d, &[0]), own);
        assert_eq!(bench.ok(APP, 0x3d, &[1]), own);
        assert_eq!(bench.ok(APP, 0x3d, &[2]), other, "an IPMI 1.5 session over IPv6");
        assert_eq!(bench.ok(APP, 0x3d, &[0xfe, 2]), other);
        assert_eq!(bench.ok(APP, 0x3d, &[0xff, 0x02, 0, 0, 0xa0]), other);
        assert_eq!(bench.ok(APP, 0x3d, &[3]), [0, 63, 2], "a slot that is free");
    }

    #[test]
    fn sessions_that_are_not_there_are_not_described() {
        let mut bench = Bench::new();
        assert_eq!(bench.code(APP, 0x3d, &[64]), 0xc9);
        assert_eq!(bench.code(APP, 0x3d, &[0xfe, 9]), 0xcb);
        assert_eq!(bench.code(APP, 0x3d, &[0xff, 1, 2, 3, 4]), 0xcb);
        assert_eq!(bench.code(APP, 0x3d, &[0xfe]), 0xc7);
        assert_eq!(bench.code(APP, 0x3d, &[1, 2]), 0xc7);
    }
}
