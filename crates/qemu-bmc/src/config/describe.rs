//! What `qemu-bmc check` says about a configuration.

use std::fmt::Write as _;

use super::{
    plan::Plan,
    said::Origin,
    settings::{Row, rows},
};

/// A setting as it is: its text, unless that is a secret, and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Effective {
    pub(super) row: &'static Row,
    /// Its name: the variable.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) origin: Origin,
}

impl Plan {
    /// Where a setting's text comes from.
    pub(super) fn said_by(&self, row: &'static Row) -> Option<&Origin> {
        let mut settings = self.settings.iter();
        settings.find(|effective| std::ptr::eq(effective.row, row)).map(|effective| &effective.origin)
    }

    /// Every setting with its value and its origin, and the users. Contains no secret.
    pub(crate) fn describe(&self) -> String {
        let shown: Vec<_> = rows()
            .flat_map(|row| self.settings.iter().filter(|effective| std::ptr::eq(effective.row, row)))
            .map(|effective| {
                let text = if effective.text.is_empty() { "-" } else { &effective.text };
                (effective.name.as_str(), text, effective.origin.to_string())
            })
            .collect();
        let name_width = shown.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
        let text_width =
            shown.iter().map(|(_, text, _)| text.chars().count()).max().unwrap_or_default().min(40);

        let mut text = String::new();
        // Writing to a String cannot fail.
        for (name, value, origin) in shown {
            let _ = writeln!(text, "{name:name_width$}  {value:text_width$}  {origin}");
        }
        let _ = writeln!(text, "\nusers:");
        for user in &self.controller.users {
            let state = if user.enabled { "enabled" } else { "disabled" };
            let _ = writeln!(text, "  {:16}  {:13}  {state}", user.name, user.privilege.to_string());
        }
        text
    }
}
