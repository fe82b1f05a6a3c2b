//! The table as a page for people: `docs/ipmi-commands.md`, which a test compares with what is made here.

use std::fmt::Write as _;

use super::{Channels, Row, TABLE};

/// The page, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    for row in TABLE {
        // Writing to a String does not fail.
        let _ = writeln!(page, "{}", line(row));
    }
    page
}

const HEAD: &str = "\
# IPMI commands

Every command that this BMC answers, with what it needs. All others are answered with C1h (invalid command).
Sections are those of the IPMI specification 2.0, revision 1.1, and of DCMI 1.5 for NetFn 2Ch.

This page is made from the table that the program itself works by (`crates/ipmi/src/command/table.rs`); a test
runs the command lines of the last column against the program and looks whether the command arrived.

* *Level* is what the session's privilege level must be; \"none\" is answered without a session as well.
* *By* is the channel: LAN, the guest's own system interface (SI), or both. The guest speaks with
  ADMINISTRATOR level; \"guarded\" commands are refused to it where VM_IPMI_TRUST is `restricted`.

| NetFn | Cmd | command | section | level | by | shown by |
|---|---|---|---|---|---|---|
";

fn line(row: &Row) -> String {
    let body = row.group.map_or(String::new(), |body| format!(" {body:02X}h"));
    let level = row.privilege.map_or("none".to_owned(), |level| level.to_string());
    let channels = match row.channels {
        Channels::Any => "LAN, SI",
        Channels::Lan => "LAN",
        Channels::SystemInterface => "SI",
    };
    let guarded = if row.guarded { ", guarded" } else { "" };
    let Row { netfn, command, name, section, shown_by, .. } = row;
    format!(
        "| {netfn:02X}h{body} | {command:02X}h | {name} | {section} | {level} | {channels}{guarded} | `{shown_by}` |"
    )
}
