use super::{errors, load};
use crate::config::{FirmwareKind, Keys, UefiPlan};

fn uefi(variables: &[(&str, &str)]) -> UefiPlan {
    let plan = load(&[&[("VM_BOOT_MODE", "uefi")], variables].concat()).unwrap();
    let FirmwareKind::Uefi(uefi) = plan.machine.firmware.kind else { panic!("{plan:?}") };
    uefi
}

#[test]
fn secure_boot_is_by_the_keys_of_the_template() {
    assert_eq!(uefi(&[]).secure_boot, None);
    assert_eq!(uefi(&[("VM_SECURE_BOOT", "true")]).secure_boot, Some(Keys::Preset));
}

#[test]
fn what_is_said_of_uefi_takes_uefi() {
    for variable in ["VM_SECURE_BOOT", "VM_UEFI_RESET", "VM_UEFI_SHELL"] {
        let said = errors(&[(variable, "true")]);
        assert!(
            said.contains(&format!("{variable}: got \"true\": this takes UEFI: set VM_BOOT_MODE to uefi")),
            "{said}"
        );
    }
    let said = errors(&[("VM_UEFI_VARS", "/vm/disk.qcow2")]);
    assert!(said.contains("VM_UEFI_VARS: got \"/vm/disk.qcow2\": this takes UEFI"), "{said}");
}

#[test]
fn secure_boot_forbids_a_shell() {
    let said = errors(&[("VM_BOOT_MODE", "uefi"), ("VM_SECURE_BOOT", "1"), ("VM_UEFI_SHELL", "1")]);
    assert!(said.contains("VM_UEFI_SHELL: got \"1\": a shell starts whatever it is told to"), "{said}");
}

#[test]
fn own_firmware_takes_files_that_are_there_and_its_own_variables() {
    let file = "/vm/disk.qcow2";
    let own = uefi(&[("VM_UEFI_CODE", file), ("VM_UEFI_VARS", file)]);
    assert_eq!((own.code, own.template), (Some(file.into()), Some(file.into())));
    assert_eq!(uefi(&[("VM_UEFI_VARS", file)]).code, None, "the distribution's code with own keys");
    for (value, why) in [("/nowhere", "there is no such file"), ("/vm", "this is a folder")] {
        let said = errors(&[("VM_BOOT_MODE", "uefi"), ("VM_UEFI_VARS", value)]);
        assert!(said.contains(why), "{said}");
    }
    let said = errors(&[("VM_BOOT_MODE", "uefi"), ("VM_UEFI_CODE", file)]);
    assert!(said.contains("template that was made for it (VM_UEFI_VARS)"), "{said}");
}
