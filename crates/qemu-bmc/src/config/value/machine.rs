//! Values about the guest: processors, boot order, firmware, network interfaces.

use std::{str::FromStr, time::Duration};

use super::{super::plan::*, Parsed, Refused, because, choice};

/// The keys of QEMU's `-smp`, and whether the key's number multiplies the number of processors.
const SMP_KEYS: [(&str, bool); 9] = [
    ("cpus", false),
    ("maxcpus", false),
    ("drawers", true),
    ("books", true),
    ("sockets", true),
    ("dies", true),
    ("modules", true),
    ("cores", true),
    ("threads", true),
];
const CPUS_MAX: u32 = 1024;

/// A number of virtual processors, or QEMU's long form: `2,sockets=1`, `cpus=4,cores=2,threads=2`.
pub(in crate::config) fn cpus(text: &str) -> Parsed<Cpus> {
    let number = |text: &str| match text.parse::<u32>() {
        Ok(number) if text.starts_with(|first: char| first.is_ascii_digit()) => Ok(number),
        _ => Err(Refused::Form),
    };
    let mut count = None;
    let mut product = 1_u32;
    for (index, item) in text.split(',').enumerate() {
        let (key, value) = match item.split_once('=') {
            Some((key, value)) => (key, number(value)?),
            None if index == 0 => ("cpus", number(item)?),
            None => return Err(Refused::Form),
        };
        let Some((_, multiplies)) = SMP_KEYS.iter().find(|(known, _)| *known == key) else {
            return because(format!("{key:?} is not a key of QEMU's -smp"));
        };
        if value == 0 {
            return because("a machine needs processors");
        }
        if *multiplies {
            product = product.saturating_mul(value);
        } else if key == "cpus" {
            count = Some(value);
        }
    }
    match count.unwrap_or(product) {
        count @ 1..=CPUS_MAX => Ok(Cpus { count, smp: text.to_owned() }),
        _ => because(format!("there can be {CPUS_MAX} at most")),
    }
}

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

/// Boot devices as QEMU's letters, first choice first.
pub(in crate::config) fn boot_order(text: &str) -> Parsed<BootOrder> {
    let mut order = Vec::new();
    for letter in text.chars() {
        let source = match letter.to_ascii_lowercase() {
            'c' => BootSource::Disk,
            'd' => BootSource::Cdrom,
            'n' => BootSource::Network,
            _ => return Err(Refused::Form),
        };
        if order.contains(&source) {
            return because("a device is there twice");
        }
        order.push(source);
    }
    if order.is_empty() { Err(Refused::Form) } else { Ok(BootOrder(order)) }
}

impl FromStr for BootOrder {
    type Err = Refused;

    fn from_str(text: &str) -> Parsed<Self> {
        boot_order(text)
    }
}

/// The firmware.
pub(in crate::config) fn firmware(text: &str) -> Parsed<Firmware> {
    choice(text, &[("bios", Firmware::Bios), ("uefi", Firmware::Uefi)])
}

/// How long the boot menu is shown, in milliseconds. QEMU hands the firmware 16 bits.
pub(in crate::config) fn menu_timeout(text: &str) -> Parsed<Option<Duration>> {
    let ms = super::port(text).map_err(|_| Refused::Form)?;
    Ok((ms != 0).then(|| Duration::from_millis(ms.into())))
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn processors_are_counted_in_the_long_form_too() {
        for (text, count) in [
            ("2", 2),
            ("2,sockets=1", 2),
            ("cpus=4,cores=2,threads=2", 4),
            ("sockets=2,cores=3", 6),
            ("2,maxcpus=8", 2),
            ("1024", 1024),
        ] {
            assert_eq!(cpus(text), Ok(Cpus { count, smp: text.into() }), "{text}");
        }
        for text in ["", "x", "-1", "+1", "2,", "2,3", "cores=", "2.5", "cores=x"] {
            assert_eq!(cpus(text), Err(Refused::Form), "{text}");
        }
        for text in ["0", "1025", "2,sockts=1", "sockets=70000,cores=70000", "2,cores=0"] {
            assert!(matches!(cpus(text), Err(Refused::Because(_))), "{text}");
        }
    }

    #[test]
    fn boot_devices_are_letters() {
        use BootSource::*;
        for (text, order) in
            [("c", vec![Disk]), ("dc", vec![Cdrom, Disk]), ("NCD", vec![Network, Disk, Cdrom])]
        {
            assert_eq!(boot_order(text).unwrap().sources(), order, "{text}");
        }
        for text in ["", "x", "c,d", "c d", "disk"] {
            assert_eq!(boot_order(text), Err(Refused::Form), "{text}");
        }
        assert!(matches!(boot_order("cdc"), Err(Refused::Because(_))));
    }

    #[test]
    fn the_menu_is_shown_for_milliseconds() {
        assert_eq!(menu_timeout("0"), Ok(None));
        assert_eq!(menu_timeout("5000"), Ok(Some(Duration::from_secs(5))));
        for text in ["65536", "5s", "-1", "tcp://10.0.0.1:1"] {
            assert_eq!(menu_timeout(text), Err(Refused::Form), "{text}");
        }
    }

    #[test]
    fn choices_are_words_in_any_case() {
        assert_eq!(firmware("UEFI"), Ok(Firmware::Uefi));
        assert_eq!(firmware("efi"), Err(Refused::Form));
        assert_eq!(soft_timeout_action("off"), Ok(SoftTimeoutAction::Off));
        assert_eq!(console_log("stdout"), Ok(ConsoleLog::FileAndStdout));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".*", smp in "[a-z0-9=,]*") {
            let _ = (cpus(&text), cpus(&smp), boot_order(&text), menu_timeout(&text));
        }

        #[test]
        fn every_topology_has_its_product(sockets in 1_u32..8, cores in 1_u32..8, threads in 1_u32..8) {
            let text = format!("sockets={sockets},cores={cores},threads={threads}");
            prop_assert_eq!(cpus(&text).unwrap().count, sockets * cores * threads);
        }
    }
}
