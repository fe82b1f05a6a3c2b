//! Privilege per command, user, channel and session (security.md, line 5). Which command needs which
//! level is the table's; that levels are enforced is shown here.

use bmc::Privilege;
use ipmi::{CompletionCode, client::Credentials};

use super::bench::{APP, Bench, CHASSIS, GET_DEVICE_ID, TRANSPORT, admin, operator, reader};

const D4: CompletionCode = CompletionCode::INSUFFICIENT_PRIVILEGE;

/// One command for each level: Get Device ID, Chassis Control, Set SOL Configuration Parameters.
fn codes(bench: &mut Bench, credentials: Credentials) -> [CompletionCode; 3] {
    let mut session = bench.login(credentials);
    [
        bench.command(&mut session, APP, GET_DEVICE_ID, &[]).0,
        bench.command(&mut session, CHASSIS, 2, &[1]).0,
        bench.command(&mut session, TRANSPORT, 0x21, &[1, 1, 1]).0,
    ]
}

#[test]
fn a_user_reads_an_operator_controls_an_administrator_configures() {
    let mut bench = Bench::new();
    assert_eq!(codes(&mut bench, reader()), [CompletionCode::OK, D4, D4]);
    assert_eq!(bench.bmc.take_intent(), None);
    assert_eq!(codes(&mut bench, operator()), [CompletionCode::OK, CompletionCode::OK, D4]);
    assert_eq!(codes(&mut bench, admin()), [CompletionCode::OK; 3]);
}

#[test]
fn a_session_begins_at_user_level_whoever_opens_it() {
    let mut bench = Bench::new();
    let mut session = bench.login_from(super::bench::HOME, admin()).unwrap().unwrap();
    assert_eq!(bench.command(&mut session, CHASSIS, 2, &[1]).0, D4);
    assert_eq!(bench.command(&mut session, APP, 0x3b, &[0]), (CompletionCode::OK, vec![2]));
}

#[test]
fn raising_a_session_above_its_own_or_its_user_s_limit_gives_81h() {
    let mut bench = Bench::new();
    let mut session = bench.login(reader());
    for level in [3, 4] {
        assert_eq!(bench.command(&mut session, APP, 0x3b, &[level]).0.0, 0x81, "level {level}");
    }
    let mut session = bench.login(Credentials { privilege: Privilege::Operator, ..admin() });
    let code = bench.command(&mut session, APP, 0x3b, &[4]).0.0;
    assert!(matches!(code, 0x80 | 0x81), "the session asked for OPERATOR: {code:#04x}");
    assert_eq!(bench.command(&mut session, TRANSPORT, 0x21, &[1, 1, 1]).0, D4);
}

#[test]
fn an_administrator_on_a_channel_of_operators_is_an_operator() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    bench.bmc.lan.access.volatile.limit = Privilege::Operator;
    assert_eq!(bench.command(&mut session, TRANSPORT, 0x21, &[1, 1, 1]).0, D4);
    assert_eq!(bench.command(&mut session, CHASSIS, 2, &[1]).0, CompletionCode::OK);
}
