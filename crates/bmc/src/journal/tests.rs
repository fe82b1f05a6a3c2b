use std::{net::Ipv4Addr, time::Instant};

use super::*;
use crate::{BootFlags, HostPower, Identity, Lan, Password, Privilege, SelRecord, UserPart, Users};

fn bmc() -> Bmc {
    let mut users = Users::default();
    users.add("admin", Password::new(b"password").unwrap(), Privilege::Administrator).unwrap();
    let mut bmc = Bmc::new(Identity::derive("node1"), users, Lan::default());
    bmc.observe_time(1_000_000);
    bmc
}

/// Sensor type, whether it began, and event data of each entry since the last call.
fn said(bmc: &mut Bmc) -> Vec<(u8, bool, [u8; 3])> {
    let changes = bmc.take_log_changes();
    changes
        .into_iter()
        .filter_map(|change| match change {
            crate::SelChange::Added(entry) => match entry.record {
                SelRecord::Event { event, .. } => {
                    Some((event.sensor_type, event.direction == Direction::Asserted, event.data))
                }
                _ => None,
            },
            _ => None,
        })
        .collect()
}

fn carry_out(bmc: &mut Bmc, request: PowerRequest, by: Requester, facts: &[Fact]) {
    let now = Instant::now();
    bmc.power(now, request, by).unwrap();
    bmc.take_intent().unwrap();
    for fact in facts {
        bmc.on_fact(now, fact.clone());
    }
    bmc.power_done();
}

const STOPPED: Fact = Fact::Stopped { why: StopReason::Command };

#[test]
fn a_start_says_on_and_why() {
    let mut bmc = bmc();
    let user = Requester::User(UserId::new(2).unwrap());
    carry_out(&mut bmc, PowerRequest::On, user, &[Fact::Started]);
    let on = [(0x09, false, [0x00, 0xff, 0xff]), (0x22, true, [0x00, 0xff, 0xff])];
    assert_eq!(said(&mut bmc), [&on[..], &[(0x1d, true, [0xf7, 0x01, 0x01])]].concat());
    carry_out(&mut bmc, PowerRequest::Off, user, &[STOPPED]);
    said(&mut bmc);
    carry_out(&mut bmc, PowerRequest::On, Requester::Button, &[Fact::Started]);
    assert_eq!(said(&mut bmc)[2], (0x1d, true, [0xc7, 0x03, 0xff]), "the power button has no channel");
}

#[test]
fn a_cycle_says_that_it_is_one() {
    let mut bmc = bmc();
    carry_out(&mut bmc, PowerRequest::On, Requester::Button, &[Fact::Started]);
    said(&mut bmc);
    carry_out(&mut bmc, PowerRequest::Cycle, Requester::Guest, &[STOPPED, Fact::Started]);
    let expected = [
        (0x09, true, [0x01, 0xff, 0xff]),
        (0x09, true, [0x00, 0xff, 0xff]),
        (0x22, true, [0x05, 0xff, 0xff]),
        (0x09, false, [0x00, 0xff, 0xff]),
        (0x22, true, [0x00, 0xff, 0xff]),
        (0x1d, true, [0xf7, 0x01, 0x0f]),
    ];
    assert_eq!(said(&mut bmc), expected);
}

#[test]
fn what_the_guest_does_is_the_os_sensors_to_say() {
    let mut bmc = bmc();
    let now = Instant::now();
    bmc.on_fact(now, Fact::Started);
    said(&mut bmc);
    bmc.on_fact(now, Fact::Panicked { action: "pause".into() });
    bmc.on_fact(now, Fact::Reset { by: ResetBy::Guest });
    bmc.on_fact(now, Fact::ShutdownIgnored { after: 120 });
    bmc.on_fact(now, Fact::Stopped { why: StopReason::Guest });
    let expected = [
        (0x20, true, [0x01, 0xff, 0xff]),
        (0x1d, true, [0xc7, 0x0a, 0xff]),
        (0x20, true, [0x05, 0xff, 0xff]),
        (0x20, true, [0x03, 0xff, 0xff]),
        (0x09, true, [0x00, 0xff, 0xff]),
        (0x22, true, [0x05, 0xff, 0xff]),
    ];
    assert_eq!(said(&mut bmc), expected);
}

#[test]
fn a_fault_begins_once_and_ends_with_the_next_start() {
    let mut bmc = bmc();
    let now = Instant::now();
    bmc.on_fact(now, Fact::Started);
    said(&mut bmc);
    bmc.on_fact(now, Fact::Stopped { why: StopReason::Crashed("signal 11".into()) });
    assert_eq!(said(&mut bmc)[0], (0x09, true, [0x06, 0xff, 0xff]));
    for _ in 0..2 {
        bmc.on_fact(now, Fact::StartFailed { reason: "the disk is away".into() });
    }
    let failed = [(0x09, false, [0x06, 0xff, 0xff]), (0x09, true, [0x05, 0xff, 0xff])];
    assert_eq!(said(&mut bmc), failed);
    bmc.on_fact(now, Fact::Started);
    assert_eq!(said(&mut bmc)[0], (0x09, false, [0x05, 0xff, 0xff]));
}

#[test]
fn a_start_of_the_controller_says_what_was_before() {
    let lost = [(0x09, true, [0x04, 0xff, 0xff]), (0x09, false, [0x04, 0xff, 0xff])];
    let running = [(0x16, true, [0x00, 0xff, 0xff])];
    for (start, before) in [(Start::First, &[][..]), (Start::Restart, &[]), (Start::PowerLoss, &lost)] {
        let mut bmc = bmc();
        bmc.record(Event::ControllerStarted(start));
        assert_eq!(said(&mut bmc), [before, &running].concat(), "{start}");
    }
}

#[test]
fn a_machine_that_is_only_found_again_leaves_no_trace() {
    let mut bmc = bmc();
    bmc.on_fact(Instant::now(), Fact::Adopted);
    assert_eq!((bmc.host_power(), said(&mut bmc)), (HostPower::On, vec![]));
}

#[test]
fn changes_of_boot_device_and_users_are_entries() {
    let mut bmc = bmc();
    bmc.set_boot_flags(Instant::now(), BootFlags::default(), Requester::Button);
    let user = UserId::new(3).unwrap();
    bmc.record(Event::UserChanged { user, name: "admin".into(), part: UserPart::Name, by: Requester::Guest });
    assert_eq!(said(&mut bmc), [(0x12, true, [0x00, 0xff, 0xff]), (0x2b, true, [0xe1, 0x00, 0x03])]);
}

fn failed(user: &str) -> Event {
    Event::LoginFailed { user: user.into(), peer: Ipv4Addr::LOCALHOST.into(), reason: "wrong password" }
}

#[test]
fn who_guesses_passwords_is_in_the_log_and_cannot_flood_it() {
    let mut bmc = bmc();
    bmc.record(failed("admin"));
    bmc.record(failed("nobody"));
    let expected = [(0x06, true, [0xa5, 0x02, 0x01]), (0x06, true, [0xa5, 0x00, 0x01])];
    assert_eq!(said(&mut bmc), expected);
    let day = 24 * 3600;
    for second in 0..day {
        bmc.observe_time(1_000_000 + second);
        bmc.record(failed("admin"));
    }
    assert_eq!(said(&mut bmc).len(), 8 + 143);
}

#[test]
fn a_clock_that_was_set_back_does_not_silence_the_log() {
    let mut budget = Budget::default();
    for _ in 0..10 {
        assert!(budget.spend(1_000_000));
    }
    assert!(!budget.spend(1_000_000));
    assert!(!budget.spend(5_000));
    assert!(budget.spend(5_600));
}
