//! IPv6 parameters (IPMI 2.0 errata 7, Table 23-4, parameters 50 to 80).
//!
//! Addresses are static or found out; DHCPv6 and neighbour discovery are the kernel's and the container's, so
//! their DUIDs and timings (57, 58, 60 to 63, 79, 80) say that there are none to configure.

use std::net::Ipv6Addr;

use bmc::{
    AddressingEnables, DYNAMIC_ADDRESSES, Gateway, Ipv6AddressStatus, Ipv6Source, Lan, STATIC_ADDRESSES,
    SlotStatus, StaticAddress, StaticRouter,
};

use super::{Result, UNSUPPORTED, exactly, unchanged};
use crate::{CompletionCode, Reply};

const ENABLED: u8 = 1 << 7;
const PREFIX_MAX: u8 = 128;
/// The first parameter of each static router; four belong to it.
const STATIC_ROUTERS: [u8; 2] = [65, 69];

pub(super) fn set(lan: &mut Lan, parameter: u8, data: &[u8]) -> Result {
    match parameter {
        51 => {
            lan.ipv6.enables = match exactly(data)? {
                [0] => AddressingEnables::Ipv4,
                [2] => AddressingEnables::Both,
                // IPv6 alone (1) is not on offer, as parameter 50 says.
                _ => return Err(CompletionCode::INVALID_FIELD),
            }
        }
        52 => [lan.ipv6.traffic_class] = exactly(data)?,
        53 => [lan.ipv6.hop_limit] = exactly(data)?,
        54 => {
            let [high, middle, low] = exactly(data)?;
            lan.ipv6.flow_label = u32::from_be_bytes([0, high & 0x0f, middle, low]);
        }
        56 => set_static_address(lan, data)?,
        64 => {
            let [control] = exactly(data)?;
            lan.ipv6.router_control = control & 0x03;
        }
        65..=72 => set_static_router(lan, parameter, data)?,
        50 | 55 | 57 | 60 | 62 | 73 | 78 | 79 => unchanged(lan, parameter, 0, data)?,
        59 | 74..=77 => unchanged(lan, parameter, data.first().copied().unwrap_or_default(), data)?,
        _ => return Err(UNSUPPORTED),
    }
    Ok(())
}

/// The last byte of a slot, its status, is the BMC's: what comes there is not read.
fn set_static_address(lan: &mut Lan, data: &[u8]) -> Result {
    let (&[slot, source], data) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let (address, rest) = data.split_first_chunk::<16>().ok_or(CompletionCode::INVALID_LENGTH)?;
    let (&[prefix] | &[prefix, _]) = rest else { return Err(CompletionCode::INVALID_LENGTH) };
    let (shown, _) = lan.ipv6.static_address(slot, &lan.facts).ok_or(CompletionCode::OUT_OF_RANGE)?;
    if source & 0x0f != 0 || prefix > PREFIX_MAX {
        return Err(CompletionCode::INVALID_FIELD);
    }
    let address = Ipv6Addr::from(*address);
    let wanted = StaticAddress { enabled: source & ENABLED != 0, address, prefix };
    if wanted.enabled && (address.is_unspecified() || address.is_multicast()) {
        return Err(CompletionCode::INVALID_FIELD);
    }
    if wanted != shown
        && let Some(slot) = lan.ipv6.addresses.get_mut(usize::from(slot))
    {
        *slot = Some(wanted);
    }
    Ok(())
}

fn set_static_router(lan: &mut Lan, parameter: u8, data: &[u8]) -> Result {
    let (router, part) = router_of(parameter).ok_or(UNSUPPORTED)?;
    let router = lan.ipv6.routers.get_mut(router).ok_or(UNSUPPORTED)?;
    match part {
        0 => router.address = Ipv6Addr::from(exactly::<16>(data)?),
        1 => router.mac = exactly(data)?,
        2 => {
            let [length] = exactly(data)?;
            if length > PREFIX_MAX {
                return Err(CompletionCode::INVALID_FIELD);
            }
            router.prefix_length = length;
        }
        _ => router.prefix = Ipv6Addr::from(exactly::<16>(data)?),
    }
    Ok(())
}

/// Which router a parameter from 65 to 72 is about, and which of its four parts.
fn router_of(parameter: u8) -> Option<(usize, u8)> {
    let index = STATIC_ROUTERS.iter().rposition(|first| parameter >= *first)?;
    Some((index, parameter - STATIC_ROUTERS.get(index)?))
}

pub(super) fn put(lan: &Lan, parameter: u8, set: u8, _block: u8, reply: &mut Reply) -> Result {
    const BOTH_AT_ONCE: u8 = 1 << 1;
    const ALERTS: u8 = 1 << 2;
    const SLAAC: u8 = 1 << 1;
    const NOT_SUPPORTED: u8 = 0;

    let ipv6 = &lan.ipv6;
    match parameter {
        50 => reply.put(&[BOTH_AT_ONCE | ALERTS]),
        51 => reply.put(&[match ipv6.enables {
            AddressingEnables::Ipv4 => 0,
            AddressingEnables::Both => 2,
        }]),
        52 => reply.put(&[ipv6.traffic_class]),
        53 => reply.put(&[ipv6.hop_limit]),
        54 => {
            let [_, high, middle, low] = ipv6.flow_label.to_be_bytes();
            reply.put(&[high, middle, low]);
        }
        55 => reply.put(&[STATIC_ADDRESSES, DYNAMIC_ADDRESSES, SLAAC]),
        56 => put_static_address(lan, set, reply)?,
        // No DUIDs are kept.
        57 | 60 => reply.put(&[0]),
        59 => put_dynamic_address(lan, set, reply)?,
        62 | 79 => reply.put(&[NOT_SUPPORTED]),
        64 => reply.put(&[ipv6.router_control]),
        65..=72 => put_static_router(lan, parameter, reply)?,
        73 => reply.put(&[u8::from(lan.facts.ipv6_gateway.is_some())]),
        74..=77 => put_dynamic_router(lan, parameter, set, reply)?,
        78 => reply.put(&[ipv6.hop_limit]),
        _ => return Err(UNSUPPORTED),
    }
    Ok(())
}

fn status(status: Ipv6AddressStatus) -> u8 {
    match status {
        Ipv6AddressStatus::Active => 0,
        Ipv6AddressStatus::Pending => 2,
        Ipv6AddressStatus::Failed => 3,
        Ipv6AddressStatus::Deprecated => 4,
    }
}

fn put_static_address(lan: &Lan, slot: u8, reply: &mut Reply) -> Result {
    const DISABLED: u8 = 1;

    let (shown, state) = lan.ipv6.static_address(slot, &lan.facts).ok_or(CompletionCode::OUT_OF_RANGE)?;
    reply.put(&[slot, if shown.enabled { ENABLED } else { 0 }]);
    reply.put(&shown.address.octets());
    reply.put(&[
        shown.prefix,
        match state {
            SlotStatus::Disabled => DISABLED,
            SlotStatus::Of(state) => status(state),
        },
    ]);
    Ok(())
}

/// A slot without an address shows the unspecified one, disabled.
fn put_dynamic_address(lan: &Lan, slot: u8, reply: &mut Reply) -> Result {
    const SLAAC: u8 = 1;
    const DISABLED: u8 = 1;

    if slot >= DYNAMIC_ADDRESSES {
        return Err(CompletionCode::OUT_OF_RANGE);
    }
    reply.put(&[slot, SLAAC]);
    match lan.facts.ipv6_of(Ipv6Source::Slaac).nth(usize::from(slot)) {
        Some(fact) => {
            reply.put(&fact.address.octets());
            reply.put(&[fact.prefix, status(fact.status)]);
        }
        None => {
            reply.put(&[0; 17]);
            reply.put(&[DISABLED]);
        }
    }
    Ok(())
}

fn put_static_router(lan: &Lan, parameter: u8, reply: &mut Reply) -> Result {
    let (router, part) = router_of(parameter).ok_or(UNSUPPORTED)?;
    let router: &StaticRouter = lan.ipv6.routers.get(router).ok_or(UNSUPPORTED)?;
    match part {
        0 => reply.put(&router.address.octets()),
        1 => reply.put(&router.mac),
        2 => reply.put(&[router.prefix_length]),
        _ => reply.put(&router.prefix.octets()),
    }
    Ok(())
}

/// The default router, which serves every prefix.
fn put_dynamic_router(lan: &Lan, parameter: u8, set: u8, reply: &mut Reply) -> Result {
    let gateway: Option<Gateway<Ipv6Addr>> = lan.facts.ipv6_gateway.filter(|_| set == 0);
    let gateway = gateway.ok_or(CompletionCode::OUT_OF_RANGE)?;
    reply.put(&[set]);
    match parameter {
        74 => reply.put(&gateway.address.octets()),
        75 => reply.put(&gateway.mac),
        76 => reply.put(&[0]),
        _ => reply.put(&[0; 16]),
    }
    Ok(())
}
