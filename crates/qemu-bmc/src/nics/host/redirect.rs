//! Two interfaces as one wire: what comes in at either goes out at the other, whatever it is.
//!
//! ```text
//!      eth2 ── ingress ─▶ u32, matches all ─▶ mirred, egress redirect ─▶ TAP ── QEMU
//!      eth2 ◀─ mirred, egress redirect ◀─ u32, matches all ◀─ ingress ── TAP ── QEMU
//! ```
//!
//! A frame is taken before the kernel's own protocols and before a bridge's rules see it, which is why LLDP, LACP
//! and 802.1X pass. The classifier is u32 without any key, since some kernels have no matchall; a key, even one
//! whose mask is empty, would let frames by that are too short to have what it looks at.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{
        TcAction, TcActionAttribute, TcActionMirror, TcActionMirrorOption, TcActionOption, TcActionType,
        TcAttribute, TcFilterU32, TcFilterU32Option, TcHandle, TcHeader, TcMessage, TcMirror,
        TcMirrorActionType, TcOption, TcU32Selector, TcU32SelectorFlags,
    },
};
use rustix::io::Errno;

use super::netlink::{Netlink, Refusal};

const INGRESS: &str = "ingress";
/// Of a classic qdisc all of whose frames are incoming ones (linux/pkt_sched.h).
const HANDLE: TcHandle = TcHandle { major: u16::MAX, minor: 0 };
const TCM_HEADER_SIZE: usize = 20;
const ALL_PROTOCOLS: u16 = 0x0003;

impl Netlink {
    /// Whether somebody already does something to the frames that come in here.
    pub(super) fn has_ingress(&self, index: u32) -> Result<bool, Refusal> {
        let all = self.list(&RouteNetlinkMessage::GetQueueDiscipline(message(index, TcHandle::UNSPEC)))?;
        Ok(all.iter().any(|body| {
            let field = |from: usize| body.get(from..TCM_HEADER_SIZE).and_then(super::netlink::number);
            field(4) == Some(index) && field(12) == Some(TcHandle::INGRESS.into())
        }))
    }

    /// Sends whatever comes in at one interface out at the other.
    pub(super) fn redirect(&self, from: u32, to: u32) -> Result<(), Refusal> {
        let mut qdisc = message(from, TcHandle::INGRESS);
        qdisc.header.handle = HANDLE;
        qdisc.attributes = vec![TcAttribute::Kind(INGRESS.to_owned())];
        self.change(RouteNetlinkMessage::NewQueueDiscipline(qdisc), NLM_F_CREATE | NLM_F_EXCL)?;
        self.change(RouteNetlinkMessage::NewTrafficFilter(filter(from, to)), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Lets the frames that come in at an interface go their usual way again, and says whether they did not.
    pub(super) fn stop_redirecting(&self, from: u32) -> Result<bool, Refusal> {
        let mut qdisc = message(from, TcHandle::INGRESS);
        qdisc.header.handle = HANDLE;
        match self.change(RouteNetlinkMessage::DelQueueDiscipline(qdisc), 0) {
            Err(Refusal { errno: Errno::NOENT | Errno::INVAL | Errno::NODEV, .. }) => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }
}

fn filter(from: u32, to: u32) -> TcMessage {
    let mut mirror = TcMirror::default();
    mirror.generic.action = TcActionType::Stolen;
    mirror.eaction = TcMirrorActionType::EgressRedir;
    mirror.ifindex = to;
    let mut action = TcAction::default();
    action.tab = 1;
    action.attributes = vec![
        TcActionAttribute::Kind(TcActionMirror::KIND.to_owned()),
        TcActionAttribute::Options(vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror))]),
    ];
    let mut everything = TcU32Selector::default();
    everything.flags = TcU32SelectorFlags::Terminal;

    let mut filter = message(from, HANDLE);
    // The priority, then the protocol in the network's byte order.
    filter.header.info = 1 << 16 | u32::from(ALL_PROTOCOLS.to_be());
    filter.attributes = vec![
        TcAttribute::Kind(TcFilterU32::KIND.to_owned()),
        TcAttribute::Options(vec![
            TcOption::U32(TcFilterU32Option::Selector(everything)),
            TcOption::U32(TcFilterU32Option::Action(vec![action])),
        ]),
    ];
    filter
}

fn message(index: u32, parent: TcHandle) -> TcMessage {
    let header = TcHeader { index: index.cast_signed(), parent, ..TcHeader::default() };
    TcMessage::from_parts(header, Vec::new())
}
