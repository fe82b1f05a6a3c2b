//! What QEMU says of disks and media that it can't open, in clearer words where there are any.

use super::in_use;

/// What QEMU says, and what to do about it.
const HINTS: [(&str, &str); 5] = [
    (
        "Unknown driver 'http",
        "QEMU can't read from web servers here; install the package qemu-block-extra, which has its curl driver",
    ),
    (
        "does not support 'range'",
        "the web server can't send parts of a file (byte ranges), which reading a CD needs; most others can",
    ),
    (
        "io_uring",
        "VM_DISK_AIO=io_uring needs a kernel and a container that allow it; docker does with \
         --security-opt seccomp=unconfined, and threads works everywhere",
    ),
    (
        "filesystem does not support O_DIRECT",
        "the file system can't be read past the host's memory; VM_DISK_CACHE=writeback goes by it",
    ),
    ("SSL", "the server's certificate is checked against those that this host trusts (ca-certificates)"),
];

/// The same in clearer words, if there are any.
pub(crate) fn explained(said: &str) -> Option<String> {
    let hint = || {
        let (_, hint) = HINTS.iter().find(|(words, _)| said.contains(words))?;
        Some(format!("{hint} ({said})"))
    };
    in_use::explained(said).or_else(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let said = "qemu-system-x86_64: -blockdev {}: Unknown driver 'https'";
        assert!(explained(said).unwrap().contains("qemu-block-extra"));
        assert_eq!(explained("No such file or directory"), None);
    }
}
