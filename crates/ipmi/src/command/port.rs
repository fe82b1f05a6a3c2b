//! What commands need of the sessions, so that the command table knows no socket and no key.
//!
//! The LAN server lends a view of its session table for the time of one command. An interface without
//! sessions (the guest's own, in band) lends one in which nothing is current and nothing is found.

use std::net::SocketAddr;

use bmc::{Privilege, UserId};

use crate::CompletionCode;

/// What a command may know of an active session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionFacts {
    /// Session handle, 1 and up.
    pub(crate) handle: u8,
    /// The session id that the remote console sends to the BMC.
    pub(crate) id: u32,
    /// Who logged in.
    pub(crate) user: UserId,
    /// The operating level: what was set, cut to the user's and the channel's limit of this moment.
    pub(crate) privilege: Privilege,
    /// The highest level that was agreed on when the session was opened.
    pub(crate) max: Privilege,
    /// IPMI 2.0 (RMCP+), not 1.5.
    pub(crate) v20: bool,
    /// The remote console.
    pub(crate) peer: SocketAddr,
    /// The cipher suite has a confidentiality algorithm.
    pub(crate) encrypted: bool,
    /// The cipher suite has an integrity algorithm.
    pub(crate) authenticated: bool,
}

/// How a command names a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionRef {
    /// The one that the command came by.
    Own,
    /// By its handle.
    Handle(u8),
    /// By its id.
    Id(u32),
    /// The n-th active one, counted from 1.
    Nth(u8),
}

/// What an activation of SOL is answered with (IPMI 2.0 Table 24-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SolActivation {
    /// Largest payload to the BMC, in bytes.
    pub(crate) inbound_size: u16,
    /// Largest payload from the BMC, in bytes.
    pub(crate) outbound_size: u16,
    /// The UDP port that the payload is served on, as the remote console sees it.
    pub(crate) port: u16,
}

/// What an activation of SOL asks for (§24.1), after its checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SolRequest {
    /// SOL packets are encrypted.
    pub(crate) encrypt: bool,
    /// SOL packets are authenticated.
    pub(crate) authenticate: bool,
    /// What becomes of serial and modem alerts, 0 to 2.
    pub(crate) serial_alerts: u8,
    /// CTS, DCD and DSR stay deasserted until the remote console asserts them.
    pub(crate) hold_handshake: bool,
}

/// The sessions, as commands see them.
pub(crate) trait SessionPort {
    /// The session that the command came by; `None` outside a session, or in band.
    fn current(&self) -> Option<SessionFacts>;
    /// The session that a command means.
    fn find(&self, which: SessionRef) -> Option<SessionFacts>;
    /// How many sessions there can be at a time.
    fn capacity(&self) -> u8;
    /// How many are active.
    fn active(&self) -> u8;
    /// Sets the operating level of the current session. The handler has checked it.
    fn set_privilege(&mut self, level: Privilege);
    /// Ends a session; false if there is none. The current one ends after the reply has been sent.
    fn close(&mut self, which: SessionRef) -> bool;
    /// Which session has SOL now.
    fn sol_owner(&self) -> Option<SessionFacts>;
    /// The UDP port that SOL is served on, as remote consoles see it.
    fn sol_port(&self) -> u16;
    /// Gives SOL to the current session. If another has it, that one is told and loses it. The handler
    /// has made all checks.
    fn sol_activate(&mut self, request: SolRequest) -> SolActivation;
    /// Ends SOL. If `by_other`, the session that has it is told.
    fn sol_deactivate(&mut self, by_other: bool);
    /// Begins an IPMI 1.5 session (MD5): a temporary session id and a challenge (§22.16).
    fn challenge_v15(&mut self, name: &[u8; 16]) -> Result<(u32, [u8; 16]), CompletionCode>;
    /// Activates an IPMI 1.5 session (§22.17): session id, first inbound sequence number, highest level.
    fn activate_v15(
        &mut self,
        max: Privilege,
        challenge: &[u8; 16],
        initial_outbound_seq: u32,
    ) -> Result<(u32, u32, Privilege), CompletionCode>;
}
