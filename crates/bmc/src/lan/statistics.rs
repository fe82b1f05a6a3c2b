//! What went through the LAN channel (IPMI 2.0 §23.4, Get IP/UDP/RMCP Statistics).
//!
//! The program's sockets get whole datagrams, so what the kernel dropped before (bad headers, wrong
//! addresses, fragments) is not in here, and its counts stay 0.

/// Counts since the start, or since they were cleared. They stop at their highest value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LanStatistics {
    /// Datagrams received.
    pub received: u16,
    /// Datagrams sent.
    pub sent: u16,
    /// Datagrams received that were well-formed RMCP.
    pub rmcp_valid: u16,
}

impl LanStatistics {
    /// A datagram came.
    pub fn count_received(&mut self, valid: bool) {
        self.received = self.received.saturating_add(1);
        self.rmcp_valid = self.rmcp_valid.saturating_add(u16::from(valid));
    }

    /// One is sent.
    pub fn count_sent(&mut self) {
        self.sent = self.sent.saturating_add(1);
    }
}
