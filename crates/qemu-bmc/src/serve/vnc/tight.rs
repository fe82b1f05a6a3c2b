//! The length of a rectangle in the Tight encoding (the community's RFB specification, "Tight Encoding").
//!
//! ```text
//! control  76543210
//!          1000rrrr   fill: one TPIXEL
//!          1001rrrr   JPEG: compact length, data
//!          1010rrrr   PNG (TightPNG only): compact length, data
//!          0fssrrrr   basic: filter id if f, filter's own data, pixels; zlib stream s
//!              rrrr   reset zlib stream 3, 2, 1, 0 first
//! ```
//!
//! Pixels of fewer than 12 bytes after the filter go uncompressed and without a length. A compact length
//! has seven bits in its first two bytes, the top one saying that another follows, and eight in a third.

use super::{Size, delimiter::StreamError, pixel_format::PixelFormat};

/// The longest data of one rectangle. QEMU splits rectangles at 65,536 pixels, 256 KiB before compression.
const MAX_DATA: usize = 512 * 1024;
/// From here on the pixels are compressed and their length is given.
const MIN_TO_COMPRESS: usize = 12;

/// The bits of the control byte that make the viewer begin its four zlib streams anew.
pub(super) const RESET_STREAMS: u8 = 0x0f;

const FILL: u8 = 0x80;
const FILTER_FOLLOWS: u8 = 0x40;

/// The length of the rectangle that `input` begins with, its control byte included, or `None` while too
/// little of it is there to tell.
pub(super) fn length(input: &[u8], size: Size, format: PixelFormat) -> Result<Option<usize>, StreamError> {
    let Some(&control) = input.first() else { return Ok(None) };
    match control >> 4 {
        0x8 => Ok(Some(1 + format.bytes_per_tight_pixel())),
        0x9 | 0xa => with_compact_length(input, 1),
        0x0..=0x7 => basic(control, input, size, format),
        _ => Err(StreamError::TightControl(control)),
    }
}

/// Appends a rectangle of one colour, all bits zero.
pub(super) fn put_black(format: PixelFormat, out: &mut Vec<u8>) {
    out.push(FILL);
    out.resize(out.len() + format.bytes_per_tight_pixel(), 0);
}

fn basic(control: u8, input: &[u8], size: Size, format: PixelFormat) -> Result<Option<usize>, StreamError> {
    let (filter, header) = match input.get(1) {
        _ if control & FILTER_FOLLOWS == 0 => (0, 1),
        Some(&filter) => (filter, 2),
        None => return Ok(None),
    };
    let (width, height) = (usize::from(size.width), usize::from(size.height));
    let (header, pixels) = match filter {
        // Copy and gradient.
        0 | 2 => (header, width * height * format.bytes_per_tight_pixel()),
        // Palette; one of two colours makes a bitmap with rows of whole bytes.
        1 => {
            let Some(&last) = input.get(header) else { return Ok(None) };
            let colours = usize::from(last) + 1;
            let row = if colours <= 2 { width.div_ceil(8) } else { width };
            (header + 1 + colours * format.bytes_per_tight_pixel(), row * height)
        }
        other => return Err(StreamError::TightFilter(other)),
    };
    if pixels < MIN_TO_COMPRESS { Ok(Some(header + pixels)) } else { with_compact_length(input, header) }
}

/// The length of `header` bytes, the compact length that follows them, and the data that it announces.
fn with_compact_length(input: &[u8], header: usize) -> Result<Option<usize>, StreamError> {
    let (data, bytes) = match *input.get(header..).unwrap_or_default() {
        [low, ..] if low < 0x80 => (usize::from(low), 1),
        [low, middle, ..] if middle < 0x80 => (seven_bits(low) | seven_bits(middle) << 7, 2),
        [low, middle, high, ..] => (seven_bits(low) | seven_bits(middle) << 7 | usize::from(high) << 14, 3),
        _ => return Ok(None),
    };
    if data > MAX_DATA { Err(StreamError::TightData(data)) } else { Ok(Some(header + bytes + data)) }
}

fn seven_bits(byte: u8) -> usize {
    usize::from(byte & 0x7f)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: Size = Size { width: 10, height: 4 };

    fn of(input: &[u8]) -> Result<Option<usize>, StreamError> {
        length(input, SIZE, PixelFormat::NATIVE)
    }

    #[test]
    fn fill_is_one_packed_pixel() {
        assert_eq!(of(&[0x80]), Ok(Some(4)));
        let mut black = Vec::new();
        put_black(PixelFormat::NATIVE, &mut black);
        assert_eq!(of(&black), Ok(Some(black.len())));
    }

    #[test]
    fn compact_lengths_have_one_to_three_bytes() {
        assert_eq!(of(&[0x90, 0x7f]), Ok(Some(2 + 127)));
        assert_eq!(of(&[0xa0, 0x90, 0x4e]), Ok(Some(3 + 10_000)));
        assert_eq!(of(&[0x90, 0x80, 0x80, 0x01]), Ok(Some(4 + 16_384)));
        assert_eq!(of(&[0x90, 0x80]), Ok(None));
        assert_eq!(of(&[0x90, 0xff, 0xff, 0xff]), Err(StreamError::TightData(0x3f_ffff)));
    }

    #[test]
    fn basic_rectangles_depend_on_their_filter() {
        assert_eq!(of(&[0x00, 5]), Ok(Some(2 + 5)), "no filter: 120 bytes, compressed");
        assert_eq!(of(&[0x40, 2, 5]), Ok(Some(3 + 5)), "gradient");
        assert_eq!(of(&[0x40, 1, 1]), Ok(Some(3 + 6 + 8)), "two colours: 2 bytes by 4 rows, uncompressed");
        assert_eq!(of(&[0x40, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]), Ok(Some(3 + 9 + 1 + 9)), "three colours");
        assert_eq!(of(&[0x40]), Ok(None));
        assert_eq!(of(&[0x40, 1]), Ok(None));
        assert_eq!(of(&[0x40, 3]), Err(StreamError::TightFilter(3)));
        assert_eq!(of(&[0xb0]), Err(StreamError::TightControl(0xb0)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_have_a_bounded_length_or_none(
            input in prop::collection::vec(any::<u8>(), 0..1024), width: u16, height: u16,
        ) {
            if let Ok(Some(length)) = length(&input, Size { width, height }, PixelFormat::NATIVE) {
                prop_assert!(length > 0 && length <= MAX_DATA + 3 + 256 * 4 + 3);
            }
        }
    }
}
