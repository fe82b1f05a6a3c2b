//! A connection to QEMU's display on its unix socket: the viewer's side of the handshake (RFC 6143 §7.1 to
//! §7.3).
//!
//! Every viewer has a connection of its own, so that QEMU keeps book of what each has seen. It is shared,
//! and without authentication: the socket's mode guards it.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixStream,
};

use super::Size;

/// The longest name of a desktop, or reason of a refusal, that is read.
const MAX_TEXT: u32 = 4096;

/// Why QEMU's display can't be had.
#[derive(Debug, Error)]
pub(super) enum ConnectError {
    #[error("connect to QEMU's display at {path}")]
    Connect { path: PathBuf, source: io::Error },
    #[error("connection to QEMU's display lost in the handshake")]
    Io(#[from] io::Error),
    #[error("QEMU's display does not speak RFB 3.8 but {:?}", .0.escape_ascii().to_string())]
    Version([u8; 12]),
    #[error("QEMU's display wants authentication")]
    Authentication,
    #[error("QEMU's display has a name of {0} bytes")]
    Name(u32),
}

/// A connection that has been asked for nothing yet.
pub(super) struct Display<S = UnixStream> {
    pub(super) stream: S,
    /// Of the screen.
    pub(super) size: Size,
}

/// Connects to QEMU's display at `path`.
pub(super) async fn connect(path: &Path) -> Result<Display, ConnectError> {
    match UnixStream::connect(path).await {
        Ok(stream) => open(stream).await,
        Err(source) => Err(ConnectError::Connect { path: path.to_owned(), source }),
    }
}

async fn open<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> Result<Display<S>, ConnectError> {
    let mut version = [0; 12];
    stream.read_exact(&mut version).await?;
    if version != *b"RFB 003.008\n" {
        return Err(ConnectError::Version(version));
    }
    stream.write_all(&version).await?;

    let mut security_types = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut security_types).await?;
    if !security_types.contains(&1) {
        return Err(ConnectError::Authentication);
    }
    // Security type "None".
    stream.write_all(&[1]).await?;
    if stream.read_u32().await? != 0 {
        return Err(ConnectError::Authentication);
    }

    // ClientInit: shared.
    stream.write_all(&[1]).await?;
    let size = Size { width: stream.read_u16().await?, height: stream.read_u16().await? };
    // The native pixel format is of no interest, since the viewer's is going to be set.
    stream.read_exact(&mut [0; 16]).await?;
    let name = stream.read_u32().await?;
    if name > MAX_TEXT {
        return Err(ConnectError::Name(name));
    }
    let mut name = vec![0; usize::try_from(name).unwrap_or_default()];
    stream.read_exact(&mut name).await?;
    Ok(Display { stream, size })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::{io::duplex, runtime::Builder};

    use super::*;

    const GREETING: &[u8] = b"RFB 003.008\n\x02\x02\x01\0\0\0\0";
    const SERVER_INIT: &[u8] = b"\x02\x80\x01\xe0................\0\0\0\x04QEMU";

    /// Opens a display that says `says` without listening, and returns what it was told.
    fn open_to(says: &[u8]) -> (Result<Size, ConnectError>, Vec<u8>) {
        let (ours, mut theirs) = duplex(4096);
        Builder::new_current_thread().build().unwrap().block_on(async {
            theirs.write_all(says).await.unwrap();
            theirs.shutdown().await.unwrap();
            let size = open(ours).await.map(|display| display.size);
            let mut told = Vec::new();
            theirs.read_to_end(&mut told).await.unwrap();
            (size, told)
        })
    }

    #[test]
    fn opens_shared_and_without_authentication() {
        let (size, told) = open_to(&[GREETING, SERVER_INIT].concat());
        assert_eq!(size.unwrap(), Size { width: 640, height: 480 });
        assert_eq!(told, b"RFB 003.008\n\x01\x01");
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |says: &[u8]| open_to(says).0.unwrap_err().to_string();
        assert_eq!(error(b"HTTP/1.1 400"), "QEMU's display does not speak RFB 3.8 but \"HTTP/1.1 400\"");
        assert_eq!(error(b"RFB 003.008\n\x01\x02"), "QEMU's display wants authentication");
        let named = [GREETING, &SERVER_INIT[..20], &[0, 1, 0, 0]].concat();
        assert_eq!(error(&named), "QEMU's display has a name of 65536 bytes");
        assert_eq!(error(&GREETING[..18]), "connection to QEMU's display lost in the handshake");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end_in_an_error(says in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open_to(&says).0.is_err());
            prop_assert!(open_to(&[GREETING, &says[..says.len().min(10)]].concat()).0.is_err());
        }
    }
}
