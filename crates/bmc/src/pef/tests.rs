use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::{Direction, Fact, Identity, Intent, Lan, RestartCause, SelKey, StopReason, Users};

const RECEIVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

/// A running machine whose first LAN destination has an address.
fn bmc(now: Instant) -> Bmc {
    let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
    bmc.on_fact(now, Fact::Started);
    bmc.settle(now);
    let destination = bmc.lan.destinations.get_mut(1).unwrap();
    destination.address = DestinationAddress::V4 { backup_gateway: false, ip: RECEIVER, mac: [0; 6] };
    bmc
}

fn panicked() -> PlatformEvent {
    PlatformEvent::specific(0x20, number::OS_STOP, 1)
}

/// Adds a filter for panics that does this.
fn on_panic(bmc: &mut Bmc, actions: Actions) -> u8 {
    let filters = &mut bmc.pef.config.filters;
    let place = filters.iter().position(|filter| !filter.enabled).unwrap();
    filters[place] = EventFilter { enabled: true, actions, sensor_type: 0x20, ..EventFilter::default() };
    u8::try_from(place + 1).unwrap()
}

fn sent_to(bmc: &mut Bmc) -> Vec<IpAddr> {
    bmc.take_alerts().into_iter().map(|alert| alert.to).collect()
}

#[test]
fn a_new_controller_tells_the_first_destination_what_went_wrong() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.observe_time(1_800_000_000);
    bmc.platform_event(panicked());
    assert!(!bmc.has_alerts(), "not before the time is known");
    bmc.settle(now);
    let alerts = bmc.take_alerts();
    assert_eq!(alerts.len(), 1, "two filters of one policy would still be one");
    assert_eq!((alerts[0].to, alerts[0].community.as_slice()), (RECEIVER.into(), &b"public"[..]));
    assert_eq!(alerts[0].report.event, panicked());
    assert_eq!((alerts[0].report.severity, alerts[0].report.time), (0x10, 1_800_000_000));
    assert_eq!(alerts[0].report.guid, bmc.identity.uuid);
}

#[test]
fn nothing_leaves_where_nobody_is() {
    let now = Instant::now();
    for away in [
        (|bmc| *bmc.lan.destinations.get_mut(1).unwrap() = crate::Destination::default()) as fn(&mut Bmc),
        |bmc| bmc.pef.config.enabled = false,
        |bmc| bmc.pef.config.actions = Actions::POWER_OFF,
        |bmc| bmc.pef.config.policies[0].enabled = false,
        |bmc| bmc.pef.config.policies[0].channel = 2,
        |bmc| bmc.lan.access.volatile.alerting_disabled = true,
    ] {
        let mut bmc = bmc(now);
        away(&mut bmc);
        bmc.platform_event(panicked());
        bmc.settle(now);
        assert_eq!(sent_to(&mut bmc), <[IpAddr; 0]>::default());
    }
}

#[test]
fn of_all_actions_the_gravest_is_carried_out() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    on_panic(&mut bmc, Actions::DIAGNOSTIC_INTERRUPT);
    let by = on_panic(&mut bmc, Actions(Actions::POWER_CYCLE.0 | Actions::RESET.0));
    bmc.platform_event(panicked());
    bmc.settle(now);
    assert_eq!(bmc.take_intent(), Some(Intent::Power(PowerRequest::Cycle)));
    assert!(bmc.take_events().any(|event| event
        == Event::PowerRequested {
            request: PowerRequest::Cycle,
            by: Requester::EventFilter(by),
            merged: false
        }));
    bmc.on_fact(now, Fact::Stopped { why: StopReason::Command });
    bmc.on_fact(now, Fact::Started);
    assert_eq!(bmc.chassis().restart_cause(), RestartCause::FilterCycle);
}

#[test]
fn an_action_that_the_control_forbids_does_not_happen() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.pef.config.actions = Actions::ALERT;
    on_panic(&mut bmc, Actions::POWER_OFF);
    bmc.platform_event(panicked());
    bmc.settle(now);
    assert_eq!(bmc.take_intent(), None);
}

#[test]
fn what_filters_do_can_be_logged_and_is_not_filtered_again() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.pef.config.tells = true;
    bmc.pef.config.filters[0] =
        EventFilter { enabled: true, actions: Actions::ALERT, ..EventFilter::default() };
    bmc.platform_event(panicked());
    bmc.settle(now);
    let (entry, _) = bmc.sel().get(SelKey::Last).unwrap();
    let told = PlatformEvent::specific(0x12, number::SYSTEM, 4).with_extension(Actions::ALERT.0, 0xff);
    assert_eq!(entry.record, crate::SelRecord::event(told));
    let entries = bmc.sel().len();
    bmc.settle(now);
    assert_eq!(bmc.sel().len(), entries);
}

#[test]
fn software_that_asked_for_time_acts_itself() {
    let mut now = Instant::now();
    let mut bmc = bmc(now);
    bmc.postpone_filters(now, 30);
    bmc.platform_event(panicked());
    let (first, _) = bmc.sel().get(SelKey::Last).map(|(entry, next)| (entry.id, next)).unwrap();
    bmc.platform_event(panicked());
    bmc.settle(now);
    assert!(!bmc.has_alerts());
    now += Duration::from_millis(20_500);
    assert_eq!(bmc.pef().postponed(now), 10);
    bmc.set_processed(Processed { by_software: first, ..bmc.pef().processed() });
    now += Duration::from_secs(10);
    bmc.tick(now);
    assert_eq!(bmc.take_alerts().len(), 1, "of the second");
    assert_eq!(bmc.pef().processed(), Processed { by_software: first, by_bmc: first + 1 });
    assert_eq!(bmc.pef().postponed(now), 0);
}

#[test]
fn filters_that_are_off_while_the_machine_is_on_come_back_when_it_goes_off() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.postpone_filters(now, 0xfe);
    bmc.tick(now + Duration::from_secs(10_000));
    assert_eq!(bmc.pef().postponed(now), 0xfe);
    bmc.on_fact(now, Fact::Stopped { why: StopReason::Command });
    assert_eq!(bmc.pef().postponed(now), 0);
}

#[test]
fn delays_after_a_start_hold_filters_and_alerts_back() {
    let start = Instant::now();
    let mut bmc = bmc(start);
    let config = &mut bmc.pef.config;
    (config.delays_start, config.startup_delay) = (true, 10);
    (config.delays_alerts, config.alert_startup_delay) = (true, 20);
    bmc.on_fact(start, Fact::Reset { by: crate::ResetBy::Guest });
    bmc.platform_event(panicked());
    bmc.settle(start);
    let after = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(bmc.pef().next_timeout(), Some(after(10)));
    bmc.tick(after(10));
    assert_eq!(sent_to(&mut bmc), <[IpAddr; 0]>::default());
    assert_eq!(bmc.pef().next_timeout(), Some(after(20)));
    bmc.tick(after(20));
    assert_eq!(sent_to(&mut bmc), [IpAddr::from(RECEIVER)]);
}

#[test]
fn an_acknowledged_alert_is_repeated_until_somebody_has_it() {
    let mut now = Instant::now();
    let mut bmc = bmc(now);
    let destination = bmc.lan.destinations.get_mut(1).unwrap();
    (destination.acknowledge, destination.interval, destination.retries) = (true, 4, 3);
    bmc.platform_event(panicked());
    bmc.settle(now);
    let sequence = bmc.take_alerts()[0].sequence;
    for _ in 0..2 {
        now += Duration::from_secs(5);
        bmc.tick(now);
        assert_eq!(bmc.take_alerts()[0].sequence, sequence);
    }
    assert!(bmc.acknowledge_alert(now, sequence));
    assert!(!bmc.acknowledge_alert(now, sequence));
    assert_eq!(bmc.pef().next_timeout(), None);
}

#[test]
fn one_alert_is_sent_at_once_at_a_time() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.lan.destinations.get_mut(1).unwrap().acknowledge = true;
    let alert =
        |bmc: &mut Bmc, destination| bmc.alert_immediately(now, destination, panicked(), b"now".to_vec());
    assert_eq!(alert(&mut bmc, 2), Err(ImmediateError::NoDestination));
    assert_eq!(alert(&mut bmc, 1), Ok(()));
    assert_eq!(alert(&mut bmc, 1), Err(ImmediateError::UnderWay));
    assert_eq!(bmc.immediate_alert(), Err(ImmediateError::UnderWay));
    let alerts = bmc.take_alerts();
    assert_eq!(alerts[0].report.text, b"now");
    bmc.acknowledge_alert(now, alerts[0].sequence);
    assert_eq!(bmc.immediate_alert(), Ok(Some(Outcome::Arrived)));
    bmc.clear_immediate_alert();
    assert_eq!(bmc.immediate_alert(), Ok(None));
}

#[test]
fn settings_outlive_a_restart_but_for_the_volatile_string() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    on_panic(&mut bmc, Actions::RESET);
    bmc.pef.config.strings[0].text = b"gone".to_vec();
    bmc.pef.config.strings[1].text = b"kept".to_vec();
    bmc.set_processed(Processed { by_software: 3, by_bmc: 4 });
    let json = serde_json::to_vec(&bmc.to_saved(now)).unwrap();
    let mut again = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
    again.restore(serde_json::from_slice(&json).unwrap());
    assert_eq!(again.pef().processed(), Processed { by_software: 3, by_bmc: 4 });
    let mut expected = bmc.pef().config().clone();
    expected.strings[0].text.clear();
    assert_eq!(*again.pef().config(), expected);
}

#[test]
fn more_events_than_can_wait_push_the_oldest_out() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.postpone_filters(now, 1);
    for _ in 0..2 * PENDING_MAX {
        bmc.platform_event(PlatformEvent { direction: Direction::Deasserted, ..panicked() });
    }
    assert_eq!(bmc.pef.pending.len(), PENDING_MAX);
}

#[test]
fn alerts_that_are_too_many_to_be_held_back_are_not_dropped_silently() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    let config = &mut bmc.pef.config;
    (config.delays_alerts, config.alert_startup_delay) = (true, 20);
    bmc.on_fact(now, Fact::Reset { by: crate::ResetBy::Guest });
    let mut dropped = |count| {
        for _ in 0..count {
            bmc.platform_event(panicked());
        }
        bmc.settle(now);
        bmc.take_events().filter(|event| *event == Event::AlertDropped).count()
    };
    assert_eq!(dropped(alert::ALERTS_MAX), 0);
    assert_eq!(dropped(2), 2);
}

#[test]
fn an_alert_for_which_there_is_no_room_is_refused_as_such() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    let destination = bmc.lan.destinations.get_mut(1).unwrap();
    (destination.acknowledge, destination.retries) = (true, 3);
    for _ in 0..alert::ALERTS_MAX {
        bmc.platform_event(panicked());
    }
    bmc.settle(now);
    assert_eq!(bmc.alert_immediately(now, 1, panicked(), Vec::new()), Err(ImmediateError::Full));
}

#[test]
fn which_event_was_dealt_with_last_is_saved() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.platform_event(panicked());
    bmc.take_unsaved();
    bmc.settle(now);
    assert!(bmc.pef().processed().by_bmc != 0 && bmc.take_unsaved());
}
