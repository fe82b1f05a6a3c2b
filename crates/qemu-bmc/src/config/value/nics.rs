//! Values about the guest's NICs.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use super::{
    super::nics::*,
    Parsed, Refused, because, choice,
    scalar::{number, optional, port},
};

/// Network interfaces by name, `auto` or `none`.
pub(in crate::config) fn networks(text: &str) -> Parsed<Networks> {
    match text {
        "auto" => return Ok(Networks::Auto),
        "none" => return Ok(Networks::None),
        _ => {}
    }
    let mut names = Vec::new();
    for name in text.split(',').map(str::trim) {
        let name = interface(name)?;
        if names.contains(&name) {
            return because(format!("{name} is there twice"));
        }
        names.push(name);
    }
    Ok(Networks::Named(names))
}

/// The name of an interface that a guest or a door can have.
pub(in crate::config) fn interface(text: &str) -> Parsed<String> {
    // What the kernel takes (dev_valid_name): IFNAMSIZ counts the final zero.
    let valid = (1..16).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.contains(|char: char| char.is_whitespace() || char.is_control() || "/:,=".contains(char));
    match text {
        "lo" => because("lo is the container's own"),
        _ if valid => Ok(text.to_owned()),
        _ => Err(Refused::Form),
    }
}

/// An interface, if any.
pub(in crate::config) fn optional_interface(text: &str) -> Parsed<Option<String>> {
    optional(text, interface)
}

/// How many links a lab adds, if it says so.
pub(in crate::config) fn optional_links(text: &str) -> Parsed<Option<usize>> {
    optional(text, |text| match usize::try_from(number(text)?) {
        Ok(links @ 0..=1000) => Ok(links),
        _ => Err(Refused::Form),
    })
}

/// The mode of all interfaces, those of single ones, or both: `redirect,eth2=bridge`.
pub(in crate::config) fn modes(text: &str) -> Parsed<Modes> {
    let mut usual = None;
    let mut by_interface = BTreeMap::new();
    for item in text.split(',').map(str::trim) {
        let twice = match item.split_once('=') {
            Some((name, word)) => {
                let (name, mode) = (interface(name.trim())?, mode(word.trim())?);
                by_interface.insert(name.clone(), mode).map(|_| format!("{name} is there twice"))
            }
            None => usual.replace(mode(item)?).map(|_| "there are two modes for all interfaces".into()),
        };
        if let Some(why) = twice {
            return because(why);
        }
    }
    Ok(Modes { usual: usual.unwrap_or(Mode::Redirect), by_interface })
}

fn mode(word: &str) -> Parsed<Mode> {
    choice(
        word,
        &[
            ("redirect", Mode::Redirect),
            ("bridge", Mode::Bridge),
            ("macvtap", Mode::Macvtap),
            ("user", Mode::User),
            ("none", Mode::None),
        ],
    )
}

/// What the guest gets where an interface can't be had.
pub(in crate::config) fn fallback(text: &str) -> Parsed<Fallback> {
    choice(text, &[("user", Fallback::User), ("none", Fallback::None)])
}

/// Whether there is a NIC for management.
pub(in crate::config) fn management(text: &str) -> Parsed<bool> {
    choice(text, &[("user", true), ("none", false)])
}

/// QEMU's name of a network device, which only QEMU can judge.
pub(in crate::config) fn nic_model(text: &str) -> Parsed<String> {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    match text {
        "virtio" | "virtio-net" => Ok("virtio-net-pci".into()),
        _ if text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.chars().all(plain) => {
            Ok(text.to_owned())
        }
        _ => Err(Refused::Form),
    }
}

/// Ports that lead into the guest, as QEMU's `hostfwd` has them: `tcp:2222-:22,udp:127.0.0.1:5353-:53`.
pub(in crate::config) fn forwards(text: &str) -> Parsed<Vec<Forward>> {
    let mut forwards: Vec<Forward> = Vec::new();
    for item in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
        let forward = forward(item)?;
        let (tcp, address) = (forward.tcp, forward.address.map(IpAddr::from));
        if forwards.iter().any(|other| other.collides(tcp, address, forward.port)) {
            return because(format!("{} port {} is there twice", forward.protocol(), forward.port));
        }
        forwards.push(forward);
    }
    Ok(forwards)
}

fn forward(text: &str) -> Parsed<Forward> {
    let (protocol, rest) = text.split_once(':').ok_or(Refused::Form)?;
    let (host, guest) = rest.split_once('-').ok_or(Refused::Form)?;
    let tcp = choice(protocol, &[("tcp", true), ("udp", false)])?;
    let (address, port) = endpoint(host)?;
    let (guest_address, guest_port) = endpoint(guest)?;
    Ok(Forward { tcp, address, port, guest_address, guest_port })
}

/// A port, after an address or nothing and a colon, or by itself.
fn endpoint(text: &str) -> Parsed<(Option<Ipv4Addr>, u16)> {
    let (address, number) = text.rsplit_once(':').unwrap_or(("", text));
    let address = if address.is_empty() { None } else { Some(address.parse().map_err(|_| Refused::Form)?) };
    match port(number).map_err(|_| Refused::Form)? {
        0 => because("port 0 is none"),
        port => Ok((address, port)),
    }
}

/// A hardware address, if any.
pub(in crate::config) fn optional_mac(text: &str) -> Parsed<Option<Mac>> {
    optional(text, mac)
}

/// A unicast hardware address, its six bytes in hexadecimal with colons or dashes between them.
pub(in crate::config) fn mac(text: &str) -> Parsed<Mac> {
    let mut bytes = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut bytes {
        let part =
            parts.next().filter(|part| part.len() == 2 && !part.starts_with('+')).ok_or(Refused::Form)?;
        *byte = u8::from_str_radix(part, 16).map_err(|_| Refused::Form)?;
    }
    if parts.next().is_some() {
        return Err(Refused::Form);
    }
    if bytes[0] & 1 != 0 {
        return because("it is a group's address");
    }
    if bytes == [0; 6] {
        return because("it is nobody's address");
    }
    Ok(Mac(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn interfaces_have_names_that_the_kernel_takes() {
        assert_eq!(networks("auto"), Ok(Networks::Auto));
        assert_eq!(networks("none"), Ok(Networks::None));
        assert_eq!(networks("eth2, eth10"), Ok(Networks::Named(vec!["eth2".into(), "eth10".into()])));
        for text in ["eth2,", "eth 2", "a/b", "..", "eth2:1", "eth2=user", "sixteen-letters-"] {
            assert_eq!(networks(text), Err(Refused::Form), "{text}");
        }
        for text in ["eth2,eth2", "lo"] {
            assert!(matches!(networks(text), Err(Refused::Because(_))), "{text}");
        }
        assert_eq!((optional_interface(""), optional_interface("ens3")), (Ok(None), Ok(Some("ens3".into()))));
    }

    #[test]
    fn addresses_are_unicast() {
        assert_eq!(mac("52:54:00:0a:0B:ff").map(|mac| mac.to_string()), Ok("52:54:00:0a:0b:ff".into()));
        for text in ["", "52:54:00:0a:0b", "52:54:00:0a:0b:ff:00", "5:54:00:0a:0b:ff", "+2:54:00:0a:0b:ff"] {
            assert_eq!(mac(text), Err(Refused::Form), "{text}");
        }
        assert!(matches!(mac("01:00:5e:00:00:01"), Err(Refused::Because(_))));
        assert!(matches!(mac("00-00-00-00-00-00"), Err(Refused::Because(_))));
    }

    #[test]
    fn a_mode_is_for_all_interfaces_or_for_one() {
        let of = |text: &str| {
            let modes = modes(text)?;
            Ok([modes.of("eth2"), modes.of("eth3"), modes.of("eth4")])
        };
        use Mode::*;
        assert_eq!(of("bridge"), Ok([Bridge, Bridge, Bridge]));
        assert_eq!(of("macvtap, eth2=Bridge, eth3=user"), Ok([Bridge, User, Macvtap]));
        assert_eq!(of("eth3=none,redirect"), Ok([Redirect, None, Redirect]));
        assert_eq!(of("eth2=bridge"), Ok([Bridge, Redirect, Redirect]), "one alone leaves the others");
        for text in ["", "tap", "redirect,", "eth2=", "=user", "eth2=user=none", "eth2"] {
            assert_eq!(of(text), Err(Refused::Form), "{text}");
        }
        for text in ["user,bridge", "eth2=user,eth2=user"] {
            assert!(matches!(of(text), Err(Refused::Because(_))), "{text}");
        }
    }

    #[test]
    fn forwards_are_written_as_qemu_has_them() {
        let shown =
            |text: &str| Ok(forwards(text)?.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
        for (text, meant) in [
            ("", ""),
            ("tcp:2222-:22", "tcp::2222-:22"),
            ("tcp::2222-:22", "tcp::2222-:22"),
            ("tcp:2222-22", "tcp::2222-:22"),
            ("tcp:127.0.0.1:2222-:22", "tcp:127.0.0.1:2222-:22"),
            ("UDP:5353-10.0.2.15:53, tcp:5353-:53", "udp::5353-10.0.2.15:53,tcp::5353-:53"),
            ("tcp:127.0.0.1:80-:80,tcp:127.0.0.2:80-:81", "tcp:127.0.0.1:80-:80,tcp:127.0.0.2:80-:81"),
        ] {
            assert_eq!(shown(text), Ok(meant.into()), "{text}");
        }
        for text in
            ["2222-:22", "tcp:2222", "tcp:2222:22", "sctp:1-:1", "tcp:1-:65536", "tcp:::1:1-:1", "tcp:1-:1,"]
        {
            assert_eq!(shown(text), Err(Refused::Form), "{text}");
        }
        for text in ["tcp:0-:22", "tcp:22-:0", "tcp:1-:1,tcp:1-:2", "tcp:1-:1,tcp:127.0.0.1:1-:2"] {
            assert!(matches!(shown(text), Err(Refused::Because(_))), "{text}");
        }
    }

    #[test]
    fn models_are_plain_words() {
        assert_eq!(nic_model("virtio"), Ok("virtio-net-pci".into()));
        assert_eq!(
            nic_model("virtio-net-pci-non-transitional"),
            Ok("virtio-net-pci-non-transitional".into())
        );
        for text in ["", "e1000,mac=x", "-device", "e1000 e", "\u{e9}"] {
            assert_eq!(nic_model(text), Err(Refused::Form), "{text}");
        }
    }

    #[test]
    fn links_are_counted() {
        assert_eq!(
            (optional_links(""), optional_links("0"), optional_links("3")),
            (Ok(None), Ok(Some(0)), Ok(Some(3)))
        );
        for text in ["-1", "1001", "three"] {
            assert_eq!(optional_links(text), Err(Refused::Form), "{text}");
        }
    }

    #[test]
    fn numbers_are_added_to_the_part_of_a_single_device() {
        let base = Mac([0x52, 0x54, 0, 1, 2, 0xfe]);
        assert_eq!(base.plus(0), Some(base));
        assert_eq!(base.plus(2), Some(Mac([0x52, 0x54, 0, 1, 3, 0])));
        assert_eq!(base.plus(0xfe_fd01), Some(Mac([0x52, 0x54, 0, 0xff, 0xff, 0xff])));
        assert_eq!((base.plus(0xfe_fd02), base.plus(u32::MAX)), (None, None));
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".*", dense in "[a-u0-3:=,. -]*") {
            for text in [&text, &dense] {
                let _ = (networks(text), mac(text), modes(text), forwards(text), nic_model(text));
            }
        }

        #[test]
        fn what_is_shown_of_a_forward_is_read_back(
            tcp in any::<bool>(),
            addresses in any::<[Option<u32>; 2]>(),
            ports in [1_u16.., 1_u16..],
        ) {
            let [address, guest_address] = addresses.map(|bits| bits.map(Ipv4Addr::from_bits));
            let [port, guest_port] = ports;
            let forward = Forward { tcp, address, port, guest_address, guest_port };
            prop_assert_eq!(forwards(&forward.to_string()), Ok(vec![forward]));
        }

        #[test]
        fn every_unicast_address_is_read_back(mut bytes in any::<[u8; 6]>()) {
            bytes[0] = bytes[0] & !1 | 2;
            prop_assert_eq!(mac(&Mac(bytes).to_string()), Ok(Mac(bytes)));
        }
    }
}
