//! PIXEL_FORMAT (RFC 6143 §7.4): how a viewer wants its pixels.
//!
//! ```text
//!   0  bits per pixel   8, 16 or 32
//!   1  depth            of no consequence here, handed on as it came
//!   2  big-endian flag
//!   3  true-colour flag 0: a pixel is an index into a colour map
//!   4  red max          u16, 2^n - 1; green and blue follow
//!  10  red shift        u8; green and blue follow
//!  13  padding
//! ```
//!
//! The BMC draws in this format only while it shows its own picture; otherwise it needs to know how many
//! bytes a pixel takes, so as to find its way in QEMU's stream.

use thiserror::Error;

/// The length of PIXEL_FORMAT on the wire.
pub(super) const LENGTH: usize = 16;

/// A pixel format that both this module and QEMU can produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PixelFormat {
    width: PixelWidth,
    depth: u8,
    big_endian: bool,
    colours: Colours,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PixelWidth {
    Bits8,
    Bits16,
    Bits32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colours {
    True { red: Channel, green: Channel, blue: Channel },
    Map,
}

/// Where one primary colour sits in a pixel: `bits` wide, `shift` from the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channel {
    bits: u32,
    shift: u8,
}

/// A colour as eight bits of red, green and blue.
pub(super) type Rgb = [u8; 3];

/// Why a pixel format is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum PixelFormatError {
    /// RFC 6143 allows 8, 16 and 32.
    #[error("{0} bits per pixel are not 8, 16 or 32")]
    BitsPerPixel(u8),
    /// QEMU has a colour map of 256 entries only.
    #[error("a colour map with {0} bits per pixel is not supported")]
    ColourMap(u8),
    /// The maximum isn't 2^n - 1, or the channel lies outside the pixel.
    #[error("a colour channel with maximum {max} and shift {shift} does not fit in {bits} bits")]
    Channel {
        /// The largest value of the channel.
        max: u16,
        /// Its distance from the right.
        shift: u8,
        /// The width of the pixel.
        bits: u8,
    },
}

impl PixelFormat {
    /// 32 bits, little-endian, `0x00RRGGBB`: QEMU's own format on every little-endian host.
    pub(super) const NATIVE: Self = Self {
        width: PixelWidth::Bits32,
        depth: 24,
        big_endian: false,
        colours: Colours::True {
            red: Channel { bits: 8, shift: 16 },
            green: Channel { bits: 8, shift: 8 },
            blue: Channel { bits: 8, shift: 0 },
        },
    };

    pub(super) fn parse(wire: &[u8; LENGTH]) -> Result<Self, PixelFormatError> {
        let [bits, depth, big_endian, true_colour, r1, r0, g1, g0, b1, b0, red, green, blue, _, _, _] = *wire;
        let width = match bits {
            8 => PixelWidth::Bits8,
            16 => PixelWidth::Bits16,
            32 => PixelWidth::Bits32,
            other => return Err(PixelFormatError::BitsPerPixel(other)),
        };
        let colours = if true_colour != 0 {
            Colours::True {
                red: Channel::parse([r1, r0], red, bits)?,
                green: Channel::parse([g1, g0], green, bits)?,
                blue: Channel::parse([b1, b0], blue, bits)?,
            }
        } else if width == PixelWidth::Bits8 {
            Colours::Map
        } else {
            return Err(PixelFormatError::ColourMap(bits));
        };
        Ok(Self { width, depth, big_endian: big_endian != 0, colours }.in_little_endian())
    }

    /// The little-endian name of the same bytes, if there is one: where each of the four bytes of a pixel
    /// is a colour. QEMU before 10.1 takes the big-endian name for its native format, and colours come out
    /// mixed up.
    fn in_little_endian(self) -> Self {
        match self.colours {
            Colours::True { red, green, blue }
                if self.big_endian
                    && self.width == PixelWidth::Bits32
                    && [red, green, blue].iter().all(|channel| channel.is_byte()) =>
            {
                let mirror = |channel: Channel| Channel { shift: 24 - channel.shift, ..channel };
                let colours = Colours::True { red: mirror(red), green: mirror(green), blue: mirror(blue) };
                Self { big_endian: false, colours, ..self }
            }
            _ => self,
        }
    }

    pub(super) fn emit(&self) -> [u8; LENGTH] {
        let bits = match self.width {
            PixelWidth::Bits8 => 8,
            PixelWidth::Bits16 => 16,
            PixelWidth::Bits32 => 32,
        };
        let big_endian = u8::from(self.big_endian);
        match self.colours {
            Colours::True { red, green, blue } => {
                let ([r1, r0], [g1, g0], [b1, b0]) = (red.max(), green.max(), blue.max());
                [
                    bits,
                    self.depth,
                    big_endian,
                    1,
                    r1,
                    r0,
                    g1,
                    g0,
                    b1,
                    b0,
                    red.shift,
                    green.shift,
                    blue.shift,
                    0,
                    0,
                    0,
                ]
            }
            Colours::Map => [bits, self.depth, big_endian, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        }
    }

    pub(super) fn bytes_per_pixel(&self) -> usize {
        match self.width {
            PixelWidth::Bits8 => 1,
            PixelWidth::Bits16 => 2,
            PixelWidth::Bits32 => 4,
        }
    }

    /// The length of TPIXEL, which the Tight encoding uses: three bytes where eight bits of each colour
    /// are packed in 32, else that of a pixel.
    pub(super) fn bytes_per_tight_pixel(&self) -> usize {
        match self.colours {
            Colours::True { red, green, blue }
                if self.width == PixelWidth::Bits32 && [red, green, blue].iter().all(|c| c.bits == 8) =>
            {
                3
            }
            _ => self.bytes_per_pixel(),
        }
    }

    /// True if pixels are indexes into a colour map, which the server then has to set.
    pub(super) fn has_colour_map(&self) -> bool {
        self.colours == Colours::Map
    }

    /// Appends one pixel: the colour itself, or its `index` if there is a colour map.
    pub(super) fn put(&self, colour: Rgb, index: u8, out: &mut Vec<u8>) {
        let pixel = match self.colours {
            Colours::True { red, green, blue } => {
                let [r, g, b] = colour;
                red.scale(r) | green.scale(g) | blue.scale(b)
            }
            Colours::Map => u32::from(index),
        };
        let [b3, b2, b1, b0] = pixel.to_be_bytes();
        match (self.width, self.big_endian) {
            (PixelWidth::Bits8, _) => out.push(b0),
            (PixelWidth::Bits16, true) => out.extend([b1, b0]),
            (PixelWidth::Bits16, false) => out.extend([b0, b1]),
            (PixelWidth::Bits32, true) => out.extend([b3, b2, b1, b0]),
            (PixelWidth::Bits32, false) => out.extend([b0, b1, b2, b3]),
        }
    }
}

impl Channel {
    fn parse(max: [u8; 2], shift: u8, bits_per_pixel: u8) -> Result<Self, PixelFormatError> {
        let max = u16::from_be_bytes(max);
        let bits = max.trailing_ones();
        let contiguous = bits > 0 && bits + max.leading_zeros() == u16::BITS;
        if !contiguous || bits + u32::from(shift) > u32::from(bits_per_pixel) {
            return Err(PixelFormatError::Channel { max, shift, bits: bits_per_pixel });
        }
        Ok(Self { bits, shift })
    }

    fn is_byte(self) -> bool {
        self.bits == 8 && self.shift.is_multiple_of(8)
    }

    fn max(self) -> [u8; 2] {
        let [_, _, high, low] = ((1u32 << self.bits) - 1).to_be_bytes();
        [high, low]
    }

    fn scale(self, intensity: u8) -> u32 {
        let max = (1u32 << self.bits) - 1;
        ((u32::from(intensity) * max + 127) / 255) << self.shift
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RGB565_BIG_ENDIAN: [u8; LENGTH] = [16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0];
    const COLOUR_MAP: [u8; LENGTH] = [8, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    fn pixel(wire: &[u8; LENGTH], colour: Rgb) -> Vec<u8> {
        let mut out = Vec::new();
        PixelFormat::parse(wire).unwrap().put(colour, 3, &mut out);
        out
    }

    #[test]
    fn native_is_what_qemu_announces() {
        let wire = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
        assert_eq!(PixelFormat::NATIVE.emit(), wire);
        assert_eq!(PixelFormat::parse(&wire), Ok(PixelFormat::NATIVE));
        assert_eq!(pixel(&wire, [1, 2, 3]), [3, 2, 1, 0]);
    }

    #[test]
    fn pixels_follow_width_channels_and_byte_order() {
        assert_eq!(pixel(&RGB565_BIG_ENDIAN, [255, 0, 0]), [0xf8, 0x00]);
        assert_eq!(pixel(&RGB565_BIG_ENDIAN, [0, 255, 255]), [0x07, 0xff]);
        let mut little_endian = RGB565_BIG_ENDIAN;
        little_endian[2] = 0;
        assert_eq!(pixel(&little_endian, [255, 0, 0]), [0x00, 0xf8]);
        let bgr233 = [8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0];
        assert_eq!(pixel(&bgr233, [255, 0, 128]), [0b10_000_111]);
        assert_eq!(pixel(&COLOUR_MAP, [255, 0, 0]), [3]);
    }

    #[test]
    fn big_endian_bytes_have_a_little_endian_name() {
        let big_endian = [32, 24, 1, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
        assert_eq!(pixel(&big_endian, [1, 2, 3]), [0, 1, 2, 3]);
        let named = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 8, 16, 24, 0, 0, 0];
        assert_eq!(PixelFormat::parse(&big_endian).unwrap().emit(), named);
        assert_eq!(PixelFormat::parse(&RGB565_BIG_ENDIAN).unwrap().emit(), RGB565_BIG_ENDIAN);
    }

    #[test]
    fn tight_packs_only_eight_bits_of_each_colour() {
        assert_eq!(PixelFormat::NATIVE.bytes_per_tight_pixel(), 3);
        assert_eq!(PixelFormat::parse(&RGB565_BIG_ENDIAN).unwrap().bytes_per_tight_pixel(), 2);
        let ten_bits = [32, 30, 0, 1, 3, 255, 3, 255, 3, 255, 20, 10, 0, 0, 0, 0];
        assert_eq!(PixelFormat::parse(&ten_bits).unwrap().bytes_per_tight_pixel(), 4);
    }

    #[test]
    fn refuses_what_qemu_cannot_produce() {
        let mut wire = PixelFormat::NATIVE.emit();
        wire[0] = 24;
        assert_eq!(PixelFormat::parse(&wire), Err(PixelFormatError::BitsPerPixel(24)));
        let mut wire = COLOUR_MAP;
        wire[0] = 16;
        assert_eq!(PixelFormat::parse(&wire), Err(PixelFormatError::ColourMap(16)));
        for (max, shift) in [(0, 0), (5, 0), (255, 25)] {
            let mut wire = PixelFormat::NATIVE.emit();
            (wire[5], wire[10]) = (max, shift);
            let refused = PixelFormatError::Channel { max: max.into(), shift, bits: 32 };
            assert_eq!(PixelFormat::parse(&wire), Err(refused));
        }
    }

    proptest! {
        #[test]
        fn what_parses_is_emitted_alike_and_draws_whole_pixels(
            bits in prop::sample::select(vec![8u8, 16, 32, 24]),
            rest in any::<[u8; 15]>(),
            colour: Rgb,
        ) {
            let mut wire = [bits; LENGTH];
            wire[1..].copy_from_slice(&rest);
            if let Ok(format) = PixelFormat::parse(&wire) {
                prop_assert_eq!(PixelFormat::parse(&format.emit()), Ok(format));
                let mut out = Vec::new();
                format.put(colour, 0, &mut out);
                prop_assert_eq!(out.len(), format.bytes_per_pixel());
            }
        }
    }
}
