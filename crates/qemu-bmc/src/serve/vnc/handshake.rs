//! From a viewer's connection to its session (RFC 6143 §7.1 to §7.3), the server's side.
//!
//! ```text
//!  greet ──► Greeted ──► authenticate ──► Authentication::Accepted ──► open ──► session
//!               │                    └──► Authentication::Rejected ──► tell ──► closed
//!               └──────► refuse ──► closed
//! ```
//!
//! Each step is a value that only the step before it makes, so that nothing is opened for a viewer that
//! has not authenticated. Versions 3.3, 3.7 and 3.8 are spoken, as the specification asks (appendix A).

use std::io;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    Size,
    authentication::{CHALLENGE, Password},
    pixel_format::PixelFormat,
};

const OUR_VERSION: &[u8; 12] = b"RFB 003.008\n";

/// Security type "None" (§7.2.1).
const NONE: u8 = 1;
/// Security type "VNC Authentication" (§7.2.2).
const VNC_AUTHENTICATION: u8 = 2;

/// Why a handshake ended early.
#[derive(Debug, Error)]
pub(super) enum HandshakeError {
    #[error("viewer gone during the handshake")]
    Io(#[from] io::Error),
    #[error("not a version of RFB: {}", .0.escape_ascii())]
    Version([u8; 12]),
    #[error("security type {0} was not offered")]
    SecurityType(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V3,
    V7,
    V8,
}

/// A viewer whose version is known.
pub(super) struct Greeted<'a, S> {
    stream: &'a mut S,
    version: Version,
}

/// What became of [`Greeted::authenticate`].
pub(super) enum Authentication<'a, S> {
    Accepted(Authenticated<'a, S>),
    Rejected(Rejected<'a, S>),
}

/// A viewer that may come in.
pub(super) struct Authenticated<'a, S> {
    stream: &'a mut S,
}

/// A viewer with a wrong password.
pub(super) struct Rejected<'a, S> {
    stream: &'a mut S,
    version: Version,
}

/// Exchanges versions (§7.1.1).
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
) -> Result<Greeted<'_, S>, HandshakeError> {
    stream.write_all(OUR_VERSION).await?;
    let mut theirs = [0; 12];
    stream.read_exact(&mut theirs).await?;
    Ok(Greeted { stream, version: Version::parse(&theirs)? })
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Greeted<'a, S> {
    /// Says why no viewer is wanted (§7.1.2).
    pub(super) async fn refuse(self, reason: &str) -> Result<(), HandshakeError> {
        let mut message = match self.version {
            Version::V3 => vec![0, 0, 0, 0],
            Version::V7 | Version::V8 => vec![0],
        };
        put_text(reason, &mut message);
        self.stream.write_all(&message).await?;
        Ok(())
    }

    /// Agrees on a security type (§7.1.2) and, if there is a password, asks for it. `challenge` must be
    /// random. `may_answer` is asked when the response is there; if it says no, any response is wrong.
    pub(super) async fn authenticate(
        self,
        password: Option<&Password>,
        challenge: [u8; CHALLENGE],
        may_answer: impl FnOnce() -> bool,
    ) -> Result<Authentication<'a, S>, HandshakeError> {
        let Self { stream, version } = self;
        let security_type = if password.is_some() { VNC_AUTHENTICATION } else { NONE };
        if version == Version::V3 {
            stream.write_all(&[0, 0, 0, security_type]).await?;
        } else {
            stream.write_all(&[1, security_type]).await?;
            let chosen = stream.read_u8().await?;
            if chosen != security_type {
                return Err(HandshakeError::SecurityType(chosen));
            }
        }

        if let Some(password) = password {
            stream.write_all(&challenge).await?;
            let mut response = [0; CHALLENGE];
            stream.read_exact(&mut response).await?;
            if !may_answer() || !password.verify(challenge, response) {
                return Ok(Authentication::Rejected(Rejected { stream, version }));
            }
        }
        // SecurityResult (§7.1.3), which "None" has in 3.8 only.
        if password.is_some() || version == Version::V8 {
            stream.write_all(&[0, 0, 0, 0]).await?;
        }
        Ok(Authentication::Accepted(Authenticated { stream }))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Rejected<'_, S> {
    /// Says that the password was wrong (§7.1.3).
    pub(super) async fn tell(self, reason: &str) -> Result<(), HandshakeError> {
        let mut message = vec![0, 0, 0, 1];
        if self.version == Version::V8 {
            put_text(reason, &mut message);
        }
        self.stream.write_all(&message).await?;
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Authenticated<'_, S> {
    /// Reads ClientInit and sends ServerInit (§7.3). The wish to be alone is read and not granted: viewers
    /// of a machine share it.
    pub(super) async fn open(self, size: Size, name: &str) -> Result<(), HandshakeError> {
        let _shared = self.stream.read_u8().await?;
        let mut message = Vec::new();
        size.put(&mut message);
        message.extend(PixelFormat::NATIVE.emit());
        put_text(name, &mut message);
        self.stream.write_all(&message).await?;
        Ok(())
    }
}

impl Version {
    /// Whoever says something between the published versions gets the one below, as the specification asks.
    fn parse(wire: &[u8; 12]) -> Result<Self, HandshakeError> {
        let error = HandshakeError::Version(*wire);
        let [b'R', b'F', b'B', b' ', major @ .., b'.', n2, n1, n0, b'\n'] = wire else { return Err(error) };
        if !major.iter().chain([n2, n1, n0]).all(u8::is_ascii_digit) {
            return Err(error);
        }
        Ok(match (major, &[*n2, *n1, *n0]) {
            (b"003", minor) if minor < b"007" => Self::V3,
            (b"003", b"007") => Self::V7,
            (major, _) if *major < *b"003" => return Err(error),
            _ => Self::V8,
        })
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    let text: Vec<u8> = text.bytes().take(255).collect();
    out.extend(u32::try_from(text.len()).unwrap_or_default().to_be_bytes());
    out.extend(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::{
        io::{DuplexStream, duplex},
        runtime::Builder,
    };

    use super::*;

    const CHALLENGE_BYTES: [u8; CHALLENGE] = [7; CHALLENGE];
    const SIZE: Size = Size { width: 640, height: 480 };

    /// Lets a client that says `says` without listening come in, and returns all that it was told.
    fn shake(password: Option<&str>, says: &[u8]) -> (Result<bool, HandshakeError>, Vec<u8>) {
        let password = password.and_then(Password::parse);
        let (mut client, mut server) = duplex(4096);
        Builder::new_current_thread().build().unwrap().block_on(async {
            client.write_all(says).await.unwrap();
            client.shutdown().await.unwrap();
            let result = serve(&mut server, password.as_ref()).await;
            drop(server);
            let mut told = Vec::new();
            client.read_to_end(&mut told).await.unwrap();
            (result, told)
        })
    }

    async fn serve(stream: &mut DuplexStream, password: Option<&Password>) -> Result<bool, HandshakeError> {
        match greet(stream).await?.authenticate(password, CHALLENGE_BYTES, || true).await? {
            Authentication::Accepted(authenticated) => authenticated.open(SIZE, "node1").await.map(|()| true),
            Authentication::Rejected(rejected) => rejected.tell("wrong password").await.map(|()| false),
        }
    }

    fn server_init() -> Vec<u8> {
        let mut message = vec![2, 128, 1, 224];
        message.extend(PixelFormat::NATIVE.emit());
        message.extend(b"\0\0\0\x05node1");
        message
    }

    fn response(password: &str) -> Vec<u8> {
        let mut client = Password::parse(password).unwrap().respond(CHALLENGE_BYTES).to_vec();
        client.push(0);
        client
    }

    #[test]
    fn without_a_password_each_version_has_its_own_steps() {
        let cases: [(&[u8], &[u8]); 3] = [
            (b"RFB 003.003\n\x01", b"RFB 003.008\n\0\0\0\x01"),
            (b"RFB 003.007\n\x01\x01", b"RFB 003.008\n\x01\x01"),
            (b"RFB 003.008\n\x01\x00", b"RFB 003.008\n\x01\x01\0\0\0\0"),
        ];
        for (says, expected) in cases {
            let (result, told) = shake(None, says);
            assert!(result.unwrap());
            assert_eq!(told, [expected, &server_init()].concat());
        }
    }

    #[test]
    fn the_right_password_opens_in_each_version() {
        for (hello, offer) in [
            (&b"RFB 003.003\n"[..], &[0, 0, 0, 2][..]),
            (b"RFB 003.007\n\x02", &[1, 2]),
            (b"RFB 003.008\n\x02", &[1, 2]),
        ] {
            let (result, told) = shake(Some("secret"), &[hello, &response("secret")].concat());
            assert!(result.unwrap());
            let expected = [OUR_VERSION, offer, &CHALLENGE_BYTES, &[0; 4], &server_init()].concat();
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn a_wrong_password_is_told_and_nothing_opens() {
        let (result, told) = shake(Some("secret"), &[b"RFB 003.008\n\x02", &response("Secret")[..]].concat());
        assert!(!result.unwrap());
        assert!(told.ends_with(b"\0\0\0\x01\0\0\0\x0ewrong password"));
        let (result, told) = shake(Some("secret"), &[b"RFB 003.003\n", &response("Secret")[..]].concat());
        assert!(!result.unwrap());
        assert!(told.ends_with(&[&CHALLENGE_BYTES[..], &[0, 0, 0, 1]].concat()));
    }

    #[test]
    fn a_password_cannot_be_skipped() {
        let (result, told) = shake(Some("secret"), b"RFB 003.008\n\x01\x01");
        assert!(matches!(result, Err(HandshakeError::SecurityType(1))));
        assert!(told.ends_with(&[1, 2]));
    }

    #[test]
    fn a_refusal_has_its_reason() {
        for (says, expected) in [
            (b"RFB 003.003\n", &b"RFB 003.008\n\0\0\0\0\0\0\0\x02no"[..]),
            (b"RFB 003.008\n", b"RFB 003.008\n\0\0\0\0\x02no"),
        ] {
            let (mut client, mut server) = duplex(4096);
            let told = Builder::new_current_thread().build().unwrap().block_on(async {
                client.write_all(says).await.unwrap();
                greet(&mut server).await.unwrap().refuse("no").await.unwrap();
                drop(server);
                let mut told = Vec::new();
                client.read_to_end(&mut told).await.unwrap();
                told
            });
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn versions_between_the_published_ones_get_the_one_below() {
        let version = |text: &[u8; 12]| Version::parse(text).ok();
        assert_eq!(version(b"RFB 003.005\n"), Some(Version::V3));
        assert_eq!(version(b"RFB 003.889\n"), Some(Version::V8));
        assert_eq!(version(b"RFB 004.001\n"), Some(Version::V8));
        assert_eq!(version(b"RFB 002.009\n"), None);
        assert_eq!(version(b"GET / HTTP/1"), None);
    }

    proptest! {
        #[test]
        fn nobody_comes_in_by_chance(says in prop::collection::vec(any::<u8>(), 0..64)) {
            let hello = [&b"RFB 003.008\n"[..], &says].concat();
            for says in [says, hello] {
                prop_assert!(!matches!(shake(Some("secret"), &says).0, Ok(true)));
            }
        }
    }
}
