//! Values about the guest's disks and CDs.

use super::{Parsed, Refused, because, choice, optional, path, scalar::size};
use crate::config::storage::{Aio, Bus, Cache, DiskFormat, Medium};

/// Disks have sectors of this size; a size between two of them is a slip of the finger.
const SECTOR: u64 = 512;
const DISK_MIN: u64 = 1 << 20;
/// More than any file system has room for, and less than what QEMU refuses.
const DISK_MAX: u64 = 1 << 50;
/// What fits into every bus' inquiry (virtio-blk's `VIRTIO_BLK_ID_BYTES`, ATA's and NVMe's identification).
const SERIAL_MAX: usize = 20;

fn disk_size(text: &str) -> Parsed<u64> {
    match size(text, 1)? {
        bytes if bytes < DISK_MIN => because("it is less than 1M; is there a suffix missing, such as G?"),
        bytes if bytes > DISK_MAX => because("it is more than 1024T"),
        bytes if bytes % SECTOR != 0 => because("it is not a multiple of 512 bytes"),
        bytes => Ok(bytes),
    }
}

/// The size of a disk that may be left as it is.
pub(in crate::config) fn optional_disk_size(text: &str) -> Parsed<Option<u64>> {
    optional(text, disk_size)
}

/// A format that may be found out.
pub(in crate::config) fn optional_disk_format(text: &str) -> Parsed<Option<DiskFormat>> {
    optional(text, |text| choice(text, DiskFormat::WORDS))
}

/// What a disk is attached to.
pub(in crate::config) fn bus(text: &str) -> Parsed<Bus> {
    choice(text, Bus::WORDS)
}

/// What may be cached.
pub(in crate::config) fn cache(text: &str) -> Parsed<Cache> {
    choice(text, Cache::WORDS)
}

/// By which interface of the kernel's a disk is read and written.
pub(in crate::config) fn aio(text: &str) -> Parsed<Aio> {
    choice(text, Aio::WORDS)
}

/// Whether discarded blocks are given back to the host.
pub(in crate::config) fn discard(text: &str) -> Parsed<bool> {
    choice(text, &[("unmap", true), ("on", true), ("ignore", false), ("off", false)])
}

fn disk_serial(text: &str) -> Parsed<String> {
    if text.len() > SERIAL_MAX {
        return because(format!("it is longer than {SERIAL_MAX}"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.bytes().all(plain) { Ok(text.to_owned()) } else { Err(Refused::Form) }
}

/// A disk's serial number, which may be derived.
pub(in crate::config) fn optional_disk_serial(text: &str) -> Parsed<Option<String>> {
    optional(text, disk_serial)
}

/// What can be in a CD drive.
pub(in crate::config) fn medium(text: &str) -> Parsed<Medium> {
    match text.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) => {
            let host = rest.split('/').next().unwrap_or_default();
            if host.is_empty() {
                because("it names no host")
            } else if host.contains('@') {
                because("a password in an address would be seen by all: let the server ask for none")
            } else if text.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
                because("it has a space or a control character: write it as %20")
            } else {
                Ok(Medium::Url(format!("{}://{rest}", scheme.to_ascii_lowercase())))
            }
        }
        Some((scheme, _)) if !scheme.is_empty() && !scheme.contains('/') => {
            because("of addresses, those of http and https are read")
        }
        _ if text.is_empty() => Err(Refused::Form),
        _ => Ok(Medium::File(path(text)?)),
    }
}

/// What is in a CD drive, or `none`.
pub(in crate::config) fn medium_or_none(text: &str) -> Parsed<Option<Medium>> {
    if text.eq_ignore_ascii_case("none") { Ok(None) } else { medium(text).map(Some) }
}

/// What is in a CD drive, or `none`, if there is such a drive.
pub(in crate::config) fn optional_medium_or_none(text: &str) -> Parsed<Option<Option<Medium>>> {
    optional(text, medium_or_none)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn disks_have_sizes_of_whole_sectors() {
        assert_eq!(optional_disk_size("20G"), Ok(Some(20 << 30)));
        assert_eq!(optional_disk_size("1048576"), Ok(Some(1 << 20)));
        assert_eq!(optional_disk_size(""), Ok(None));
        for text in ["20", "1048577", "2000T", "0"] {
            assert!(matches!(optional_disk_size(text), Err(Refused::Because(_))), "{text}");
        }
        for text in ["big", "20 G", "-1G", "20%"] {
            assert_eq!(optional_disk_size(text), Err(Refused::Form), "{text}");
        }
    }

    #[test]
    fn a_serial_number_fits_every_bus() {
        assert_eq!(optional_disk_serial("WD-01_a.b"), Ok(Some("WD-01_a.b".into())));
        assert_eq!(optional_disk_serial("with,comma"), Err(Refused::Form));
        assert!(matches!(optional_disk_serial("123456789012345678901"), Err(Refused::Because(_))));
    }

    #[test]
    fn media_are_files_or_on_web_servers() {
        assert_eq!(medium("/iso/a:b//c.iso"), Ok(Medium::File("/iso/a:b//c.iso".into())));
        assert_eq!(
            medium("HTTPS://example.org/a.iso"),
            Ok(Medium::Url("https://example.org/a.iso".to_owned()))
        );
        for text in
            ["ftp://host/a.iso", "http:///a.iso", "http://user:secret@host/a.iso", "http://host/a b.iso"]
        {
            assert!(matches!(medium(text), Err(Refused::Because(_))), "{text}");
        }
        assert_eq!(optional_medium_or_none("none"), Ok(Some(None)));
        assert_eq!(optional_medium_or_none(""), Ok(None));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".*", address in "[a-z]*://.*") {
            let _ = (optional_disk_size(&text), optional_disk_serial(&text), medium(&text), medium(&address));
        }
    }
}
