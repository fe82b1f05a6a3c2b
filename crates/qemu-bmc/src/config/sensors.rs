//! The sensors file: TOML that adds sensors to the standard ones, changes them, and takes them away.
//!
//! ```text
//!   text ─▶ Entry (a [[sensor]], typed keys) ─▶ Draft (values in their unit) ─▶ Definition (raw readings)
//!                                                  ▲
//!                      the standard sensor of this name, of which what isn't said stays
//! ```
//!
//! Everything that is wrong is found in one go, each with its line.

mod draft;
mod entry;
mod names;

use bmc::sensors::{Definition, NAME_MAX, number, standard};
use draft::Draft;
use entry::Entry;
use toml::de::{DeTable, DeValue};

/// The table of the file.
const SENSOR: &str = "sensor";

/// All sensors that there are with this file.
///
/// # Errors
/// Everything that is wrong with it: a line and a sentence each.
pub(crate) fn parse(text: &str) -> Result<Vec<Definition>, Vec<String>> {
    let mut problems = Vec::new();
    let mut sensors = standard();
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let line = error.span().map(|span| format!("line {}: ", entry::line(text, span.start)));
            return Err(vec![format!("{}{}", line.unwrap_or_default(), error.message())]);
        }
    };
    let mut named: Vec<String> = Vec::new();
    for (key, value) in &table {
        let line = entry::line(text, key.span().start);
        let entries = match (key.get_ref().as_ref(), value.get_ref()) {
            (SENSOR, DeValue::Array(entries)) => entries,
            (SENSOR, _) => {
                problems.push(format!("line {line}: {SENSOR} is a list: write [[{SENSOR}]]"));
                continue;
            }
            (other, _) => {
                problems
                    .push(format!("line {line}: {}: the file has [[{SENSOR}]] alone", other.escape_debug()));
                continue;
            }
        };
        for item in entries {
            let DeValue::Table(table) = item.get_ref() else {
                let line = entry::line(text, item.span().start);
                problems.push(format!("line {line}: {SENSOR} is a list of tables: write [[{SENSOR}]]"));
                continue;
            };
            let mut entry = Entry::new(text, item.span().start, table, &mut problems);
            take(&mut entry, &mut sensors, &mut named);
        }
    }
    if problems.is_empty() { Ok(sensors) } else { Err(problems) }
}

/// Takes one `[[sensor]]` into the sensors that there are.
fn take(entry: &mut Entry<'_>, sensors: &mut Vec<Definition>, named: &mut Vec<String>) {
    entry.refuse_unknown_keys();
    let Some(name) = entry.text("name") else {
        entry.problem("a sensor needs a name");
        return;
    };
    let printable = name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !(1..=NAME_MAX).contains(&name.len()) || !printable {
        entry.problem_at("name", format!("got {name:?}; takes 1 to {NAME_MAX} printable ASCII characters"));
        return;
    }
    entry.call(&name);
    if named.contains(&name) {
        entry.problem("there is another of this name in the file");
        return;
    }
    named.push(name.clone());

    let place = sensors.iter().position(|sensor| sensor.name == name);
    let base = place.and_then(|place| sensors.get(place)).cloned();
    if base.as_ref().is_some_and(Definition::is_own) {
        entry.problem("it shows the controller's own state and can be neither changed nor removed");
        return;
    }
    if entry.flag("remove") == Some(true) {
        match place {
            Some(place) => drop(sensors.remove(place)),
            None => entry.problem("there is no such sensor to remove"),
        }
        return;
    }
    let others: Vec<u8> =
        sensors.iter().filter(|sensor| sensor.name != name).map(|sensor| sensor.number).collect();
    let Some(number) = choose_number(entry, base.as_ref(), &others) else { return };
    let Some(definition) =
        Draft::read(entry, base.as_ref()).and_then(|draft| draft.build(entry, number, name))
    else {
        return;
    };
    match place.and_then(|place| sensors.get_mut(place)) {
        Some(sensor) => *sensor = definition,
        None => sensors.push(definition),
    }
}

/// The number that was asked for, else the one that it has, else one that is free.
fn choose_number(entry: &mut Entry<'_>, base: Option<&Definition>, others: &[u8]) -> Option<u8> {
    const FIRST: u8 = 0x40;
    const LAST: u8 = 0xfe;

    let Some(wanted) = entry.number("number") else {
        let free = || (FIRST..=LAST).find(|number| !others.contains(number));
        let number = base.map(|base| base.number).or_else(free);
        if number.is_none() {
            entry.problem("there are no more sensor numbers");
        }
        return number;
    };
    let mut numbers = number::FIRST_FREE..=LAST;
    let Some(number) = numbers.find(|number| f64::from(*number) == wanted) else {
        entry.problem_at("number", format!("takes {:#04x} to {LAST:#04x}", number::FIRST_FREE));
        return None;
    };
    if others.contains(&number) {
        entry.problem_at("number", format!("another sensor has {number:#04x}"));
        return None;
    }
    Some(number)
}

#[cfg(test)]
mod tests;
