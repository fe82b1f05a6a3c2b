//! The program.

use std::path::PathBuf;

use super::{FLAG, PATH, Row, Setting};
use crate::config::value;

settings! {
    CONFIG: Option<PathBuf> = Setting::new(
        "QEMU_BMC_CONFIG", "", "/etc/qemu-bmc.toml", value::optional_path, PATH,
        "the configuration file; the default one need not exist",
    );
    DEBUG: bool = Setting::new(
        "DEBUG", "debug", "false", value::flag, FLAG,
        "log what only a developer wants to know",
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
