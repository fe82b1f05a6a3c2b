//! Every command of the table is reached by a real client: what its row says is run, and the log says whether
//! the command came.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::support::{Machine, SOON, Said, Setup, wait_for};
use ipmi::{Row, TABLE};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where rows do not say otherwise, the command has to succeed at least once.
fn arrived(log: &str, row: &Row) -> bool {
    let (command, code) = row.shown_by.split_once(" -> ").unwrap_or((row.shown_by, "00"));
    assert!(!command.is_empty(), "{}: no client shows it", row.name);
    log.contains(&format!("{} ({:02x}:{:02x}) -> {code}", row.name, row.netfn, row.command))
}

/// Words as a shell would have them, as far as the table needs it.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('"').enumerate();
    quoted
        .flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

fn run_client(machine: &Machine, line: &str) -> Said {
    let line = line.split_once(" -> ").map_or(line, |(line, _)| line);
    let words = words(line);
    let arguments: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    match words[0].as_str() {
        "ipmitool" => machine.ipmitool(&arguments),
        tool => machine.freeipmi(tool, &arguments),
    }
}

#[test]
fn every_row_is_shown_by_what_it_says() {
    let machine = Setup::new().with("DEBUG", true).start();
    let mut lines: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in TABLE {
        let line = row.shown_by;
        if !line.starts_with("guest: ") && !line.starts_with("test: ") {
            lines.entry(line).or_default().push(row);
        }
    }
    let mut missing = Vec::new();
    for (line, rows) in lines {
        let before = machine.log().len();
        let said = run_client(&machine, line);
        let log = || machine.log()[before..].to_owned();
        let end = Instant::now() + SOON;
        while !rows.iter().all(|row| arrived(&log(), row)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
        for row in rows.iter().filter(|row| !arrived(&log(), row)) {
            let log = log();
            missing.push(format!("{}: {line:?} did not send it, or it failed: {said:#?}\n{log}", row.name));
        }
        if log().contains("controller restart requested") {
            // What follows is to meet the next controller, and not this one's last moments.
            wait_for("the next controller serves", SOON, || log().contains("IPMI on udp").then_some(()));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n\n"));
}

#[test]
fn tests_that_rows_name_exist() {
    let mut sources = String::new();
    for folder in ["tests", "crates/ipmi/tests/lan"] {
        for entry in fs::read_dir(root().join(folder)).unwrap().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    for row in TABLE {
        if let Some(test) = row.shown_by.strip_prefix("test: ") {
            assert!(sources.contains(&format!("fn {test}()")), "{}: there is no test {test}", row.name);
        }
    }
}

#[test]
fn the_page_of_commands_is_the_table() {
    let page = fs::read_to_string(root().join("docs/ipmi-commands.md")).unwrap();
    assert!(
        page == ipmi::reference(),
        "docs/ipmi-commands.md is not the table: cargo run -p ipmi --example commands > docs/ipmi-commands.md"
    );
}
