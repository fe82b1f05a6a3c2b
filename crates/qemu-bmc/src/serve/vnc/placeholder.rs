//! The picture that a viewer sees while there is no machine to show: a word in the middle of a dark screen.
//!
//! It is painted row by row into the viewer's own pixel format, so that no framebuffer is ever held.

use super::pixel_format::{PixelFormat, Rgb};
use super::{Size, encodings};

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
    lettering: &'static [&'static str],
    /// The next row, `None` before the header.
    row: Option<u16>,
}

impl Painting {
    pub(super) fn new(notice: Notice, size: Size, format: PixelFormat) -> Self {
        let lettering = match notice {
            Notice::PowerOff => POWER_IS_OFF,
            Notice::NoSignal => NO_SIGNAL,
        };
        Self { format, size, lettering, row: None }
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
        let scale = (self.size.width / WIDTH_PER_SCALE).max(1);
        let letters = letters(self.lettering, row, self.size.height, scale);
        let width = self.lettering.iter().map(|line| line.len()).max().unwrap_or_default();
        for column in 0..self.size.width {
            let letter = at(column, self.size.width, width, scale).and_then(|x| letters.get(x));
            let shade = SHADE_LETTERS.iter().position(|shade| Some(shade) == letter).unwrap_or_default();
            let colour = SHADES.get(shade).copied().unwrap_or_default();
            self.format.put(colour, u8::try_from(shade).unwrap_or_default(), out);
        }
    }
}

/// The line of the lettering that a row of the screen shows, empty above and below it.
fn letters(lettering: &'static [&'static str], row: u16, height: u16, scale: u16) -> &'static [u8] {
    at(row, height, lettering.len(), scale).and_then(|y| lettering.get(y)).map_or(&[], |line| line.as_bytes())
}

/// Which of `count` cells, each `scale` pixels long and together in the middle of `length`, holds `pixel`.
fn at(pixel: u16, length: u16, count: usize, scale: u16) -> Option<usize> {
    let scale = usize::from(scale);
    let margin = usize::from(length).saturating_sub(count * scale) / 2;
    Some(usize::from(pixel).checked_sub(margin)? / scale)
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
