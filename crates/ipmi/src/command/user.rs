//! Users as commands see them (IPMI 2.0 §22.26 to §22.31). Every user has the same access on the only
//! channel there is.

use bmc::UserId;

use super::Context;
use crate::{CompletionCode, Reply};

/// 44h. FreeIPMI asks it before it configures anything, to know how many users there are.
pub(super) fn get_access(
    context: &mut Context<'_>,
    data: &[u8],
    reply: &mut Reply,
) -> Result<(), CompletionCode> {
    const ENABLED: u8 = 0x40;
    const DISABLED: u8 = 0x80;
    const MESSAGING: u8 = 0x10;
    const NO_ACCESS: u8 = 0x0f;
    const NULL_USER_IS_FIXED: u8 = 1;

    let &[channel, number] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.expect_lan(channel)?;
    let id = UserId::new(number & 0x3f).ok_or(CompletionCode::INVALID_FIELD)?;
    let users = &context.bmc.users;
    let user = users.user(id);
    let count = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
    let status = if user.enabled() { ENABLED } else { DISABLED };
    let access = user.limit().map_or(NO_ACCESS, |limit| MESSAGING | limit as u8);
    reply.put(&[
        count(UserId::all().count()),
        status | count(users.enabled_count()),
        NULL_USER_IS_FIXED,
        access,
    ]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{table::APP, tests::Bench};

    #[test]
    fn access_tells_who_may_log_in_and_how_high() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x44, &[0x0e, 2]), [16, 0x42, 1, 0x14]);
        assert_eq!(bench.ok(APP, 0x44, &[0x01, 1]), [16, 0x82, 1, 0x0f], "the null user");
        let reader = bench.other().user;
        bench.bmc.users.set_enabled(reader, false).unwrap();
        bench.bmc.users.set_limit(reader, Some(bmc::Privilege::User)).unwrap();
        assert_eq!(bench.ok(APP, 0x44, &[0x0e, 3]), [16, 0x81, 1, 0x12]);
    }

    #[test]
    fn there_are_sixteen_users() {
        let mut bench = Bench::new();
        for number in [0, 17] {
            assert_eq!(bench.code(APP, 0x44, &[0x0e, number]), 0xcc);
        }
        assert_eq!(bench.code(APP, 0x44, &[0x02, 2]), 0xcc);
    }
}
