//! Session sequence numbers (IPMI 2.0 §6.12.10 to §6.12.13): which inbound packets are new, and what
//! outbound ones are numbered.
//!
//! ```text
//!            seen or not: one bit each        accepted, moves the window
//!   too old │◀──────── 16 ────────▶│ highest │◀──────── 15 ────────▶│ too far
//! ```

/// How far behind the highest number a packet may be.
const BEHIND: u32 = 16;
/// How far ahead.
const AHEAD: u32 = 15;

/// The inbound window of one count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    highest: u32,
    /// Bit n: the number n below the highest was seen.
    seen: u32,
}

impl Window {
    /// A window that waits for `first`, and takes nothing before it.
    pub(super) fn expecting(first: u32) -> Self {
        Self { highest: first.wrapping_sub(1), seen: u32::MAX }
    }

    /// Whether a packet with this number is new. The number 0 is for packets outside a session.
    pub(super) fn admits(&self, sequence: u32) -> bool {
        let behind = self.highest.wrapping_sub(sequence);
        let ahead = sequence.wrapping_sub(self.highest);
        sequence != 0 && ((1..=AHEAD).contains(&ahead) || behind < BEHIND && self.seen & 1 << behind == 0)
    }

    /// Marks a number that was admitted, once its packet has proved to be genuine.
    pub(super) fn mark(&mut self, sequence: u32) {
        let behind = self.highest.wrapping_sub(sequence);
        if behind < BEHIND {
            self.seen |= 1 << behind;
        } else {
            let ahead = sequence.wrapping_sub(self.highest);
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = sequence;
        }
    }
}

/// An outbound count: up by one a packet, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outbound(u32);

impl Outbound {
    /// A count whose first number is `first`, or 1 if that is 0.
    pub(super) fn starting(first: u32) -> Self {
        Self(first.max(1))
    }

    /// The number of the next packet.
    pub(super) fn take(&mut self) -> u32 {
        let next = self.0;
        self.0 = next.checked_add(1).unwrap_or(1);
        next
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_window_moves_forward_and_looks_back_16() {
        let mut window = Window::expecting(1);
        assert!(!window.admits(0));
        assert!(window.admits(15) && !window.admits(16));
        window.mark(15);
        assert!(!window.admits(15), "a replay");
        assert!(window.admits(1) && window.admits(14) && window.admits(30) && !window.admits(31));
        window.mark(30);
        assert!(!window.admits(14) && window.admits(16), "16 back counts the highest itself");
        window.mark(16);
        assert!(!window.admits(16) && !window.admits(15));
    }

    #[test]
    fn nothing_before_the_first_is_admitted() {
        let window = Window::expecting(1000);
        assert!(!window.admits(999) && !window.admits(990) && window.admits(1000));
    }

    #[test]
    fn numbers_wrap_past_zero() {
        let mut window = Window::expecting(u32::MAX);
        window.mark(u32::MAX);
        assert!(!window.admits(0) && window.admits(1));
        window.mark(1);
        assert!(!window.admits(u32::MAX) && !window.admits(1) && window.admits(2));
        let mut outbound = Outbound::starting(u32::MAX);
        assert_eq!([outbound.take(), outbound.take(), outbound.take()], [u32::MAX, 1, 2]);
        assert_eq!(Outbound::starting(0).take(), 1);
    }

    proptest! {
        /// Whatever order they come in, no number is admitted twice, and none that is too far off.
        #[test]
        fn no_number_is_admitted_twice(
            first in prop_oneof![Just(1u32), Just(u32::MAX - 20), any::<u32>()],
            offsets in proptest::collection::vec(0u32..60, 0..200),
        ) {
            let mut window = Window::expecting(first);
            let mut seen = HashSet::new();
            for offset in offsets {
                let sequence = first.wrapping_add(offset);
                if window.admits(sequence) {
                    prop_assert!(seen.insert(sequence), "{} twice", sequence);
                    prop_assert_ne!(sequence, 0);
                    window.mark(sequence);
                    prop_assert!(!window.admits(sequence));
                }
            }
        }
    }
}
