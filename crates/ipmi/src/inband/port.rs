//! The sessions as commands in band see them: there are none, and sessions of the LAN can't be reached.

use bmc::Privilege;

use crate::{
    CompletionCode,
    command::{SessionFacts, SessionPort, SessionRef, SolActivation, SolRequest},
};

/// The view.
pub(super) struct NoSessions {
    pub(super) sol_port: u16,
}

impl SessionPort for NoSessions {
    fn current(&self) -> Option<SessionFacts> {
        None
    }

    fn find(&self, _: SessionRef) -> Option<SessionFacts> {
        None
    }

    fn capacity(&self) -> u8 {
        0
    }

    fn active(&self) -> u8 {
        0
    }

    fn set_privilege(&mut self, _: Privilege) {}

    fn close(&mut self, _: SessionRef) -> bool {
        false
    }

    fn sol_owner(&self) -> Option<SessionFacts> {
        None
    }

    fn sol_port(&self) -> u16 {
        self.sol_port
    }

    fn sol_activate(&mut self, _: SolRequest) -> SolActivation {
        SolActivation { inbound_size: 0, outbound_size: 0, port: self.sol_port }
    }

    fn sol_deactivate(&mut self, _: bool) {}

    fn challenge_v15(&mut self, _: &[u8; 16]) -> Result<(u32, [u8; 16]), CompletionCode> {
        Err(CompletionCode::INVALID_COMMAND)
    }

    fn activate_v15(
        &mut self,
        _: Privilege,
        _: &[u8; 16],
        _: u32,
    ) -> Result<(u32, u32, Privilege), CompletionCode> {
        Err(CompletionCode::INVALID_COMMAND)
    }
}
