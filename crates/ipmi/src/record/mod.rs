//! The records that IPMI keeps and hands out, byte for byte.

pub(crate) mod sdr;
pub mod sel;
