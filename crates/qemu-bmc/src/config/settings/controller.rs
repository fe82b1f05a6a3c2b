//! The BMC.

use std::{net::IpAddr, path::PathBuf};

use bmc::{KgKey, Password, SelFull};

use super::{ADDRESSES, FLAG, INTERFACE, List, PATH_OR_NONE, PORT, PORT_OR_NONE, Row, Setting};
use crate::config::{plan::LanConfig, value};

settings! {
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
}
