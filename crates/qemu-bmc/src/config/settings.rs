//! The table of settings: every variable, its key in the file, its default, what it takes and what it is for.
//!
//! A setting is defined here and nowhere else. Error messages, `qemu-bmc check` and the README's table are made
//! from these rows; to add a setting is to add a row, and a line in [`super::load`] that says what it means.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use bmc::{KgKey, Password, Secret, SelFull};
use uuid::Uuid;

use super::{
    nics::{Fallback, Forward, Mac, Modes, Networks},
    plan::{BootOrder, ConsoleLog, Cpus, Firmware, LanConfig, SoftTimeoutAction, SystemInterface},
    value::{self, Parsed},
};

/// A setting, as far as it is the same for all types.
#[derive(Debug)]
pub(crate) struct Row {
    /// The environment variable.
    pub(super) variable: &'static str,
    /// Where the file has it: tables and key, with dots. Empty if the file can't have it.
    pub(super) key: &'static str,
    /// The text that stands in where nobody says anything. The empty text is "nothing".
    pub(super) default: &'static str,
    /// What it takes, as an error message goes on after "takes".
    pub(super) takes: &'static str,
    /// What it is for, in one line.
    pub(super) help: &'static str,
    /// Whether its text must never be shown.
    pub(super) secret: bool,
    /// How a list of the file becomes the variable's text; `None` if it takes no list.
    pub(super) list: Option<List>,
    /// A variable of somebody else's that has the last word before the default.
    pub(super) fallback: Option<&'static str>,
}

impl Row {
    /// Whose setting this variable is, if the row is a family's: `ETH2` of `VM_MAC_ETH2`.
    pub(super) fn member_by_variable<'a>(&self, variable: &'a str) -> Option<&'a str> {
        variable.strip_prefix(self.family()?.0).filter(|member| !member.is_empty())
    }

    /// The same of a key: `eth2` of `machine.mac.eth2`.
    pub(super) fn member_by_key<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(self.family()?.1).filter(|member| !member.is_empty())
    }

    /// What the variables of a family begin with, and its keys: a row whose names end in `<…>` stands for one
    /// setting of each thing that has a name of its own, which takes that place.
    pub(super) fn family(&self) -> Option<(&'static str, &'static str)> {
        Some((self.variable.split_once('<')?.0, self.key.split_once('<')?.0))
    }
}

/// How a list is written as one text.
#[derive(Clone, Copy, Debug)]
pub(super) enum List {
    /// With commas, which no item contains.
    Commas,
    /// As a command line.
    Words,
}

/// A setting whose value is a `T`.
pub(super) struct Setting<T> {
    pub(super) row: Row,
    pub(super) parse: fn(&str) -> Parsed<T>,
}

impl<T> Setting<T> {
    const fn new(
        variable: &'static str,
        key: &'static str,
        default: &'static str,
        parse: fn(&str) -> Parsed<T>,
        takes: &'static str,
        help: &'static str,
    ) -> Self {
        let row = Row { variable, key, default, takes, help, secret: false, list: None, fallback: None };
        Self { row, parse }
    }

    const fn secret(mut self) -> Self {
        self.row.secret = true;
        self
    }

    const fn list(mut self, list: List) -> Self {
        self.row.list = Some(list);
        self
    }

    const fn or_from(mut self, fallback: &'static str) -> Self {
        self.row.fallback = Some(fallback);
        self
    }
}

macro_rules! settings {
    ($($name:ident: $type:ty = $setting:expr;)*) => {
        $(pub(in crate::config) static $name: Setting<$type> = $setting;)*

        /// Every row, in the order in which people are shown them.
        pub(in crate::config) static ROWS: &[&Row] = &[$(&$name.row),*];

        #[cfg(test)]
        pub(super) fn refused_defaults() -> Vec<&'static str> {
            let mut refused = Vec::new();
            $(if $name.row.family().is_none() && ($name.parse)($name.row.default).is_err() {
                refused.push($name.row.key);
            })*
            refused
        }
    };
}

const FLAG: &str = "true or false";
const PATH: &str = "a path";
const PATH_OR_NONE: &str = "a path, or none";
const PORT: &str = "a port, 0 to 65535";
const PORT_OR_NONE: &str = "a port, 1 to 65535, or none";
const ADDRESSES: &str = "IP addresses with commas between them, or all";
const MAC: &str = "a unicast MAC address";
const INTERFACE: &str = "the name of an interface";
const LABEL: &str = "up to 63 printable ASCII characters";

settings! {
    CONFIG: Option<PathBuf> = Setting::new(
        "QEMU_BMC_CONFIG", "", "/etc/qemu-bmc.toml", value::optional_path, PATH,
        "the configuration file; the default one need not exist",
    );
    DEBUG: bool = Setting::new(
        "DEBUG", "debug", "false", value::flag, FLAG,
        "log what only a developer wants to know",
    );

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
    VM_DISK: Option<PathBuf> = Setting::new(
        "VM_DISK", "machine.disk", "/vm/disk.qcow2", value::path_or_none, PATH_OR_NONE,
        "the disk image; if it is absent, the machine starts without a disk",
    );
    VM_CDROM: Option<PathBuf> = Setting::new(
        "VM_CDROM", "machine.cdrom", "none", value::path_or_none, PATH_OR_NONE,
        "the ISO image in the CD drive",
    );
    VM_BOOT: BootOrder = Setting::new(
        "VM_BOOT", "machine.boot", "c", value::boot_order, "one or more of the letters c (disk), d (CD) and n (network)",
        "the order in which the firmware tries devices",
    );
    VM_BOOT_MODE: Firmware = Setting::new(
        "VM_BOOT_MODE", "machine.firmware", "bios", value::firmware, "bios or uefi",
        "the firmware: SeaBIOS or OVMF",
    );
    VM_BOOT_MENU_TIMEOUT: Option<Duration> = Setting::new(
        "VM_BOOT_MENU_TIMEOUT", "machine.boot_menu_timeout", "0", value::menu_timeout, "milliseconds, 0 to 65535",
        "how long the firmware shows its boot menu; 0 is not at all",
    );
    VM_IPMI: Option<SystemInterface> = Setting::new(
        "VM_IPMI", "machine.ipmi", "kcs", value::system_interface, "kcs, bt, pci-kcs, pci-bt, ssif or none",
        "the interface by which the guest itself reaches the BMC",
    );
    VM_IPMI_TRUST: bool = Setting::new(
        "VM_IPMI_TRUST", "machine.ipmi_trust", "full", value::guest_trust, "full or restricted",
        "whether the guest may change the BMC's own settings and records",
    );
    VM_NETWORKS: Networks = Setting::new(
        "VM_NETWORKS", "machine.networks", "auto", value::networks,
        "interface names with commas between them, auto, or none",
        "the container's interfaces that are the guest's; auto is every ethN from eth2 on",
    ).list(List::Commas);
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
    );
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
    ENABLE_KVM: bool = Setting::new(
        "ENABLE_KVM", "machine.kvm", "true", value::flag, FLAG,
        "use KVM where it works",
    );
    QEMU_BINARY: PathBuf = Setting::new(
        "QEMU_BINARY", "machine.qemu_binary", "qemu-system-x86_64", value::path, "a path, or a name to look up in PATH",
        "the QEMU to run",
    );
    QEMU_EXTRA_ARGS: Vec<String> = Setting::new(
        "QEMU_EXTRA_ARGS", "machine.qemu_extra_args", "", value::words, "arguments, quoted as for a shell",
        "arguments to add to QEMU's command line",
    ).list(List::Words);

    POWER_ON_AT_START: bool = Setting::new(
        "POWER_ON_AT_START", "power.on_at_start", "true", value::flag, FLAG,
        "start the guest with the container",
    );
    SOFT_TIMEOUT: Option<Duration> = Setting::new(
        "SOFT_TIMEOUT", "power.soft_timeout", "120", value::duration_or_none, "seconds, a time such as 2m, or none",
        "how long the guest has to follow a soft shutdown",
    );
    SOFT_TIMEOUT_ACTION: SoftTimeoutAction = Setting::new(
        "SOFT_TIMEOUT_ACTION", "power.soft_timeout_action", "leave", value::soft_timeout_action, "leave or off",
        "what happens to a guest that did not: it stays on, or is switched off",
    );
    STOP_TIMEOUT: Duration = Setting::new(
        "STOP_TIMEOUT", "power.stop_timeout", "8", value::duration, "seconds, or a time such as 500ms",
        "how long the guest has to shut down when the container stops; keep it below docker's 10",
    );

    IPMI_USER: String = Setting::new(
        "IPMI_USER", "ipmi.user", "admin", value::user_name, "1 to 16 printable ASCII characters",
        "the administrator's name",
    );
    IPMI_PASS: Password = Setting::new(
        "IPMI_PASS", "ipmi.password", "password", value::password, "1 to 20 bytes",
        "the administrator's password",
    ).secret();
    IPMI_PASS_FILE: Option<PathBuf> = Setting::new(
        "IPMI_PASS_FILE", "ipmi.password_file", "", value::optional_path, "the path of a file that holds 1 to 20 bytes",
        "a file to read the administrator's password from",
    );
    IPMI_ADDRESS: Vec<IpAddr> = Setting::new(
        "IPMI_ADDRESS", "ipmi.address", "all", value::addresses, ADDRESSES,
        "where IPMI over LAN is answered",
    ).list(List::Commas);
    IPMI_INTERFACE: Option<String> = Setting::new(
        "IPMI_INTERFACE", "ipmi.interface", "", value::optional_interface, INTERFACE,
        "the one interface by which IPMI over LAN is answered; it need not be there yet",
    );
    IPMI_PORT: u16 = Setting::new(
        "IPMI_PORT", "ipmi.port", "623", value::port, PORT,
        "UDP port of IPMI over LAN; 0 takes a free one",
    );
    IPMI_ADVERTISED_PORT: Option<u16> = Setting::new(
        "IPMI_ADVERTISED_PORT", "ipmi.advertised_port", "", value::optional_port, "a port, 1 to 65535",
        "the port that clients are told to use for SOL, where it is published under another number",
    );
    IPMI_TRAP_PORT: Option<u16> = Setting::new(
        "IPMI_TRAP_PORT", "ipmi.trap_port", "162", value::port_or_none, PORT_OR_NONE,
        "the UDP port that alerts (SNMP traps) are sent to",
    );
    LAN_CONFIG: LanConfig = Setting::new(
        "LAN_CONFIG", "ipmi.lan_config", "store", value::lan_config, "store or apply",
        "whether addresses that are set over IPMI are only kept and reported, or also given to the container's interface, which takes NET_ADMIN",
    );
    IPMI_CIPHER_SUITES: Vec<u8> = Setting::new(
        "IPMI_CIPHER_SUITES", "ipmi.cipher_suites", "17,3", value::cipher_suites, "17, 3 or both, with a comma between them",
        "cipher suites of IPMI 2.0 to offer, the preferred one first",
    ).list(List::Commas);
    IPMI_KG: Option<KgKey> = Setting::new(
        "IPMI_KG", "ipmi.kg", "", value::kg, "up to 20 bytes, or 0x and up to 40 hexadecimal digits",
        "the BMC key of two-key logins",
    ).secret();
    IPMI_LAN15: bool = Setting::new(
        "IPMI_LAN15", "ipmi.lan15", "false", value::flag, FLAG,
        "also accept IPMI 1.5 sessions, which sign with MD5 and encrypt nothing",
    );

    SEL_SIZE: u16 = Setting::new(
        "SEL_SIZE", "ipmi.sel_size", "10000", value::sel_size, "a number, 64 to 60000",
        "how many entries the event log has room for",
    );
    SEL_FULL: SelFull = Setting::new(
        "SEL_FULL", "ipmi.sel_full", "wrap", value::sel_full, "wrap or stop",
        "what happens when it is full: the oldest entry makes way, or the new one is dropped",
    );

    SENSORS_FILE: Option<PathBuf> = Setting::new(
        "SENSORS_FILE", "machine.sensors_file", "none", value::path_or_none, PATH_OR_NONE,
        "a file that adds sensors, changes them or takes them away (docs/sensors.md)",
    );

    VNC_ADDRESS: Vec<IpAddr> = Setting::new(
        "VNC_ADDRESS", "vnc.address", "all", value::addresses, ADDRESSES,
        "where VNC is answered",
    ).list(List::Commas);
    VNC_PORT: Option<u16> = Setting::new(
        "VNC_PORT", "vnc.port", "5900", value::port_or_none, PORT_OR_NONE,
        "TCP port of VNC",
    );
    VNC_PASSWORD: Option<Secret<String>> = Setting::new(
        "VNC_PASSWORD", "vnc.password", "", value::vnc_password, "text, of which VNC uses the first 8 bytes",
        "the password that VNC asks for",
    ).secret();
    VNC_PASSWORD_FILE: Option<PathBuf> = Setting::new(
        "VNC_PASSWORD_FILE", "vnc.password_file", "", value::optional_path, "the path of a file that holds a password",
        "a file to read VNC's password from",
    );

    SOL_PORT: Option<u16> = Setting::new(
        "SOL_PORT", "console.port", "9002", value::port_or_none, PORT_OR_NONE,
        "TCP port on localhost with the raw serial console",
    );
    SOL_HISTORY: bool = Setting::new(
        "SOL_HISTORY", "console.sol_history", "false", value::flag, FLAG,
        "replay the console's history when SOL is activated",
    );
    CONSOLE_LOG: ConsoleLog = Setting::new(
        "CONSOLE_LOG", "console.log", "file", value::console_log, "file, stdout or none",
        "copy the console to a file in STATE_DIR; with stdout, to the container's log as well",
    );
    CONSOLE_LOG_SIZE: u64 = Setting::new(
        "CONSOLE_LOG_SIZE", "console.log_size", "10M", value::file_size, "a number of bytes, or a size such as 10M, from 4K on",
        "the size at which the console's log file is rotated",
    );
    CONSOLE_LOG_FILES: u32 = Setting::new(
        "CONSOLE_LOG_FILES", "console.log_files", "3", value::count, "a number, 0 to 100",
        "how many rotated log files are kept",
    );

    RUN_DIR: PathBuf = Setting::new(
        "RUN_DIR", "paths.run_dir", "/var/run/qemu", value::path, PATH,
        "the folder of sockets and of everything else that need not outlive the container",
    );
    STATE_DIR: Option<PathBuf> = Setting::new(
        "STATE_DIR", "paths.state_dir", "", value::optional_path, PATH,
        "the folder of what outlives it; unless set, /vm/bmc if /vm can be written, else RUN_DIR",
    );
    QMP_SOCK: Option<PathBuf> = Setting::new(
        "QMP_SOCK", "paths.qmp_socket", "", value::optional_path, PATH,
        "the QMP socket for tools of your own; unless set, qmp.sock in RUN_DIR",
    );
    POWER_STATE_FILE: Option<PathBuf> = Setting::new(
        "POWER_STATE_FILE", "paths.power_state_file", "", value::optional_path, PATH,
        "a file that always says on or off; unless set, power.state in RUN_DIR",
    );
}

/// What a `[[user]]` of the file says.
pub(super) mod user {
    use bmc::{Password, Privilege};

    use super::{FLAG, PathBuf, Row, Setting, value};

    settings! {
        NAME: String = Setting::new(
            "", "user.name", "", value::user_name, "1 to 16 printable ASCII characters",
            "the user's name",
        );
        PASSWORD: Password = Setting::new(
            "", "user.password", "", value::password, "1 to 20 bytes",
            "the user's password",
        ).secret();
        PASSWORD_FILE: Option<PathBuf> = Setting::new(
            "", "user.password_file", "", value::optional_path, "the path of a file that holds 1 to 20 bytes",
            "a file to read the password from",
        );
        PRIVILEGE: Privilege = Setting::new(
            "", "user.privilege", "administrator", value::privilege, "user, operator or administrator",
            "the highest level of the user's sessions",
        );
        ENABLED: bool = Setting::new(
            "", "user.enabled", "true", value::flag, FLAG,
            "whether the user can log in",
        );
    }
}

/// The table of settings as the README has it.
#[cfg_attr(not(test), expect(dead_code, reason = "the README's test prints it"))]
pub(crate) fn settings_table_markdown() -> String {
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let mut table =
        String::from("| variable | in the file | default | takes | meaning |\n|---|---|---|---|---|\n");
    for Row { variable, key, default, takes, help, .. } in ROWS {
        let (variable, key, default) = (code(variable), code(key), code(default));
        table.push_str(&format!("| {variable} | {key} | {default} | {takes} | {help} |\n"));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_default_is_a_good_value() {
        assert_eq!(refused_defaults(), <[&str; 0]>::default());
        // These two have none: a user without them is refused.
        assert_eq!(user::refused_defaults(), ["user.name", "user.password"]);
    }

    #[test]
    fn no_variable_and_no_key_is_there_twice() {
        let variables: HashSet<_> = ROWS.iter().map(|row| row.variable).collect();
        let keys: HashSet<_> = ROWS.iter().map(|row| row.key).collect();
        assert_eq!((variables.len(), keys.len()), (ROWS.len(), ROWS.len()));
    }

    #[test]
    fn no_row_breaks_its_table() {
        for row in ROWS {
            let Row { variable, takes, help, .. } = row;
            assert!(!takes.is_empty() && !help.is_empty(), "{variable}");
            assert!(!takes.contains(['|', '\n']) && !help.contains(['|', '\n']), "{variable}");
        }
    }

    /// To mend it: `cargo nextest run -p qemu-bmc readme_has_the_table` prints the table to paste.
    #[test]
    fn readme_has_the_table() {
        const BEGIN: &str = "<!-- settings -->\n";
        const END: &str = "<!-- /settings -->";

        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
        // Without a README too, the message says what it has to have.
        let readme = std::fs::read_to_string(path).unwrap_or_default();
        let table = settings_table_markdown();
        let in_readme = readme.split_once(BEGIN).and_then(|(_, rest)| Some(rest.split_once(END)?.0));
        assert!(
            in_readme.map(str::trim) == Some(table.trim()),
            "README.md must have exactly this between {BEGIN:?} and {END:?}:\n\n{table}"
        );
    }
}
