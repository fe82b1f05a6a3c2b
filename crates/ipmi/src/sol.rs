//! (being written)

/// What a remote console does to the serial line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SolInput {
    /// Characters for the guest.
    Bytes(Vec<u8>),
    /// A break.
    Break,
    /// Characters to the guest that wait are to be dropped.
    FlushInbound,
    /// Characters from the guest that wait are to be dropped.
    FlushOutbound,
}

/// The payload state machine of one activation.
pub(crate) struct Sol;

#[allow(dead_code, unused_variables, clippy::ptr_arg)]
impl Sol {
    /// An activation that begins now.
    pub(crate) fn new(
        now: std::time::Instant,
        settings: bmc::SolSettings,
        request: crate::command::SolRequest,
    ) -> Self {
        Self
    }

    /// Takes a payload of the remote console. At most `room` characters are accepted for the guest.
    pub(crate) fn on_packet(
        &mut self,
        now: std::time::Instant,
        host: bmc::HostPower,
        packet: &[u8],
        room: usize,
        input: &mut Vec<SolInput>,
    ) {
    }

    /// How many bytes [`Sol::feed`] takes.
    pub(crate) fn feed_room(&self) -> usize {
        0
    }

    /// Takes output of the guest.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {}

    /// Writes the payload that is due now, if one is.
    pub(crate) fn poll(&mut self, now: std::time::Instant, host: bmc::HostPower, out: &mut Vec<u8>) -> bool {
        false
    }

    /// When [`Sol::poll`] has something to say by itself.
    pub(crate) fn timeout(&self) -> Option<std::time::Instant> {
        None
    }

    /// Whether a packet was not acknowledged in all its tries.
    pub(crate) fn failed(&self) -> bool {
        false
    }
}
