//! The picture that a viewer sees while there is no machine to show: a word in the middle of a dark screen.
//!
//! It is painted row by row into the viewer's own pixel format, so that no framebuffer is ever held.

use std::iter::repeat_n;

use super::{
    Size, encodings,
    pixel_format::{PixelFormat, Rgb},
};

/// The size of the screen for viewers that come while there is no machine. It is VGA's, which is also what
/// QEMU shows at first.
pub(super) const SIZE: Size = Size { width: 640, height: 480 };

/// What the picture says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The machine is off.
    PowerOff,
    /// The machine is on, but its screen can't be had.
    NoSignal,
}

/// From the ground to the lettering, through the shades that smooth its edges.
const SHADES: [Rgb; 5] = [[20, 24, 31], [65, 70, 77], [110, 115, 123], [155, 161, 169], [200, 206, 215]];
/// The letters of the lettering below, from the darkest shade to the brightest.
const SHADE_LETTERS: &[u8; 5] = b" .:+#";
/// Screens as wide as this, and every multiple, enlarge the lettering by one more.
const WIDTH_PER_SCALE: u16 = 320;

/// A picture on its way to a viewer.
#[derive(Debug)]
pub(super) struct Painting {
    format: PixelFormat,
    size: Size,
    lettering: Lettering,
    /// The pixel of each shade.
    shades: [Vec<u8>; SHADES.len()],
    /// A row without lettering.
    blank: Vec<u8>,
    /// The next row, `None` before the header.
    row: Option<u16>,
}

/// The lettering, enlarged and in the middle of the screen.
#[derive(Debug)]
struct Lettering {
    lines: &'static [&'static str],
    /// The length of a letter's sides in pixels.
    scale: usize,
    /// The margins in pixels.
    left: usize,
    top: usize,
}

impl Painting {
    pub(super) fn new(notice: Notice, size: Size, format: PixelFormat) -> Self {
        let mut shades = [const { Vec::new() }; SHADES.len()];
        for ((pixel, colour), index) in shades.iter_mut().zip(SHADES).zip(0..) {
            format.put(colour, index, pixel);
        }
        let [ground, ..] = &shades;
        let blank = ground.repeat(size.width.into());
        Self { format, size, lettering: Lettering::new(notice, size), shades, blank, row: None }
    }

    /// Appends the next piece of the messages that make the picture, at most a row, and says whether it
    /// was the last.
    pub(super) fn advance(&mut self, out: &mut Vec<u8>) -> bool {
        let row = match self.row {
            None => {
                self.put_header(out);
                0
            }
            Some(row) => {
                self.put_row(row, out);
                row + 1
            }
        };
        self.row = Some(row);
        row >= self.size.height
    }

    /// SetColourMapEntries (RFC 6143 §7.6.2) where there is a map, and the head of a FramebufferUpdate
    /// (§7.6.1) with one rectangle, which every viewer takes: the whole screen in raw pixels.
    fn put_header(&self, out: &mut Vec<u8>) {
        if self.format.has_colour_map() {
            out.extend([1, 0, 0, 0, 0, 5]);
            out.extend(SHADES.as_flattened().iter().flat_map(|&intensity| [intensity, intensity]));
        }
        out.extend([0, 0, 0, 1]);
        self.size.put_rectangle(encodings::RAW, out);
    }

    fn put_row(&self, row: u16, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend(&self.blank);
        let pixels = out.get_mut(start..).unwrap_or_default();
        let pixels = pixels.chunks_exact_mut(self.format.bytes_per_pixel()).skip(self.lettering.left);
        let letters =
            self.lettering.line(row).iter().flat_map(|letter| repeat_n(letter, self.lettering.scale));
        for (pixel, letter) in pixels.zip(letters) {
            let shade = SHADE_LETTERS.iter().zip(&self.shades).find(|(shade, _)| *shade == letter);
            if let Some((_, shade)) = shade {
                pixel.copy_from_slice(shade);
            }
        }
    }
}

impl Lettering {
    fn new(notice: Notice, size: Size) -> Self {
        let lines = match notice {
            Notice::PowerOff => POWER_IS_OFF,
            Notice::NoSignal => NO_SIGNAL,
        };
        let scale = usize::from(size.width / WIDTH_PER_SCALE).max(1);
        let width = lines.iter().map(|line| line.len()).max().unwrap_or_default();
        Self {
            lines,
            scale,
            left: usize::from(size.width).saturating_sub(width * scale) / 2,
            top: usize::from(size.height).saturating_sub(lines.len() * scale) / 2,
        }
    }

    /// The letters that a row of the screen shows, none above and below.
    fn line(&self, row: u16) -> &'static [u8] {
        let line = usize::from(row).checked_sub(self.top).and_then(|row| self.lines.get(row / self.scale));
        line.map_or(&[], |line| line.as_bytes())
    }
}

const POWER_IS_OFF: &[&str] = &[
    ".:::::.                                                    .                              .::     ::.",
    ":######+.                                                 .#:                            :###.  .###+",
    ":#....:#+                                                  +:                            ##..   +#:.",
    ":#.    :#.                                                                              .#:     #+",
    ":#.    .#:    ...     .         ..    ...     .  ...       .    .:.             ...    .:#::. .:#+::",
    ":#.    :#:   +####:  .#+   ++   +#   :####:  .#:+###      .#:  +####.         :####+  .######.######:",
    ":#.   .##.  +#+::+#:  ##  .##.  #+  :#+::+#: .###+::      .#: +#+::#+        :##::+#+  ::#::. .:#+::",
    ":#++++##:  :#+    +#. :#. :##: .#: .#+    +#..##.         .#: #+   ..        ##.   :#:  :#:     #+",
    ":#####+.   +#.    .#: .#: +##+ +#. :#::::::#:.#+          .#: +#.           :#:     #+  :#:     #+",
    ":#.        +#     .#+  ##.#++# ##  +########:.#:          .#: .####+.       :#.     +#  :#:     #+",
    ":#.        +#     .#:  +#:#::#:#:  +#....... .#:          .#:  .+++##.      :#.     ##  :#:     #+",
    ":#.        :#:    :#.  .#+# .#+#.  :#:    :. .#:          .#:      :#:      .#+    .#+  :#:     #+",
    ":#.        .##:  :#+    ##+  +##    ##:  :#+ .#:          .#: ++.  :#:       +#:  .##.  :#:     #+",
    ":#.         .#####+.    +#:  :#+    .######. .#:          .#: :#####+         +#####:   :#:     #+",
    ":+           .:++:      .+   .+.      :++:    +:           +:  .+++:           :++:.    .+.     +:",
];

const NO_SIGNAL: &[&str] = &[
    ".:       :.                          ..                                :.",
    ":#:     .#:                          +#                               .#:",
    ":##.    .#:                          :+                               .#:",
    ":##+    .#:                                                           .#:",
    ":#:#:   .#:    .:.             ...   ..    ...  :  : ...       ...  . .#:",
    ":#.##.  .#:  .+###+.         :####:  +#   +####:#::#:####:    :####:#:.#:",
    ":#..#+  .#: .##+::##.       .##::+#. +#  +#+::###::##+::##.  :#+::+##:.#:",
    ":#. :#: .#: +#:   .#+       :#.   .  +# :#+   .##::#+   .#+ .#+    +#:.#:",
    ":#.  ##..#: #+     +#.      :#:      +# +#.    :#::#:    +# :#.    :#:.#:",
    ":#.  .#+.#:.#:     :#.       +###+:  +# +#     .#::#:    +# +#     .#:.#:",
    ":#.   :#:#:.#+     :#.        :++##: +# +#     :#::#:    +# +#.    .#:.#:",
    ":#.    ###: ##.    ##            .#+ +# :#:    +#::#:    +# :#:    +#:.#:",
    ":#.    .##: :#+. .+#:       .#:  .#+ +# .##. .+##::#:    +#  +#:  :##:.#:",
    ":#.     :#:  :#####+        .######. +#  .#####+#::#:    +#  .#####+#:.#:",
    ":+       +:   .+++.           :++:.  :+   .:++:.#:.+.    :+    :++: +: +.",
    "                                         +:    :#.",
    "                                         ##:..+#+",
    "                                         .+####+",
    "                                           .::.",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RGB332: [u8; 16] = [8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 5, 2, 0, 0, 0, 0];
    const COLOUR_MAP: [u8; 16] = [8, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    fn paint(notice: Notice, size: Size, format: PixelFormat) -> Vec<u8> {
        let mut painting = Painting::new(notice, size, format);
        let mut out = Vec::new();
        while !painting.advance(&mut out) {}
        out
    }

    #[test]
    fn the_lettering_stands_in_the_middle() {
        let out = paint(Notice::PowerOff, SIZE, PixelFormat::NATIVE);
        let (header, pixels) = out.split_at(16);
        assert_eq!(header, [0, 0, 0, 1, 0, 0, 0, 0, 2, 128, 1, 224, 0, 0, 0, 0]);
        let lit = |x: usize, y: usize| pixels[(y * 640 + x) * 4..][..4] != [31, 24, 20, 0];
        let columns: Vec<usize> = (0..640).filter(|&x| (0..480).any(|y| lit(x, y))).collect();
        let rows: Vec<usize> = (0..480).filter(|&y| (0..640).any(|x| lit(x, y))).collect();
        assert_eq!((columns[0] + columns[columns.len() - 1]) / 2, 319);
        assert_eq!((rows[0] + rows[rows.len() - 1]) / 2, 239);
    }

    #[test]
    fn the_notices_differ() {
        let of = |notice| paint(notice, SIZE, PixelFormat::parse(&RGB332).unwrap());
        assert_ne!(of(Notice::PowerOff), of(Notice::NoSignal));
    }

    #[test]
    fn a_colour_map_is_set_before_it_is_used() {
        let out = paint(Notice::PowerOff, SIZE, PixelFormat::parse(&COLOUR_MAP).unwrap());
        assert_eq!(out[..12], [1, 0, 0, 0, 0, 5, 20, 20, 24, 24, 31, 31]);
        let pixels = &out[6 + 5 * 6 + 16..];
        assert_eq!(pixels.len(), 640 * 480);
        assert_eq!(pixels.iter().max(), Some(&4));
    }

    proptest! {
        #[test]
        fn any_screen_is_filled_exactly(width in 0u16..2000, height in 0u16..20) {
            let out = paint(Notice::NoSignal, Size { width, height }, PixelFormat::parse(&RGB332).unwrap());
            prop_assert_eq!(out.len(), 16 + usize::from(width) * usize::from(height));
        }
    }
}
