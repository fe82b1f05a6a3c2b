//! What can go wrong between a call and its answer, and who is to blame.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::{DecodeError, Refusal};
use crate::qapi::ErrorClass;

/// Why a call, or a connection, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens on the socket.
    #[error("connect to qmp socket {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// QEMU did not greet in time. It hangs, or it serves another client: a QMP socket has one at a time.
    #[error("no qmp greeting within {0:?}: qemu hangs, or another client holds its monitor")]
    NoGreeting(Duration),
    /// The first line was not a greeting.
    #[error("the peer does not speak qmp: its first message is not a greeting")]
    NotQmp,
    /// The connection ended before the greeting.
    #[error("qmp handshake")]
    Handshake(#[source] Disconnect),
    /// QEMU did not answer in time. Whether it carried the command out, or will later, is not known.
    #[error("{command}: no answer from qemu within {timeout:?}")]
    Timeout {
        /// The command.
        command: String,
        /// The time it had.
        timeout: Duration,
    },
    /// QEMU answered that it will not.
    #[error("{command}: refused by qemu: {}", refusal.desc)]
    Refused {
        /// The command.
        command: String,
        /// QEMU's answer.
        refusal: Refusal,
    },
    /// The connection ended first. Whether QEMU carried the command out is not known.
    #[error("{command}: qmp connection lost")]
    Disconnected {
        /// The command.
        command: String,
        /// Why the connection ended.
        source: Arc<Disconnect>,
    },
    /// The arguments cannot be written as JSON.
    #[error("{command}: encode its arguments")]
    Arguments {
        /// The command.
        command: String,
        /// Why.
        source: serde_json::Error,
    },
    /// QEMU's answer has not the form that its manual promises.
    #[error("{command}: unexpected form of the answer")]
    Answer {
        /// The command.
        command: String,
        /// Where it differs.
        source: serde_json::Error,
    },
}

impl Error {
    /// The kind of refusal, where QEMU refused.
    pub fn class(&self) -> Option<&ErrorClass> {
        match self {
            Self::Refused { refusal, .. } => Some(&refusal.class),
            _ => None,
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Disconnect {
    /// QEMU closed it, in general because QEMU ended.
    #[error("closed by qemu")]
    Closed,
    /// The socket failed.
    #[error("read from qemu")]
    Read(#[source] io::Error),
    /// What arrived is not QMP.
    #[error("not understood")]
    Decode(#[from] DecodeError),
    /// Nobody took the events, and too many were waiting.
    #[error("{0} events were waiting and nobody took them")]
    Backlog(usize),
    /// The task that serves the connection was ended, as at the end of the runtime.
    #[error("closed by this program")]
    Abandoned,
}
