//! Folders that the guest shares.

use super::{
    Spec,
    line::{Line, Part},
};
use crate::machine::share;

pub(super) fn shares(line: &mut Line, spec: &Spec<'_>) {
    let shares = &spec.parts.shares;
    for folder in &shares.shares {
        let (tag, id) = (&folder.tag, format!("share-{}", folder.tag));
        if shares.by_qemu() {
            // Files are as they look: owners and modes of this machine, not of a second book in their attributes.
            let read_only = if folder.read_only { "on" } else { "off" };
            let options =
                format!("local,id={id},security_model=none,multidevs=remap,readonly={read_only},path=");
            line.pair("-fsdev", &[Part::Text(&options), Part::Path(&folder.path)]);
            line.words(&["-device", &format!("virtio-9p-pci,fsdev={id},mount_tag={tag}")]);
        } else {
            let socket = share::socket(&spec.sockets.folder, tag);
            line.pair("-chardev", &[Part::Text(&format!("socket,id={id},path=")), Part::Path(&socket)]);
            line.words(&["-device", &format!("vhost-user-fs-pci,chardev={id},tag={tag}")]);
        }
    }
}
