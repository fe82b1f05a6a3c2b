//! Unpredictable numbers: session ids, RAKP random numbers, initialization vectors (CVE-2014-8272 is
//! what becomes of predictable ones). A stream cipher's generator, seeded once by the caller: asking the
//! kernel for every packet would cost as much as all of the packet's cryptography.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// The generator.
#[derive(Clone)]
pub(crate) struct Random(ChaCha20Rng);

impl Random {
    /// Takes 32 bytes of true randomness.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// Sixteen bytes.
    pub(crate) fn block(&mut self) -> [u8; 16] {
        let mut block = [0; 16];
        self.0.fill_bytes(&mut block);
        block
    }

    /// Any number.
    pub(crate) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number other than 0.
    pub(crate) fn nonzero(&mut self) -> u32 {
        loop {
            let number = self.0.next_u32();
            if number != 0 {
                return number;
            }
        }
    }

    /// A number below `limit`, or 0 if that is 0. The bias is below one in a million for the small
    /// limits that this serves.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % (limit.max(1) as u64)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_a_limit_are_below_it_and_reach_all() {
        let mut random = Random::new([7; 32]);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[random.below(5)] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn another_seed_gives_other_numbers() {
        assert_ne!(Random::new([1; 32]).block(), Random::new([2; 32]).block());
        let mut random = Random::new([1; 32]);
        assert_ne!(random.block(), random.block());
    }
}
