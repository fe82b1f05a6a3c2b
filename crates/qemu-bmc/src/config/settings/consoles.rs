//! Screen and serial console.

use std::{net::IpAddr, path::PathBuf};

use bmc::Secret;

use super::{ADDRESSES, FLAG, List, PORT_OR_NONE, Row, Setting};
use crate::config::{plan::ConsoleLog, value};

settings! {
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
    ).of_several("none");
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
}
