//! Who a machine is.

/// The identity of one node. The same values are seen by the guest (SMBIOS), over IPMI, and later Redfish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The system GUID as a UUID in the order in which it is written (RFC 9562), not in IPMI's.
    pub uuid: [u8; 16],
    /// Chassis serial number.
    pub serial: String,
    /// The node's name, as `hostname` or containerlab has it.
    pub name: String,
    /// What else a sticker says.
    pub labels: Labels,
}

/// The version of the product: this program's.
pub const PRODUCT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Who made the machine, and what is asked of it in an inventory: up to 63 printable characters each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// Manufacturer of the board and of the product.
    pub manufacturer: String,
    /// Name of the board and of the product.
    pub product: String,
    /// Part number; empty if there is none.
    pub part_number: String,
    /// Asset tag; empty if nobody gave one.
    pub asset_tag: String,
}

impl Default for Labels {
    fn default() -> Self {
        Self {
            manufacturer: "QEMU".into(),
            product: "qemu-bmc virtual server".into(),
            part_number: String::new(),
            asset_tag: String::new(),
        }
    }
}

impl Identity {
    /// An identity that is a function of the name alone: the same on every start, different for every name.
    ///
    /// It is for tests and as a last resort. The program keeps the identity that it made the first time.
    pub fn derive(name: &str) -> Self {
        // FNV-1a, twice with different offsets: this is a label, not a secret.
        let half = |offset: u64| {
            name.bytes().fold(offset, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        };
        let mut uuid = [0; 16];
        let (high, low) = uuid.split_at_mut(8);
        high.copy_from_slice(&half(0xcbf2_9ce4_8422_2325).to_be_bytes());
        low.copy_from_slice(&half(0x6c62_272e_07bb_0142).to_be_bytes());
        // Version 5 (made from a name) and the variant of RFC 9562. ipmitool finds out a GUID's byte order
        // by its version, and knows none above 5.
        uuid[6] = (uuid[6] & 0x0f) | 0x50;
        uuid[8] = (uuid[8] & 0x3f) | 0x80;
        let serial = uuid[10..].iter().map(|byte| format!("{byte:02X}")).collect();
        Self { uuid, serial, name: name.to_owned(), labels: Labels::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_make_identities() {
        assert_eq!(Identity::derive("node1"), Identity::derive("node1"));
        let all: std::collections::HashSet<_> =
            (0..1000).map(|n| Identity::derive(&format!("node{n}")).uuid).collect();
        assert_eq!(all.len(), 1000);
    }
}
