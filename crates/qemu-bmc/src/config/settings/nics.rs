//! Networks.

use std::time::Duration;

use super::{INTERFACE, List, MAC, Row, Setting};
use crate::config::{
    nics::{Fallback, Forward, Mac, Modes, Networks},
    value,
};

settings! {
    VM_NETWORKS: Networks = Setting::new(
        "VM_NETWORKS", "machine.networks", "auto", value::networks,
        "interface names with commas between them, auto, or none",
        "the container's interfaces that are the guest's; auto is every ethN from eth2 on",
    ).list(List::Commas).of_several("none");
    VM_NETWORKS_WAIT: Duration = Setting::new(
        "VM_NETWORKS_WAIT", "machine.networks_wait", "30", value::duration, "seconds, or a time such as 500ms",
        "how long the first start waits for interfaces that are not there yet",
    );
    CLAB_INTFS: Option<usize> = Setting::new(
        "CLAB_INTFS", "machine.clab_intfs", "", value::optional_links, "a number, 0 to 1000",
        "how many links the lab adds to the container, eth1 among them, so that auto knows what to wait for; containerlab sets it",
    );
    VM_NETWORK_MODE: Modes = Setting::new(
        "VM_NETWORK_MODE", "machine.network_mode", "redirect", value::modes,
        "redirect, bridge, macvtap, user or none, and such as eth2=bridge for single interfaces, with commas between them",
        "how interfaces become the guest's",
    ).list(List::Commas);
    VM_NETWORK_FALLBACK: Fallback = Setting::new(
        "VM_NETWORK_FALLBACK", "machine.network_fallback", "user", value::fallback, "user or none",
        "what the guest gets where a privilege for an interface is missing, and where there is no interface for it: a NIC behind NAT, or none",
    );
    VM_MGMT: bool = Setting::new(
        "VM_MGMT", "machine.mgmt", "none", value::management, "user or none",
        "whether the guest's first NIC is one for management, behind NAT",
    ).of_several("user");
    VM_HOSTFWD: Vec<Forward> = Setting::new(
        "VM_HOSTFWD", "machine.hostfwd", "", value::forwards,
        "forwards such as tcp:2222-:22 or udp:127.0.0.1:5353-:53, with commas between them",
        "ports of the container that lead into the guest, by its first NIC in mode user",
    ).list(List::Commas);
    VM_NIC_MODEL: String = Setting::new(
        "VM_NIC_MODEL", "machine.nic_model", "virtio-net-pci", value::nic_model,
        "QEMU's name of a network device, such as e1000e, igb or rtl8139, or virtio",
        "what kind of device the NICs are",
    );
    VM_BOOT_NIC: Option<String> = Setting::new(
        "VM_BOOT_NIC", "machine.boot_nic", "", value::optional_interface, INTERFACE,
        "the NIC that a boot from the network tries first, or mgmt; unless set, that of the first interface",
    );
    VM_MAC_BASE: Option<Mac> = Setting::new(
        "VM_MAC_BASE", "machine.mac_base", "", value::optional_mac, MAC,
        "the address to which an interface's number is added: eth2 has this plus 2; unless set, addresses are made of the identity",
    );
    VM_MAC: Mac = Setting::new(
        "VM_MAC_<INTERFACE>", "machine.mac.<interface>", "", value::mac, MAC,
        "the address of a single NIC, as in VM_MAC_ETH2",
    );
}
