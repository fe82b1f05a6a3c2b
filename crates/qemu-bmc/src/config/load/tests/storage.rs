use super::*;

fn host() -> FakeHost {
    FakeHost::container().file("/images/base.qcow2", "").file("/images/two.qcow2", "")
}

fn refusal(variables: &[(&str, &str)]) -> String {
    load_on(&host(), variables).unwrap_err().to_string()
}

#[test]
fn an_overlay_is_qcow2_and_is_called_so() {
    let base = ("VM_DISK_BASE", "/images/base.qcow2");
    let said = refusal(&[("VM_DISK", "/vm/new.raw"), base]);
    assert!(said.contains("this name says raw: have it end in .qcow2"), "{said}");
    let said = refusal(&[("VM_DISK", "/vm/new.qcow2"), ("VM_DISK_FORMAT", "raw"), base]);
    assert!(said.contains("VM_DISK_FORMAT: got raw: an overlay (VM_DISK_BASE) is qcow2"), "{said}");
    load_on(&host(), &[("VM_DISK", "/vm/new.img"), ("VM_DISK_FORMAT", "qcow2"), base]).unwrap();
}

#[test]
fn no_base_is_written_to() {
    let disks = [
        ("VM_DISK", "/vm/disk.qcow2"),
        ("VM_DISK_BASE", "/images/base.qcow2"),
        ("VM_DISK2", "/images/base.qcow2"),
    ];
    let said = refusal(&disks);
    assert!(said.contains("VM_DISK_BASE is VM_DISK2, which the machine writes to"), "{said}");
    load_on(&host(), &[&disks[..], &[("VM_DISK2_EPHEMERAL", "true")]].concat()).unwrap();
}

#[test]
fn what_is_said_of_no_disk_is_not_passed_over() {
    let said = warnings(&host(), &[("VM_DISK2_BUS", "nvme")]);
    assert!(said.iter().any(|said| said.contains("VM_DISK2 itself is not set")), "{said:?}");
    let said = refusal(&[("VM_DISK", "none"), ("VM_DISK_SIZE", "20G")]);
    assert!(said.contains("VM_DISK_SIZE or VM_DISK_BASE is set, and VM_DISK is none"), "{said}");
}

#[test]
fn mistakes_of_one_kind_hide_none_of_another() {
    let said = refusal(&[
        ("VM_HOSTNAME", "a_b"),
        ("VM_SSH_KEY", "foo"),
        ("VM_USER_DATA", "/nowhere"),
        ("VM_NETWORK_CONFIG", "/nor/here"),
        ("VM_SHARE_MODE", "nfs"),
        ("VM_SHARE", "/nope"),
    ]);
    for name in
        ["VM_HOSTNAME", "VM_SSH_KEY", "VM_USER_DATA", "VM_NETWORK_CONFIG", "VM_SHARE_MODE", "VM_SHARE:"]
    {
        assert!(said.contains(name), "{name}: {said}");
    }
}
