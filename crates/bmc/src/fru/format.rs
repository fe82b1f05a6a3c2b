//! The format of the inventory: Platform Management FRU Information Storage Definition 1.0, revision 1.3.
//!
//! ```text
//!   common header, 8 bytes (§8)      version, where each area begins in units of 8 bytes (0: nowhere), checksum
//!   internal use area (§9)           as it is
//!   chassis info area (§10)          type | part number, serial number, custom fields
//!   board info area (§11)            language, date | manufacturer, product, serial, part number, file id, ..
//!   product info area (§12)          language | manufacturer, product, part number, version, serial, asset tag, ..
//!   multi-record area (§16)          records with headers of their own, as they are
//! ```
//!
//! An info area begins with version and length, ends with a checksum that makes its sum zero, and has fields
//! of a type and a length in one byte (§13) up to C1h. What this program does not speak of (custom fields,
//! other languages, internal use, records) is carried along unchanged.

/// The version that every header and area begins with.
const VERSION: u8 = 1;
/// The unit of offsets and lengths.
const UNIT: usize = 8;
/// In place of a field: there are no more.
const END_OF_FIELDS: u8 = 0xc1;
/// The most bytes of one field.
pub(super) const FIELD_MAX: usize = 0x3f;
/// The last record of the multi-record area has this bit in its second byte.
const LAST_RECORD: u8 = 0x80;
/// Language codes whose texts of type 3 are of 8-bit characters (§15): the default, and English.
pub(super) const ENGLISH: [u8; 2] = [0, 25];

/// Why bytes are no inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// There are fewer than a layout needs, or it has no end.
    #[error("the {0} is cut off")]
    Short(&'static str),
    /// Of a version other than 1.
    #[error("the {0} is of an unknown version")]
    Version(&'static str),
    /// The sum is not zero.
    #[error("the checksum of the {0} is wrong")]
    Checksum(&'static str),
    /// The areas do not fit in the device.
    #[error("the inventory has no room for this")]
    Full,
}

type Result<T> = std::result::Result<T, FormatError>;

/// How a field's bytes are to be read (§13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Binary, or unspecified.
    Binary,
    /// BCD plus: two characters a byte.
    BcdPlus,
    /// 6-bit ASCII: four characters in three bytes.
    Ascii6,
    /// 8-bit ASCII and Latin 1, or in other languages than English two bytes a character.
    Language,
}

/// A field: its type and its bytes, of which there are 63 at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) encoding: Encoding,
    pub(super) bytes: Vec<u8>,
}

impl Field {
    /// A text in 8-bit characters. One of a single character would end the fields: it gets a blank. (It
    /// would fit in 6 bits, but ipmitool spoils such a field when it edits it.)
    pub(super) fn text(text: &str) -> Self {
        let mut bytes: Vec<u8> =
            text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).take(FIELD_MAX).collect();
        if bytes.len() == 1 {
            bytes.push(b' ');
        }
        Self { encoding: Encoding::Language, bytes }
    }

    /// What it says, in the characters that it stands for; nothing if it is binary.
    pub(super) fn read(&self, language: u8) -> Option<String> {
        const BCD_PLUS: &[u8; 16] = b"0123456789 -.???";

        let bytes = &self.bytes;
        let text: String = match self.encoding {
            Encoding::Binary => return bytes.is_empty().then(String::new),
            Encoding::BcdPlus => {
                let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
                nibbles
                    .filter_map(|nibble| BCD_PLUS.get(usize::from(nibble)))
                    .copied()
                    .map(char::from)
                    .collect()
            }
            Encoding::Ascii6 => unpack6(bytes),
            Encoding::Language if ENGLISH.contains(&language) => {
                bytes.iter().copied().map(char::from).collect()
            }
            Encoding::Language => {
                let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok());
                char::decode_utf16(units.map(u16::from_le_bytes))
                    .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect()
            }
        };
        Some(text.trim_end_matches([' ', '\0']).to_owned())
    }
}

/// Characters of 6 bits, least significant first, from 20h on.
fn unpack6(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().rev().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        for index in 0..group.len() * 8 / 6 {
            let code = u8::try_from(bits >> (6 * index) & 0x3f).unwrap_or_default();
            text.push(char::from(code + 0x20));
        }
    }
    text
}

/// An info area: what stands before its fields, and its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InfoArea {
    /// The language code and, in the board's area, the date; the chassis' type in its own.
    pub(super) head: Vec<u8>,
    pub(super) fields: Vec<Field>,
}

impl InfoArea {
    fn parse(name: &'static str, bytes: &[u8], head: usize) -> Result<Self> {
        let &[version, units, ..] = bytes else { return Err(FormatError::Short(name)) };
        if version & 0x0f != VERSION {
            return Err(FormatError::Version(name));
        }
        let area = bytes.get(..usize::from(units) * UNIT).ok_or(FormatError::Short(name))?;
        if sum(area) != 0 {
            return Err(FormatError::Checksum(name));
        }
        let (head, mut rest) = area
            .get(2..area.len().saturating_sub(1))
            .and_then(|inner| inner.split_at_checked(head))
            .ok_or(FormatError::Short(name))?;
        let mut fields = Vec::new();
        loop {
            let (&type_and_length, after) = rest.split_first().ok_or(FormatError::Short(name))?;
            if type_and_length == END_OF_FIELDS {
                return Ok(Self { head: head.to_vec(), fields });
            }
            let length = usize::from(type_and_length) & FIELD_MAX;
            let (bytes, after) = after.split_at_checked(length).ok_or(FormatError::Short(name))?;
            let encoding = match type_and_length >> 6 {
                0 => Encoding::Binary,
                1 => Encoding::BcdPlus,
                2 => Encoding::Ascii6,
                _ => Encoding::Language,
            };
            fields.push(Field { encoding, bytes: bytes.to_vec() });
            rest = after;
        }
    }

    fn encode(&self) -> Result<Vec<u8>> {
        let mut area = vec![VERSION, 0];
        area.extend(&self.head);
        for field in &self.fields {
            let length = u8::try_from(field.bytes.len().min(FIELD_MAX)).unwrap_or_default();
            area.push((field.encoding as u8) << 6 | length);
            area.extend(field.bytes.iter().take(FIELD_MAX));
        }
        area.push(END_OF_FIELDS);
        area.resize((area.len() + 1).next_multiple_of(UNIT) - 1, 0);
        let units = u8::try_from((area.len() + 1) / UNIT).map_err(|_| FormatError::Full)?;
        if let Some(place) = area.get_mut(1) {
            *place = units;
        }
        area.push(sum(&area).wrapping_neg());
        Ok(area)
    }

    /// Puts a field in its place; fields before it that there aren't yet are empty.
    pub(super) fn set(&mut self, index: usize, field: Field) {
        while self.fields.len() <= index {
            self.fields.push(Field { encoding: Encoding::Language, bytes: Vec::new() });
        }
        if let Some(place) = self.fields.get_mut(index) {
            *place = field;
        }
    }
}

/// A whole inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inventory {
    /// The internal use area, without padding of its own.
    pub(super) internal: Option<Vec<u8>>,
    pub(super) chassis: Option<InfoArea>,
    pub(super) board: Option<InfoArea>,
    pub(super) product: Option<InfoArea>,
    /// The records of the multi-record area, headers and all.
    pub(super) records: Option<Vec<u8>>,
}

const CHASSIS: &str = "chassis info area";
const BOARD: &str = "board info area";
const PRODUCT: &str = "product info area";
const RECORDS: &str = "multi-record area";

/// What stands before the fields of each info area.
pub(super) const CHASSIS_HEAD: usize = 1;
pub(super) const BOARD_HEAD: usize = 4;
pub(super) const PRODUCT_HEAD: usize = 1;

impl Inventory {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        const HEADER: &str = "common header";

        let header: &[u8; UNIT] = bytes.first_chunk().ok_or(FormatError::Short(HEADER))?;
        let &[version, internal, chassis, board, product, records, _, _] = header;
        if version & 0x0f != VERSION {
            return Err(FormatError::Version(HEADER));
        }
        if sum(header) != 0 {
            return Err(FormatError::Checksum(HEADER));
        }
        let from = |offset: u8, name| -> Result<Option<&[u8]>> {
            match usize::from(offset) * UNIT {
                0 => Ok(None),
                offset => match bytes.get(offset..) {
                    None | Some([]) => Err(FormatError::Short(name)),
                    rest => Ok(rest),
                },
            }
        };
        let info = |offset, name, head| -> Result<Option<InfoArea>> {
            from(offset, name)?.map(|bytes| InfoArea::parse(name, bytes, head)).transpose()
        };
        Ok(Self {
            internal: from(internal, "internal use area")?.map(|rest| {
                // It says nowhere how long it is: up to the next area, or to the last byte that is used. What
                // follows that is room for other areas to grow.
                let used = rest.iter().rposition(|byte| *byte != 0).map_or(UNIT, |last| last + 1);
                let end = [chassis, board, product, records]
                    .into_iter()
                    .filter(|other| *other > internal)
                    .min()
                    .map_or(used.max(UNIT), |next| usize::from(next - internal) * UNIT);
                rest.get(..end).unwrap_or(rest).to_vec()
            }),
            chassis: info(chassis, CHASSIS, CHASSIS_HEAD)?,
            board: info(board, BOARD, BOARD_HEAD)?,
            product: info(product, PRODUCT, PRODUCT_HEAD)?,
            // ipmitool moves the offset of records that there are none of when it makes an area longer: what
            // is no record there is nothing.
            records: from(records, RECORDS).ok().flatten().and_then(records_of),
        })
    }

    /// The bytes of a device of this size; what no area has is zero.
    pub(super) fn encode(&self, size: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; UNIT];
        let mut offsets = [0; 5];
        let encoded = |area: &Option<InfoArea>| area.as_ref().map(InfoArea::encode).transpose();
        let areas = [
            self.internal.clone(),
            encoded(&self.chassis)?,
            encoded(&self.board)?,
            encoded(&self.product)?,
            self.records.clone(),
        ];
        for (offset, area) in offsets.iter_mut().zip(areas) {
            let Some(area) = area else { continue };
            *offset = u8::try_from(bytes.len() / UNIT).map_err(|_| FormatError::Full)?;
            bytes.extend(area);
            bytes.resize(bytes.len().next_multiple_of(UNIT), 0);
        }
        let [internal, chassis, board, product, records] = offsets;
        let header = [VERSION, internal, chassis, board, product, records, 0];
        for (place, byte) in bytes.iter_mut().zip(header.into_iter().chain([sum(&header).wrapping_neg()])) {
            *place = byte;
        }
        if bytes.len() > size {
            return Err(FormatError::Full);
        }
        bytes.resize(size, 0);
        Ok(bytes)
    }
}

/// The records at the start of these bytes, up to the last one.
fn records_of(bytes: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 5;

    let mut end = 0;
    loop {
        let header = bytes.get(end..end + HEADER).filter(|header| sum(header) == 0)?;
        let &[_, flags, length, ..] = header else { return None };
        end += HEADER + usize::from(length);
        if flags & LAST_RECORD != 0 {
            return bytes.get(..end).map(<[u8]>::to_vec);
        }
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn any_field() -> impl Strategy<Value = Field> {
        let encoding = prop_oneof![
            Just(Encoding::Binary),
            Just(Encoding::BcdPlus),
            Just(Encoding::Ascii6),
            Just(Encoding::Language)
        ];
        // One byte of type 3 is the end of the fields.
        (encoding, vec(any::<u8>(), 0..=FIELD_MAX)).prop_map(|(encoding, mut bytes)| {
            if encoding == Encoding::Language && bytes.len() == 1 {
                bytes.clear();
            }
            Field { encoding, bytes }
        })
    }

    fn any_area(head: usize) -> impl Strategy<Value = Option<InfoArea>> {
        option::of(
            (vec(any::<u8>(), head), vec(any_field(), 0..6))
                .prop_map(|(head, fields)| InfoArea { head, fields }),
        )
    }

    #[test]
    fn texts_come_in_all_four_encodings() {
        let read =
            |encoding, bytes: &[u8], language| Field { encoding, bytes: bytes.to_vec() }.read(language);
        assert_eq!(read(Encoding::Binary, &[1, 2], 0), None);
        assert_eq!(read(Encoding::BcdPlus, &[0x12, 0xb3, 0xc4], 0), Some("12-3.4".into()));
        // The definition's own example (§13.2).
        assert_eq!(read(Encoding::Ascii6, &[0x29, 0xdc, 0xa6], 0), Some("IPMI".into()));
        assert_eq!(read(Encoding::Language, b"\xb5Server ", 25), Some("µServer".into()));
        assert_eq!(read(Encoding::Language, &[0x42, 0x26, 0x41, 0x00], 21), Some("♂A".into()));
    }

    #[test]
    fn no_text_is_taken_for_the_end_of_the_fields() {
        for text in ["", "A", "a", "é", "ab", &"x".repeat(70)] {
            let area = InfoArea { head: vec![0], fields: vec![Field::text(text), Field::text("next")] };
            let parsed = InfoArea::parse(PRODUCT, &area.encode().unwrap(), 1).unwrap();
            let texts: Vec<_> = parsed.fields.iter().map(|field| field.read(0).unwrap()).collect();
            assert_eq!(texts, [text.chars().take(FIELD_MAX).collect::<String>().as_str(), "next"]);
        }
    }

    #[test]
    fn what_is_damaged_is_named() {
        let whole = Inventory {
            product: Some(InfoArea { head: vec![0], fields: vec![Field::text("maker")] }),
            records: Some(vec![0xc0, 0x82, 1, 0xff, 0xbe, 0x01]),
            ..Inventory::default()
        };
        let good = whole.encode(64).unwrap();
        assert_eq!(Inventory::parse(&good).unwrap(), whole);
        let with = |at: usize, byte: u8| {
            let mut bad = good.clone();
            bad[at] = byte;
            Inventory::parse(&bad).unwrap_err().to_string()
        };
        assert_eq!(with(0, 2), "the common header is of an unknown version");
        assert_eq!(with(7, 0), "the checksum of the common header is wrong");
        assert_eq!(with(8, 7), "the product info area is of an unknown version");
        assert_eq!(with(12, b'M'), "the checksum of the product info area is wrong");
        let mut without_records = good.clone();
        without_records[25] = 0;
        assert_eq!(Inventory::parse(&without_records).unwrap(), Inventory { records: None, ..whole.clone() });
        assert_eq!(Inventory::parse(&good[..20]), Err(FormatError::Short(PRODUCT)));
        assert_eq!(Inventory::parse(&[]), Err(FormatError::Short("common header")));
        assert_eq!(whole.encode(16), Err(FormatError::Full));
    }

    proptest! {
        #[test]
        fn an_inventory_comes_back_as_encoded(
            internal in option::of(vec(any::<u8>(), 1..4)),
            chassis in any_area(CHASSIS_HEAD),
            board in any_area(BOARD_HEAD),
            product in any_area(PRODUCT_HEAD),
            record in option::of(vec(any::<u8>(), 0..40)),
        ) {
            // An internal use area has no length of its own: its end is that of its last unit.
            let internal = internal.map(|units| units.repeat(UNIT));
            let records = record.map(|data| {
                let mut header = vec![0xc0, 0x82, u8::try_from(data.len()).unwrap(), sum(&data).wrapping_neg()];
                header.push(sum(&header).wrapping_neg());
                [header, data].concat()
            });
            let mut inventory = Inventory { internal, chassis, board, product, records };
            let bytes = inventory.encode(4096).unwrap();
            prop_assert_eq!(sum(&bytes[..UNIT]), 0);
            let parsed = Inventory::parse(&bytes).unwrap();
            // An internal use area with nothing behind it ends with the last byte that is used.
            if inventory.chassis.is_none() && inventory.board.is_none() && inventory.product.is_none()
                && inventory.records.is_none()
                && let Some(internal) = &mut inventory.internal
            {
                internal.truncate(internal.iter().rposition(|byte| *byte != 0).map_or(UNIT, |last| last + 1).max(UNIT));
            }
            prop_assert_eq!(parsed, inventory);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..128)) {
            let _ = Inventory::parse(&bytes);
            let mut header = vec![1, 0, 1, 1, 1, 1, 0, 0xfb, 1];
            header.extend(bytes);
            let _ = Inventory::parse(&header);
        }
    }
}
