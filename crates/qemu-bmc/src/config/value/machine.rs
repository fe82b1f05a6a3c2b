//! Values about the guest that are about nothing else.

use super::{super::plan::*, Parsed, choice};

/// The guest's interface to its BMC.
pub(in crate::config) fn system_interface(text: &str) -> Parsed<Option<SystemInterface>> {
    choice(
        text,
        &[
            ("kcs", Some(SystemInterface::Kcs)),
            ("bt", Some(SystemInterface::Bt)),
            ("pci-kcs", Some(SystemInterface::PciKcs)),
            ("pci-bt", Some(SystemInterface::PciBt)),
            ("ssif", Some(SystemInterface::Ssif)),
            ("none", None),
        ],
    )
}

/// Whether the guest is trusted with the BMC's own settings.
pub(in crate::config) fn guest_trust(text: &str) -> Parsed<bool> {
    choice(text, &[("full", true), ("restricted", false)])
}

/// What becomes of a guest that ignores an ACPI shutdown request.
pub(in crate::config) fn soft_timeout_action(text: &str) -> Parsed<SoftTimeoutAction> {
    choice(text, &[("leave", SoftTimeoutAction::Leave), ("off", SoftTimeoutAction::Off)])
}

/// Where the console's output is copied to.
pub(in crate::config) fn console_log(text: &str) -> Parsed<ConsoleLog> {
    choice(
        text,
        &[("file", ConsoleLog::File), ("stdout", ConsoleLog::FileAndStdout), ("none", ConsoleLog::None)],
    )
}

#[cfg(test)]
mod tests {
    use super::{super::Refused, *};

    #[test]
    fn choices_are_words_in_any_case() {
        assert_eq!(system_interface("PCI-kcs"), Ok(Some(SystemInterface::PciKcs)));
        assert_eq!(system_interface("lpc"), Err(Refused::Form));
        assert_eq!(soft_timeout_action("off"), Ok(SoftTimeoutAction::Off));
        assert_eq!(console_log("stdout"), Ok(ConsoleLog::FileAndStdout));
    }
}
