//! Serial-over-LAN settings (IPMI 2.0 §26.3, Table 26-5).

use serde::{Deserialize, Serialize};

/// The SOL configuration of the LAN channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SolSettings {
    /// Parameter 0: 0 set complete, 1 set in progress. Volatile.
    #[serde(skip)]
    pub set_in_progress: u8,
    /// Whether SOL payloads can be activated at all (parameter 1).
    pub enabled: bool,
    /// Payloads must be encrypted, whatever the client asks for (parameter 2, bit 7).
    pub force_encryption: bool,
    /// Payloads must be authenticated (parameter 2, bit 6).
    pub force_authentication: bool,
    /// The privilege level needed to activate SOL (parameter 2, bits 3:0): 2 User to 5 OEM.
    pub privilege: u8,
    /// How long characters are collected before a packet is sent, in units of 5 ms; 0 is reserved (parameter 3).
    pub accumulate_interval: u8,
    /// A packet is sent at once when it holds this many characters (parameter 3).
    pub send_threshold: u8,
    /// How often an unacknowledged packet is sent again (parameter 4, bits 2:0).
    pub retry_count: u8,
    /// Time between retries, in units of 10 ms (parameter 4).
    pub retry_interval: u8,
    /// Bit rate code that survives a restart (parameter 5): 6 = 9,600 … 10 = 115,200 bit/s.
    pub bit_rate: u8,
    /// Bit rate code in force (parameter 6).
    pub volatile_bit_rate: u8,
}

impl Default for SolSettings {
    fn default() -> Self {
        Self {
            set_in_progress: 0,
            enabled: true,
            force_encryption: true,
            force_authentication: true,
            privilege: 2,
            accumulate_interval: 1,
            send_threshold: 220,
            retry_count: 7,
            retry_interval: 50,
            bit_rate: 10,
            volatile_bit_rate: 10,
        }
    }
}
