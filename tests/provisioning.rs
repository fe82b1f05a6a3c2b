//! What a guest is told at its first boot: what is made of settings and files, and what is refused. No guest boots for
//! that; what guests make of it is in `guest_provisioning.rs` and `guest_debian.rs`.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use crate::support::{Machine, SOON, Setup, run, wait_for};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMynvJssym441qVAJFG9Wv00YV78SKMSNHslWVzpyftO me@laptop";

fn write(setup: &Setup, name: &str, text: &str) -> String {
    let path = setup.folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn seed(machine: &Machine) -> std::path::PathBuf {
    machine.folder().join("run/bmc-seed.iso")
}

/// A file of the seed, as another program reads it.
fn in_seed(image: &Path, name: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join(name);
    let mut xorriso = Command::new("xorriso");
    xorriso.args(["-no_rc", "-read_fs", "norock", "-osirrox", "on", "-indev"]).arg(image);
    run(xorriso.args(["-extract", &format!("/{name}")]).arg(&out), SOON).ok();
    fs::read_to_string(out).unwrap()
}

fn instance(machine: &Machine) -> String {
    let meta_data: serde_json::Value = serde_json::from_str(&in_seed(&seed(machine), "meta-data")).unwrap();
    meta_data["instance-id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn cycle(machine: &Machine) {
    machine.local(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    machine.local(&["power", "on"]).ok();
}

#[test]
fn a_seed_is_made_anew_at_each_power_on() {
    let setup = Setup::new();
    let user_data = write(&setup, "user-data", "#cloud-config\npassword: hunter2\n");
    let machine = setup.with("VM_USER_DATA", &user_data).with("VM_SSH_KEY", KEY).start();
    assert!(!seed(&machine).exists());
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    assert_eq!(fs::metadata(seed(&machine)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(in_seed(&seed(&machine), "user-data"), "#cloud-config\npassword: hunter2\n");
    assert!(in_seed(&seed(&machine), "meta-data").contains(KEY));
    let first = instance(&machine);

    cycle(&machine);
    machine.wait_power("on", SOON);
    assert_eq!(instance(&machine), first, "nothing has changed");

    fs::write(&user_data, "#cloud-config\npassword: hunter3\n").unwrap();
    cycle(&machine);
    machine.wait_power("on", SOON);
    assert_ne!(instance(&machine), first, "the guest is to do what is new");

    // What has become unusable in the meantime is no silent start without it.
    fs::write(&user_data, "#cloud-config\npassword: [hunter4\n").unwrap();
    cycle(&machine);
    machine.wait_log(&format!("{user_data}: line "), SOON);
    assert_eq!(machine.power(), "off");
    assert!(!machine.log().contains("hunter"), "{}", machine.log());
}

#[test]
fn a_seed_that_is_no_longer_wanted_is_gone() {
    let mut machine =
        Setup::new().with("VM_HOSTNAME", "node7.example.org").with("POWER_ON_AT_START", true).start();
    machine.wait_power("on", SOON);
    assert!(in_seed(&seed(&machine), "meta-data").contains("\"local-hostname\": \"node7.example.org\""));
    machine.signal("TERM");
    machine.wait_end(SOON * 2);
    machine.setup.environment.remove("VM_HOSTNAME");
    machine.launch();
    machine.wait_power("on", SOON);
    wait_for("the seed is gone", SOON, || (!seed(&machine).exists()).then_some(()));
}

#[test]
fn check_says_what_cloud_init_will_find_and_no_secret() {
    let setup = Setup::new();
    let folder = setup.folder.path().join("seed");
    write(&setup, "seed/user-data", "#cloud-config\npassword: hunter2\n");
    write(&setup, "seed/network-config", "version: 2\nwifis: {x: {password: hunter2}}\n");
    let setup =
        setup.with("VM_USER_DATA", folder.display()).with("VM_SSH_KEY", KEY).with("VM_HOSTNAME", "node7");
    let said = run(&mut setup.command(&["check"]), SOON).ok();
    let line = "The guest's cloud-init finds: user-data (#cloud-config), hostname node7, ssh-ed25519 me@laptop, \
                network-config (version 2)";
    assert!(said.contains(line) && said.contains("serial=cidata"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!setup.folder.path().join("run/bmc-seed.iso").exists(), "it starts nothing and makes nothing");
}

#[test]
fn everything_that_a_guest_could_not_use_is_refused_at_once_and_without_secrets() {
    let setup = Setup::new();
    let user_data = write(&setup, "user-data", "#cloud-config\npassword: hunter2\n  x: y\n");
    let network = write(&setup, "network", "ethernets: {}\n");
    let ignition = write(&setup, "config.bu", "variant: fcos\npassword: hunter2\n");
    let key = write(&setup, "id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n");
    let setup = setup
        .with("VM_USER_DATA", &user_data)
        .with("VM_NETWORK_CONFIG", &network)
        .with("VM_IGNITION", &ignition)
        .with("VM_SSH_KEY", &key);
    let said = run(&mut setup.command(&["check"]), SOON);
    assert_eq!(said.status.code(), Some(2));
    let said = said.failed();
    for part in [
        format!("{user_data}: line 3"),
        format!("{network}: it does not begin with version: 1 or version: 2"),
        format!("{ignition}: line 1, column 1: it is no JSON (Butane's"),
        format!("{key}: this is a private key"),
        "4 errors".into(),
    ] {
        assert!(said.contains(&part), "{part}: {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn each_file_of_a_seed_comes_from_one_place() {
    let setup = Setup::new();
    write(&setup, "seed/user-data", "#!/bin/sh\n");
    let meta_data = write(&setup, "seed/meta-data", "instance-id: i-1\n");
    let setup = setup.with("VM_USER_DATA", setup_folder(&meta_data)).with("VM_SSH_KEY", KEY);
    let said = run(&mut setup.command(&["check"]), SOON).failed();
    assert!(said.contains("VM_SSH_KEY: there is a meta-data of your own"), "{said}");
    let setup = setup.with("VM_META_DATA", &meta_data).with("VM_SSH_KEY", "");
    let said = run(&mut setup.command(&["check"]), SOON).failed();
    assert!(said.contains("VM_META_DATA: got") && said.contains("leave one of them out"), "{said}");
    let setup = setup.with("VM_META_DATA", "");
    let said = run(&mut setup.command(&["check"]), SOON).ok();
    assert!(said.contains("cloud-init finds: user-data (#!), meta-data\n"), "{said}");
}

fn setup_folder(file: &str) -> String {
    Path::new(file).parent().unwrap().display().to_string()
}
