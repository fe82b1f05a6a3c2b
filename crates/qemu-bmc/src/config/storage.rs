//! The guest's disks and CDs as they were asked for.

use std::{fmt, path::PathBuf, str::FromStr};

/// Disks and CDs.
#[derive(Clone, Debug)]
pub(crate) struct StoragePlan {
    /// The disks, in the order in which they are booted from.
    pub(crate) disks: Vec<DiskPlan>,
    /// The CD drives, one at least, with what the settings put into each.
    pub(crate) cdroms: Vec<Option<Medium>>,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskPlan {
    /// Its number: 1 is `VM_DISK`, 2 is `VM_DISK2`.
    pub(crate) number: u8,
    /// The image, or a block device. One that was absent when the plan was made has a size or a base.
    pub(crate) path: PathBuf,
    /// How large it is made, in bytes, and at least is: a smaller one grows.
    pub(crate) size: Option<u64>,
    /// The image on which it is made as an overlay.
    pub(crate) base: Option<PathBuf>,
    /// Its format, where that is not to be found out.
    pub(crate) format: Option<DiskFormat>,
    /// Whether what is written goes when the machine is switched off.
    pub(crate) ephemeral: bool,
    /// How the guest sees it.
    pub(crate) bus: Bus,
    /// What it says is its serial number, where that is not made of the machine's identity.
    pub(crate) serial: Option<String>,
    /// How QEMU reads and writes it.
    pub(crate) access: Access,
}

/// How QEMU reads and writes a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Whether what the guest discards (TRIM) is given back to the host.
    pub(crate) discard: bool,
    /// What may be cached.
    pub(crate) cache: Cache,
    /// By which of the kernel's interfaces.
    pub(crate) aio: Aio,
}

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Each, by the word that settings have for it.
            pub(crate) const WORDS: &[(&str, Self)] = &[$(($word, Self::$variant)),*];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $word,)*
                })
            }
        }
    };
}

words! {
    /// What kind of image a file holds, by QEMU's name of it.
    DiskFormat {
        /// QEMU's own.
        Qcow2 = "qcow2",
        /// The disk's bytes and nothing else.
        Raw = "raw",
        /// VMware's.
        Vmdk = "vmdk",
        /// VirtualBox's.
        Vdi = "vdi",
        /// Hyper-V's.
        Vhdx = "vhdx",
    }
}

words! {
    /// What a disk is attached to.
    Bus {
        /// virtio-blk, on PCI.
        Virtio = "virtio",
        /// SCSI, on a virtio-scsi controller.
        Scsi = "scsi",
        /// NVMe, each disk with a controller of its own.
        Nvme = "nvme",
        /// SATA, on the board's AHCI controller.
        Sata = "sata",
        /// USB mass storage.
        Usb = "usb",
    }
}

words! {
    /// What may be cached of a disk, by QEMU's words.
    Cache {
        /// In the host's memory; a flush by the guest reaches the disk.
        Writeback = "writeback",
        /// In the disk only.
        None = "none",
        /// Every write reaches the disk before the guest hears of it.
        Writethrough = "writethrough",
        /// The two before together.
        Directsync = "directsync",
        /// In the host's memory, and flushes do nothing.
        Unsafe = "unsafe",
    }
}

impl Cache {
    /// Whether the host's memory is passed by (O_DIRECT).
    pub(crate) fn is_direct(self) -> bool {
        matches!(self, Self::None | Self::Directsync)
    }

    /// Whether flushes by the guest do nothing.
    pub(crate) fn ignores_flushes(self) -> bool {
        self == Self::Unsafe
    }

    /// Whether the guest sees a disk with a write cache.
    pub(crate) fn is_write_back(self) -> bool {
        !matches!(self, Self::Writethrough | Self::Directsync)
    }
}

words! {
    /// By which of the kernel's interfaces QEMU reads and writes.
    Aio {
        /// Plain calls, on threads of their own.
        Threads = "threads",
        /// Linux AIO, which needs O_DIRECT.
        Native = "native",
        /// io_uring, which container engines often forbid.
        IoUring = "io_uring",
    }
}

/// What can be in a CD drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Medium {
    /// An image on the host.
    File(PathBuf),
    /// An image on a web server, by its address.
    Url(String),
}

impl FromStr for Medium {
    type Err = super::value::Refused;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        super::value::medium(text)
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}
