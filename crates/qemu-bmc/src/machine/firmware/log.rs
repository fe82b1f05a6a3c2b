//! What firmware says of its own work, into a file.
//!
//! SeaBIOS, and OVMF where it was built to, write to an I/O port that QEMU passes on (402h). The guest can write to it
//! too, as much as it likes; so it comes here, into a file that is rotated, and not into one of QEMU's.

use std::path::{Path, PathBuf};

use tokio::{io::AsyncReadExt as _, net::UnixStream};

use crate::console::LogFile;

/// The file's size at which it is rotated, and how many older ones are kept.
const SIZE: u64 = 1 << 20;
const OLDER: u32 = 1;

/// Where the file is.
pub(crate) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("firmware.log")
}

/// Connects to a QEMU that listens, and copies what firmware says until QEMU ends.
pub(crate) async fn follow(socket: &Path, state_dir: &Path) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut log = LogFile::open(path(state_dir), SIZE, OLDER)?;
    tokio::spawn(async move {
        let mut chunk = vec![0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            // A slow disk must not keep the doors from answering.
            let written = tokio::task::spawn_blocking(move || {
                log.write(chunk.get(..count).unwrap_or_default());
                (log, chunk)
            });
            let Ok(back) = written.await else { return };
            (log, chunk) = back;
        }
    });
    Ok(())
}
