//! A file system image of a few files: ISO 9660 (ECMA-119) with Joliet names.
//!
//! ISO 9660 alone knows `USER_DATA.;1`; Joliet is a second directory with the names as they are, which is the one that
//! systems show. Both lead to the same contents:
//!
//! ```text
//! sector  0  nothing (16 sectors)
//!        16  volume descriptor        17  the same for Joliet        18  end of descriptors
//!        19  path table, LE and BE    21  the same for Joliet
//!        23  root directory           24  the same for Joliet
//!        25  contents, each from a sector on
//! ```
//!
//! An image is a function of its files and nothing else, so it has no dates.

/// What everything is counted in.
const SECTOR: usize = 2048;

const DESCRIPTORS: usize = 16;
const PATH_TABLES: u32 = 19;
const ROOT_DIRECTORIES: u32 = 23;
const CONTENTS: u32 = 25;

/// A path table with nothing but the root.
const PATH_TABLE_SIZE: u32 = 10;
/// The length of a root directory's own record.
const ROOT_RECORD: usize = 34;

const FILE: u8 = 0;
const DIRECTORY: u8 = 2;

/// 1970-01-01 00:00:00 (ECMA-119 §9.1.5): a date that is none is no number of Linux's.
const EPOCH: [u8; 7] = [70, 1, 1, 0, 0, 0, 0];

/// A file: its name, of lower-case letters and hyphens, and its contents.
pub(super) type File<'a> = (&'a str, &'a [u8]);

/// The image of a volume with these files in its root directory, which has room for a dozen.
pub(super) fn image(label: &str, files: &[File<'_>]) -> Vec<u8> {
    let mut files = files.to_vec();
    files.sort_by_key(|(name, _)| *name);
    let places: Vec<u32> = files
        .iter()
        .scan(CONTENTS, |next, (_, bytes)| {
            let place = *next;
            *next += sectors(bytes.len());
            Some(place)
        })
        .collect();
    let end = CONTENTS + files.iter().map(|(_, bytes)| sectors(bytes.len())).sum::<u32>();

    let namings = [Naming::Iso9660, Naming::Joliet];
    let mut out = Image(vec![0; DESCRIPTORS * SECTOR]);
    for (naming, number) in namings.iter().zip(0..) {
        out.descriptor(*naming, label, end, PATH_TABLES + 2 * number, ROOT_DIRECTORIES + number);
    }
    out.bytes(b"\xffCD001\x01");
    out.fill_sector();
    for (_, number) in namings.iter().zip(0..) {
        let root: u32 = ROOT_DIRECTORIES + number;
        out.path_table(root.to_le_bytes(), 1_u16.to_le_bytes());
        out.path_table(root.to_be_bytes(), 1_u16.to_be_bytes());
    }
    for (naming, number) in namings.iter().zip(0..) {
        // The directory itself, and the one above it, which is the same.
        for name in [b"\x00", b"\x01"] {
            out.record(ROOT_DIRECTORIES + number, SECTOR, DIRECTORY, name);
        }
        for ((name, bytes), place) in files.iter().zip(&places) {
            out.record(*place, bytes.len(), FILE, &naming.file_name(name));
        }
        out.fill_sector();
    }
    for (_, bytes) in files {
        out.bytes(bytes);
        out.fill_sector();
    }
    out.0
}

fn sectors(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(SECTOR)).unwrap_or(u32::MAX)
}

/// The two ways to write a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// Capitals, digits and underscores.
    Iso9660,
    /// UCS-2, big-endian.
    Joliet,
}

impl Naming {
    fn file_name(self, name: &str) -> Vec<u8> {
        match self {
            Self::Iso9660 => {
                let plain = |char: char| if char.is_ascii_alphanumeric() { char } else { '_' };
                let name: String = name.chars().map(plain).collect();
                format!("{}.;1", name.to_ascii_uppercase()).into_bytes()
            }
            Self::Joliet => ucs2(&format!("{name};1")),
        }
    }

    /// A text in a field of this many bytes, which is filled up with spaces.
    fn field(self, text: &str, length: usize) -> Vec<u8> {
        match self {
            Self::Iso9660 => format!("{text:length$}").into_bytes(),
            Self::Joliet => {
                let mut bytes = ucs2(&format!("{text:0$}", length / 2));
                bytes.resize(length, 0);
                bytes
            }
        }
    }
}

fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// An image as far as it is written.
struct Image(Vec<u8>);

impl Image {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn zeros(&mut self, count: usize) {
        self.0.resize(self.0.len() + count, 0);
    }

    fn fill_sector(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(SECTOR), 0);
    }

    /// A number in both byte orders (ECMA-119 §7.2.3).
    fn both16(&mut self, number: u16) {
        self.bytes(&number.to_le_bytes());
        self.bytes(&number.to_be_bytes());
    }

    /// The same of 32 bits (ECMA-119 §7.3.3).
    fn both32(&mut self, number: u32) {
        self.bytes(&number.to_le_bytes());
        self.bytes(&number.to_be_bytes());
    }

    /// A volume descriptor: the primary one (ECMA-119 §8.4), or the supplementary one (§8.5) by which Joliet is known.
    fn descriptor(&mut self, naming: Naming, label: &str, end: u32, path_table: u32, root: u32) {
        let (kind, escape_sequence): (u8, &[u8]) = match naming {
            Naming::Iso9660 => (1, b""),
            Naming::Joliet => (2, b"%/E"),
        };
        self.bytes(&[kind]);
        self.bytes(b"CD001\x01\x00");
        self.bytes(&naming.field("", 32));
        self.bytes(&naming.field(label, 32));
        self.zeros(8);
        self.both32(end);
        self.bytes(escape_sequence);
        self.zeros(32 - escape_sequence.len());
        self.both16(1);
        self.both16(1);
        self.both16(2048);
        self.both32(PATH_TABLE_SIZE);
        self.bytes(&path_table.to_le_bytes());
        self.zeros(4);
        self.bytes(&(path_table + 1).to_be_bytes());
        self.zeros(4);
        self.record(root, SECTOR, DIRECTORY, b"\x00");
        // Volume set, publisher, data preparer, application; names of a copyright, an abstract, a bibliography.
        for length in [128, 128, 128, 128, 37, 37, 37] {
            self.bytes(&naming.field("", length));
        }
        // Creation, modification, expiration, from when on: not said (ECMA-119 §8.4.26.1).
        for _ in 0..4 {
            self.bytes(b"0000000000000000\x00");
        }
        self.bytes(&[1]);
        self.fill_sector();
    }

    /// The path table of a volume that has no folders (ECMA-119 §9.4).
    fn path_table(&mut self, root: [u8; 4], parent: [u8; 2]) {
        self.bytes(&[1, 0]);
        self.bytes(&root);
        self.bytes(&parent);
        self.bytes(&[0, 0]);
        self.fill_sector();
    }

    /// A directory record (ECMA-119 §9.1).
    fn record(&mut self, place: u32, size: usize, flags: u8, name: &[u8]) {
        let length = (ROOT_RECORD - 1 + name.len()).next_multiple_of(2);
        let start = self.0.len();
        self.bytes(&[u8::try_from(length).unwrap_or(u8::MAX), 0]);
        self.both32(place);
        self.both32(u32::try_from(size).unwrap_or(u32::MAX));
        self.bytes(&EPOCH);
        self.bytes(&[flags, 0, 0]);
        self.both16(1);
        self.bytes(&[u8::try_from(name.len()).unwrap_or(u8::MAX)]);
        self.bytes(name);
        self.0.resize(start + length, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, process::Command};

    use proptest::prelude::*;

    use super::*;

    /// What xorriso, which knows nothing of this program, finds in an image: by its Joliet names, or the plain ones.
    fn extracted(image: &[u8], names: &str) -> (String, Vec<(String, Vec<u8>)>) {
        let folder = tempfile::tempdir().unwrap();
        let (path, out) = (folder.path().join("image.iso"), folder.path().join("out"));
        fs::write(&path, image).unwrap();
        let said = Command::new("xorriso")
            .args(["-no_rc", "-abort_on", "WARNING", "-read_fs", names, "-osirrox", "on", "-indev"])
            .arg(&path)
            .args(["-pvd_info", "-extract", "/"])
            .arg(&out)
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let label = String::from_utf8(said.stdout).unwrap();
        let label = label.lines().find_map(|line| line.strip_prefix("Volume Id    : ")).unwrap();
        let read =
            |path: &Path| (path.file_name().unwrap().to_string_lossy().into(), fs::read(path).unwrap());
        let mut files: Vec<_> =
            fs::read_dir(&out).unwrap().map(|entry| read(&entry.unwrap().path())).collect();
        files.sort();
        (label.to_owned(), files)
    }

    #[test]
    fn names_without_joliet_are_those_of_iso_9660() {
        let image = image("cidata", &[("user-data", b"u"), ("meta-data", b"m")]);
        let (label, files) = extracted(&image, "nojoliet");
        let names: Vec<_> = files.iter().map(|(name, _)| name.to_ascii_uppercase()).collect();
        assert_eq!(
            (label.as_str(), names.as_slice()),
            ("cidata", &["META_DATA".into(), "USER_DATA".into()][..])
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn another_program_reads_what_was_written(
            contents in proptest::collection::btree_map(
                "[a-z][a-z-]{0,18}[a-z]",
                proptest::collection::vec(any::<u8>(), 0..5000),
                0..6,
            ),
        ) {
            let files: Vec<File<'_>> = contents.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
            let image = image("cidata", &files);
            prop_assert_eq!(image.len() % SECTOR, 0);
            let (label, read) = extracted(&image, "norock");
            prop_assert_eq!(label, "cidata");
            prop_assert_eq!(read, contents.into_iter().collect::<Vec<_>>());
        }
    }
}
