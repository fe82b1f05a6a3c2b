//! A bridge with two ports: the container's interface and the TAP device.
//!
//! A bridge keeps frames to the addresses that IEEE 802.1Q reserves for neighbours (01:80:c2:00:00:00 to 0f) to
//! itself unless it is told to forward them. For all ports at once Linux refuses that for the first three, which
//! are STP, pause frames and LACP; for single ports only for pause frames.

use netlink_packet_route::link::{
    BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind,
    LinkAttribute, LinkInfo,
};

use crate::netlink::{Netlink, Refusal};

/// A bit for each last octet of 01:80:c2:00:00:0X: all that a bridge forwards.
const BRIDGE_FORWARDS: u16 = 0xFFF8;
/// All that a port does.
const PORT_FORWARDS: u16 = 0xFFFD;

impl Netlink {
    /// Makes a bridge that adds nothing of its own: no spanning tree, no snooping for multicast groups.
    pub(super) fn make_bridge(&self, name: &str) -> Result<(), Refusal> {
        let options = vec![
            InfoBridge::StpState(BridgeStpState::Disabled),
            InfoBridge::ForwardDelay(0),
            InfoBridge::MulticastSnooping(false),
            InfoBridge::GroupFwdMask(BRIDGE_FORWARDS),
        ];
        self.make(name, InfoKind::Bridge, InfoData::Bridge(options), [])
    }

    /// Takes a port from its bridge.
    pub(super) fn remove_port(&self, port: u32) -> Result<(), Refusal> {
        self.set_attribute(port, LinkAttribute::Controller(0))
    }

    /// Makes an interface a port of a bridge.
    pub(super) fn add_port(&self, bridge: u32, port: u32) -> Result<(), Refusal> {
        self.set_attribute(port, LinkAttribute::Controller(bridge))?;
        let options = vec![InfoBridgePort::GroupFwdMask(PORT_FORWARDS)];
        let info = vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(options)),
        ];
        self.set_info(port, info)
    }
}
