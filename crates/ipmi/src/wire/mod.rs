//! Layouts, one file per table of the specification, and nothing else: no state, no keys, no policy.
//!
//! Every file has the same skeleton, so that whoever knows one knows all: the table as a comment, the
//! value, `parse` from bytes, `emit` to bytes, tests with literal bytes. `parse` is total: any bytes
//! give a value or [`Malformed`], and what it returns needs no further check of its form.
//!
//! ```text
//!   rmcp ─┬─ asf                      presence ping and pong
//!         ├─ session_v15 ── message   IPMI 1.5 wrapper
//!         └─ session ─┬─ message      RMCP+ wrapper
//!                     ├─ open_session, rakp
//!                     └─ sol
//! ```

pub mod asf;
mod cursor;
pub mod message;
pub mod open_session;
pub mod rakp;
pub mod rmcp;
pub mod session;
pub mod session_v15;
pub mod sol;

pub use cursor::{Malformed, Reader};
