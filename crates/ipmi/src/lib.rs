#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods))]
//! IPMI 2.0 (revision 1.1 with errata 7): the LAN interface, serial over LAN, the system interface and the
//! command set, as state machines without I/O. Time, random seeds and datagrams are arguments.
//!
//! * [`lan::Server`] takes one datagram and returns at most one; everything that waits for time or
//!   for the console is polled.
//! * [`inband::Server`] does the same for the guest's own interface, by a stream of bytes.
//! * [`TABLE`] is the one table of all commands: NetFn, command, privilege, length, handler.
//! * `wire` has the layouts, one file per table of the specification; `record` those of what is kept.

#[cfg(feature = "client")]
pub mod client;
mod command;
mod completion;
mod crypto;
pub mod inband;
pub mod lan;
mod message;
pub mod pet;
pub mod record;
pub mod sol;
pub mod wire;

pub use command::{Channels, Ran, Row, TABLE, reference};
pub use completion::CompletionCode;
pub use message::{Reply, Request};
