//! Values about the guest's hardware.

use super::{Parsed, Refused, because};
use crate::config::hardware::Cpus;

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
    let (mut count, mut max) = (None, None);
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
        } else {
            max = Some(value);
        }
    }
    let count = count.unwrap_or(product);
    match max.unwrap_or(count) {
        max if max < count => because("maxcpus is less than there are"),
        max @ 1..=CPUS_MAX => Ok(Cpus { count, max, smp: text.to_owned() }),
        _ => because(format!("there can be {CPUS_MAX} at most")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn processors_are_counted_in_the_long_form_too() {
        for (text, count, max) in [
            ("2", 2, 2),
            ("2,sockets=1", 2, 2),
            ("cpus=4,cores=2,threads=2", 4, 4),
            ("sockets=2,cores=3", 6, 6),
            ("2,maxcpus=8", 2, 8),
            ("1024", 1024, 1024),
        ] {
            assert_eq!(cpus(text), Ok(Cpus { count, max, smp: text.into() }), "{text}");
        }
        for text in ["", "x", "-1", "+1", "2,", "2,3", "cores=", "2.5", "cores=x"] {
            assert_eq!(cpus(text), Err(Refused::Form), "{text}");
        }
        for text in ["0", "1025", "2,sockts=1", "4,maxcpus=2", "sockets=70000,cores=70000", "2,cores=0"] {
            assert!(matches!(cpus(text), Err(Refused::Because(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".*", smp in "[a-z0-9=,]*") {
            let _ = (cpus(&text), cpus(&smp));
        }

        #[test]
        fn every_topology_has_its_product(sockets in 1_u32..8, cores in 1_u32..8, threads in 1_u32..8) {
            let text = format!("sockets={sockets},cores={cores},threads={threads}");
            prop_assert_eq!(cpus(&text).unwrap().count, sockets * cores * threads);
        }
    }
}
