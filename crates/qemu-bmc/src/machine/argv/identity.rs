//! Who the guest is, as its DMI tables (SMBIOS) say.

use bmc::{Identity, Labels, PRODUCT_VERSION};

use super::line::{Line, Part};

/// The guest sees in its DMI tables who it is: the same as in the inventory, over IPMI. Processors, memory and
/// firmware are QEMU's there, unless they are to `hide` that.
pub(super) fn smbios(line: &mut Line, identity: &Identity, uuid: &str, hide: bool) {
    let Identity { serial, labels: Labels { manufacturer, product, part_number, asset_tag }, .. } = identity;
    let system =
        [("product", product.as_str()), ("version", PRODUCT_VERSION), ("uuid", uuid), ("sku", part_number)];
    let board = [("product", product.as_str()), ("asset", asset_tag)];
    let chassis = [("asset", asset_tag.as_str())];
    for (table, own) in [("type=1", &system[..]), ("type=2", &board[..]), ("type=3", &chassis[..])] {
        let common = [("manufacturer", manufacturer.as_str()), ("serial", serial)];
        let mut parts = vec![Part::Text(table)];
        for (key, text) in common.iter().chain(own).filter(|(_, text)| !text.is_empty()) {
            parts.extend([Part::Text(","), Part::Text(key), Part::Text("="), Part::Value(text)]);
        }
        // Unless said, QEMU says what board it is.
        if hide && table != "type=1" {
            parts.extend([Part::Text(",version="), Part::Value(PRODUCT_VERSION)]);
        }
        line.pair("-smbios", &parts);
    }
    if hide {
        let name = Part::Value(manufacturer);
        line.pair("-smbios", &[Part::Text("type=0,uefi=on,version=1.0,vendor="), name]);
        for table in ["type=4,version=1.0,manufacturer=", "type=17,manufacturer="] {
            line.pair("-smbios", &[Part::Text(table), Part::Value(manufacturer)]);
        }
    }
}
