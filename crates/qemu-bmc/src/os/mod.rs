//! The operating system: what the standard library and tokio have no call for.
//!
//! Every unsafe block of the program is below this folder, in modules that say `allow(unsafe_code)`; the rest
//! of the crate denies it. Where rustix has a safe call, that is used.

pub(crate) mod atomic_file;
pub(crate) mod children;
pub(crate) mod life;
pub(crate) mod namespace;
pub(crate) mod readiness;
pub(crate) mod tap;
