//! The inventory of the machine as a FRU device: a small memory with a chassis, a board and a product info
//! area (IPMI 2.0 §34; their format is that of the FRU Information Storage Definition 1.0, in [`format`]).
//!
//! It is made of the [`Identity`], so that it says what the guest reads in its DMI tables:
//!
//! | label | chassis | board | product |
//! |---|---|---|---|
//! | manufacturer | | manufacturer | manufacturer |
//! | product | | product name | product name |
//! | part number | part number | part number | part/model number |
//! | serial number | serial number | serial number | serial number |
//! | asset tag | | | asset tag |
//!
//! Somebody who writes to it makes it his own: from then on it is kept as written, whether it can be read or
//! not. Then a label that the configuration has changed since goes into its fields, and nothing else moves.

mod format;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use self::format::{Encoding, FormatError};
use self::format::{Field, InfoArea, Inventory};
use crate::{Bmc, Event, Identity, Labels, PRODUCT_VERSION, Requester, Setting, hex};

/// Bytes of the device.
pub const FRU_SIZE: usize = 2048;

/// Clients write an inventory in pieces: those that follow each other as soon as this are one change.
const BURST: Duration = Duration::from_secs(10);
/// The most bytes of an asset tag.
pub const ASSET_TAG_MAX: usize = format::FIELD_MAX;

/// "Other", as QEMU's chassis says of itself in its DMI tables.
const CHASSIS_TYPE: u8 = 0x01;
/// Where the product info area has the asset tag.
const ASSET_TAG: usize = 5;

/// Why there is no asset tag to be had (DCMI 1.5 §6.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetTagError {
    /// It is in the inventory, in an encoding that is not that of a plain text.
    Encoded(Encoding),
    /// What is in the device is no inventory, or has no product info area.
    NoProduct,
    /// The inventory is full.
    Full,
}

/// The FRU device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fru {
    device: Vec<u8>,
    /// Whether somebody wrote to it.
    written: bool,
    /// What the labels were when it was last made to follow them.
    labels: FruLabels,
    /// When, and by whom.
    last_write: Option<(Instant, Requester)>,
}

/// The labels that the inventory has from the identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct FruLabels {
    manufacturer: String,
    product: String,
    part_number: String,
    serial: String,
    asset_tag: String,
}

/// The area and the index of a field.
#[derive(Clone, Copy)]
enum Place {
    Chassis(usize),
    Board(usize),
    Product(usize),
}

impl FruLabels {
    fn of(identity: &Identity) -> Self {
        let labels = identity.labels.clone();
        Self {
            manufacturer: labels.manufacturer,
            product: labels.product,
            part_number: labels.part_number,
            serial: identity.serial.clone(),
            asset_tag: labels.asset_tag,
        }
    }

    /// Each label, with the fields that say it.
    fn places(&self) -> [(&str, &'static [Place]); 5] {
        use Place::{Board, Chassis, Product};
        [
            (&self.manufacturer, &[Board(0), Product(0)]),
            (&self.product, &[Board(1), Product(1)]),
            (&self.part_number, &[Chassis(0), Board(3), Product(2)]),
            (&self.serial, &[Chassis(1), Board(2), Product(4)]),
            (&self.asset_tag, &[Product(ASSET_TAG)]),
        ]
    }
}

impl Inventory {
    fn area(&mut self, place: Place) -> (Option<&mut InfoArea>, usize) {
        match place {
            Place::Chassis(index) => (self.chassis.as_mut(), index),
            Place::Board(index) => (self.board.as_mut(), index),
            Place::Product(index) => (self.product.as_mut(), index),
        }
    }

    fn label(&mut self, text: &str, places: &[Place]) {
        for place in places {
            if let (Some(area), index) = self.area(*place) {
                area.set(index, Field::text(text));
            }
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedFru {
    /// The device in hexadecimal digits, up to its last byte that is not zero; none if nobody wrote to it.
    written: Option<String>,
    labels: FruLabels,
}

impl Fru {
    /// The inventory that says who the machine is.
    pub(crate) fn of(identity: &Identity) -> Self {
        let area = |head: &[u8]| Some(InfoArea { head: head.to_vec(), ..InfoArea::default() });
        let mut inventory = Inventory {
            chassis: area(&[CHASSIS_TYPE]),
            // English, and no date of manufacture.
            board: area(&[0; format::BOARD_HEAD]),
            product: area(&[0; format::PRODUCT_HEAD]),
            ..Inventory::default()
        };
        let labels = FruLabels::of(identity);
        for (label, places) in labels.places() {
            inventory.label(label, places);
        }
        inventory.label(PRODUCT_VERSION, &[Place::Product(3)]);
        // The file ids, which are fields that every reader expects.
        inventory.label("", &[Place::Board(4), Place::Product(6)]);
        // Labels that are longer than a field are cut, so it always has room.
        let device = inventory.encode(FRU_SIZE).unwrap_or_else(|_| vec![0; FRU_SIZE]);
        Self { device, written: false, labels, last_write: None }
    }

    /// The whole device.
    pub fn bytes(&self) -> &[u8] {
        &self.device
    }

    /// Writes, if all of it fits.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) -> bool {
        let Some(room) = self.device.get_mut(offset..).and_then(|rest| rest.get_mut(..bytes.len())) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.written = true;
        true
    }

    /// The asset tag, as the product info area has it.
    ///
    /// # Errors
    /// [`AssetTagError`], if it is not a plain text.
    pub fn asset_tag(&self) -> Result<Vec<u8>, AssetTagError> {
        let inventory = Inventory::parse(&self.device).map_err(|_| AssetTagError::NoProduct)?;
        let product = inventory.product.ok_or(AssetTagError::NoProduct)?;
        let Some(field) = product.fields.into_iter().nth(ASSET_TAG) else { return Ok(Vec::new()) };
        let language = product.head.first().copied().unwrap_or_default();
        match field.encoding {
            _ if field.bytes.is_empty() => Ok(Vec::new()),
            Encoding::Language if format::ENGLISH.contains(&language) => Ok(trimmed(field.bytes)),
            encoding => Err(AssetTagError::Encoded(encoding)),
        }
    }

    /// Puts an asset tag into the product info area; of more than 63 bytes, the rest is cut.
    pub(crate) fn set_asset_tag(&mut self, tag: &[u8]) -> Result<(), AssetTagError> {
        let mut inventory = Inventory::parse(&self.device).map_err(|_| AssetTagError::NoProduct)?;
        let product = inventory.product.as_mut().ok_or(AssetTagError::NoProduct)?;
        let text: String = tag.iter().copied().map(char::from).collect();
        product.set(ASSET_TAG, Field::text(&text));
        self.device = inventory.encode(FRU_SIZE).map_err(|_| AssetTagError::Full)?;
        self.written = true;
        Ok(())
    }

    pub(crate) fn to_saved(&self) -> SavedFru {
        if !self.written {
            return SavedFru::default();
        }
        let used = self.device.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let written = self.device.get(..used).map(hex::encode);
        SavedFru { written, labels: self.labels.clone() }
    }

    /// Takes up what was written in an earlier life. Labels that were changed since go into it.
    ///
    /// # Errors
    /// [`FormatError`], if there are such, and what was written is no inventory that could take them.
    pub(crate) fn restore(&mut self, saved: &SavedFru) -> Result<(), FormatError> {
        let Some(mut device) = saved.written.as_deref().and_then(hex::decode) else { return Ok(()) };
        device.resize(FRU_SIZE, 0);
        self.device = device;
        self.written = true;

        let changed: Vec<_> = self
            .labels
            .places()
            .into_iter()
            .zip(saved.labels.places())
            .filter_map(|(now, before)| (now.0 != before.0).then_some(now))
            .collect();
        if !changed.is_empty() {
            let mut inventory = Inventory::parse(&self.device)?;
            for (label, places) in changed {
                inventory.label(label, places);
            }
            self.device = inventory.encode(FRU_SIZE)?;
        }
        Ok(())
    }
}

fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    while let Some(b' ' | 0) = bytes.last() {
        bytes.pop();
    }
    bytes
}

impl Bmc {
    /// The inventory, to read.
    pub fn fru(&self) -> &Fru {
        &self.fru
    }

    /// Who the machine is, by its inventory where that can be read: what its DMI tables say from the next
    /// start on.
    pub fn shown_identity(&self) -> Identity {
        let mut identity = self.identity.clone();
        let Some(product) = Inventory::parse(&self.fru.device).ok().and_then(|inventory| inventory.product)
        else {
            return identity;
        };
        let language = product.head.first().copied().unwrap_or_default();
        let Labels { manufacturer, product: name, part_number, asset_tag } = &mut identity.labels;
        for (index, label) in [
            (0, manufacturer),
            (1, name),
            (2, part_number),
            (4, &mut identity.serial),
            (ASSET_TAG, asset_tag),
        ] {
            let text = product.fields.get(index).and_then(|field| field.read(language));
            if let Some(text) = text
                && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
            {
                *label = text;
            }
        }
        identity
    }

    /// Writes into the inventory; false, and nothing is written, if it ends before.
    pub fn write_fru(&mut self, now: Instant, offset: usize, bytes: &[u8], by: Requester) -> bool {
        let written = self.fru.write(offset, bytes);
        if written {
            self.unsaved = true;
            let goes_on = self
                .fru
                .last_write
                .replace((now, by))
                .is_some_and(|(at, writer)| writer == by && now.saturating_duration_since(at) < BURST);
            if !goes_on {
                self.record(Event::SettingChanged { what: Setting::Inventory, by });
            }
        }
        written
    }

    /// Sets the asset tag in the inventory.
    ///
    /// # Errors
    /// [`AssetTagError`], if the inventory can't take it.
    pub fn set_asset_tag(&mut self, tag: &[u8], by: Requester) -> Result<(), AssetTagError> {
        self.fru.set_asset_tag(tag)?;
        self.unsaved = true;
        self.record(Event::SettingChanged { what: Setting::AssetTag, by });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lan, Users};

    fn identity() -> Identity {
        let labels = Labels {
            manufacturer: "Maker".into(),
            product: "Model 1".into(),
            part_number: "P-1".into(),
            asset_tag: String::new(),
        };
        Identity { serial: "S1".into(), labels, ..Identity::derive("node1") }
    }

    fn texts(area: Option<InfoArea>) -> Vec<String> {
        area.unwrap().fields.iter().map(|field| field.read(0).unwrap()).collect()
    }

    fn product(fru: &Fru) -> Vec<String> {
        texts(Inventory::parse(fru.bytes()).unwrap().product)
    }

    #[test]
    fn the_inventory_says_who_the_machine_is() {
        let fru = Fru::of(&identity());
        assert_eq!(fru.bytes().len(), FRU_SIZE);
        let inventory = Inventory::parse(fru.bytes()).unwrap();
        assert_eq!(texts(inventory.chassis), ["P-1", "S1"]);
        assert_eq!(texts(inventory.board), ["Maker", "Model 1", "S1", "P-1", ""]);
        assert_eq!(product(&fru), ["Maker", "Model 1", "P-1", PRODUCT_VERSION, "S1", "", ""]);
        assert_eq!(fru.asset_tag(), Ok(Vec::new()));
    }

    #[test]
    fn labels_of_the_greatest_length_have_room() {
        let long = || "x".repeat(63);
        let labels = Labels { manufacturer: long(), product: long(), part_number: long(), asset_tag: long() };
        let fru = Fru::of(&Identity { serial: long(), labels, ..Identity::derive("node1") });
        assert_eq!(fru.asset_tag(), Ok(long().into_bytes()));
    }

    #[test]
    fn what_nobody_wrote_follows_the_labels() {
        let saved = Fru::of(&identity()).to_saved();
        let mut renamed = identity();
        renamed.labels.product = "Model 2".into();
        let mut fru = Fru::of(&renamed);
        fru.restore(&saved).unwrap();
        assert_eq!(product(&fru)[1], "Model 2");
    }

    #[test]
    fn what_was_written_stays_but_for_labels_that_changed() {
        let mut fru = Fru::of(&identity());
        fru.set_asset_tag(b"tag 7").unwrap();
        let mut inventory = Inventory::parse(fru.bytes()).unwrap();
        inventory.product.as_mut().unwrap().set(0, Field::text("Somebody"));
        inventory.product.as_mut().unwrap().set(7, Field::text("custom"));
        inventory.records = Some(vec![0xc0, 0x82, 1, 0xff, 0xbe, 0x01]);
        assert!(fru.write(0, &inventory.encode(FRU_SIZE).unwrap()));

        let mut again = Fru::of(&identity());
        again.restore(&fru.to_saved()).unwrap();
        assert_eq!(again, fru);

        let mut renamed = identity();
        renamed.serial = "S2".into();
        let mut again = Fru::of(&renamed);
        again.restore(&fru.to_saved()).unwrap();
        assert_eq!(
            product(&again),
            ["Somebody", "Model 1", "P-1", PRODUCT_VERSION, "S2", "tag 7", "", "custom"]
        );
        assert_eq!(Inventory::parse(again.bytes()).unwrap().records, inventory.records);
        let mut third = Fru::of(&renamed);
        third.restore(&again.to_saved()).unwrap();
        assert_eq!(third, again, "what followed is not followed again");
    }

    #[test]
    fn what_is_no_inventory_is_kept_all_the_same() {
        let mut fru = Fru::of(&identity());
        assert!(fru.write(0, &[0xff; 16]));
        assert!(!fru.write(FRU_SIZE - 1, &[1, 2]));
        assert!(!fru.write(usize::MAX, &[1]));
        let mut again = Fru::of(&identity());
        again.restore(&fru.to_saved()).unwrap();
        assert_eq!(again.bytes(), fru.bytes());
        assert_eq!(again.asset_tag(), Err(AssetTagError::NoProduct));
        assert_eq!(again.set_asset_tag(b"x"), Err(AssetTagError::NoProduct));

        let mut renamed = identity();
        renamed.serial = "S2".into();
        let mut again = Fru::of(&renamed);
        assert_eq!(again.restore(&fru.to_saved()), Err(FormatError::Version("common header")));
        assert_eq!(again.bytes(), fru.bytes());
    }

    #[test]
    fn dmi_tables_say_what_was_written_as_far_as_it_is_plain_text() {
        let mut bmc = Bmc::new(identity(), Users::default(), Lan::default());
        assert_eq!(bmc.shown_identity(), identity());
        bmc.set_asset_tag(b"rack 7", Requester::Button).unwrap();
        let mut inventory = Inventory::parse(bmc.fru().bytes()).unwrap();
        inventory.product.as_mut().unwrap().set(0, Field::text("M\u{fc}ller"));
        assert!(bmc.write_fru(Instant::now(), 0, &inventory.encode(FRU_SIZE).unwrap(), Requester::Guest));
        assert_eq!(bmc.shown_identity().labels.asset_tag, "rack 7");
        assert_eq!(bmc.shown_identity().labels.manufacturer, "Maker");
        assert!(bmc.write_fru(Instant::now(), 0, &[0xff], Requester::Guest));
        assert_eq!(bmc.shown_identity(), identity());
    }

    #[test]
    fn an_inventory_that_is_written_in_pieces_is_told_once() {
        let now = Instant::now();
        let mut bmc = Bmc::new(identity(), Users::default(), Lan::default());
        for piece in 0..128 {
            assert!(bmc.write_fru(now, piece * 16, &[0; 16], Requester::Guest));
        }
        assert!(!bmc.write_fru(now, FRU_SIZE, &[0], Requester::Guest));
        assert_eq!(bmc.take_events().count(), 1);
        bmc.write_fru(now, 0, &[1], Requester::Button);
        bmc.write_fru(now + 2 * BURST, 0, &[1], Requester::Button);
        let said: Vec<_> = bmc.take_events().map(|event| event.to_string()).collect();
        assert_eq!(said, ["inventory (FRU) written by the local command line"; 2]);
    }

    #[test]
    fn an_internal_use_area_at_the_end_leaves_room() {
        let mut fru = Fru::of(&identity());
        // The free room begins here: the header, its checksum, and the area.
        let mut header: [u8; 8] = *fru.bytes().first_chunk().unwrap();
        let used = fru.bytes().iter().rposition(|byte| *byte != 0).unwrap() + 1;
        header[1] = u8::try_from(used.div_ceil(8)).unwrap();
        header[7] = header[..7].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
        assert!(fru.write(0, &header) && fru.write(usize::from(header[1]) * 8, &[1, 0, 7]));
        fru.set_asset_tag(b"a longer asset tag than there was").unwrap();
        assert_eq!(fru.asset_tag().unwrap(), b"a longer asset tag than there was");
        let internal = Inventory::parse(fru.bytes()).unwrap().internal.unwrap();
        assert_eq!(internal, [1, 0, 7, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn an_asset_tag_is_read_where_it_is_plain_text() {
        let tag = |encoding, bytes: &[u8]| {
            let mut fru = Fru::of(&identity());
            let mut inventory = Inventory::parse(fru.bytes()).unwrap();
            inventory.product.as_mut().unwrap().set(ASSET_TAG, Field { encoding, bytes: bytes.to_vec() });
            fru.device = inventory.encode(FRU_SIZE).unwrap();
            fru.asset_tag()
        };
        assert_eq!(tag(Encoding::Language, b"rack 7  "), Ok(b"rack 7".to_vec()));
        assert_eq!(tag(Encoding::Language, b"7 "), Ok(b"7".to_vec()));
        assert_eq!(tag(Encoding::Ascii6, &[0x29, 0xdc]), Err(AssetTagError::Encoded(Encoding::Ascii6)));
        assert_eq!(tag(Encoding::BcdPlus, &[0x12]), Err(AssetTagError::Encoded(Encoding::BcdPlus)));
        assert_eq!(tag(Encoding::Binary, &[0x12]), Err(AssetTagError::Encoded(Encoding::Binary)));
    }
}
