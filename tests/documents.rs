//! The documents name files and headings that exist.

use std::{
    fs,
    path::{Path, PathBuf},
};

const DOCUMENTS: [&str; 10] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs/containerlab.md",
    "docs/custom-qemu.md",
    "docs/ipmi-commands.md",
    "docs/sensors.md",
    "docs/several-machines.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(document: impl AsRef<Path>) -> String {
    let document = document.as_ref();
    fs::read_to_string(root().join(document))
        .unwrap_or_else(|error| panic!("read {}: {error}", document.display()))
}

/// The targets of links.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// What is between backquotes.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// A heading as a link has it.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    for document in DOCUMENTS {
        let text = read(document);
        for link in links(&text).filter(|link| !link.starts_with("https://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = Path::new(document).parent().unwrap();
            let file = if file.is_empty() { PathBuf::from(document) } else { folder.join(file) };
            assert!(root().join(&file).exists(), "{document}: {link}: there is no {}", file.display());
            let has =
                |text: String| text.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
            assert!(heading.is_empty() || has(read(&file)), "{document}: {link}: no such heading");
        }
    }
}

#[test]
fn paths_exist() {
    let mut seen = 0;
    for document in DOCUMENTS {
        for path in code(&read(document)) {
            let ours = ["crates/", "tests/", "fuzz/", "bench/", "containerlab/", "docs/"]
                .iter()
                .any(|folder| path.starts_with(folder));
            if ours && !path.contains(char::is_whitespace) {
                assert!(root().join(path).exists(), "{document}: there is no {path}");
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "only {seen} paths were found in the documents");
}

/// What a user reads or copies in which settings are named.
const NAMES_SETTINGS: [&str; 10] = [
    "README.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs/containerlab.md",
    "docs/disks.md",
    "docs/sensors.md",
    "docs/several-machines.md",
    "compose.yaml",
    "containerlab/example.yml",
    "containerlab/pxe/pxe.clab.yml",
];

#[test]
fn settings_exist() {
    let page = read("docs/settings.md");
    let settings: Vec<&str> =
        page.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    // A disk's number stands where its family has one to be.
    let of_disk = |name: &str| {
        let rest = name.strip_prefix("VM_DISK")?;
        let setting = rest.strip_prefix(|c: char| ('2'..='9').contains(&c))?;
        Some(format!("VM_DISK<N>{setting}"))
    };
    let exists = |name: &str| {
        let family = of_disk(name);
        settings.contains(&family.as_deref().unwrap_or(name)) || name.starts_with("VM_MAC_")
    };

    let mut seen = 0;
    for document in NAMES_SETTINGS {
        let text = read(document);
        let words = text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
        let ours = ["VM_", "IPMI_", "VNC_", "SOL_", "POWER_", "LAN_", "CLAB_INT"];
        for name in words.filter(|word| ours.iter().any(|prefix| word.starts_with(prefix))) {
            assert!(exists(name), "{document}: there is no setting {name}");
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} settings were found in the documents");
}
