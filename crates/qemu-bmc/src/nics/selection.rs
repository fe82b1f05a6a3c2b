//! Which NICs the guest has, of what was asked for and of the interfaces that there are.
//!
//! The order is that in which the guest finds them: the one for management, then the interfaces', in the order
//! in which they were named, or by number. It is also the order of their places on the bus, so the guest's names
//! for them stay.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Link, mac::address};
use crate::config::{FALLBACK_NIC, MANAGEMENT_NIC, Mac, Mode, Networks, NicsPlan, lab_number};

/// A NIC that the guest is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nic {
    /// Its interface's name, which is its own; one without an interface has a name that says what it is for.
    pub(crate) name: String,
    /// Never [`Mode::None`]. The interface exists if the mode attaches it.
    pub(crate) mode: Mode,
    pub(crate) mac: Mac,
}

/// The NICs that there are to be now, in order.
pub(crate) fn select(plan: &NicsPlan, node: Uuid, links: &[Link]) -> Vec<Nic> {
    let mut nics = Vec::new();
    let management = plan.management.then(|| MANAGEMENT_NIC.to_owned());
    for name in management.into_iter().chain(interfaces(plan, links)) {
        nics.extend(nic(plan, node, &name, links, &nics));
    }
    if nics.is_empty() {
        nics.extend(last_resort(plan, node));
    }
    nics
}

/// The NIC of a machine that has no other, if it is to have one then.
pub(crate) fn last_resort(plan: &NicsPlan, node: Uuid) -> Option<Nic> {
    plan.never_without().then(|| nic(plan, node, FALLBACK_NIC, &[], &[])).flatten()
}

/// The NIC for an interface that came to light while the machine runs with `others`, if it is to have one.
pub(crate) fn appeared(plan: &NicsPlan, node: Uuid, link: &Link, others: &[Nic]) -> Option<Nic> {
    let is_new = !others.iter().any(|other| other.name == link.name);
    let links = std::slice::from_ref(link);
    let wanted = is_new && interfaces(plan, links).contains(&link.name);
    wanted.then(|| nic(plan, node, &link.name, links, others)).flatten()
}

fn nic(plan: &NicsPlan, node: Uuid, name: &str, links: &[Link], others: &[Nic]) -> Option<Nic> {
    let mode = plan.mode_of(name)?;
    if mode.is_attached() && !links.iter().any(|link| link.name == name) {
        return None;
    }
    let mac = address(name, &plan.macs, node, |mac| others.iter().any(|other| other.mac == mac));
    Some(Nic { name: name.to_owned(), mode, mac })
}

/// The interfaces that are asked for, whether or not those that were named are there.
fn interfaces(plan: &NicsPlan, links: &[Link]) -> Vec<String> {
    match &plan.networks {
        Networks::None => Vec::new(),
        Networks::Named(names) => names.clone(),
        Networks::Auto => {
            let mut found: Vec<_> =
                links.iter().filter_map(|link| Some((lab_number(&link.name)?, link.name.clone()))).collect();
            found.sort();
            found.into_iter().map(|(_, name)| name).collect()
        }
    }
}

/// The order in which the firmware tries NICs: the one that was picked, then those with an interface, then those
/// without.
pub(crate) fn boot_order(plan: &NicsPlan, nics: &[Nic]) -> Vec<String> {
    let mut order: Vec<&str> = nics.iter().map(|nic| nic.name.as_str()).collect();
    order.sort_by_key(|name| {
        let picked = plan.boot_nic.as_deref() == Some(*name);
        (!picked, [MANAGEMENT_NIC, FALLBACK_NIC].contains(name))
    });
    order.into_iter().map(str::to_owned).collect()
}

/// What a start waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Interfaces of these names.
    Named(Vec<String>),
    /// So many of a lab's links, of so many.
    Links { missing: usize, expected: usize },
}

/// What the lab has not added yet, as far as it is known what it will.
pub(crate) fn missing(plan: &NicsPlan, links: &[Link]) -> Option<Missing> {
    let exists = |name: &str| links.iter().any(|link| link.name == name);
    match (&plan.networks, plan.expected_links) {
        (Networks::Named(names), _) => {
            let needed = names.iter().filter(|name| plan.modes.of(name).is_attached());
            let absent: Vec<_> = needed.filter(|name| !exists(name)).cloned().collect();
            (!absent.is_empty()).then_some(Missing::Named(absent))
        }
        (Networks::Auto, Some(expected)) => {
            let is_lab_s = |name: &str| name == "eth1" || lab_number(name).is_some();
            let found = links.iter().filter(|link| is_lab_s(&link.name)).count();
            let missing = expected.checked_sub(found).filter(|missing| *missing > 0)?;
            Some(Missing::Links { missing, expected })
        }
        (Networks::Auto | Networks::None, _) => None,
    }
}

/// As a sentence goes on after "waits for" or "missing:".
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(names) => write!(f, "{} (VM_NETWORKS)", names.join(", ")),
            Self::Links { missing, expected } => {
                write!(f, "{missing} of the lab's {expected} links from eth1 on (CLAB_INTFS)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Fallback, Macs, Modes};

    fn plan() -> NicsPlan {
        NicsPlan {
            networks: Networks::Auto,
            expected_links: None,
            wait: Duration::ZERO,
            modes: Modes { usual: Mode::Redirect, by_interface: [].into() },
            fallback: Fallback::User,
            model: "virtio-net-pci".into(),
            macs: Macs::default(),
            forwards: Vec::new(),
            management: false,
            boot_nic: None,
        }
    }

    fn named(names: &[&str]) -> NicsPlan {
        let names = names.iter().map(ToString::to_string).collect();
        NicsPlan { networks: Networks::Named(names), ..plan() }
    }

    fn with_modes(usual: Mode, single: &[(&str, Mode)], plan: NicsPlan) -> NicsPlan {
        let by_interface = single.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect();
        NicsPlan { modes: Modes { usual, by_interface }, ..plan }
    }

    fn links(names: &[&str]) -> Vec<Link> {
        let link = |name: &&str| Link { name: (*name).into(), index: 1, mtu: 1500, up: true };
        names.iter().map(link).collect()
    }

    fn selected(plan: &NicsPlan, there: &[&str]) -> Vec<(String, Mode)> {
        let nics = select(plan, Uuid::nil(), &links(there));
        nics.into_iter().map(|nic| (nic.name, nic.mode)).collect()
    }

    fn expect(plan: &NicsPlan, there: &[&str], expected: &[(&str, Mode)]) {
        let expected: Vec<_> = expected.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect();
        assert_eq!(selected(plan, there), expected, "{there:?}");
    }

    #[test]
    fn a_lab_s_interfaces_are_in_numeric_order() {
        use Mode::*;
        let there = ["lo", "eth10", "eth9", "eth1", "eth0", "eth02", "qb-eth2", "eth2"];
        expect(&plan(), &there, &[("eth2", Redirect), ("eth9", Redirect), ("eth10", Redirect)]);
        let modes = with_modes(Bridge, &[("eth9", User), ("eth2", None)], plan());
        expect(&modes, &there, &[("eth9", User), ("eth10", Bridge)]);
        let with_management = NicsPlan { management: true, ..plan() };
        expect(&with_management, &there[..3], &[("mgmt", User), ("eth9", Redirect), ("eth10", Redirect)]);
        expect(&NicsPlan { networks: Networks::None, ..plan() }, &there, &[]);
    }

    #[test]
    fn named_interfaces_are_in_their_own_order_and_user_mode_needs_none() {
        use Mode::*;
        let plan = with_modes(Redirect, &[("eth7", User)], named(&["ens3", "eth7", "eth2"]));
        expect(&plan, &["eth2", "eth3", "ens3"], &[("ens3", Redirect), ("eth7", User), ("eth2", Redirect)]);
        expect(&plan, &["eth3"], &[("eth7", User)]);
    }

    #[test]
    fn a_machine_without_an_interface_has_a_nic_behind_nat_unless_told_not_to() {
        expect(&plan(), &["eth0", "eth1"], &[("user", Mode::User)]);
        let none = NicsPlan { fallback: Fallback::None, ..plan() };
        expect(&none, &["eth0"], &[]);
        expect(&with_modes(Mode::User, &[], none), &["eth0"], &[("user", Mode::User)]);
        expect(&NicsPlan { management: true, ..plan() }, &[], &[("mgmt", Mode::User)]);
        expect(&named(&["eth2"]), &[], &[]);
    }

    #[test]
    fn what_appears_later_is_judged_alike() {
        let plan = with_modes(Mode::Redirect, &[("eth4", Mode::None)], plan());
        let running = select(&plan, Uuid::nil(), &links(&["eth2"]));
        let later = |plan: &NicsPlan, name: &str| {
            Some(appeared(plan, Uuid::nil(), &links(&[name])[0], &running)?.name)
        };
        assert_eq!(later(&plan, "eth3").as_deref(), Some("eth3"));
        for name in ["eth2", "eth1", "eth4", "ens3"] {
            assert_eq!(later(&plan, name), None, "{name}");
        }
        assert_eq!(later(&named(&["eth2", "ens3"]), "ens3").as_deref(), Some("ens3"));
        assert_eq!(later(&named(&["eth2", "ens3"]), "eth3"), None);
    }

    #[test]
    fn the_network_is_booted_from_the_first_interface_or_the_one_that_was_picked() {
        let plan = NicsPlan { management: true, ..plan() };
        let order =
            |plan: &NicsPlan| boot_order(plan, &select(plan, Uuid::nil(), &links(&["eth2", "eth3", "eth4"])));
        assert_eq!(order(&plan), ["eth2", "eth3", "eth4", "mgmt"]);
        for (picked, expected) in [
            ("eth3", ["eth3", "eth2", "eth4", "mgmt"]),
            ("mgmt", ["mgmt", "eth2", "eth3", "eth4"]),
            ("eth9", ["eth2", "eth3", "eth4", "mgmt"]),
        ] {
            assert_eq!(order(&NicsPlan { boot_nic: Some(picked.into()), ..plan.clone() }), expected);
        }
    }

    #[test]
    fn a_lab_s_links_are_waited_for() {
        let says = |plan: &NicsPlan, there: &[&str]| missing(plan, &links(there)).map(|it| it.to_string());
        assert_eq!(says(&plan(), &["eth0"]), None, "nobody said how many");
        let lab = NicsPlan { expected_links: Some(3), ..plan() };
        assert_eq!(
            says(&lab, &["lo", "eth0", "eth1"]).as_deref(),
            Some("2 of the lab's 3 links from eth1 on (CLAB_INTFS)")
        );
        assert_eq!(says(&lab, &["eth1", "eth2", "eth5"]), None);
        assert_eq!(says(&lab, &["eth1", "eth2", "eth3", "eth4"]), None);

        let named = named(&["eth2", "ens3", "eth7"]);
        let named =
            NicsPlan { expected_links: Some(9), ..with_modes(Mode::Bridge, &[("eth7", Mode::User)], named) };
        assert_eq!(says(&named, &["eth3"]).as_deref(), Some("eth2, ens3 (VM_NETWORKS)"));
        assert_eq!(says(&named, &["ens3", "eth2"]), None);
        assert_eq!(says(&NicsPlan { networks: Networks::None, ..lab }, &[]), None);
    }

    proptest! {
        /// Whatever else is there, a NIC has the same address and mode, and no other NIC has its address.
        #[test]
        fn nics_do_not_depend_on_each_other(
            all in proptest::sample::subsequence((0..20).collect::<Vec<u32>>(), 0..20),
            some in any::<[bool; 20]>(),
        ) {
            let plan = NicsPlan { fallback: Fallback::None, ..plan() };
            let names: Vec<String> = all.iter().map(|number| format!("eth{number}")).collect();
            let all = links(&names.iter().map(String::as_str).collect::<Vec<_>>());
            let fewer: Vec<Link> = all.iter().zip(some).filter(|(_, keep)| *keep).map(|(link, _)| link.clone()).collect();
            let (whole, part) = (select(&plan, Uuid::nil(), &all), select(&plan, Uuid::nil(), &fewer));
            prop_assert!(part.iter().all(|nic| whole.contains(nic)));
            let mut macs: Vec<_> = whole.iter().map(|nic| nic.mac).collect();
            macs.sort();
            macs.dedup();
            prop_assert_eq!(macs.len(), whole.len());
        }
    }
}
