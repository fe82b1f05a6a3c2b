//! IPv4 and VLAN parameters (IPMI 2.0 Table 23-4, parameters 3 to 15, 20 and 21). Addresses come in network
//! byte order, everything else of more than a byte with the lower byte first.

use std::net::Ipv4Addr;

use bmc::{AddressSource, Gateway, Lan, VlanId};

use super::{READ_ONLY, Result, UNSUPPORTED, exactly, unchanged};
use crate::{CompletionCode, Reply};

const VLAN_ENABLED: u8 = 1 << 7;

pub(super) fn set(lan: &mut Lan, parameter: u8, data: &[u8]) -> Result {
    // What is there already is no setting: it goes on following the interface.
    if unchanged(lan, parameter, 0, data) == Ok(()) {
        return Ok(());
    }
    let ipv4 = &mut lan.ipv4;
    match parameter {
        3 => ipv4.address = Some(address(data)?),
        4 => {
            let [source] = exactly(data)?;
            let source = AddressSource::from_number(source & 0x0f);
            ipv4.source = Some(source.ok_or(CompletionCode::INVALID_FIELD)?);
        }
        6 => ipv4.netmask = Some(netmask(data)?),
        7 => ipv4.header = exactly(data)?,
        10 => {
            let [control] = exactly(data)?;
            ipv4.arp = control & 0x03;
        }
        11 => [ipv4.arp_interval] = exactly(data)?,
        12 => {
            ipv4.gateway = Some(address(data)?);
            ipv4.gateway_mac = None;
        }
        13 => ipv4.gateway_mac = Some(exactly(data)?),
        14 => ipv4.backup_gateway = address(data)?,
        15 => ipv4.backup_gateway_mac = exactly(data)?,
        20 => ipv4.vlan = Some(vlan(exactly(data)?)?),
        21 => {
            let [priority] = exactly(data)?;
            ipv4.vlan_priority = priority & 0x07;
        }
        5 | 8 => return Err(READ_ONLY),
        _ => return Err(UNSUPPORTED),
    }
    Ok(())
}

pub(super) fn put(lan: &Lan, parameter: u8, reply: &mut Reply) -> Result {
    let (ipv4, facts) = (&lan.ipv4, &lan.facts);
    let Gateway { address: gateway, mac: gateway_mac } = ipv4.gateway(facts);
    match parameter {
        3 => reply.put(&ipv4.address(facts).octets()),
        4 => reply.put(&[ipv4.source().number()]),
        5 => reply.put(&facts.mac),
        6 => reply.put(&ipv4.netmask(facts).octets()),
        7 => reply.put(&ipv4.header),
        8 => reply.put(&facts.port.to_le_bytes()),
        10 => reply.put(&[ipv4.arp]),
        11 => reply.put(&[ipv4.arp_interval]),
        12 => reply.put(&gateway.octets()),
        13 => reply.put(&gateway_mac),
        14 => reply.put(&ipv4.backup_gateway.octets()),
        15 => reply.put(&ipv4.backup_gateway_mac),
        20 => {
            let VlanId { enabled, id } = ipv4.vlan(facts);
            let [low, high] = id.to_le_bytes();
            reply.put(&[low, high | if enabled { VLAN_ENABLED } else { 0 }]);
        }
        21 => reply.put(&[ipv4.vlan_priority]),
        // 9, the secondary RMCP port: there is none.
        _ => return Err(UNSUPPORTED),
    }
    Ok(())
}

fn address(data: &[u8]) -> Result<Ipv4Addr> {
    exactly::<4>(data).map(Ipv4Addr::from)
}

/// Ones, and then zeros.
fn netmask(data: &[u8]) -> Result<Ipv4Addr> {
    let mask = address(data)?;
    let bits = mask.to_bits();
    if bits.leading_ones() + bits.trailing_zeros() >= u32::BITS {
        Ok(mask)
    } else {
        Err(CompletionCode::INVALID_FIELD)
    }
}

/// Ids 0 and 4095 are reserved; a tag that is off may have any.
fn vlan([low, high]: [u8; 2]) -> Result<VlanId> {
    let vlan = VlanId { enabled: high & VLAN_ENABLED != 0, id: u16::from_le_bytes([low, high & 0x0f]) };
    if vlan.enabled && !(1..=4094).contains(&vlan.id) {
        return Err(CompletionCode::INVALID_FIELD);
    }
    Ok(vlan)
}
