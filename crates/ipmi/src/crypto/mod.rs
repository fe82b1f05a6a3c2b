//! Keys and codes, for both ends of a session: the server proves and checks what the client checks and
//! proves. Key schedules are computed once a session, secrets are zeroed when they are dropped, codes
//! are compared in constant time.
//!
//! ```text
//!   password ─▶ K_UID ─┬─ RAKP 2 and 3 codes          (rakp)
//!   K_G, else K_UID ───┴─▶ SIK ─┬─ RAKP 4 code        (rakp)
//!                               ├─▶ K1: signatures    (session_keys)
//!                               └─▶ K2: AES-CBC-128   (session_keys)
//! ```

#[cfg(test)]
mod golden;
mod keyed_hash;
pub(crate) mod md5;
pub(crate) mod packet;
pub(crate) mod rakp;
mod random;
mod session_keys;
mod suite;

pub(crate) use keyed_hash::{Code, KeyedHash};
pub(crate) use random::Random;
pub(crate) use session_keys::SessionKeys;
pub(crate) use suite::Suite;
