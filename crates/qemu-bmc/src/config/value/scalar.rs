//! Values that aren't about anything in particular: flags, numbers, sizes, times, ports, addresses, paths.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use super::{Parsed, Refused, because, choice};

const MIB: u64 = 1 << 20;

/// What `T` takes, or nothing from the empty text: for settings whose default is not to be there.
pub(super) fn optional<T>(text: &str, parse: fn(&str) -> Parsed<T>) -> Parsed<Option<T>> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

/// True or false, in the words that people use.
pub(in crate::config) fn flag(text: &str) -> Parsed<bool> {
    choice(
        text,
        &[
            ("true", true),
            ("yes", true),
            ("on", true),
            ("1", true),
            ("false", false),
            ("no", false),
            ("off", false),
            ("0", false),
        ],
    )
}

/// A whole number without a sign. Rust's own parser takes a `+`.
pub(super) fn number(text: &str) -> Parsed<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| Refused::Form)
    } else {
        Err(Refused::Form)
    }
}

/// A number of things, of which there can't be more than a hundred.
pub(in crate::config) fn count(text: &str) -> Parsed<u32> {
    match number(text)? {
        value @ 0..=100 => u32::try_from(value).map_err(|_| Refused::Form),
        _ => Err(Refused::Form),
    }
}

/// A size in bytes: a number of `unit`s, or a number with one of QEMU's suffixes, which are powers of 1024.
pub(super) fn size(text: &str, unit: u64) -> Parsed<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (value, suffix) = text.split_at(digits);
    let factor = match suffix.to_ascii_lowercase().as_str() {
        "" => unit,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(Refused::Form),
    };
    number(value)?.checked_mul(factor).ok_or(Refused::Form)
}

/// The guest's memory in MiB. A plain number is MiB already, as with QEMU's `-m`.
pub(in crate::config) fn memory(text: &str) -> Parsed<u64> {
    match size(text, MIB)? {
        0 => because("a machine needs memory"),
        bytes if bytes % MIB == 0 => Ok(bytes / MIB),
        _ => because("it is not a whole number of MiB"),
    }
}

/// The size of a file in bytes.
pub(in crate::config) fn file_size(text: &str) -> Parsed<u64> {
    match size(text, 1)? {
        bytes @ 4096.. => Ok(bytes),
        _ => because("it is less than 4K"),
    }
}

/// A time: seconds, or a number with a unit.
pub(in crate::config) fn duration(text: &str) -> Parsed<Duration> {
    const LONGEST: Duration = Duration::from_secs(24 * 3600);

    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (value, unit) = text.split_at(digits);
    let value = number(value)?;
    let time = match unit {
        "ms" => Duration::from_millis(value),
        "" | "s" => Duration::from_secs(value),
        "m" => Duration::from_secs(value.saturating_mul(60)),
        _ => return Err(Refused::Form),
    };
    if time > LONGEST { because("it is more than a day") } else { Ok(time) }
}

/// A time that can be for ever: 0 or `none`.
pub(in crate::config) fn duration_or_none(text: &str) -> Parsed<Option<Duration>> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    duration(text).map(|time| (!time.is_zero()).then_some(time))
}

/// A TCP or UDP port; 0 lets the system choose.
pub(in crate::config) fn port(text: &str) -> Parsed<u16> {
    if text.starts_with("tcp://") || text.starts_with("udp://") {
        return because(
            "Kubernetes makes such a variable for a service of this name: rename the service, or set enableServiceLinks: false",
        );
    }
    number(text)?.try_into().map_err(|_| Refused::Form)
}

/// A port that can be left out.
pub(in crate::config) fn optional_port(text: &str) -> Parsed<Option<u16>> {
    optional(text, port).map(|port| port.filter(|port| *port != 0))
}

/// A port, or 0 or `none` for a service that isn't wanted.
pub(in crate::config) fn port_or_none(text: &str) -> Parsed<Option<u16>> {
    if text.eq_ignore_ascii_case("none") { Ok(None) } else { optional_port(text) }
}

/// IP addresses with commas between them, or `all`.
pub(in crate::config) fn addresses(text: &str) -> Parsed<Vec<IpAddr>> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]);
    }
    let mut addresses = Vec::new();
    for item in text.split(',') {
        let address = item.trim().parse().map_err(|_| Refused::Form)?;
        if addresses.contains(&address) {
            return because(format!("{address} is there twice"));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// A path. Everything that isn't empty is one.
pub(in crate::config) fn path(text: &str) -> Parsed<PathBuf> {
    if text.contains('\0') { Err(Refused::Form) } else { Ok(text.into()) }
}

/// A path that can be left out.
pub(in crate::config) fn optional_path(text: &str) -> Parsed<Option<PathBuf>> {
    optional(text, path)
}

/// A path, or `none` for a file that isn't wanted.
pub(in crate::config) fn path_or_none(text: &str) -> Parsed<Option<PathBuf>> {
    if text.eq_ignore_ascii_case("none") { Ok(None) } else { optional_path(text) }
}

/// A UUID that can be left out. The nil UUID is what machines without one report, so nobody may ask for it.
pub(in crate::config) fn optional_uuid(text: &str) -> Parsed<Option<uuid::Uuid>> {
    let uuid = optional(text, |text| uuid::Uuid::parse_str(text).map_err(|_| Refused::Form))?;
    if uuid.is_some_and(|uuid| uuid.is_nil()) { because("all zeros is nobody's UUID") } else { Ok(uuid) }
}

/// A label that can be left out: what a sticker on a real machine could say, and every format can carry.
pub(in crate::config) fn optional_label(text: &str) -> Parsed<Option<String>> {
    optional(text, label)
}

/// A label that can be empty.
pub(in crate::config) fn label(text: &str) -> Parsed<String> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if printable && text.len() <= 63 { Ok(text.to_owned()) } else { Err(Refused::Form) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn flags_are_said_in_many_words() {
        for (text, value) in
            [("true", true), ("Yes", true), ("ON", true), ("1", true), ("FALSE", false), ("0", false)]
        {
            assert_eq!(flag(text), Ok(value), "{text}");
        }
        for text in ["", "2", "truth", " true"] {
            assert_eq!(flag(text), Err(Refused::Form), "{text}");
        }
    }

    #[test]
    fn memory_is_mib_unless_it_says_otherwise() {
        for (text, mib) in [
            ("2048", 2048),
            ("4G", 4096),
            ("4g", 4096),
            ("4GiB", 4096),
            ("512M", 512),
            ("2048K", 2),
            ("1T", 1 << 20),
        ] {
            assert_eq!(memory(text), Ok(mib), "{text}");
        }
        for text in ["", "G", "-1", "+1", "1.5G", "4 G", "4X", "0x10", "99999999999999999999", "99999999999T"]
        {
            assert_eq!(memory(text), Err(Refused::Form), "{text}");
        }
        for text in ["0", "0G", "1K", "1025K"] {
            assert!(matches!(memory(text), Err(Refused::Because(_))), "{text}");
        }
    }

    #[test]
    fn times_are_seconds_unless_they_say_otherwise() {
        for (text, ms) in [("8", 8000), ("8s", 8000), ("250ms", 250), ("2m", 120_000), ("0", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "8 s", "8h", "-8", "1.5", "18446744073709551616"] {
            assert_eq!(duration(text), Err(Refused::Form), "{text}");
        }
        assert!(matches!(duration("18446744073709551615m"), Err(Refused::Because(_))));
        assert_eq!(duration_or_none("none"), Ok(None));
        assert_eq!(duration_or_none("0"), Ok(None));
        assert_eq!(duration_or_none("1"), Ok(Some(Duration::from_secs(1))));
    }

    #[test]
    fn ports_have_sixteen_bits_and_some_can_be_closed() {
        assert_eq!(port("623"), Ok(623));
        assert_eq!(port("65536"), Err(Refused::Form));
        assert_eq!(port("+5"), Err(Refused::Form));
        assert!(matches!(port("tcp://10.96.0.7:623"), Err(Refused::Because(_))));
        assert_eq!(port_or_none("5900"), Ok(Some(5900)));
        assert_eq!(port_or_none("none"), Ok(None));
        assert_eq!(port_or_none("0"), Ok(None));
        assert_eq!(optional_port("none"), Err(Refused::Form));
    }

    #[test]
    fn addresses_are_of_both_families() {
        assert_eq!(addresses("all"), addresses("0.0.0.0,::"));
        assert_eq!(addresses("127.0.0.1, ::1").map(|all| all.len()), Ok(2));
        for text in ["", "localhost", "127.0.0.1,", "10.0.0.300", "[::1]"] {
            assert_eq!(addresses(text), Err(Refused::Form), "{text}");
        }
        assert!(matches!(addresses("::1,::1"), Err(Refused::Because(_))));
    }

    #[test]
    fn paths_may_hold_what_shells_and_qemu_find_special() {
        let odd = "/vm/my disk, v=2;\"x\".qcow2";
        assert_eq!(path(odd), Ok(PathBuf::from(odd)));
        assert_eq!(path_or_none("none"), Ok(None));
    }

    #[test]
    fn identities_are_printable_and_not_nil() {
        assert!(optional_uuid("6f3c2a10-8f2d-4f1e-9a55-0242ac110002").unwrap().is_some());
        assert_eq!(optional_uuid("6f3c2a10"), Err(Refused::Form));
        assert!(matches!(optional_uuid(&"0".repeat(32)), Err(Refused::Because(_))));
        assert_eq!(optional_label("SN 1"), Ok(Some("SN 1".into())));
        assert_eq!(optional_label("SN\n1"), Err(Refused::Form));
        assert_eq!(optional_label(&"x".repeat(64)), Err(Refused::Form));
    }

    proptest! {
        #[test]
        fn a_size_in_kib_is_itself_whatever_the_suffix(mib in 1_u64..1 << 30) {
            prop_assert_eq!(memory(&format!("{mib}")), Ok(mib));
            prop_assert_eq!(memory(&format!("{mib}M")), Ok(mib));
            prop_assert_eq!(memory(&format!("{}k", mib * 1024)), Ok(mib));
            prop_assert_eq!(memory(&format!("{mib}G")), Ok(mib * 1024));
        }

        #[test]
        fn a_time_in_any_unit_is_itself(seconds in 0_u64..86_400) {
            prop_assert_eq!(duration(&seconds.to_string()), Ok(Duration::from_secs(seconds)));
            prop_assert_eq!(duration(&format!("{}ms", seconds * 1000)), Ok(Duration::from_secs(seconds)));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in ".*") {
            let _ = (flag(&text), count(&text), memory(&text), file_size(&text), duration_or_none(&text));
            let _ = (port_or_none(&text), addresses(&text), path_or_none(&text), optional_uuid(&text));
        }

        #[test]
        fn printed_addresses_are_read_back(all in proptest::collection::hash_set(any::<IpAddr>(), 1..5)) {
            let all: Vec<_> = all.into_iter().collect();
            let text = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            prop_assert_eq!(addresses(&text), Ok(all));
        }
    }
}
