//! Values about the guest's firmware, and what it boots from.

use std::{str::FromStr, time::Duration};

use super::{Parsed, Refused, because, choice};
use crate::config::firmware::{BootOrder, BootSource, Firmware};

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    fn firmware_is_a_word_in_any_case() {
        assert_eq!(firmware("UEFI"), Ok(Firmware::Uefi));
        assert_eq!(firmware("efi"), Err(Refused::Form));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".*") {
            let _ = (boot_order(&text), menu_timeout(&text));
        }
    }
}
