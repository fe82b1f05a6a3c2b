//! The guest's NICs: what their settings mean together, and with those of the doors.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use crate::config::{
    nics::*,
    plan::{ConsolePlan, LanPlan, VncPlan},
    reader::Reader,
    said::{Member, meant_by},
    settings,
};

impl Reader<'_> {
    pub(super) fn nics(&mut self) -> Option<NicsPlan> {
        let networks = self.get(&settings::VM_NETWORKS);
        let wait = self.get(&settings::VM_NETWORKS_WAIT);
        let expected_links = self.get(&settings::CLAB_INTFS);
        let modes = self.get(&settings::VM_NETWORK_MODE);
        let fallback = self.get(&settings::VM_NETWORK_FALLBACK);
        let management = self.get(&settings::VM_MGMT);
        let forwards = self.get(&settings::VM_HOSTFWD);
        let model = self.get(&settings::VM_NIC_MODEL);
        let boot_nic = self.get(&settings::VM_BOOT_NIC);
        let base = self.get(&settings::VM_MAC_BASE);

        let mut plan = NicsPlan {
            networks: networks?,
            expected_links: expected_links?,
            wait: wait?,
            modes: modes?,
            fallback: fallback?,
            model: model?,
            macs: Macs { base: base?, by_interface: BTreeMap::new() },
            forwards: forwards?,
            management: management?,
            boot_nic: boot_nic?,
        };
        plan.macs.by_interface = self.single_macs(&plan)?;
        self.check_names(&plan);
        self.check_macs(&plan);
        self.check_modes(&plan);
        Some(plan)
    }

    /// Addresses of single NICs. Nothing is made of those of a NIC that there can't be.
    fn single_macs(&mut self, plan: &NicsPlan) -> Option<BTreeMap<String, Mac>> {
        let mut macs: BTreeMap<String, (Option<Mac>, Member)> = BTreeMap::new();
        let members = self.texts.members(&settings::VM_MAC.row);
        if members.is_empty() {
            self.show(&settings::VM_MAC.row, "");
        }
        for member in members {
            let Some(nic) = self.nic_of(plan, &member) else { continue };
            let mac = self.get_member(&settings::VM_MAC, &member);
            // A variable goes over the file, but not over another one.
            if let Some((_, other)) = macs.insert(nic.clone(), (mac, member.clone()))
                && other.is_variable()
            {
                let (one, other) = (other.place(), member.place());
                self.findings.problems.push(format!("{one} and {other} are both for {nic}: leave one out"));
            }
        }
        macs.into_iter().map(|(nic, (mac, _))| Some((nic, mac?))).collect()
    }

    /// The NIC that is meant. Variables are in upper case, which interfaces hardly ever are.
    fn nic_of(&mut self, plan: &NicsPlan, member: &Member) -> Option<String> {
        let mut candidates = vec![member.name.clone()];
        if member.is_variable() {
            candidates = vec![member.name.to_ascii_lowercase()];
            if let Networks::Named(names) = &plan.networks {
                candidates
                    .extend(names.iter().filter(|name| name.eq_ignore_ascii_case(&member.name)).cloned());
            }
        }
        candidates.retain(|nic| plan.mode_of(nic).is_some());
        candidates.dedup();
        match candidates.as_slice() {
            [nic] => Some(nic.clone()),
            [] => {
                let meant = meant_by(&member.variable()).map(|meant| format!("; did you mean {meant}?"));
                let place = member.place();
                self.warn(format!("{place}: the guest has no such NIC{}", meant.unwrap_or_default()));
                None
            }
            several => {
                let problem = format!(
                    "{}: this can be {}: say which in the file",
                    member.place(),
                    several.join(" or ")
                );
                self.findings.problems.push(problem);
                None
            }
        }
    }

    fn check_names(&mut self, plan: &NicsPlan) {
        if let Networks::Named(names) = &plan.networks {
            if plan.management && names.iter().any(|name| name == MANAGEMENT_NIC) {
                self.refuse(
                    &settings::VM_NETWORKS.row,
                    &format!("the NIC for management has the name {MANAGEMENT_NIC} (VM_MGMT)"),
                );
            }
            if names.iter().any(|name| name == "eth0" && plan.modes.of(name).is_attached()) {
                self.warn(
                    "eth0 becomes the guest's (VM_NETWORKS): IPMI and VNC are not reached by it any more",
                );
            }
        }
        for name in plan.modes.by_interface.keys() {
            let mut other = plan.clone();
            other.modes = Modes { usual: Mode::Redirect, by_interface: BTreeMap::new() };
            if other.mode_of(name).is_none() || [MANAGEMENT_NIC, FALLBACK_NIC].contains(&name.as_str()) {
                let place = self.texts.name(&settings::VM_NETWORK_MODE.row);
                self.warn(format!("{place}: {name} is not one of the guest's interfaces (VM_NETWORKS)"));
            }
        }
        if let Some(nic) = &plan.boot_nic
            && plan.mode_of(nic).is_none()
        {
            self.refuse(
                &settings::VM_BOOT_NIC.row,
                "the guest has no such NIC (VM_NETWORKS, VM_NETWORK_MODE, VM_MGMT)",
            );
        }
    }

    /// Addresses that were chosen differ. One that is derived makes way for them.
    fn check_macs(&mut self, plan: &NicsPlan) {
        let mut nics: Vec<String> = plan.macs.by_interface.keys().cloned().collect();
        nics.extend(plan.management.then(|| MANAGEMENT_NIC.into()));
        match &plan.networks {
            Networks::Named(names) => nics.extend(names.iter().cloned()),
            Networks::Auto => {
                let distance = |mac: &Mac| mac.distance(plan.macs.base?);
                let by_number = plan.macs.by_interface.values().filter_map(distance);
                nics.extend(by_number.map(|number| format!("eth{number}")));
                nics.push("eth2".into());
            }
            Networks::None => {}
        }
        nics.sort();
        nics.dedup();

        let mut owners: BTreeMap<Mac, String> = BTreeMap::new();
        for nic in nics.into_iter().filter(|nic| plan.mode_of(nic).is_some()) {
            let Some(mac) = plan.macs.chosen(&nic) else {
                continue;
            };
            if let Some(other) = owners.get(&mac) {
                self.findings.problems.push(format!(
                    "{other} and {nic} would have the same address, {mac}: give one of them another (VM_MAC_<INTERFACE>, VM_MAC_BASE)"
                ));
            }
            owners.insert(mac, nic);
        }
    }

    fn check_modes(&mut self, plan: &NicsPlan) {
        let mut modes = vec![];
        match &plan.networks {
            Networks::Named(names) => modes.extend(names.iter().map(|name| plan.modes.of(name))),
            Networks::Auto if plan.never_without() => modes.push(Mode::User),
            Networks::Auto => {
                modes.push(plan.modes.usual);
                modes.extend(plan.modes.by_interface.values());
            }
            Networks::None => {}
        }
        if !plan.forwards.is_empty() && !plan.management && !modes.contains(&Mode::User) {
            let place = self.texts.name(&settings::VM_HOSTFWD.row);
            self.warn(format!(
                "{place}: no NIC is in mode user, so nothing is forwarded (VM_MGMT=user adds one)"
            ));
        }
    }

    /// QEMU listens for what it forwards in this container too.
    pub(super) fn check_forwards(
        &mut self,
        forwards: &[Forward],
        lan: &LanPlan,
        vnc: &VncPlan,
        console: &ConsolePlan,
    ) {
        let here = [IpAddr::from(Ipv4Addr::LOCALHOST)];
        let doors = [
            ("IPMI's", &settings::IPMI_PORT.row, false, lan.addresses.as_slice(), Some(lan.port)),
            ("VNC's", &settings::VNC_PORT.row, true, &vnc.addresses, vnc.port),
            ("the serial console's", &settings::SOL_PORT.row, true, &here, console.sol_port),
        ];
        for (whose, row, tcp, addresses, port) in doors {
            let taken = |forward: &&Forward| {
                port.is_some_and(|port| {
                    addresses.iter().any(|address| forward.collides(tcp, Some(*address), port))
                })
            };
            if let Some(forward) = forwards.iter().find(taken) {
                let (protocol, port, place) = (forward.protocol(), forward.port, self.texts.name(row));
                self.refuse(
                    &settings::VM_HOSTFWD.row,
                    &format!("{protocol} port {port} is {whose} ({place})"),
                );
            }
        }
    }

    /// An interface is the guest's or the controller's.
    pub(super) fn check_interface(&mut self, nics: &NicsPlan, lan: &LanPlan) {
        if lan.interface.as_deref().and_then(|name| nics.mode_of(name)).is_some_and(Mode::is_attached) {
            let networks = self.texts.name(&settings::VM_NETWORKS.row);
            self.refuse(
                &settings::IPMI_INTERFACE.row,
                &format!("this interface is the guest's ({networks})"),
            );
        }
    }
}
