//! The invariants of ARCHITECTURE.md that no type and no lint keeps.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn manifest(name: &str) -> String {
    fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap()
}

#[test]
fn only_the_machine_speaks_qmp() {
    let program = crates().join("qemu-bmc/src");
    let (inside, outside): (Vec<_>, Vec<_>) =
        sources(&program).into_iter().partition(|(path, _)| path.starts_with(program.join("machine")));
    let speaks = |text: &str| text.contains("qmp::");
    assert!(inside.iter().any(|(_, text)| speaks(text)), "this test looks in the wrong place");
    for (path, text) in outside {
        assert!(!speaks(&text), "{} uses the qmp crate: only machine/ may command QEMU", path.display());
    }
}

#[test]
fn the_model_knows_no_protocol_and_protocols_no_runtime() {
    let model = manifest("bmc");
    for other in ["ipmi", "qmp", "tokio", "rustix"] {
        assert!(!model.contains(&format!("\n{other}")), "the model depends on {other}");
    }
    let ipmi = manifest("ipmi");
    for other in ["qmp", "tokio", "rustix", "getrandom"] {
        assert!(!ipmi.contains(&format!("\n{other}")), "ipmi depends on {other}");
    }
    assert!(!manifest("qmp").contains("\nbmc"), "qmp depends on the model");
}

#[test]
fn libraries_forbid_unsafe_code_and_the_program_keeps_it_in_one_folder() {
    for library in ["bmc", "ipmi", "qmp"] {
        let text = fs::read_to_string(crates().join(library).join("src/lib.rs")).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{library} does not forbid unsafe code");
    }
    let program = crates().join("qemu-bmc/src");
    for (path, text) in sources(&program) {
        if text.contains("allow(unsafe_code)") {
            assert!(path.starts_with(program.join("os")), "{} allows unsafe code", path.display());
        }
    }
    assert!(fs::read_to_string(program.join("main.rs")).unwrap().contains("#![deny(unsafe_code)]"));
}

#[test]
fn nobody_but_children_starts_processes_that_must_be_waited_for() {
    for (path, text) in sources(&crates().join("qemu-bmc/src")) {
        assert!(!text.contains("tokio::process"), "{}: see os/children.rs", path.display());
    }
}
