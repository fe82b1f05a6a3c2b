//! QEMU itself.

use std::path::PathBuf;

use super::{FLAG, List, Row, Setting};
use crate::config::value;

settings! {
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
}
