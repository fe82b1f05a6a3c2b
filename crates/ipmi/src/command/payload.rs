//! Payloads of a session (IPMI 2.0 §24): SOL is the only one that has to be activated, in one instance.
//!
//! Who gets SOL when somebody has it:
//!
//! | asked by | answer |
//! |---|---|
//! | the session that has it | it begins anew |
//! | another session of the same user, at no lower level | takes it over; the old session is told |
//! | anybody else | 80h; who may deactivate it may do that first |

use bmc::{Privilege, UserChange};

use super::{
    Context, SessionFacts, SolRequest,
    user::{change, user_id},
};
use crate::{CompletionCode, Reply};

type Result<T = ()> = std::result::Result<T, CompletionCode>;

const SOL: u8 = 1;
const INSTANCE: u8 = 1;
const NO_VLAN: [u8; 2] = [0xff; 2];

/// Takes the payload type and instance of a request: SOL's only one.
fn expect_sol(payload_type: u8, instance: u8) -> Result {
    if (payload_type & 0x3f, instance & 0x0f) == (SOL, INSTANCE) {
        Ok(())
    } else {
        Err(CompletionCode::INVALID_FIELD)
    }
}

/// The session of a command that controls SOL, if its user may.
fn expect_access(context: &Context<'_>) -> Result<SessionFacts> {
    let session = context.port.current().ok_or(CompletionCode::NOT_IN_PRESENT_STATE)?;
    let needed = Privilege::from_number(context.bmc.sol().privilege);
    if !context.bmc.users.user(session.user).sol_access() || Some(session.privilege) < needed {
        return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
    }
    Ok(session)
}

/// 48h.
pub(super) fn activate(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const ACTIVE_ON_ANOTHER: CompletionCode = CompletionCode(0x80);
    const DISABLED: CompletionCode = CompletionCode(0x81);

    let &[payload_type, instance, flags, _, _, _] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    expect_sol(payload_type, instance)?;
    let session = expect_access(context)?;
    if !session.v20 {
        return Err(CompletionCode::NOT_IN_PRESENT_STATE);
    }
    if !context.bmc.sol().enabled || !context.bmc.has_console {
        return Err(DISABLED);
    }
    let request = requested(flags);
    expect_protection(context, &session, &request)?;
    if let Some(owner) = context.port.sol_owner() {
        let takes_over = owner.user == session.user && owner.privilege <= session.privilege;
        if owner.handle != session.handle && !takes_over {
            return Err(ACTIVE_ON_ANOTHER);
        }
    }
    let activation = context.port.sol_activate(request);
    reply.put(&[0; 4]);
    reply.put(&activation.inbound_size.to_le_bytes());
    reply.put(&activation.outbound_size.to_le_bytes());
    reply.put(&activation.port.to_le_bytes());
    reply.put(&NO_VLAN);
    Ok(())
}

/// The first byte of SOL's auxiliary data (Table 24-2). Test mode (bit 5) is not there, as the answer says.
fn requested(flags: u8) -> SolRequest {
    SolRequest {
        encrypt: flags & 0x80 != 0,
        authenticate: flags & 0x40 != 0,
        serial_alerts: flags >> 2 & 0x03,
        hold_handshake: flags & 0x02 != 0,
    }
}

/// The specification has codes for encryption alone.
fn expect_protection(context: &Context<'_>, session: &SessionFacts, request: &SolRequest) -> Result {
    const NOT_WITH_ENCRYPTION: CompletionCode = CompletionCode(0x83);
    const NOT_WITHOUT_ENCRYPTION: CompletionCode = CompletionCode(0x84);

    let settings = context.bmc.sol();
    if request.encrypt && !session.encrypted {
        return Err(NOT_WITH_ENCRYPTION);
    }
    if settings.force_encryption && !request.encrypt {
        return Err(NOT_WITHOUT_ENCRYPTION);
    }
    let authentication_fits = if request.authenticate {
        session.authenticated
    } else {
        !settings.force_authentication && !request.encrypt
    };
    if authentication_fits { Ok(()) } else { Err(CompletionCode::INVALID_FIELD) }
}

/// 49h.
pub(super) fn deactivate(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const NOT_ACTIVE: CompletionCode = CompletionCode(0x80);

    let &[payload_type, instance, _, _, _, _] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    expect_sol(payload_type, instance)?;
    let session = expect_access(context)?;
    let owner = context.port.sol_owner().ok_or(NOT_ACTIVE)?;
    let by_other = owner.handle != session.handle;
    if by_other && session.privilege < owner.privilege {
        return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
    }
    context.port.sol_deactivate(by_other);
    Ok(())
}

/// 4Ah.
pub(super) fn get_status(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[payload_type] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    expect_sol(payload_type, INSTANCE)?;
    reply.put(&[INSTANCE, u8::from(context.port.sol_owner().is_some()), 0]);
    Ok(())
}

/// 4Bh. The serial port of the payload is the machine's first.
pub(super) fn get_instance(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const SERIAL_PORT: u8 = 1;

    let &[payload_type, instance] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    expect_sol(payload_type, instance)?;
    let id = context.port.sol_owner().map_or(0, |owner| owner.id);
    reply.put(&id.to_le_bytes());
    reply.put(&[SERIAL_PORT, 0, 0, 0, 0, 0, 0, 0]);
    Ok(())
}

/// 4Eh. Of the answer, type n is bit n.
pub(super) fn get_support(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const IPMI_AND_SOL: u64 = 0b11;
    /// 10h to 15h: Open Session and RAKP.
    const SESSION_SETUP: u64 = 0x3f << 16;

    let &[channel] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.expect_lan(channel)?;
    reply.put(&(IPMI_AND_SOL | SESSION_SETUP).to_le_bytes());
    Ok(())
}

/// 4Fh.
pub(super) fn get_version(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const NOT_AVAILABLE: CompletionCode = CompletionCode(0x80);
    const VERSION_1_0: u8 = 0x10;

    let &[channel, payload_type] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.expect_lan(channel)?;
    match payload_type & 0x3f {
        0 | SOL | 0x10..=0x15 => reply.put(&[VERSION_1_0]),
        _ => return Err(NOT_AVAILABLE),
    }
    Ok(())
}

/// Payload types 1 and up of a user, as bits: SOL is the only one that has to be allowed.
const SOL_BIT: u8 = 1 << SOL;

/// 4Ch. The bits that are set are meant, the others stay.
pub(super) fn set_user_access(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const ENABLE: u8 = 0;
    const DISABLE: u8 = 1;

    let &[channel, operation, types, _, _, _] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.expect_lan(channel)?;
    let id = user_id(operation)?;
    let allowed = match operation >> 6 {
        ENABLE => true,
        DISABLE => false,
        _ => return Err(CompletionCode::INVALID_FIELD),
    };
    if types & SOL_BIT == 0 {
        return Ok(());
    }
    change(context, id, UserChange::SolAccess(allowed))
}

/// 4Dh.
pub(super) fn get_user_access(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[channel, number] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.expect_lan(channel)?;
    let sol = context.bmc.users.user(user_id(number)?).sol_access();
    reply.put(&[if sol { SOL_BIT } else { 0 }, 0, 0, 0]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{SYSTEM_INTERFACE, table::APP, tests::Bench},
        *,
    };

    const ACTIVATE: [u8; 6] = [1, 1, 0xc0, 0, 0, 0];
    const DEACTIVATE: [u8; 6] = [1, 1, 0, 0, 0, 0];

    #[test]
    fn an_activation_reports_sizes_and_port() {
        let mut bench = Bench::new();
        let expected = [0, 0, 0, 0, 0xff, 0x00, 0x03, 0x01, 0x6f, 0x02, 0xff, 0xff];
        assert_eq!(bench.ok(APP, 0x48, &ACTIVATE), expected);
        assert_eq!(bench.sessions.sol_owner, Some(1));
    }

    #[test]
    fn an_activation_carries_its_flags() {
        let mut bench = Bench::new();
        bench.ok(APP, 0x48, &[1, 1, 0xca, 0, 0, 0]);
        let request =
            SolRequest { encrypt: true, authenticate: true, serial_alerts: 2, hold_handshake: true };
        assert_eq!(bench.sessions.sol_request, Some(request));
    }

    #[test]
    fn sol_has_one_instance_and_is_the_only_payload() {
        let mut bench = Bench::new();
        for (payload_type, instance) in [(0, 1), (2, 1), (1, 0), (1, 2)] {
            assert_eq!(bench.code(APP, 0x48, &[payload_type, instance, 0xc0, 0, 0, 0]), 0xcc);
            assert_eq!(bench.code(APP, 0x49, &[payload_type, instance, 0, 0, 0, 0]), 0xcc);
            assert_eq!(bench.code(APP, 0x4b, &[payload_type, instance]), 0xcc);
        }
        assert_eq!(bench.code(APP, 0x4a, &[0]), 0xcc);
    }

    #[test]
    fn sol_needs_to_be_enabled() {
        let mut bench = Bench::new();
        bench.bmc.sol_mut().enabled = false;
        assert_eq!(bench.code(APP, 0x48, &ACTIVATE), 0x81);
        bench.bmc.sol_mut().enabled = true;
        bench.bmc.has_console = false;
        assert_eq!(bench.code(APP, 0x48, &ACTIVATE), 0x81, "there is nothing to carry");
    }

    #[test]
    fn sol_needs_a_session_of_its_level_and_a_user_with_access() {
        let mut bench = Bench::new();
        bench.bmc.sol_mut().privilege = 3;
        bench.own().privilege = Privilege::User;
        assert_eq!(bench.code(APP, 0x48, &ACTIVATE), 0xd4);
        assert_eq!(bench.code(APP, 0x49, &DEACTIVATE), 0xd4);
        bench.own().privilege = Privilege::Operator;
        bench.ok(APP, 0x48, &ACTIVATE);

        let user = bench.own().user;
        bench.bmc.users.set_sol_access(user, false).unwrap();
        assert_eq!(bench.code(APP, 0x48, &ACTIVATE), 0xd4);

        let mut bench = Bench::new();
        bench.own().v20 = false;
        assert_eq!(bench.code(APP, 0x48, &ACTIVATE), 0xd5, "IPMI 1.5 has no payloads");
        bench.channel = SYSTEM_INTERFACE;
        bench.sessions.own = None;
        assert_eq!(bench.code(APP, 0x48, &ACTIVATE), 0xd5);
    }

    #[test]
    fn forced_protection_is_not_left_off() {
        let mut bench = Bench::new();
        assert_eq!(bench.code(APP, 0x48, &[1, 1, 0x40, 0, 0, 0]), 0x84);
        assert_eq!(bench.code(APP, 0x48, &[1, 1, 0x80, 0, 0, 0]), 0xcc);
        assert_eq!(bench.code(APP, 0x48, &[1, 1, 0x00, 0, 0, 0]), 0x84);
        bench.bmc.sol_mut().force_encryption = false;
        assert_eq!(bench.code(APP, 0x48, &[1, 1, 0x00, 0, 0, 0]), 0xcc);
        bench.ok(APP, 0x48, &[1, 1, 0x40, 0, 0, 0]);
        bench.bmc.sol_mut().force_authentication = false;
        bench.ok(APP, 0x48, &[1, 1, 0x00, 0, 0, 0]);
        bench.own().encrypted = false;
        assert_eq!(bench.code(APP, 0x48, &ACTIVATE), 0x83);
    }

    #[test]
    fn another_session_of_the_user_takes_over() {
        let mut bench = Bench::new();
        bench.sessions.sol_owner = Some(2);
        bench.other().user = bench.own().user;
        bench.ok(APP, 0x48, &ACTIVATE);
        assert_eq!(bench.sessions.sol_owner, Some(1));
        bench.ok(APP, 0x48, &ACTIVATE);
        assert_eq!(bench.sessions.sol_owner, Some(1));
    }

    #[test]
    fn nobody_else_does_and_no_lesser_session() {
        let mut bench = Bench::new();
        bench.sessions.sol_owner = Some(2);
        assert_eq!(bench.code(APP, 0x48, &ACTIVATE), 0x80);
        bench.other().user = bench.own().user;
        bench.other().privilege = Privilege::Administrator;
        bench.own().privilege = Privilege::Operator;
        assert_eq!(bench.code(APP, 0x48, &ACTIVATE), 0x80);
        assert_eq!(bench.sessions.sol_owner, Some(2));
    }

    #[test]
    fn a_deactivation_ends_sol_and_tells_another_owner() {
        let mut bench = Bench::new();
        assert_eq!(bench.code(APP, 0x49, &DEACTIVATE), 0x80);
        bench.ok(APP, 0x48, &ACTIVATE);
        bench.ok(APP, 0x49, &DEACTIVATE);
        assert_eq!((bench.sessions.sol_owner, bench.sessions.sol_told), (None, false));
        bench.sessions.sol_owner = Some(2);
        bench.ok(APP, 0x49, &DEACTIVATE);
        assert_eq!((bench.sessions.sol_owner, bench.sessions.sol_told), (None, true));
    }

    #[test]
    fn a_lesser_session_does_not_end_anothers_sol() {
        let mut bench = Bench::new();
        bench.sessions.sol_owner = Some(2);
        bench.other().privilege = Privilege::Administrator;
        bench.own().privilege = Privilege::Operator;
        assert_eq!(bench.code(APP, 0x49, &DEACTIVATE), 0xd4);
        assert_eq!(bench.sessions.sol_owner, Some(2));
    }

    #[test]
    fn status_and_instance_name_the_session() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x4a, &[1]), [1, 0, 0]);
        assert_eq!(bench.ok(APP, 0x4b, &[1, 1]), [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        bench.sessions.sol_owner = Some(2);
        assert_eq!(bench.ok(APP, 0x4a, &[1]), [1, 1, 0]);
        assert_eq!(bench.ok(APP, 0x4b, &[1, 1]), [2, 0, 0, 0xa0, 1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn payload_types_are_bits_of_their_number() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x4e, &[0x0e]), [0x03, 0, 0x3f, 0, 0, 0, 0, 0]);
        assert_eq!(bench.code(APP, 0x4e, &[0x02]), 0xcc);
        for payload_type in [0x00, 0x01, 0x10, 0x15] {
            assert_eq!(bench.ok(APP, 0x4f, &[0x0e, payload_type]), [0x10]);
        }
        assert_eq!(bench.code(APP, 0x4f, &[0x0e, 0x02]), 0x80);
        assert_eq!(bench.code(APP, 0x4f, &[0x02, 0x01]), 0xcc);
    }

    #[test]
    fn a_user_s_sol_is_allowed_and_forbidden() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x4d, &[1, 3]), [0x02, 0, 0, 0]);
        bench.ok(APP, 0x4c, &[1, 0x40 | 3, 0x02, 0, 0, 0]);
        assert_eq!(bench.ok(APP, 0x4d, &[1, 3]), [0, 0, 0, 0]);
        bench.ok(APP, 0x4c, &[1, 3, 0x00, 0, 0x01, 0]);
        assert_eq!(bench.ok(APP, 0x4d, &[1, 3]), [0, 0, 0, 0], "another payload was meant");
        bench.ok(APP, 0x4c, &[1, 3, 0x02, 0, 0, 0]);
        assert_eq!(bench.ok(APP, 0x4d, &[1, 3]), [0x02, 0, 0, 0]);
        assert_eq!(bench.code(APP, 0x4c, &[1, 0x80 | 3, 0x02, 0, 0, 0]), 0xcc);
        assert_eq!(bench.code(APP, 0x4c, &[1, 1, 0x02, 0, 0, 0]), 0xcc, "the null user");
        assert_eq!(bench.code(APP, 0x4d, &[2, 3]), 0xcc);
    }

    #[test]
    fn a_user_who_is_forbidden_sol_does_not_get_it() {
        let mut bench = Bench::new();
        bench.ok(APP, 0x4c, &[1, 0x40 | 2, 0x02, 0, 0, 0]);
        assert_eq!(bench.code(APP, 0x48, &ACTIVATE), 0xd4);
    }
}
