//! The LAN interface: one UDP socket's worth of IPMI (IPMI 2.0 §13), without the socket.
//!
//! ```text
//!   datagram ─▶ Server::handle ─┬─ ASF ping ─────────────────────────────────────▶ pong
//!                               ├─ IPMI 1.5 wrapper ─▶ v15 ──────────────┐
//!                               └─ RMCP+ wrapper ─▶ rmcpp ─┬─ login ─────┤▶ Open Session, RAKP
//!                                                          ├─ command ───┤▶ the table of commands
//!                                                          └─ SOL ───────┘▶ the program's console
//! ```
//!
//! What stands where:
//!
//! * [`Server`] is the interface to the program; `rmcpp` and `v15` are its two protocols;
//! * `login` serves the handshake, whose states are the types of `handshake`; `pending` holds the
//!   half-open sessions, `throttle` knows who may not try again yet;
//! * `session` is an active session, `sessions` all of them, `window` their sequence numbers,
//!   `retransmission` what a lost answer needs, `sol` who has the console;
//! * `port` is how commands see all this.

mod dropped;
mod handshake;
mod login;
mod pending;
mod port;
mod retransmission;
mod rmcpp;
mod server;
mod session;
mod sessions;
mod slots;
mod sol;
mod throttle;
mod v15;
mod window;

pub use dropped::Dropped;
pub use server::{Route, Server, ServerConfig};
