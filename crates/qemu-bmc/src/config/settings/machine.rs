//! The machine.

use uuid::Uuid;

use super::{FLAG, LABEL, Row, Setting};
use crate::config::{hardware::Cpus, plan::SystemInterface, value};

settings! {
    VM_NAME: Option<String> = Setting::new(
        "VM_NAME", "machine.name", "", value::optional_label, LABEL,
        "the node's name; unless set, containerlab's name of the node, else the host name",
    ).or_from("CLAB_LABEL_CLAB_NODE_NAME");
    VM_UUID: Option<Uuid> = Setting::new(
        "VM_UUID", "machine.uuid", "", value::optional_uuid, "a UUID that is not all zeros",
        "the system GUID; unless set, derived from the name once and kept",
    );
    VM_SERIAL: Option<String> = Setting::new(
        "VM_SERIAL", "machine.serial", "", value::optional_label, LABEL,
        "the serial number; unless set, derived from the name once and kept",
    );
    VM_MANUFACTURER: String = Setting::new(
        "VM_MANUFACTURER", "machine.manufacturer", "QEMU", value::label, LABEL,
        "the manufacturer, as inventory (FRU) and DMI tables name it",
    );
    VM_PRODUCT: String = Setting::new(
        "VM_PRODUCT", "machine.product", "qemu-bmc virtual server", value::label, LABEL,
        "the product's name there",
    );
    VM_PART_NUMBER: String = Setting::new(
        "VM_PART_NUMBER", "machine.part_number", "", value::label, LABEL,
        "the part number there",
    );
    VM_ASSET_TAG: String = Setting::new(
        "VM_ASSET_TAG", "machine.asset_tag", "", value::label, LABEL,
        "the asset tag there; a management client can set another",
    );
    VM_MEMORY: u64 = Setting::new(
        "VM_MEMORY", "machine.memory", "2048", value::memory, "a number of MiB, or a size such as 4G",
        "the guest's memory",
    );
    VM_CPUS: Cpus = Setting::new(
        "VM_CPUS", "machine.cpus", "2", value::cpus, "a number, or QEMU's long form such as 2,sockets=1",
        "the guest's processors",
    );
    VM_IPMI: Option<SystemInterface> = Setting::new(
        "VM_IPMI", "machine.system_interface", "kcs", value::system_interface, "kcs, bt, pci-kcs, pci-bt, ssif or none",
        "the interface by which the guest itself reaches the BMC",
    ).formerly("machine.ipmi");
    VM_GUEST_AGENT: bool = Setting::new(
        "VM_GUEST_AGENT", "machine.guest_agent", "true", value::flag, FLAG,
        "a port for qemu-guest-agent in the guest: its name, addresses and system are shown, and it shuts down a guest that ignores its power button",
    );
    VM_IPMI_TRUST: bool = Setting::new(
        "VM_IPMI_TRUST", "machine.ipmi_trust", "full", value::guest_trust, "full or restricted",
        "whether the guest may change the BMC's own settings and records",
    );
}
