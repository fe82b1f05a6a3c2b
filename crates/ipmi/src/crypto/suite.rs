//! Cipher suites (IPMI 2.0 §22.15.2, Table 22-20). Only the two that authenticate, sign and encrypt and
//! that clients use exist here, so that no setting can enable suite 0.

use crate::wire::{
    open_session::{Algorithms, Proposal},
    rakp::Status,
};

/// A cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// 3: RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128.
    Sha1,
    /// 17: RAKP-HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128.
    Sha256,
}

impl Suite {
    /// All, strongest first.
    const ALL: [Self; 2] = [Self::Sha256, Self::Sha1];

    /// Its number.
    pub(crate) fn id(self) -> u8 {
        match self {
            Self::Sha1 => 3,
            Self::Sha256 => 17,
        }
    }

    /// The suite with this number.
    pub(crate) fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.id() == id)
    }

    /// Its algorithms (Tables 13-17 to 13-19).
    pub(crate) fn algorithms(self) -> Algorithms<u8> {
        match self {
            Self::Sha1 => Algorithms { authentication: 1, integrity: 1, confidentiality: 1 },
            Self::Sha256 => Algorithms { authentication: 3, integrity: 4, confidentiality: 1 },
        }
    }

    /// Size of the code on a packet and in RAKP 4, in bytes.
    pub(crate) fn code_size(self) -> usize {
        match self {
            Self::Sha1 => 12,
            Self::Sha256 => 16,
        }
    }

    /// The strongest enabled suite whose algorithms are all proposed.
    ///
    /// # Errors
    /// The status that names what is wrong with the proposal: an algorithm that no enabled suite has, or
    /// a combination that none has.
    pub(crate) fn choose(proposal: &Proposal, enabled: &[u8]) -> Result<Self, Status> {
        let fits = |proposed: Option<u8>, ours: u8| proposed.is_none_or(|proposed| proposed == ours);
        let served = || Self::ALL.into_iter().filter(|suite| enabled.contains(&suite.id()));
        let any = |fits: &dyn Fn(Algorithms<u8>) -> bool| served().any(|suite| fits(suite.algorithms()));
        if !any(&|ours| fits(proposal.authentication, ours.authentication)) {
            return Err(Status::INVALID_AUTHENTICATION);
        }
        if !any(&|ours| fits(proposal.integrity, ours.integrity)) {
            return Err(Status::INVALID_INTEGRITY);
        }
        if !any(&|ours| fits(proposal.confidentiality, ours.confidentiality)) {
            return Err(Status::INVALID_CONFIDENTIALITY);
        }
        served()
            .find(|suite| {
                let ours = suite.algorithms();
                fits(proposal.authentication, ours.authentication)
                    && fits(proposal.integrity, ours.integrity)
                    && fits(proposal.confidentiality, ours.confidentiality)
            })
            .ok_or(Status::NO_SUITE_MATCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(authentication: u8, integrity: u8, confidentiality: u8) -> Proposal {
        Algorithms {
            authentication: Some(authentication),
            integrity: Some(integrity),
            confidentiality: Some(confidentiality),
        }
    }

    #[test]
    fn the_whole_triple_has_to_match() {
        assert_eq!(Suite::choose(&proposal(1, 1, 1), &[3, 17]), Ok(Suite::Sha1));
        assert_eq!(Suite::choose(&proposal(3, 4, 1), &[3, 17]), Ok(Suite::Sha256));
        assert_eq!(Suite::choose(&proposal(1, 4, 1), &[3, 17]), Err(Status::NO_SUITE_MATCH));
        assert_eq!(Suite::choose(&proposal(3, 1, 1), &[3, 17]), Err(Status::NO_SUITE_MATCH));
    }

    #[test]
    fn the_status_names_what_is_not_served() {
        assert_eq!(Suite::choose(&proposal(0, 0, 0), &[3, 17]), Err(Status::INVALID_AUTHENTICATION));
        assert_eq!(Suite::choose(&proposal(1, 0, 0), &[3, 17]), Err(Status::INVALID_INTEGRITY));
        assert_eq!(Suite::choose(&proposal(1, 1, 0), &[3, 17]), Err(Status::INVALID_CONFIDENTIALITY));
        assert_eq!(Suite::choose(&proposal(1, 1, 2), &[3, 17]), Err(Status::INVALID_CONFIDENTIALITY));
        assert_eq!(Suite::choose(&proposal(2, 2, 1), &[3, 17]), Err(Status::INVALID_AUTHENTICATION));
        assert_eq!(Suite::choose(&proposal(1, 1, 1), &[17]), Err(Status::INVALID_AUTHENTICATION));
        assert_eq!(Suite::choose(&proposal(1, 1, 1), &[]), Err(Status::INVALID_AUTHENTICATION));
    }

    #[test]
    fn suite_0_cannot_be_enabled() {
        assert_eq!(Suite::choose(&proposal(0, 0, 0), &[0, 3, 17]), Err(Status::INVALID_AUTHENTICATION));
        let all: Vec<u8> = (0..=255).collect();
        for (authentication, integrity, confidentiality) in [(0, 0, 0), (1, 0, 0), (1, 1, 0), (3, 4, 0)] {
            assert!(Suite::choose(&proposal(authentication, integrity, confidentiality), &all).is_err());
        }
    }

    #[test]
    fn an_open_proposal_gets_the_strongest() {
        let open = Algorithms { authentication: None, integrity: None, confidentiality: None };
        assert_eq!(Suite::choose(&open, &[3, 17]), Ok(Suite::Sha256));
        assert_eq!(Suite::choose(&open, &[3]), Ok(Suite::Sha1));
        let sha1 = Algorithms { authentication: Some(1), ..open };
        assert_eq!(Suite::choose(&sha1, &[3, 17]), Ok(Suite::Sha1));
    }
}
