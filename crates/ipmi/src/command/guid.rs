//! Get Device GUID and Get System GUID (IPMI 2.0 §20.8 and §22.14).
//!
//! Both are the machine's UUID, for controller and machine are one here.
//!
//! The specification wants all sixteen bytes least significant first. Most controllers, and therefore
//! most clients, use the order of SMBIOS instead: the first three fields are reversed, the rest is as
//! written. So does this one, and then what clients show is what the guest reads in its DMI table:
//!
//! | client | shows |
//! |---|---|
//! | ipmitool `mc guid` | the UUID: it tries the orders and prefers this one, for UUIDs of versions 1 to 5 |
//! | pyghmi, the Linux driver | the UUID |
//! | FreeIPMI | the bytes in reverse, as from every controller that does so |

use super::Context;
use crate::{CompletionCode, Reply};

/// 08h and 37h.
pub(super) fn get(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result<(), CompletionCode> {
    reply.put(&wire_order(context.bmc.identity.uuid));
    Ok(())
}

/// The order of SMBIOS 2.6: three little-endian fields, eight bytes.
fn wire_order(uuid: [u8; 16]) -> [u8; 16] {
    let [a0, a1, a2, a3, b0, b1, c0, c1, rest @ ..] = uuid;
    let [d0, d1, d2, d3, d4, d5, d6, d7] = rest;
    [a3, a2, a1, a0, b1, b0, c1, c0, d0, d1, d2, d3, d4, d5, d6, d7]
}

#[cfg(test)]
mod tests {
    use super::super::{table::APP, tests::Bench};

    #[test]
    fn the_guid_is_the_uuid_in_the_order_of_smbios() {
        let mut bench = Bench::new();
        bench.bmc.identity.uuid = *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
        let wire = *b"\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
        assert_eq!(bench.ok(APP, 0x37, &[]), wire);
        assert_eq!(bench.ok(APP, 0x08, &[]), wire);
    }
}
