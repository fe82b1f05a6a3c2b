//! Disks and CDs.
//!
//! Whatever can be said of a disk can be said of each: of the first by `VM_DISK_…`, of the others by
//! `VM_DISK<N>_…`. How disks are attached and read counts for all where nothing else is said of one.

use std::path::PathBuf;

use super::{FLAG, PATH, PATH_OR_NONE, Row, Setting};
use crate::config::{
    storage::{Aio, Bus, Cache, DiskFormat, Medium},
    value,
};

const SIZE: &str = "a size such as 20G, in bytes without a suffix";
const FORMAT: &str = "qcow2, raw, vmdk, vdi or vhdx";
const BUS: &str = "virtio, scsi, nvme, sata or usb";
const SERIAL: &str = "up to 20 letters, digits, dots, dashes and underscores";
const DISCARD: &str = "unmap or ignore";
const CACHE: &str = "writeback, none, writethrough, directsync or unsafe";
const AIO: &str = "threads, native or io_uring";
const MEDIUM_OR_NONE: &str = "a path, an http or https address, or none";

settings! {
    VM_DISK: Option<PathBuf> = Setting::new(
        "VM_DISK", "machine.disk", "/vm/disk.qcow2", value::path_or_none, PATH_OR_NONE,
        "the disk: an image or a block device; if it is absent and neither size nor base is set, the machine starts without",
    );
    VM_DISK_SIZE: Option<u64> = Setting::new(
        "VM_DISK_SIZE", "machine.disk_size", "", value::optional_disk_size, SIZE,
        "how large the disk is: made where it is absent, grown at power on where it is smaller, never shrunk",
    );
    VM_DISK_BASE: Option<PathBuf> = Setting::new(
        "VM_DISK_BASE", "machine.disk_base", "", value::optional_path, PATH,
        "an image that is only read: the disk is made as an overlay on it, so that many nodes share one",
    );
    VM_DISK_FORMAT: Option<DiskFormat> = Setting::new(
        "VM_DISK_FORMAT", "machine.disk_format", "", value::optional_disk_format, FORMAT,
        "the image's format; unless set, it is found out, and of one that is made by its extension (.raw and .img: raw; otherwise qcow2)",
    );
    VM_DISK_EPHEMERAL: bool = Setting::new(
        "VM_DISK_EPHEMERAL", "machine.disk_ephemeral", "false", value::flag, FLAG,
        "whether what the guest writes is gone once the machine is off; the image is only read, and a reset keeps what was written",
    );
    VM_DISK_SERIAL: Option<String> = Setting::new(
        "VM_DISK_SERIAL", "machine.disk_serial", "", value::optional_disk_serial, SERIAL,
        "the disk's serial number; unless set, made of the machine's GUID and the disk's number",
    );
    VM_DISK_BUS: Bus = Setting::new(
        "VM_DISK_BUS", "machine.disk_bus", "virtio", value::bus, BUS,
        "what disks are attached to",
    );
    VM_DISK_DISCARD: bool = Setting::new(
        "VM_DISK_DISCARD", "machine.disk_discard", "unmap", value::discard, DISCARD,
        "whether what the guest discards (TRIM) is given back to the host",
    );
    VM_DISK_CACHE: Cache = Setting::new(
        "VM_DISK_CACHE", "machine.disk_cache", "writeback", value::cache, CACHE,
        "what the host caches of disks; a guest's flush reaches the disk with all but unsafe",
    );
    VM_DISK_AIO: Aio = Setting::new(
        "VM_DISK_AIO", "machine.disk_aio", "threads", value::aio, AIO,
        "how QEMU reads and writes disks; native needs cache none or directsync, io_uring a container that allows it",
    );
    VM_DISK_N: Option<PathBuf> = Setting::new(
        "VM_DISK<N>", "machine.disk<n>", "", value::path_or_none, PATH_OR_NONE,
        "a further disk, N from 2 to 9, as in VM_DISK2",
    );
    VM_DISK_N_SIZE: Option<u64> = Setting::new(
        "VM_DISK<N>_SIZE", "machine.disk<n>_size", "", value::optional_disk_size, SIZE,
        "its size, as VM_DISK_SIZE is the first one's",
    );
    VM_DISK_N_BASE: Option<PathBuf> = Setting::new(
        "VM_DISK<N>_BASE", "machine.disk<n>_base", "", value::optional_path, PATH,
        "the image that it is an overlay on",
    );
    VM_DISK_N_FORMAT: Option<DiskFormat> = Setting::new(
        "VM_DISK<N>_FORMAT", "machine.disk<n>_format", "", value::optional_disk_format, FORMAT,
        "its format",
    );
    VM_DISK_N_EPHEMERAL: bool = Setting::new(
        "VM_DISK<N>_EPHEMERAL", "machine.disk<n>_ephemeral", "false", value::flag, FLAG,
        "whether what the guest writes on it is gone once the machine is off",
    );
    VM_DISK_N_SERIAL: Option<String> = Setting::new(
        "VM_DISK<N>_SERIAL", "machine.disk<n>_serial", "", value::optional_disk_serial, SERIAL,
        "its serial number",
    );
    VM_DISK_N_BUS: Bus = Setting::new(
        "VM_DISK<N>_BUS", "machine.disk<n>_bus", "", value::bus, BUS,
        "what it is attached to; unless set, VM_DISK_BUS",
    );
    VM_DISK_N_DISCARD: bool = Setting::new(
        "VM_DISK<N>_DISCARD", "machine.disk<n>_discard", "", value::discard, DISCARD,
        "unless set, VM_DISK_DISCARD",
    );
    VM_DISK_N_CACHE: Cache = Setting::new(
        "VM_DISK<N>_CACHE", "machine.disk<n>_cache", "", value::cache, CACHE,
        "unless set, VM_DISK_CACHE",
    );
    VM_DISK_N_AIO: Aio = Setting::new(
        "VM_DISK<N>_AIO", "machine.disk<n>_aio", "", value::aio, AIO,
        "unless set, VM_DISK_AIO",
    );
    VM_CDROM: Option<Medium> = Setting::new(
        "VM_CDROM", "machine.cdrom", "none", value::medium_or_none, MEDIUM_OR_NONE,
        "the ISO image in the CD drive",
    );
    VM_CDROM2: Option<Option<Medium>> = Setting::new(
        "VM_CDROM2", "machine.cdrom2", "", value::optional_medium_or_none, MEDIUM_OR_NONE,
        "the one in a second CD drive; none is an empty drive, and unless set there is no second one",
    );
}
