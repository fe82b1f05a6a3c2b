use bmc::sensors::{Discrete, Entity, Kind, Reading, StateSource, Threshold, Unit};
use proptest::prelude::*;

use super::*;

fn sensor(text: &str, name: &str) -> Definition {
    let sensors = parse(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    sensors.into_iter().find(|sensor| sensor.name == name).unwrap_or_else(|| panic!("no {name}"))
}

fn problems(text: &str) -> Vec<String> {
    parse(text).unwrap_err()
}

#[test]
fn an_empty_file_leaves_the_standard_sensors() {
    assert_eq!(parse("").unwrap(), standard());
    assert_eq!(parse("# nothing\n").unwrap(), standard());
}

#[test]
fn a_sensor_is_added_with_everything() {
    let text = r#"
        [[sensor]]
        name = "Riser Temp"
        type = "temperature"
        entity = "add-in-card.2"
        number = 0x60
        range = [30, 55.5]
        follows = "disk"
        inertia = 45
        noise = 0.5
        scale = [-20, 120]
        hysteresis = 2
        lower_critical = -5
        upper_non_critical = 70
        upper_critical = 80
        standby = true
        off = 21
    "#;
    let riser = sensor(text, "Riser Temp");
    assert_eq!((riser.number, riser.sensor_type, riser.entity), (0x60, 0x01, Entity::new(0x0b, 2)));
    assert!(riser.standby);
    let analog = riser.analog().unwrap();
    assert_eq!(analog.unit, Unit::CELSIUS);
    assert_eq!((analog.source.idle, analog.source.full, analog.source.off), (30.0, 55.5, 21.0));
    assert_eq!(analog.source.inertia.as_secs(), 45);
    let limit = |which| analog.thresholds.get(which).map(|raw| analog.scale.value(raw).round());
    assert_eq!(limit(Threshold::UpperCritical), Some(80.0));
    assert_eq!(limit(Threshold::LowerCritical), Some(-5.0));
    assert_eq!(limit(Threshold::UpperNonRecoverable), None);
    let hysteresis = f64::from(analog.hysteresis.positive) * (analog.scale.value(1) - analog.scale.value(0));
    assert!((1.5..=2.5).contains(&hysteresis), "{hysteresis}");
}

#[test]
fn numbers_are_given_in_order_to_those_that_ask_for_none() {
    let text = r#"
        [[sensor]]
        name = "A"
        type = "voltage"
        value = 1.8
        [[sensor]]
        name = "B"
        type = "current"
        value = 3
    "#;
    assert_eq!((sensor(text, "A").number, sensor(text, "B").number), (0x40, 0x41));
    let scale = sensor(text, "A").analog().unwrap().scale;
    assert!((scale.value(scale.raw(1.8)) - 1.8).abs() < 0.01);
}

#[test]
fn what_is_not_said_of_a_standard_sensor_stays() {
    let text = "[[sensor]]\nname = 'CPU Temp'\nupper_non_critical = 88\n";
    let (changed, standard) = (sensor(text, "CPU Temp"), sensor("", "CPU Temp"));
    let Kind::Threshold(mut analog) = standard.kind.clone() else { panic!("it has values") };
    analog.thresholds = analog.thresholds.with(Threshold::UpperNonCritical, analog.scale.raw(88.0));
    assert_eq!(changed, Definition { kind: Kind::Threshold(analog), ..standard });

    let hot = sensor("[[sensor]]\nname = 'CPU Temp'\nrange = [50, 80]\n", "CPU Temp");
    let source = hot.analog().unwrap().source;
    assert_eq!((source.idle, source.full, source.inertia.as_secs()), (50.0, 80.0, 20));
}

#[test]
fn a_sensor_is_removed() {
    let sensors = parse("[[sensor]]\nname = 'FAN4'\nremove = true\n").unwrap();
    assert_eq!(sensors.len(), standard().len() - 1);
    assert!(sensors.iter().all(|sensor| sensor.name != "FAN4"));
}

#[test]
fn states_are_named_or_numbered() {
    let text = r#"
        [[sensor]]
        name = "PSU2 Status"
        type = "power-supply"
        entity = "power-supply.2"
        states = ["present"]
        [[sensor]]
        name = "Redundancy"
        type = 0x08
        event_type = 0x0b
        states = ["fully-redundant"]
        [[sensor]]
        name = "OEM"
        type = 0xc1
        states = [0, 3]
    "#;
    let Kind::Discrete(discrete) = sensor(text, "PSU2 Status").kind else { panic!("it has states") };
    assert_eq!(discrete.source, StateSource::Fixed(0b1));
    let Kind::Discrete(discrete) = sensor(text, "Redundancy").kind else { panic!("it has states") };
    assert_eq!(discrete, Discrete { event_type: 0x0b, possible: 0b111, source: StateSource::Fixed(0b1) });
    let oem = sensor(text, "OEM");
    assert_eq!(oem.sensor_type, 0xc1);
    let Kind::Discrete(discrete) = oem.kind else { panic!("it has states") };
    assert_eq!((discrete.possible, discrete.source), (0x7fff, StateSource::Fixed(0b1001)));
}

#[test]
fn everything_that_is_wrong_is_named_with_its_line() {
    let text = r#"
[[sensor]]
name = "A sensor whose name is too long"
[[sensor]]
type = "fan"
[[sensor]]
name = "Watchdog"
remove = true
[[sensor]]
name = "New"
[[sensor]]
name = "FAN1"
[[sensor]]
name = "FAN1"
[[sensor]]
name = "Gone"
remove = true
[[sensor]]
name = "T1"
type = "temprature"
[[sensor]]
name = "T2"
type = "temperature"
[[sensor]]
name = "T3"
type = "temperature"
value = 20
upper_critcal = 80
[[sensor]]
name = "T4"
type = "temperature"
value = 20
upper_critical = 30
upper_non_critical = 40
[[sensor]]
name = "T5"
type = "temperature"
value = 20
scale = [0, 100]
upper_critical = 400
[[sensor]]
name = "T6"
type = "temperature"
value = "warm"
[[sensor]]
name = "P1"
type = "power-supply"
states = ["melted"]
upper_critical = 7
[[sensor]]
name = "P2"
type = "power-supply"
states = ["melted"]
[[sensor]]
name = "T7"
type = "temperature"
value = 20
number = 0x10
[[sensor]]
name = "T8"
type = "temperature"
value = 20
entity = "nose"
[fan]
"#;
    let expected = [
        "line 3: name: got \"A sensor whose name is too long\"; takes 1 to 16 printable ASCII characters",
        "line 4: a sensor needs a name",
        "line 6: Watchdog: it shows the controller's own state",
        "line 9: New: there is no sensor of this name yet, so it needs a type",
        "line 13: FAN1: there is another of this name in the file",
        "line 15: Gone: there is no such sensor to remove",
        "line 20: T1: type: got \"temprature\"; takes temperature, voltage",
        "line 21: T2: it needs a value, a range or states",
        "line 28: upper_critcal is not a key; did you mean upper_critical?",
        "line 29: T4: its thresholds are not in order",
        "line 40: T5: upper_critical: 400 is not within",
        "line 44: T6: value: takes a number",
        "line 49: P1: upper_critical: a sensor of states has none",
        "line 53: P2: states: got \"melted\"; takes 0 to 14, none, present",
        "line 58: T7: number: another sensor has 0x10",
        "line 63: T8: entity: got \"nose\"; takes a number or one of processor",
        "line 64: fan: the file has [[sensor]] alone",
    ];
    let mut found = problems(text);
    found.sort_by_key(|problem| problem[5..].split(':').next().unwrap().parse::<u32>().unwrap());
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n  is not\n{expected}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_syntax_error_has_its_line() {
    let problems = problems("[[sensor]]\nname = FAN1\n");
    assert!(problems.len() == 1 && problems[0].starts_with("line 2: "), "{problems:?}");
    assert_eq!(self::problems("[sensor]\nname = 'FAN1'")[0], "line 1: sensor is a list: write [[sensor]]");
    assert_eq!(self::problems("sensor = [1]")[0], "line 1: sensor is a list of tables: write [[sensor]]");
}

#[test]
fn the_documents_example_is_a_good_file() {
    let page = include_str!("../../../../../docs/sensors.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let sensors = parse(example).unwrap();
    assert!(sensors.iter().all(|sensor| sensor.name != "FAN4"));
    for name in ["PSU2 Status", "PSU2 Power", "Backplane Temp", "CPU Temp"] {
        assert!(sensors.iter().any(|sensor| sensor.name == name), "{name}");
    }
}

/// A sensors file of keys and values that exist, in any combination.
fn any_file() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("name"),
        Just("type"),
        Just("value"),
        Just("range"),
        Just("scale"),
        Just("states"),
        Just("upper_critical"),
        Just("lower_critical"),
        Just("hysteresis"),
        Just("entity"),
        Just("number"),
        Just("off"),
        Just("noise"),
        Just("unit"),
        Just("inertia"),
        Just("event_type"),
    ];
    let value = prop_oneof![
        Just("\"FAN1\"".to_owned()),
        Just("\"temperature\"".to_owned()),
        Just("\"power-supply\"".to_owned()),
        Just("[\"present\", 3]".to_owned()),
        (-1e7..1e7f64).prop_map(|number| format!("{number:?}")),
        any::<i32>().prop_map(|number| number.to_string()),
        (-1e4..1e4f64, -1e4..1e4f64).prop_map(|(low, high)| format!("[{low:?}, {high:?}]")),
        Just("nan".to_owned()),
    ];
    let entry = proptest::collection::btree_map(key, value, 0..6).prop_map(|keys| {
        let lines = keys.iter().map(|(key, value)| format!("{key} = {value}\n"));
        format!("[[sensor]]\n{}", lines.collect::<String>())
    });
    proptest::collection::vec(entry, 0..4).prop_map(|entries| entries.concat())
}

proptest! {
    #[test]
    fn any_file_makes_sensors_that_work_or_problems(text in any_file()) {
        let Ok(sensors) = parse(&text) else { return Ok(()) };
        for sensor in &sensors {
            let Some(analog) = sensor.analog() else { continue };
            prop_assert!(analog.thresholds.are_in_order());
            let raw = analog.scale.raw(analog.source.idle);
            prop_assert!(analog.scale.value(raw).is_finite());
            let _ = Reading::Raw(raw);
        }
    }

    #[test]
    fn any_text_is_survived(text in "(?s).{0,200}") {
        let _ = parse(&text);
    }
}
