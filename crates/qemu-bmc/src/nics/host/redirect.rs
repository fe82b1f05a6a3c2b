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

use crate::netlink::{Netlink, Refusal, attributes, number};

const INGRESS: &str = "ingress";
/// Of a classic qdisc all of whose frames are incoming ones (linux/pkt_sched.h).
const HANDLE: TcHandle = TcHandle { major: u16::MAX, minor: 0 };
const ALL_PROTOCOLS: u16 = 0x0003;
/// By which a filter of ours is known.
const PRIORITY: u32 = 0xBC;
/// The priority, then the protocol in the network's byte order.
const INFO: u32 = PRIORITY << 16 | ALL_PROTOCOLS.to_be() as u32;

// linux/rtnetlink.h, linux/pkt_cls.h, linux/tc_act/tc_mirred.h
const HEADER_SIZE: usize = 20;
const TCA_OPTIONS: u16 = 2;
const TCA_U32_ACT: u16 = 7;
const FIRST_ACTION: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TARGET: usize = 24;

/// What is done to the frames that come in at an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ingress {
    Free,
    /// They are redirected to this NIC's own device, or to one that has gone, by a controller of which nothing else
    /// is left either.
    Ours,
    SomebodyElses,
}

impl Netlink {
    /// What is already done to the frames that come in here. The device is that of the NIC, if it has one yet.
    pub(super) fn ingress(&self, index: u32, device: Option<u32>) -> Result<Ingress, Refusal> {
        let qdiscs = self.list(&RouteNetlinkMessage::GetQueueDiscipline(message(index, TcHandle::UNSPEC)))?;
        let is_ingress = |body: &Vec<u8>| {
            field(body, 4) == Some(index) && field(body, 12) == Some(TcHandle::INGRESS.into())
        };
        if !qdiscs.iter().any(is_ingress) {
            return Ok(Ingress::Free);
        }
        let filters = self.list(&RouteNetlinkMessage::GetTrafficFilter(message(index, HANDLE)))?;
        let is_ours = filters.iter().all(|body| field(body, 16) == Some(INFO));
        let mut targets = filters.iter().filter_map(|body| target(body)).peekable();
        let is_ours = is_ours
            && targets.peek().is_some()
            && targets.all(|target| target == 0 || Some(target) == device);
        Ok(if is_ours { Ingress::Ours } else { Ingress::SomebodyElses })
    }

    /// Whether a filter of ours sends what comes in at one interface out at the other.
    pub(super) fn is_redirected(&self, from: u32, to: u32) -> Result<bool, Refusal> {
        let filters = self.list(&RouteNetlinkMessage::GetTrafficFilter(message(from, HANDLE)))?;
        Ok(filters.iter().any(|body| field(body, 16) == Some(INFO) && target(body) == Some(to)))
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
    filter.header.info = INFO;
    filter.attributes = vec![
        TcAttribute::Kind(TcFilterU32::KIND.to_owned()),
        TcAttribute::Options(vec![
            TcOption::U32(TcFilterU32Option::Selector(everything)),
            TcOption::U32(TcFilterU32Option::Action(vec![action])),
        ]),
    ];
    filter
}

/// Where a filter redirects to: 0 if that has gone. None if it does not redirect.
fn target(filter: &[u8]) -> Option<u32> {
    let inside =
        |value, wanted| attributes(value, 0).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let (_, options) = attributes(filter, HEADER_SIZE).find(|(kind, _)| *kind == TCA_OPTIONS)?;
    let path = [TCA_U32_ACT, FIRST_ACTION, TCA_ACT_OPTIONS, TCA_MIRRED_PARMS];
    number(path.into_iter().try_fold(options, inside)?.get(TARGET..)?)
}

/// A number of a message's own header, at this place.
fn field(body: &[u8], at: usize) -> Option<u32> {
    body.get(at..HEADER_SIZE).and_then(number)
}

fn message(index: u32, parent: TcHandle) -> TcMessage {
    let header = TcHeader { index: index.cast_signed(), parent, ..TcHeader::default() };
    TcMessage::from_parts(header, Vec::new())
}
