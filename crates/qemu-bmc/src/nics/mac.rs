//! Which hardware address a NIC has.
//!
//! Nodes of a lab share links, so addresses differ between nodes as well as between NICs; and a guest knows its
//! NICs by their addresses, so each keeps its own whatever becomes of the others. Both follow from making an
//! address of nothing but the node's identity and the NIC's name, unless one was chosen.

use std::iter;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::config::{Mac, Macs};

/// The part of an address that QEMU's devices have in common: locally administered, as they come from no maker.
const QEMU: [u8; 3] = [0x52, 0x54, 0x00];

/// Addresses that belong to interfaces by their number, from the base on, also where there is no such interface.
const NUMBERED: u32 = 1 << 16;

/// The address of this node's NIC. `taken` says whether another of its NICs has an address, in which case one
/// that is derived makes way; one that was chosen doesn't.
pub(crate) fn address(nic: &str, macs: &Macs, node: Uuid, taken: impl Fn(Mac) -> bool) -> Mac {
    let is_free = |mac: &Mac| {
        let numbered = macs.base.and_then(|base| mac.distance(base)).is_some_and(|number| number < NUMBERED);
        !numbered && !macs.by_interface.values().any(|chosen| chosen == mac) && !taken(*mac)
    };
    macs.chosen(nic).unwrap_or_else(|| {
        let mut derived = derived(nic, node);
        // They don't end before one is free: a node has not sixteen million NICs.
        derived.find(is_free).unwrap_or(Mac([QEMU[0], QEMU[1], QEMU[2], 0, 0, 1]))
    })
}

/// Addresses for a NIC, the one that it has unless there is something against it first.
fn derived(nic: &str, node: Uuid) -> impl Iterator<Item = Mac> {
    let first = Sha256::new().chain_update(node.as_bytes()).chain_update(nic).finalize();
    iter::successors(Some(first), |hash| Some(Sha256::digest(hash))).map(|hash| {
        let [a, b, c] = QEMU;
        let [d, e, f, ..]: [u8; 32] = hash.into();
        Mac([a, b, c, d, e, f])
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const NICS: [&str; 5] = ["mgmt", "eth2", "eth3", "eth10", "ens3"];

    fn node(number: u32) -> Uuid {
        Uuid::from_u128(u128::from(number))
    }

    fn mac(text: &str) -> Mac {
        text.parse().unwrap()
    }

    /// The addresses of a node's NICs, each in the knowledge of those before.
    fn addresses(nics: &[&str], macs: &Macs, node: Uuid) -> Vec<Mac> {
        let mut all = Vec::new();
        for nic in nics {
            all.push(address(nic, macs, node, |mac| all.contains(&mac)));
        }
        all
    }

    fn free(_: Mac) -> bool {
        false
    }

    #[test]
    fn ten_nodes_have_fifty_different_addresses() {
        let all: BTreeSet<Mac> =
            (0..10).flat_map(|number| addresses(&NICS, &Macs::default(), node(number))).collect();
        assert_eq!(all.len(), 50);
        assert!(all.iter().all(|mac| mac.0.starts_with(&QEMU)), "{all:?}");
    }

    #[test]
    fn a_nic_keeps_its_address_whatever_the_others_do() {
        let [node, none] = [node(7), Uuid::nil()];
        let alone = address("eth3", &Macs::default(), node, free);
        let mut reversed = NICS;
        reversed.reverse();
        let position = |nics: &[&str]| nics.iter().position(|nic| *nic == "eth3").unwrap();
        for nics in [&NICS[..], &NICS[2..], &reversed] {
            assert_eq!(addresses(nics, &Macs::default(), node)[position(nics)], alone, "{nics:?}");
        }
        assert_ne!(address("eth3", &Macs::default(), none, free), alone, "another node");
        // It is in guests' configurations, and so must not change with the program either.
        assert_eq!(alone, mac("52:54:00:25:2b:ae"));
    }

    #[test]
    fn addresses_can_be_chosen_by_number_or_one_by_one() {
        let macs = Macs {
            base: Some(mac("02:00:00:00:01:00")),
            by_interface: [("eth3".into(), mac("02:00:00:00:00:03"))].into(),
        };
        assert_eq!(
            addresses(&["mgmt", "eth2", "eth3", "eth10"], &macs, node(1)),
            ["02:00:00:00:01:00", "02:00:00:00:01:02", "02:00:00:00:00:03", "02:00:00:00:01:0a"].map(mac)
        );
        // No number, or none that there is room for.
        let plain = |nic: &str| address(nic, &Macs::default(), node(1), free);
        let macs = Macs { base: Some(mac("02:00:00:ff:ff:fe")), ..Macs::default() };
        assert_eq!(addresses(&["lab", "eth2"], &macs, node(1)), [plain("lab"), plain("eth2")]);
    }

    #[test]
    fn a_derived_address_makes_way() {
        let first = address("eth2", &Macs::default(), node(1), free);
        let second = address("eth2", &Macs::default(), node(1), |mac| mac == first);
        assert_ne!(first, second);
        for macs in [
            Macs { base: None, by_interface: [("eth9".into(), first)].into() },
            Macs { base: Some(first), by_interface: [("eth9".into(), first)].into() },
        ] {
            let name = if macs.base.is_some() { "lab" } else { "eth2" };
            let own = address(name, &macs, node(1), free);
            assert!(own != first && own.0.starts_with(&QEMU), "{own}");
        }
        let own = address("eth2", &Macs::default(), node(1), |mac| mac == first || mac == second);
        assert!(own != first && own != second);
    }

    proptest! {
        #[test]
        fn no_two_nics_of_a_node_have_one_address(
            number in any::<u32>(),
            nics in proptest::collection::btree_set("[a-z]{1,3}[0-9]{0,2}", 1..20),
            chosen in any::<[u8; 3]>(),
        ) {
            let [d, e, f] = chosen;
            let chosen = Mac([QEMU[0], QEMU[1], QEMU[2], d, e, f]);
            let nics: Vec<&str> = nics.iter().map(String::as_str).collect();
            let macs = Macs { base: None, by_interface: [(nics[0].to_owned(), chosen)].into() };
            let all = addresses(&nics, &macs, node(number));
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), nics.len());
        }
    }
}
