//! Shared folders.

use super::{List, Row, Setting};
use crate::config::{
    shares::{Share, ShareMode},
    value,
};

settings! {
    VM_SHARE: Vec<Share> = Setting::new(
        "VM_SHARE", "machine.share", "", value::shares,
        "a folder, which the guest mounts by the tag share, or several such as data:/srv/data with commas between them; :ro after one for reading alone",
        "folders that the guest shares",
    ).list(List::Commas);
    VM_SHARE_MODE: ShareMode = Setting::new(
        "VM_SHARE_MODE", "machine.share_mode", "virtiofs", value::share_mode, "virtiofs or 9p",
        "how: by virtiofsd, or by QEMU itself, which is slower and needs nothing else",
    );
}
