//! What the guest is told at its first boot.

use std::path::PathBuf;

use super::{PATH, Row, Setting};
use crate::config::{provisioning::SshKeys, value};

settings! {
    VM_USER_DATA: Option<PathBuf> = Setting::new(
        "VM_USER_DATA", "machine.user_data", "", value::optional_path,
        "the path of a file, or of a folder with user-data and, if they are wanted, meta-data, network-config and vendor-data",
        "what cloud-init does in the guest: cloud-config, a script, or whatever else it takes",
    );
    VM_META_DATA: Option<PathBuf> = Setting::new(
        "VM_META_DATA", "machine.meta_data", "", value::optional_path, PATH,
        "cloud-init's meta-data; unless set, made from VM_HOSTNAME and VM_SSH_KEY",
    );
    VM_NETWORK_CONFIG: Option<PathBuf> = Setting::new(
        "VM_NETWORK_CONFIG", "machine.network_config", "", value::optional_path, PATH,
        "cloud-init's network-config, version 1 or 2; unless set, the guest does what its image does, mostly DHCP",
    );
    VM_HOSTNAME: Option<String> = Setting::new(
        "VM_HOSTNAME", "machine.hostname", "", value::optional_hostname, "letters, digits and hyphens, with dots for a domain",
        "the guest's host name, by cloud-init; unless set, VM_NAME where cloud-init has anything to do",
    );
    VM_SSH_KEY: Option<SshKeys> = Setting::new(
        "VM_SSH_KEY", "machine.ssh_key", "", value::optional_ssh_keys,
        "public keys as in authorized_keys, one a line, or the path of a file with them",
        "who may log in to the guest over SSH as the user of its image, by cloud-init",
    ).secret();
    VM_IGNITION: Option<PathBuf> = Setting::new(
        "VM_IGNITION", "machine.ignition", "", value::optional_path, PATH,
        "Ignition's configuration (JSON), for guests such as Fedora CoreOS and Flatcar",
    );
}
