//! The LAN interface as a remote console, honest or not, finds it: whole datagrams in, whole datagrams
//! out, no socket and no clock. What is refused has a test that is named after it, and says why the
//! datagram was dropped, so that no test passes for another reason than its own.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod bench;

mod any_bytes;
mod flood;
mod half_open;
mod handshake;
mod live_changes;
mod messages;
mod outside;
mod packets;
mod privileges;
mod restart;
mod retransmission;
mod sol;
mod throttle;
mod udp;
