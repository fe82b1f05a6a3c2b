//! Why a datagram was not answered. The peer is never told; a log may be, and tests are.

use crate::wire::Malformed;

/// The reason for which a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// It has no form that this server knows.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A command outside a session that needs one.
    #[error("command outside a session")]
    SessionRequired,
    /// There is no session with this id.
    #[error("no such session")]
    NoSuchSession,
    /// The session with this id is not active yet.
    #[error("session is only half open")]
    HalfOpen,
    /// A packet of a session that is not signed or not encrypted, and has to be.
    #[error("packet is not protected as its session demands")]
    Unprotected,
    /// The session sequence number was seen before, or is outside the window.
    #[error("session sequence number is not in the window")]
    Sequence,
    /// The authentication code is wrong.
    #[error("wrong authentication code")]
    BadCode,
    /// The payload can't be decrypted.
    #[error("payload is not decipherable")]
    Undecipherable,
    /// The session's time is up, or its user is disabled, deleted or has another password.
    #[error("session has ended")]
    SessionEnded,
    /// A payload type that makes no sense there.
    #[error("unexpected payload type")]
    UnexpectedPayload,
    /// A session of IPMI 1.5, where that is off, or with another authentication type than MD5.
    #[error("authentication type is not enabled")]
    AuthenticationType,
    /// A message to a controller behind this one.
    #[error("message is addressed to another controller")]
    NotAddressed,
    /// The remote console ended the handshake.
    #[error("remote console ended the handshake")]
    HandshakeEnded,
    /// Another controller is about to take this one's place, and will answer.
    #[error("the controller is about to restart")]
    Retired,
    /// Too many logins of this peer failed.
    #[error("logins of this peer are refused for a while")]
    Throttled,
}
