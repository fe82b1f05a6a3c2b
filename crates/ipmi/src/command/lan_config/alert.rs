//! Alert parameters (IPMI 2.0 Table 23-4, parameters 16 to 19 and 25). The set selector of 18, 19 and 25 is the
//! number of a destination; 0 is the volatile one.

use std::net::{Ipv4Addr, Ipv6Addr};

use bmc::{CommunityString, DESTINATIONS, Destination, DestinationAddress, DestinationKind, Lan};

use super::{Result, UNSUPPORTED, exactly, unchanged};
use crate::{CompletionCode, Reply};

const ACKNOWLEDGE: u8 = 1 << 7;
/// In the upper half of a byte: what follows is an IPv6 address, or a VLAN tag.
const SECOND_FORMAT: u8 = 1 << 4;

pub(super) fn set(lan: &mut Lan, parameter: u8, data: &[u8]) -> Result {
    match parameter {
        16 => lan.community = CommunityString::from_field(&exactly(data)?),
        17 => unchanged(lan, parameter, 0, data)?,
        18 => {
            let [number, kind, interval, retries] = exactly(data)?;
            let destination = destination_mut(lan, number)?;
            destination.kind = match kind & 0x07 {
                0 => DestinationKind::Trap,
                6 => DestinationKind::Oem1,
                7 => DestinationKind::Oem2,
                _ => return Err(CompletionCode::INVALID_FIELD),
            };
            destination.acknowledge = kind & ACKNOWLEDGE != 0;
            destination.interval = interval;
            destination.retries = retries & 0x07;
        }
        19 => {
            let (&[number, format], data) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
            destination_mut(lan, number)?.address = address(format, data)?;
        }
        25 => {
            let [number, format, low, high] = exactly(data)?;
            destination_mut(lan, number)?.vlan_tag = match format & 0xf0 {
                0 => None,
                SECOND_FORMAT => Some(u16::from_le_bytes([low, high])),
                _ => return Err(CompletionCode::INVALID_FIELD),
            };
        }
        _ => return Err(UNSUPPORTED),
    }
    Ok(())
}

pub(super) fn put(lan: &Lan, parameter: u8, set: u8, reply: &mut Reply) -> Result {
    let number = set & 0x0f;
    match parameter {
        16 => reply.put(lan.community.field()),
        17 => reply.put(&[DESTINATIONS]),
        18 => {
            let &Destination { kind, acknowledge, interval, retries, .. } = destination(lan, number)?;
            let kind = match kind {
                DestinationKind::Trap => 0,
                DestinationKind::Oem1 => 6,
                DestinationKind::Oem2 => 7,
            };
            reply.put(&[number, kind | if acknowledge { ACKNOWLEDGE } else { 0 }, interval, retries]);
        }
        19 => match destination(lan, number)?.address {
            DestinationAddress::V4 { backup_gateway, ip, mac } => {
                reply.put(&[number, 0, u8::from(backup_gateway)]);
                reply.put(&ip.octets());
                reply.put(&mac);
            }
            DestinationAddress::V6(ip) => {
                reply.put(&[number, SECOND_FORMAT]);
                reply.put(&ip.octets());
            }
        },
        25 => {
            let tag = destination(lan, number)?.vlan_tag;
            reply.put(&[number, if tag.is_some() { SECOND_FORMAT } else { 0 }]);
            reply.put(&tag.unwrap_or_default().to_le_bytes());
        }
        _ => return Err(UNSUPPORTED),
    }
    Ok(())
}

fn destination(lan: &Lan, number: u8) -> Result<&Destination> {
    lan.destinations.get(number).ok_or(CompletionCode::OUT_OF_RANGE)
}

fn destination_mut(lan: &mut Lan, number: u8) -> Result<&mut Destination> {
    lan.destinations.get_mut(number & 0x0f).ok_or(CompletionCode::OUT_OF_RANGE)
}

fn address(format: u8, data: &[u8]) -> Result<DestinationAddress> {
    match format & 0xf0 {
        0 => {
            let [gateway, a, b, c, d, mac @ ..] = exactly::<11>(data)?;
            Ok(DestinationAddress::V4 {
                backup_gateway: gateway & 1 != 0,
                ip: Ipv4Addr::new(a, b, c, d),
                mac,
            })
        }
        SECOND_FORMAT => Ok(DestinationAddress::V6(Ipv6Addr::from(exactly::<16>(data)?))),
        _ => Err(CompletionCode::INVALID_FIELD),
    }
}
