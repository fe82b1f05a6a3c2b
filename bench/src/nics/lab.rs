//! Two nodes with a link for each way.

use std::{path::Path, time::Duration};

use anyhow::Context as _;

use super::{
    Transfer, Way,
    guests::transfer,
    namespace::Namespace,
    node::Node,
    taps::{self, End},
};

/// How long a transfer takes.
const GUESTS_SEND: Duration = Duration::from_secs(1);
const TAPS_SEND: Duration = Duration::from_millis(500);

/// What stands first is dropped first.
pub(super) struct Lab {
    ends: Vec<(Way, [End; 2])>,
    nodes: [Node; 2],
    spaces: [Namespace; 2],
    /// Where the one bridge is.
    _middle: Namespace,
}

impl Lab {
    pub(super) fn new(program: &Path, guest: &Path) -> anyhow::Result<Self> {
        let spaces = [Namespace::new("a")?, Namespace::new("b")?];
        let middle = Namespace::new("middle")?;
        let [left, right] = &spaces;
        for way in Way::ALL.into_iter().filter(|way| *way != Way::OneBridge) {
            left.cable(&way.interface(), right)?;
        }
        for (space, number) in spaces.iter().zip(1..) {
            let way = Way::Veth;
            space.ip(&format!("address add {}/24 dev {}", address(way, number), way.interface()))?;
        }
        let [left, right] = [(left, 1), (right, 2)].map(|(space, number)| {
            Node::power_on(program, guest, space, number).with_context(|| format!("start node {number}"))
        });
        let mut nodes = [left?, right?];
        middle.ip("link add bridge type bridge forward_delay 0 mcast_snooping 0")?;
        middle.ip("link set bridge up")?;
        for (node, space) in nodes.iter_mut().zip(&spaces) {
            node.wait_until_booted()?;
            let port = node.hand_made();
            space.ip(&format!("link set {port} netns {}", middle.name()))?;
            middle.ip(&format!("link set {port} master bridge up"))?;
        }
        let ends = Vec::new();
        Ok(Self { ends, nodes, spaces, _middle: middle })
    }

    /// Sends frames from descriptor to descriptor.
    pub(super) fn frames(&mut self, way: Way, size: usize) -> anyhow::Result<Transfer> {
        if !self.ends.iter().any(|(known, _)| *known == way) {
            let [left, right] = self.find_ends(way);
            self.ends.push((way, [left?, right?]));
        }
        let (_, [from, to]) =
            self.ends.iter().find(|(known, _)| *known == way).context("find the way's descriptors")?;
        taps::transfer(from, to, size, TAPS_SEND)
    }

    fn find_ends(&self, way: Way) -> [anyhow::Result<End>; 2] {
        let [left, right] = &self.spaces;
        match way {
            Way::Veth => [left, right].map(|space| End::socket(space, &way.interface())),
            _ => self.nodes.each_ref().map(|node| node.tap(way)),
        }
    }

    /// Sends traffic from the first guest to the second, or from the first namespace to the second.
    pub(super) fn traffic(&mut self, way: Way, receive: &str, send: &str) -> anyhow::Result<Transfer> {
        const PORT: u16 = 5000;
        let there = format!("{}:{PORT}", address(way, 2));
        let send = format!("{send} {there} {}", GUESTS_SEND.as_secs_f64());
        let receive = format!("{receive} {there}");
        match (way, &mut self.nodes) {
            (Way::Veth, [left, right]) => {
                let [here, there] = &self.spaces;
                transfer(&mut left.tool(here), &send, &mut right.tool(there), &receive)
            }
            (_, [left, right]) => transfer(left, &send, right, &receive),
        }
    }

    /// From here on the guests read their NICs, and nobody else may.
    pub(super) fn address_guests(&mut self) -> anyhow::Result<()> {
        self.ends.clear();
        for (node, number) in self.nodes.iter_mut().zip(1..) {
            for way in Way::ALL.into_iter().filter(|way| *way != Way::Veth) {
                node.address(way, &address(way, number))?;
            }
        }
        Ok(())
    }

    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.nodes.iter_mut().try_for_each(Node::stop)
    }
}

/// The IP address of a node's end of a way.
fn address(way: Way, node: u8) -> String {
    format!("10.60.{}.{node}", way.number())
}
