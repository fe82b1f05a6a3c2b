//! A disabled user, a changed password, a lowered limit take effect on sessions that are open
//! (security.md, line 9).

use bmc::Privilege;
use ipmi::{CompletionCode, client::Session, lan::Dropped};

use super::bench::{APP, Bench, CHASSIS, GET_DEVICE_ID, admin, password};

#[track_caller]
fn assert_ended(bench: &mut Bench, session: &mut Session) {
    let mut datagram = Vec::new();
    session.request(CHASSIS, 2, &[1], &mut datagram);
    let reason = bench.dropped(&datagram);
    assert!(matches!(reason, Dropped::SessionEnded | Dropped::NoSuchSession), "{reason}");
    assert_eq!(bench.bmc.take_intent(), None);
}

#[test]
fn a_disabled_user_s_sessions_end() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let admin = bench.user("admin");
    bench.bmc.users.set_enabled(admin, false).unwrap();
    assert_ended(&mut bench, &mut session);
    bench.bmc.users.set_enabled(admin, true).unwrap();
    assert_ended(&mut bench, &mut session);
}

#[test]
fn disabling_and_enabling_between_two_packets_ends_the_session_too() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let admin = bench.user("admin");
    bench.bmc.users.set_enabled(admin, false).unwrap();
    bench.bmc.users.set_enabled(admin, true).unwrap();
    assert_ended(&mut bench, &mut session);
}

#[test]
fn a_new_password_ends_the_user_s_sessions_and_nobody_else_s() {
    let mut bench = Bench::new();
    let (mut mine, mut other) = (bench.login(admin()), bench.login(super::bench::reader()));
    let admin = bench.user("admin");
    bench.bmc.users.set_password(admin, password("password")).unwrap();
    assert_ended(&mut bench, &mut mine);
    assert!(bench.is_alive(&mut other));
}

#[test]
fn a_deleted_or_renamed_user_s_sessions_end() {
    for name in ["", "somebody"] {
        let mut bench = Bench::new();
        let mut session = bench.login(admin());
        let admin = bench.user("admin");
        bench.bmc.users.set_name(admin, name).unwrap();
        assert_ended(&mut bench, &mut session);
    }
}

#[test]
fn a_lowered_limit_holds_from_the_next_command_on_and_a_raised_one_too() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let admin = bench.user("admin");
    bench.bmc.users.set_limit(admin, Some(Privilege::User)).unwrap();
    let code = bench.command(&mut session, CHASSIS, 2, &[1]).0;
    assert_eq!(code, CompletionCode::INSUFFICIENT_PRIVILEGE);
    assert_eq!(bench.command(&mut session, APP, GET_DEVICE_ID, &[]).0, CompletionCode::OK);
    bench.bmc.users.set_limit(admin, Some(Privilege::Operator)).unwrap();
    assert_eq!(bench.command(&mut session, CHASSIS, 2, &[1]).0, CompletionCode::OK);
}

#[test]
fn a_user_without_access_has_no_session() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let admin = bench.user("admin");
    bench.bmc.users.set_limit(admin, None).unwrap();
    assert_ended(&mut bench, &mut session);
}

#[test]
fn a_changed_second_key_does_not_touch_open_sessions() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    bench.bmc.lan.kg = Some(bmc::KgKey::new([1; 20]));
    assert!(bench.is_alive(&mut session));
}

#[test]
fn a_session_that_ended_has_no_place_in_the_count() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    bench.login(super::bench::reader());
    let info = |bench: &mut Bench, session: &mut Session| bench.command(session, APP, 0x3d, &[0]).1[2] & 0x3f;
    assert_eq!(info(&mut bench, &mut session), 2);
    let reader = bench.user("reader");
    bench.bmc.users.set_enabled(reader, false).unwrap();
    bench.server.tick(bench.now, &mut bench.bmc);
    assert_eq!(info(&mut bench, &mut session), 1);
}
