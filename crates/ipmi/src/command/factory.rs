//! Return to factory settings. IPMI has no command for it, so every manufacturer has one; Supermicro's number,
//! 30h:40h, is the best known. As Clear SEL does (IPMI 2.0 §31.9), this one asks for the letters "CLR", so that
//! nobody who only tries numbers out has nothing left.

use super::Context;
use crate::{CompletionCode, Reply};

/// OEM 40h. The answer leaves before the controller restarts.
pub(super) fn restore(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result<(), CompletionCode> {
    if data != b"CLR" {
        return Err(CompletionCode::INVALID_FIELD);
    }
    let by = context.requester();
    context.bmc.factory_reset(by);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bmc::Intent;

    use super::super::{table::OEM, tests::Bench};

    #[test]
    fn it_takes_the_three_letters() {
        let mut bench = Bench::new();
        assert_eq!(bench.code(OEM, 0x40, b"CLr"), 0xcc);
        assert_eq!(bench.code(OEM, 0x40, &[]), 0xc7);
        assert_eq!(bench.bmc.take_intent(), None);
        bench.ok(OEM, 0x40, b"CLR");
        assert_eq!(bench.bmc.take_intent(), Some(Intent::RestartController));
    }
}
