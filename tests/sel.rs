//! The event log as clients read, fill and clear it, what the machine's life writes into it, and that nothing
//! that was acknowledged is lost.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;

use support::{Machine, Setup};

#[track_caller]
fn assert_says(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "no {line:?} in:\n{said}");
    }
}

/// `ipmitool raw` with these bytes, and the bytes of the answer.
#[track_caller]
fn raw(machine: &Machine, bytes: &[u8]) -> Vec<u8> {
    let words: Vec<String> = bytes.iter().map(|byte| format!("{byte:#04x}")).collect();
    let arguments: Vec<&str> = std::iter::once("raw").chain(words.iter().map(String::as_str)).collect();
    let said = machine.ipmitool(&arguments).ok();
    said.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn entries_are_added_from_a_file() {
    let machine = Setup::new().start();
    let file = machine.folder().join("events");
    fs::write(
        &file,
        "0x04 0x01 0x30 0x01 0x59 0x00 0x00 # a temperature\n0x04 0x0d 0x31 0x6f 0x01 0xff 0xff\n",
    )
    .unwrap();
    machine.ipmitool(&["sel", "add", &file.display().to_string()]).ok();
    let said = machine.ipmitool(&["sel", "list"]).ok();
    assert_says(
        &said,
        &["Temperature #0x30 | Upper Critical going high | Asserted", "Drive Fault | Asserted"],
    );
}

#[test]
fn an_entry_can_be_added_in_parts() {
    let machine = Setup::new().start();
    let reservation = raw(&machine, &[0x0a, 0x42]);
    let [r0, r1] = reservation[..] else { panic!("{reservation:?}") };
    let id = raw(&machine, &[0x0a, 0x45, r0, r1, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0]);
    let [i0, i1] = id[..] else { panic!("{id:?}") };
    let rest = [0x20, 0x00, 0x04, 0x0d, 0x31, 0x6f, 0x01, 0xff, 0xff];
    let last = [&[0x0a, 0x45, r0, r1, i0, i1, 7, 1][..], &rest].concat();
    assert_eq!(raw(&machine, &last), [i0, i1]);
    assert_says(
        &machine.ipmitool(&["sel", "list"]).ok(),
        &["Drive Slot / Bay #0x31 | Drive Fault | Asserted"],
    );
}
