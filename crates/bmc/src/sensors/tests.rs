use super::*;
use crate::{Direction, Identity, Lan, StopReason, Users};

fn bmc() -> Bmc {
    Bmc::new(Identity::derive("node1"), Users::default(), Lan::default())
}

fn events(bmc: &mut Bmc) -> Vec<PlatformEvent> {
    bmc.take_events()
        .filter_map(|event| match event {
            Event::Platform { event, .. } => Some(event),
            _ => None,
        })
        .collect()
}

/// A machine that has run at this load for so many seconds.
fn running(bmc: &mut Bmc, start: Instant, load: Load, seconds: u64) -> Instant {
    let mut now = start;
    while now < start + Duration::from_secs(seconds) {
        now += Duration::from_secs(2);
        bmc.observe_load(now, load);
    }
    now
}

const FULL: Load = Load { cpu: 1.0, memory: 1.0, disk: 1.0 };

fn value(bmc: &Bmc, name: &str) -> f64 {
    bmc.sensors().named(name).unwrap().value().unwrap()
}

#[test]
fn numbers_and_names_are_unique_and_short() {
    let all = standard();
    for (index, definition) in all.iter().enumerate() {
        assert!((1..=NAME_MAX).contains(&definition.name.len()), "{}", definition.name);
        assert!(!all[..index].iter().any(|other| other.name == definition.name), "{}", definition.name);
        assert!(all[..index].iter().all(|other| other.number < definition.number), "{}", definition.name);
        if let Some(analog) = definition.analog() {
            assert!(analog.thresholds.are_in_order(), "{}", definition.name);
        }
    }
}

#[test]
fn the_usual_life_of_a_machine_crosses_no_threshold() {
    let mut bmc = bmc();
    let start = Instant::now();
    bmc.read_sensors(start);
    for (load, seconds) in [(Load::default(), 600), (FULL, 1200), (Load::default(), 1200), (FULL, 10)] {
        bmc.on_fact(start, Fact::Started);
        let now = running(&mut bmc, start, load, seconds);
        for sensor in bmc.sensors().iter() {
            let Some(raw) = sensor.raw() else { continue };
            assert_eq!(sensor.thresholds().comparison(raw), 0, "{}", sensor.definition().name);
        }
        bmc.on_fact(now, Fact::Stopped { why: StopReason::Command });
    }
    assert_eq!(events(&mut bmc), []);
}

#[test]
fn temperatures_follow_load_slowly_and_fans_with_them() {
    let mut bmc = bmc();
    let now = Instant::now();
    bmc.on_fact(now, Fact::Started);
    let now = running(&mut bmc, now, Load::default(), 60);
    assert_eq!(value(&bmc, "CPU Temp"), 38.0);
    let now = running(&mut bmc, now, FULL, 10);
    let soon = value(&bmc, "CPU Temp");
    assert!((45.0..60.0).contains(&soon), "{soon}");
    let now = running(&mut bmc, now, FULL, 120);
    assert_eq!(value(&bmc, "CPU Temp"), 74.0);
    assert!(value(&bmc, "FAN1") > 9000.0);
    assert!((230.0..242.0).contains(&value(&bmc, "PSU1 Power")));
    assert_eq!(value(&bmc, "CPU Usage"), 100.0);
    running(&mut bmc, now, Load { cpu: 0.25, memory: 0.5, disk: 0.1 }, 2);
    assert_eq!(value(&bmc, "CPU Usage"), 25.0);
    assert_eq!(value(&bmc, "Memory Usage"), 50.0);
    assert_eq!(value(&bmc, "Disk Busy"), 10.0);
    assert!(value(&bmc, "CPU Temp") > 65.0, "it cools down slowly");
}

#[test]
fn what_lives_on_standby_power_is_read_when_the_machine_is_off() {
    let mut bmc = bmc();
    let now = Instant::now();
    let readable = |bmc: &Bmc| -> Vec<String> {
        let readable = bmc.sensors().iter().filter(|sensor| sensor.reading() != Reading::Unavailable);
        let there = readable.filter(|sensor| !sensor.definition().is_own());
        there.map(|sensor| sensor.definition().name.clone()).collect()
    };
    bmc.read_sensors(now);
    assert_eq!(readable(&bmc), ["Inlet Temp", "VBAT", "PSU1 Power", "PSU1 Status"]);
    assert_eq!(bmc.sensors().named("Power State").unwrap().states(), Some(1 << 5));
    assert_eq!(bmc.sensors().named("Power Unit").unwrap().states(), Some(1));
    bmc.on_fact(now, Fact::Started);
    assert_eq!(bmc.sensors().named("CPU Usage").unwrap().reading(), Reading::Unavailable, "nobody looked");
    bmc.observe_load(now, Load::default());
    assert_eq!(readable(&bmc).len(), standard().iter().filter(|definition| !definition.is_own()).count());
    assert_eq!(bmc.sensors().named("Power State").unwrap().states(), Some(1));
    assert_eq!(bmc.sensors().named("Power Unit").unwrap().states(), Some(0));
}

#[test]
fn an_injected_value_crosses_thresholds_both_ways() {
    let mut bmc = bmc();
    let now = Instant::now();
    bmc.on_fact(now, Fact::Started);
    bmc.inject(now, "FAN1", Injection::Value(0.0)).unwrap();
    let asserted = events(&mut bmc);
    assert_eq!(
        asserted.iter().map(|event| event.data).collect::<Vec<_>>(),
        [[0x50, 0, 15], [0x52, 0, 10], [0x54, 0, 6]]
    );
    assert!(asserted.iter().all(|event| (event.sensor, event.sensor_type, event.event_type) == (0x18, 4, 1)));
    assert!(asserted.iter().all(|event| event.direction == Direction::Asserted));
    assert_eq!(bmc.sensors().named("FAN1").unwrap().occurred(), (0b1_0101, 0));

    let later = running(&mut bmc, now, FULL, 30);
    assert_eq!(value(&bmc, "FAN1"), 0.0, "the simulation does not outrank it");
    assert_eq!(events(&mut bmc), []);
    bmc.clear_injected(later, None).unwrap();
    let ended = events(&mut bmc);
    assert_eq!(ended.iter().map(|event| event.data[0]).collect::<Vec<_>>(), [0x50, 0x52, 0x54]);
    assert!(ended.iter().all(|event| event.direction == Direction::Deasserted));
    assert_eq!(bmc.sensors().named("FAN1").unwrap().occurred(), (0, 0b1_0101));
}

#[test]
fn a_failed_power_supply_makes_an_event_for_its_state_alone() {
    let mut bmc = bmc();
    let now = Instant::now();
    bmc.read_sensors(now);
    bmc.inject(now, "PSU1 Status", Injection::States(0b11)).unwrap();
    let [event] = events(&mut bmc)[..] else { panic!("one event") };
    assert_eq!((event.sensor_type, event.event_type, event.data), (0x08, 0x6f, [1, 0xff, 0xff]));
    bmc.inject(now, "PSU1 Status", Injection::States(0)).unwrap();
    let [absent, failure] = events(&mut bmc)[..] else { panic!("two events") };
    assert_eq!((absent.data[0], absent.direction), (0, Direction::Deasserted));
    assert_eq!((failure.data[0], failure.direction), (1, Direction::Deasserted));
}

#[test]
fn what_can_not_be_injected_is_refused_with_the_reason() {
    let mut bmc = bmc();
    let now = Instant::now();
    let mut refused = |name, injection| bmc.inject(now, name, injection).unwrap_err().to_string();
    assert_eq!(refused("FAN9", Injection::Unavailable), "there is no sensor \"FAN9\"");
    assert_eq!(refused("FAN1", Injection::States(1)), "\"FAN1\" takes a value");
    assert_eq!(refused("PSU1 Status", Injection::Value(1.0)), "\"PSU1 Status\" takes states");
    assert!(refused("Power State", Injection::States(1)).contains("own state"));
}

#[test]
fn thresholds_that_were_set_are_judged_at_once_and_outlive_a_restart() {
    let mut bmc = bmc();
    let now = Instant::now();
    bmc.on_fact(now, Fact::Started);
    let (number, lowered) = {
        let sensor = bmc.sensors().named("CPU Temp").unwrap();
        (sensor.definition().number, sensor.thresholds().with(Threshold::UpperNonCritical, 128 + 30))
    };
    bmc.take_unsaved();
    bmc.change_sensor(now, number, |sensor| sensor.set_thresholds(lowered)).unwrap();
    assert_eq!(events(&mut bmc)[0].data, [0x57, 128 + 38, 128 + 30]);
    assert!(bmc.take_unsaved());

    let saved = serde_json::to_string(&bmc.to_saved(now)).unwrap();
    let mut again = self::bmc();
    again.restore(serde_json::from_str(&saved).unwrap());
    assert_eq!(again.sensors().named("CPU Temp").unwrap().thresholds(), lowered);

    // Who changes the definition's own limits means those.
    let mut definitions = standard();
    let cpu = definitions.iter_mut().find(|definition| definition.name == "CPU Temp").unwrap();
    let Kind::Threshold(analog) = &mut cpu.kind else { panic!("it is a temperature") };
    analog.thresholds = analog.thresholds.with(Threshold::UpperCritical, 250);
    let changed = analog.thresholds;
    again.set_sensors(now, definitions);
    assert_eq!(again.sensors().named("CPU Temp").unwrap().thresholds(), changed);
}

#[test]
fn limits_of_a_standard_sensor_that_a_file_changes_are_kept() {
    let now = Instant::now();
    let mut definitions = standard();
    let vbat = definitions.iter_mut().find(|definition| definition.name == "VBAT").unwrap();
    let number = vbat.number;
    let Kind::Threshold(analog) = &mut vbat.kind else { panic!("it is a voltage") };
    analog.thresholds = analog.thresholds.with(Threshold::UpperCritical, 250);
    let mut bmc = bmc();
    bmc.observe_time(1_000);
    bmc.set_sensors(now, definitions.clone());
    let hysteresis = Hysteresis { positive: 9, negative: 9 };
    bmc.change_sensor(now, number, |sensor| sensor.set_hysteresis(hysteresis)).unwrap();
    let mut saved = bmc.to_saved(now);
    for _ in 0..2 {
        let mut again = self::bmc();
        again.begin_with_sensors(definitions.clone());
        again.restore(saved);
        again.observe_time(2_000);
        again.set_sensors(now, definitions.clone());
        assert_eq!(again.sensors().get(number).unwrap().hysteresis(), hysteresis);
        assert_eq!(again.sensors().changed(), 1_000, "the records are as they were");
        saved = again.to_saved(now);
    }
}

#[test]
fn limits_of_a_sensor_that_is_not_there_yet_are_kept() {
    let now = Instant::now();
    let mut bmc = bmc();
    let number = bmc.sensors().named("VBAT").unwrap().definition().number;
    let hysteresis = Hysteresis { positive: 9, negative: 9 };
    bmc.change_sensor(now, number, |sensor| sensor.set_hysteresis(hysteresis)).unwrap();
    let without = standard().into_iter().filter(|definition| definition.name != "VBAT").collect();
    bmc.set_sensors(now, without);
    let saved = bmc.to_saved(now);
    let mut again = self::bmc();
    again.set_sensors(now, standard().into_iter().take(5).collect());
    again.restore(saved);
    again.set_sensors(now, standard());
    assert_eq!(again.sensors().named("VBAT").unwrap().hysteresis(), hysteresis);
}

#[test]
fn events_that_are_disabled_are_not_made_and_a_rearmed_condition_makes_one_again() {
    let mut bmc = bmc();
    let now = Instant::now();
    bmc.on_fact(now, Fact::Started);
    let enables = bmc.sensors().get(0x18).unwrap().enables();
    assert_eq!((enables.assertions, enables.deassertions), (0b1_0101, 0b1_0101));
    bmc.change_sensor(now, 0x18, |sensor| {
        sensor.set_enables(Enables { assertions: !0b1_0000, deassertions: 0, ..enables });
    });
    bmc.inject(now, "FAN1", Injection::Value(0.0)).unwrap();
    assert_eq!(events(&mut bmc).len(), 2);
    bmc.change_sensor(now, 0x18, |sensor| sensor.rearm(0b1, 0));
    assert_eq!(events(&mut bmc).len(), 1);
    bmc.clear_injected(now, Some("FAN1")).unwrap();
    assert_eq!(events(&mut bmc), []);
}

#[test]
fn a_sensor_that_is_not_scanned_stays_as_it_is() {
    let mut bmc = bmc();
    let now = Instant::now();
    bmc.on_fact(now, Fact::Started);
    let before = bmc.sensors().get(0x18).unwrap().reading();
    let enables = bmc.sensors().get(0x18).unwrap().enables();
    bmc.change_sensor(now, 0x18, |sensor| sensor.set_enables(Enables { scanning: false, ..enables }));
    bmc.inject(now, "FAN1", Injection::Value(0.0)).unwrap();
    assert_eq!(bmc.sensors().get(0x18).unwrap().reading(), before);
}

#[test]
fn what_a_dark_sensor_missed_is_told_when_it_is_read_again() {
    let mut bmc = bmc();
    let now = Instant::now();
    bmc.on_fact(now, Fact::Started);
    bmc.inject(now, "FAN1", Injection::Value(700.0)).unwrap();
    assert_eq!(events(&mut bmc).len(), 2);
    bmc.inject(now, "FAN1", Injection::Unavailable).unwrap();
    bmc.inject(now, "FAN1", Injection::Value(700.0)).unwrap();
    assert_eq!(events(&mut bmc), [], "it still holds");
    bmc.inject(now, "FAN1", Injection::Unavailable).unwrap();
    bmc.clear_injected(now, None).unwrap();
    let ended = events(&mut bmc);
    assert_eq!(ended.iter().map(|event| event.direction).collect::<Vec<_>>(), [Direction::Deasserted; 2]);

    let mut definitions = standard();
    let supply = definitions.iter_mut().find(|definition| definition.name == "PSU1 Status").unwrap();
    supply.standby = false;
    bmc.set_sensors(now, definitions);
    bmc.on_fact(now, Fact::Stopped { why: StopReason::Command });
    bmc.on_fact(now, Fact::Started);
    assert!(events(&mut bmc).iter().all(|event| event.sensor < number::FIRST_FREE), "it was there all along");
}

#[test]
fn the_controllers_own_states_are_those_of_its_events() {
    let mut bmc = bmc();
    let now = Instant::now();
    bmc.on_fact(now, Fact::Started);
    bmc.platform_event(PlatformEvent::specific(0x20, number::OS_STOP, 1));
    assert_eq!(bmc.read_sensors(now).get(number::OS_STOP).unwrap().states(), Some(0b10));
    assert_eq!(events(&mut bmc).len(), 1, "reading it makes no second event");
    bmc.on_fact(now, Fact::Reset { by: crate::ResetBy::Guest });
    assert_eq!(bmc.sensors().get(number::OS_STOP).unwrap().states(), Some(0));

    let enables = bmc.sensors().get(number::OS_STOP).unwrap().enables();
    bmc.change_sensor(now, number::OS_STOP, |sensor| {
        sensor.set_enables(Enables { events: false, ..enables });
    });
    let logged = bmc.sel().len();
    bmc.platform_event(PlatformEvent::specific(0x20, number::OS_STOP, 1));
    assert_eq!(bmc.sel().len(), logged, "its events are disabled");
}

#[test]
fn changed_definitions_leave_alone_what_did_not_change() {
    let mut bmc = bmc();
    let now = Instant::now();
    bmc.on_fact(now, Fact::Started);
    bmc.inject(now, "FAN1", Injection::Value(0.0)).unwrap();
    events(&mut bmc);
    let population = bmc.sensors().population();
    bmc.set_sensors(now, standard().into_iter().filter(|definition| definition.name != "FAN2").collect());
    assert_eq!(value(&bmc, "FAN1"), 0.0);
    assert_eq!(events(&mut bmc), []);
    assert!(bmc.sensors().named("FAN2").is_none());
    assert_ne!(bmc.sensors().population(), population);
}

#[test]
fn records_are_newer_only_if_they_are_others() {
    let now = Instant::now();
    let mut bmc = bmc();
    bmc.observe_time(1_000);
    bmc.set_sensors(now, standard());
    assert_eq!(bmc.sensors().changed(), 1_000);
    let saved = bmc.to_saved(now);
    let mut again = self::bmc();
    again.observe_time(2_000);
    again.restore(saved);
    again.take_unsaved();
    again.set_sensors(now, standard());
    assert_eq!(again.sensors().changed(), 1_000, "a restart changes nothing");
    assert!(!again.take_unsaved());
    again.set_sensors(now, standard().into_iter().skip(1).collect());
    assert_eq!(again.sensors().changed(), 2_000);
    assert!(again.take_unsaved());
}

#[test]
fn the_initialization_agent_brings_back_what_records_have() {
    let mut bmc = bmc();
    let now = Instant::now();
    let defined = bmc.sensors().get(0x18).unwrap().thresholds();
    bmc.change_sensor(now, 0x18, |sensor| {
        sensor.set_thresholds(defined.with(Threshold::LowerCritical, 1));
        sensor.set_enables(Enables { events: false, scanning: false, assertions: 0, deassertions: 0 });
    });
    bmc.initialize_sensors(now);
    let sensor = bmc.sensors().get(0x18).unwrap();
    assert_eq!(sensor.thresholds(), defined);
    assert!(sensor.enables().events && sensor.enables().scanning && sensor.enables().assertions != 0);
}

#[test]
fn power_is_added_up_on_standby_too() {
    let mut bmc = bmc();
    let start = Instant::now();
    bmc.read_sensors(start);
    let now = start + Duration::from_secs(100);
    let standby = bmc.sensors().power(now).unwrap();
    assert!((10.0..=14.0).contains(&standby.average), "{standby:?}");
    bmc.on_fact(now, Fact::Started);
    let now = running(&mut bmc, now, FULL, 100);
    let power = bmc.sensors().power(now).unwrap();
    assert!(power.minimum < 15.0 && power.maximum > 230.0 && power.current > 230.0, "{power:?}");
    assert!((100.0..150.0).contains(&power.average), "{power:?}");
    assert_eq!(power.period, Duration::from_secs(200));
}

#[test]
fn dcmi_finds_its_temperatures() {
    let bmc = bmc();
    let names = |ids: &[u8]| -> Vec<String> {
        bmc.sensors().temperatures(ids).map(|sensor| sensor.definition().name.clone()).collect()
    };
    assert_eq!(names(&[0x40, 0x37]), ["Inlet Temp"]);
    assert_eq!(names(&[0x41, 0x03]), ["CPU Temp"]);
    assert_eq!(names(&[0x42, 0x07]), ["System Temp"]);
}
