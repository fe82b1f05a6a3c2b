//! Users (IPMI 2.0 §22.26 to §22.31). Their access is that to the LAN channel; the system interface has no
//! sessions, so by it nobody logs in, and what is asked about it is "no access".

use bmc::{Password, Privilege, UserChange, UserError, UserId};

use super::{Context, LAN_CHANNEL};
use crate::{CompletionCode, Reply};

type Result<T = ()> = std::result::Result<T, CompletionCode>;

const CALLBACK_ONLY: u8 = 1 << 6;
const LINK_AUTHENTICATION: u8 = 1 << 5;
const MESSAGING: u8 = 1 << 4;
const NO_ACCESS: u8 = 0x0f;
const NAME_SIZE: usize = 16;

/// Takes the user field of a request.
pub(super) fn user_id(field: u8) -> Result<UserId> {
    UserId::new(field & 0x3f).ok_or(CompletionCode::INVALID_FIELD)
}

/// Changes a user in the name of whoever sent the command.
pub(super) fn change(context: &mut Context<'_>, id: UserId, change: UserChange) -> Result {
    let by = context.requester();
    context.bmc.change_user(id, change, by).map_err(|error| match error {
        UserError::TableFull => CompletionCode::OUT_OF_SPACE,
        UserError::NullUser
        | UserError::BadName
        | UserError::DuplicateName
        | UserError::PasswordTooLong
        | UserError::EmptyPassword => CompletionCode::INVALID_FIELD,
    })
}

/// 43h. Without bit 7, the three bits after it are not meant.
pub(super) fn set_access(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const CHANGE_BITS: u8 = 1 << 7;

    let (&[bits, number, limit], rest) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    context.expect_lan(bits)?;
    let id = user_id(number)?;
    let mut access = context.bmc.users.user(id).access();
    access.limit = match limit & 0x0f {
        NO_ACCESS => None,
        level => Some(Privilege::from_number(level).ok_or(CompletionCode::INVALID_FIELD)?),
    };
    if bits & CHANGE_BITS != 0 {
        access.callback_only = bits & CALLBACK_ONLY != 0;
        access.link_authentication = bits & LINK_AUTHENTICATION != 0;
        access.messaging = bits & MESSAGING != 0;
    }
    if let &[sessions] = rest {
        access.session_limit = sessions & 0x0f;
    }
    if id == UserId::NULL && access.limit.is_some() && !access.messaging {
        // It could log in as little as before; clients that write back a level for every user mean no harm.
        access.limit = None;
    }
    change(context, id, UserChange::Access(access))
}

/// 44h. FreeIPMI asks it before it configures anything, to know how many users there are.
pub(super) fn get_access(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const ENABLED: u8 = 0x40;
    const DISABLED: u8 = 0x80;
    const NULL_USER_IS_FIXED: u8 = 1;

    let &[channel, number] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let on_lan = context.named_channel(channel)? == LAN_CHANNEL;
    let id = user_id(number)?;
    let users = &context.bmc.users;
    let (user, access) = (users.user(id), users.user(id).access());
    let count = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
    let if_so = |condition: bool, bits: u8| if condition { bits } else { 0 };
    let bits = if_so(access.callback_only, CALLBACK_ONLY)
        | if_so(access.link_authentication, LINK_AUTHENTICATION)
        | if_so(access.messaging, MESSAGING)
        | access.limit.map_or(NO_ACCESS, |limit| limit as u8);
    reply.put(&[
        count(UserId::all().count()),
        if user.enabled() { ENABLED } else { DISABLED } | count(users.enabled_count()),
        NULL_USER_IS_FIXED,
        if on_lan { bits } else { NO_ACCESS },
    ]);
    Ok(())
}

/// 45h. A name ends at its first zero; the empty one frees the slot.
pub(super) fn set_name(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (&number, name) = data.split_first().ok_or(CompletionCode::INVALID_LENGTH)?;
    let id = user_id(number)?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let name = str::from_utf8(name.get(..end).unwrap_or_default());
    let name = name.map_err(|_| CompletionCode::INVALID_FIELD)?.to_owned();
    change(context, id, UserChange::Name(name))
}

/// 46h.
pub(super) fn get_name(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[number] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let name = context.bmc.users.user(user_id(number)?).name().as_bytes();
    let mut field = [0; NAME_SIZE];
    for (to, from) in field.iter_mut().zip(name) {
        *to = *from;
    }
    reply.put(&field);
    Ok(())
}

/// 47h.
pub(super) fn set_password(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const TWENTY_BYTES: u8 = 1 << 7;
    const DISABLE: u8 = 0;
    const ENABLE: u8 = 1;
    const SET: u8 = 2;

    let (&[number, operation], password) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let id = user_id(number)?;
    match operation & 0x03 {
        // A password may come along, and counts for nothing.
        operation @ (DISABLE | ENABLE) => change(context, id, UserChange::Enabled(operation == ENABLE)),
        operation => {
            let size = if number & TWENTY_BYTES != 0 { 20 } else { 16 };
            if password.len() != size {
                return Err(CompletionCode::INVALID_LENGTH);
            }
            let password = Password::from_field(password);
            if operation == SET {
                let password = password.map_err(|_| CompletionCode::INVALID_FIELD)?;
                change(context, id, UserChange::Password(password))
            } else {
                test_password(context, id, password.ok().as_ref(), size)
            }
        }
    }
}

/// Whether a password is the user's, and of the size in which that is stored.
fn test_password(context: &Context<'_>, id: UserId, given: Option<&Password>, size: usize) -> Result {
    const OTHER: CompletionCode = CompletionCode(0x80);
    const OTHER_SIZE: CompletionCode = CompletionCode(0x81);

    let stored = context.bmc.users.user(id).password().ok_or(OTHER)?;
    if stored.size().bytes() != size {
        return Err(OTHER_SIZE);
    }
    if Some(stored) == given { Ok(()) } else { Err(OTHER) }
}

#[cfg(test)]
mod tests {
    use bmc::{Event, UserPart};

    use super::{
        super::{SYSTEM_INTERFACE, table::APP, tests::Bench},
        *,
    };

    fn field<const N: usize>(text: &str) -> Vec<u8> {
        let mut field = vec![0; N];
        field[..text.len()].copy_from_slice(text.as_bytes());
        field
    }

    impl Bench {
        fn set_password(&mut self, number: u8, operation: u8, password: &[u8]) -> u8 {
            self.code(APP, 0x47, &[&[number, operation], password].concat())
        }
    }

    #[test]
    fn access_tells_who_may_log_in_and_how_high() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x44, &[0x0e, 2]), [16, 0x42, 1, 0x14]);
        assert_eq!(bench.ok(APP, 0x44, &[0x01, 1]), [16, 0x82, 1, 0x0f], "the null user");
        let reader = bench.other().user;
        bench.bmc.users.set_enabled(reader, false).unwrap();
        bench.bmc.users.set_limit(reader, Some(Privilege::User)).unwrap();
        assert_eq!(bench.ok(APP, 0x44, &[0x0e, 3]), [16, 0x81, 1, 0x12]);
        bench.channel = SYSTEM_INTERFACE;
        bench.sessions.own = None;
        assert_eq!(bench.ok(APP, 0x44, &[0x0e, 2]), [16, 0x41, 1, 0x0f], "nobody logs in by it");
        assert_eq!(bench.ok(APP, 0x44, &[0x01, 2]), [16, 0x41, 1, 0x14]);
    }

    #[test]
    fn there_are_sixteen_users_and_one_channel_to_log_in_by() {
        let mut bench = Bench::new();
        for number in [0, 17] {
            assert_eq!(bench.code(APP, 0x44, &[0x0e, number]), 0xcc);
            assert_eq!(bench.code(APP, 0x43, &[0x0e, number, 4]), 0xcc);
            assert_eq!(bench.code(APP, 0x46, &[number]), 0xcc);
            assert_eq!(bench.set_password(number, 0, &[]), 0xcc);
        }
        assert_eq!(bench.code(APP, 0x44, &[0x02, 2]), 0xcc);
        assert_eq!(bench.code(APP, 0x43, &[0x0f, 2, 4]), 0xcc);
    }

    #[test]
    fn access_is_kept_as_set_and_without_its_bit_only_the_level() {
        let mut bench = Bench::new();
        bench.ok(APP, 0x43, &[0x80 | 0x70 | 1, 3, 2, 3]);
        assert_eq!(bench.ok(APP, 0x44, &[1, 3])[3], 0x72);
        assert_eq!(bench.bmc.users.user(user_id(3).unwrap()).access().session_limit, 3);
        bench.ok(APP, 0x43, &[1, 3, 4]);
        assert_eq!(bench.ok(APP, 0x44, &[1, 3])[3], 0x74);
        bench.ok(APP, 0x43, &[0x80 | 1, 3, 0x0f]);
        assert_eq!(bench.ok(APP, 0x44, &[1, 3])[3], 0x0f);
        assert_eq!(bench.code(APP, 0x43, &[1, 3, 0]), 0xcc);
        assert_eq!(bench.code(APP, 0x43, &[1, 3, 6]), 0xcc);
        assert!(bench.bmc.take_unsaved());
    }

    #[test]
    fn names_come_back_as_set() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x46, &[2]), field::<16>("admin"));
        assert_eq!(bench.ok(APP, 0x46, &[16]), [0; 16]);
        bench.ok(APP, 0x45, &[&[16][..], b"sixteen letters!"].concat());
        assert_eq!(bench.ok(APP, 0x46, &[16]), b"sixteen letters!");
        bench.ok(APP, 0x45, &[&[16][..], &[0; 16]].concat());
        assert_eq!(bench.ok(APP, 0x46, &[16]), [0; 16]);
        for bad in
            [b"admin\0\0\0\0\0\0\0\0\0\0\0", b"\xffanything\0\0\0\0\0\0\0", b"a\tb\0\0\0\0\0\0\0\0\0\0\0\0\0"]
        {
            assert_eq!(bench.code(APP, 0x45, &[&[4][..], bad].concat()), 0xcc);
        }
    }

    #[test]
    fn a_password_is_set_and_tested_in_both_sizes() {
        let mut bench = Bench::new();
        let (sixteen, twenty) = (field::<16>("secret"), field::<20>("secret"));
        assert_eq!(bench.set_password(3, 2, &sixteen), 0);
        assert_eq!(bench.set_password(3, 3, &sixteen), 0);
        assert_eq!(bench.set_password(0x83, 3, &twenty), 0x81);
        assert_eq!(bench.set_password(3, 3, &field::<16>("secreT")), 0x80);
        assert_eq!(bench.set_password(3, 3, &[0; 16]), 0x80);
        assert_eq!(bench.set_password(0x83, 2, &twenty), 0);
        assert_eq!(bench.set_password(0x83, 3, &twenty), 0);
        assert_eq!(bench.set_password(3, 3, &sixteen), 0x81);
        assert_eq!(bench.set_password(9, 3, &sixteen), 0x80, "a user without a password");
    }

    #[test]
    fn a_password_has_the_size_that_it_says_and_is_not_empty() {
        let mut bench = Bench::new();
        for (number, size) in [(3, 0), (3, 15), (3, 20), (0x83, 16), (0x83, 19)] {
            assert_eq!(bench.set_password(number, 2, &vec![b'x'; size]), 0xc7, "{number:02x} {size}");
        }
        assert_eq!(bench.set_password(3, 2, &[0; 16]), 0xcc);
    }

    #[test]
    fn users_are_enabled_and_disabled_with_or_without_a_password_along() {
        let mut bench = Bench::new();
        for (operation, password, status) in
            [(0, &[][..], 0x81), (1, &[0; 16][..], 0x42), (0, &[1; 20], 0x81)]
        {
            assert_eq!(bench.set_password(3, operation, password), 0);
            assert_eq!(bench.ok(APP, 0x44, &[1, 3])[1], status);
        }
    }

    #[test]
    fn the_null_user_is_written_back_and_never_enabled() {
        let mut bench = Bench::new();
        assert_eq!(bench.set_password(1, 0, &[]), 0);
        bench.ok(APP, 0x45, &[&[1][..], &[0; 16]].concat());
        bench.ok(APP, 0x43, &[0x81, 1, 0x0f]);
        bench.ok(APP, 0x43, &[0x81, 1, 4]);
        assert_eq!(bench.ok(APP, 0x44, &[1, 1])[3], 0x0f);
        assert_eq!(bench.set_password(1, 1, &[]), 0xcc);
        assert_eq!(bench.set_password(1, 2, &[b'x'; 16]), 0xcc);
        assert_eq!(bench.code(APP, 0x45, &[&[1][..], &[b'x'; 16]].concat()), 0xcc);
        assert_eq!(bench.code(APP, 0x43, &[0x91, 1, 4]), 0xcc);
    }

    #[test]
    fn what_was_changed_is_recorded_and_what_was_not_is_not() {
        let mut bench = Bench::new();
        let _ = bench.bmc.take_events();
        bench.ok(APP, 0x45, &[&[4][..], &field::<16>("bob")].concat());
        bench.ok(APP, 0x45, &[&[4][..], &field::<16>("bob")].concat());
        assert_eq!(bench.set_password(4, 1, &[]), 0);
        let parts: Vec<_> = bench
            .bmc
            .take_events()
            .map(|event| match event {
                Event::UserChanged { name, part, .. } => (name, part),
                other => panic!("{other}"),
            })
            .collect();
        assert_eq!(parts, [("bob".to_owned(), UserPart::Name), ("bob".to_owned(), UserPart::Enabled)]);
    }
}
