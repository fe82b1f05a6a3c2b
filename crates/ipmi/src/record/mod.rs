//! The records that IPMI keeps and hands out, byte for byte.

pub mod sel;
