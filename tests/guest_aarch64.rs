//! A machine with ARM processors.

use std::path::{Path, PathBuf};

use crate::support::{BOOT, SOON, Setup, run};

/// The folder with the guest for ARM (`tests/aarch64/build`).
fn media() -> PathBuf {
    let folder = std::env::var_os("QEMU_BMC_TEST_AARCH64")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/aarch64"), PathBuf::from);
    folder
        .canonicalize()
        .unwrap_or_else(|_| panic!("no guest for ARM in {}: run tests/aarch64/build", folder.display()))
}

#[test]
fn an_arm_machine_boots_has_a_console_and_is_switched_off() {
    let media = media();
    let arguments = format!(
        "-kernel {0}/vmlinuz -initrd {0}/initrd -append 'medium=kernel console=ttyAMA0 quiet loglevel=3'",
        media.display()
    );
    let setup = Setup::new().with("QEMU_BINARY", "qemu-system-aarch64").with("VM_CPUS", 1);
    let setup = setup.with("QEMU_EXTRA_ARGS", arguments).with("VM_SERIAL", "ARM-1");
    let check = run(&mut setup.command(&["check"]), SOON).ok();
    assert!(check.contains("for aarch64") && check.contains("-machine virt,"), "{check}");
    let machine = setup.start();
    let sol = machine.sol();
    machine.ipmitool(&["power", "on"]).ok();
    sol.wait("qemu-bmc-guest: ready", BOOT);
    assert_eq!(machine.boots(), ["medium=kernel firmware=uefi"]);
    let said = machine.guest_says("uname -m; cat /sys/class/dmi/id/product_serial").ok();
    assert!(said.contains("aarch64") && said.contains("ARM-1"), "{said}");
    let refused = machine.ipmitool(&["power", "diag"]).failed();
    assert!(refused.contains("Command not supported"), "{refused}");
    machine.ipmitool(&["power", "soft"]).ok();
    machine.wait_power("off", BOOT);
}

#[test]
fn what_an_arm_machine_has_not_is_refused_with_the_reason() {
    let setup = Setup::new().with("QEMU_BINARY", "qemu-system-aarch64");
    let setup = setup.with("VM_BOOT_MODE", "bios").with("VM_IPMI", "kcs");
    let said = run(&mut setup.command(&["run"]), SOON).failed();
    for problem in
        ["VM_BOOT_MODE: got \"bios\": there is no BIOS", "VM_IPMI: got \"kcs\": an ARM machine has"]
    {
        assert!(said.contains(problem), "no {problem:?} in:\n{said}");
    }
    let setup = Setup::new().with("VM_MACHINE", "virt");
    let said = run(&mut setup.command(&["check"]), SOON).failed();
    assert!(said.contains("it is a QEMU for x86_64, and virt is a machine for aarch64"), "{said}");
}

#[test]
fn what_qemu_lacks_and_what_takes_it_out_of_the_bmcs_hands_is_found_by_check() {
    let setup = Setup::new().with("VM_NIC_MODEL", "e1000f").with("VM_MGMT", "user").with("VM_CPU", "Skylike");
    let said = run(&mut setup.command(&["check"]), SOON).failed();
    for problem in ["it has no processor Skylike (VM_CPU)", "it has no device e1000f"] {
        assert!(said.contains(problem), "no {problem:?} in:\n{said}");
    }
    let setup = Setup::new().with("QEMU_EXTRA_ARGS", "-daemonize -device e1000,id=disk0").with("VM_CPUS", 3);
    let setup = setup.with("VM_CPU_TOPOLOGY", "sockets=2,cores=2");
    let said = run(&mut setup.command(&["run"]), SOON).failed();
    for problem in [
        "QEMU_EXTRA_ARGS: -daemonize can't be used here: ",
        "the id disk0 is the machine's own",
        "this makes 4 processors, and VM_CPUS says 3",
    ] {
        assert!(said.contains(problem), "no {problem:?} in:\n{said}");
    }
}
