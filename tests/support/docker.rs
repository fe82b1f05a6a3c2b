//! The docker engine, for tests of the images.
//!
//! `make test` builds the images and names them in the environment; without an engine their tests say that they
//! were left out.

use std::{process::Command, time::Duration};

use super::{Said, run};

/// Long enough for anything but to build an image.
pub const A_WHILE: Duration = Duration::from_secs(60);

/// The image under test, if there is an engine to run it.
pub fn image() -> Option<String> {
    named("QEMU_BMC_TEST_IMAGE")
}

/// The image of the node that installs others, from `containerlab/pxe/provisioner`.
pub fn provisioner_image() -> Option<String> {
    named("QEMU_BMC_TEST_PROVISIONER")
}

fn named(variable: &str) -> Option<String> {
    let image = std::env::var(variable).ok();
    if image.is_none() {
        assert!(std::env::var("CI").is_err(), "{variable} names no image, and nothing may be left out here");
        eprintln!("left out: {variable} names no image (make test builds one where a docker engine runs)");
    }
    image
}

pub fn docker(arguments: &[&str]) -> Said {
    run(Command::new("docker").args(arguments), A_WHILE)
}

/// All that a container has printed.
pub fn logs(container: &str) -> String {
    let said = docker(&["logs", container]);
    said.out + &said.err
}

/// A process of a container, by whose number its network namespace can be named.
#[track_caller]
pub fn pid(container: &str) -> String {
    docker(&["inspect", "-f", "{{.State.Pid}}", container]).ok().trim().to_owned()
}
