#![forbid(unsafe_code)]
//! A client of the QEMU Machine Protocol (QMP) that tolerates what it does not know.
//!
//! The BMC must keep hearing QEMU even when QEMU is newer than the BMC. So nothing here ends at an unknown
//! event, member or enumeration value: each has an `Other` to land in. And the BMC must be able to tell what
//! came first, an event or the reply to a command, because a guest that resets just before `qom-set` boots
//! from another device than one that resets just after it. So every event and every reply carries the number
//! of the line that it arrived on.
//!
//! | module | what is in it |
//! |---|---|
//! | [`codec`] | bytes to messages and back, without I/O |
//! | [`qapi`] | the enumerations of QEMU's schema, open to new values |
//! | [`events`] | what QEMU says by itself |
//! | [`commands`] | what QEMU can be told, one type each |
//! | [`client`] | one connection: several calls at a time, a stream of events |
//!
//! Specification: `docs/interop/qmp-spec.rst` and the "QEMU QMP Reference Manual", both of QEMU. Used with
//! QEMU 7.2 to 11.

pub mod client;
pub mod codec;
pub mod commands;
pub mod error;
pub mod events;
pub mod qapi;

pub use client::{Client, Events, Reply, Session, connect, negotiate};
pub use codec::EventRecord;
pub use commands::Command;
pub use error::{Disconnect, Error};
pub use events::Event;
