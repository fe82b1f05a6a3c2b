//! Finds the boundaries in QEMU's stream to a viewer (RFC 6143 §7.6, §7.7), without decoding a pixel.
//!
//! The machine can go away in the middle of a picture, and the viewer stays. So the stream is cut where a
//! reader could stop: what [`Delimiter::scan`] lets through is never half a header, and the rest of what
//! has begun is known well enough that [`Delimiter::complete`] can make it up, in black.
//!
//! What is still to come is kept as three counters, one inside the other:
//!
//! ```text
//!  message ──► update of n rectangles ──► body ──► opaque bytes
//!     ▲               │      ▲             │ ▲          │
//!     └── none left ──┘      └─ none left ─┘ └── none ──┘
//! ```
//!
//! Sizes are bounded before anything is counted or held; QEMU is trusted with its guest's picture, not
//! with the memory of the BMC.

use thiserror::Error;

use super::{Size, encodings, pixel_format::PixelFormat, tight};

/// The largest side of a screen or rectangle. QEMU's own limit is 5120 by 2160.
const MAX_SIDE: u16 = 8192;
/// The longest clipboard text.
const MAX_CUT_TEXT: u32 = 1024 * 1024;
/// How much [`Delimiter::complete`] appends at a time.
const FILLER: usize = 4096;

const HEXTILE_RAW: u8 = 1;
const HEXTILE_BACKGROUND: u8 = 2;
const HEXTILE_FOREGROUND: u8 = 4;
const HEXTILE_SUBRECTS: u8 = 8;
const HEXTILE_COLOURED: u8 = 16;

/// Follows one connection to QEMU.
#[derive(Clone, Debug)]
pub(super) struct Delimiter {
    format: PixelFormat,
    /// Of QEMU's screen, as the viewer has been told.
    size: Size,
    /// How many rectangles of the current update have not begun.
    rectangles: u16,
    /// True if the current update has had pixels.
    painted: bool,
    /// What the current rectangle still consists of, after `opaque`.
    body: Body,
    /// How many bytes follow that need no look.
    opaque: usize,
    /// Until the first Tight rectangle, which must reset the viewer's zlib streams: they may have been in
    /// use with the QEMU before this one.
    resets_tight: bool,
}

#[derive(Clone, Debug)]
enum Body {
    Done,
    Hextile(Tiles),
    Tight(Size),
}

/// What [`Delimiter::scan`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    /// How many bytes from the front may go to the viewer.
    pub(super) ready: usize,
    /// How many updates with pixels began, which answer requests of the viewer.
    pub(super) updates: u32,
}

/// Why QEMU's stream isn't understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum StreamError {
    #[error("unknown message type {0}")]
    UnknownType(u8),
    #[error("unexpected encoding {0}")]
    UnknownEncoding(i32),
    #[error("a rectangle of {} by {} pixels is too large", .0.width, .0.height)]
    TooLarge(Size),
    #[error("a clipboard text of {0} bytes is too long")]
    CutText(u32),
    #[error("unknown Tight control byte {0:#04x}")]
    TightControl(u8),
    #[error("unknown Tight filter {0}")]
    TightFilter(u8),
    #[error("Tight data of {0} bytes is too long")]
    TightData(usize),
}

impl Delimiter {
    /// `size` and `format` are what the connection begins with.
    pub(super) fn new(size: Size, format: PixelFormat) -> Self {
        Self { format, size, rectangles: 0, painted: false, body: Body::Done, opaque: 0, resets_tight: true }
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Only while no pixels can be under way: before QEMU was first asked for any.
    pub(super) fn set_format(&mut self, format: PixelFormat) {
        self.format = format;
    }

    /// Says how much of `input`, which continues where the last call's `ready` ended, may go to the viewer.
    pub(super) fn scan(&mut self, input: &mut [u8]) -> Result<Scanned, StreamError> {
        let mut scanned = Scanned::default();
        while let Some(rest) = input.get_mut(scanned.ready..)
            && !rest.is_empty()
            && let Some(length) = self.step(rest, &mut scanned.updates)?
        {
            scanned.ready += length;
        }
        Ok(scanned)
    }

    /// Appends a piece of what the viewer still has to get for the current message to be whole, and says
    /// whether it is whole now. To be called, from any state, until it is.
    pub(super) fn complete(&mut self, out: &mut Vec<u8>) -> bool {
        match &mut self.body {
            _ if self.opaque > 0 => {
                let length = self.opaque.min(FILLER);
                out.resize(out.len() + length, 0);
                self.opaque -= length;
            }
            Body::Hextile(tiles) => {
                out.push(HEXTILE_BACKGROUND);
                out.resize(out.len() + self.format.bytes_per_pixel(), 0);
                if !tiles.advance() {
                    self.body = Body::Done;
                }
            }
            Body::Tight(_) => {
                tight::put_black(self.format, out);
                self.body = Body::Done;
            }
            // An empty rectangle of raw pixels.
            Body::Done if self.rectangles > 0 => {
                out.extend([0; 12]);
                self.rectangles -= 1;
            }
            Body::Done => {}
        }
        self.is_between_messages()
    }

    pub(super) fn is_between_messages(&self) -> bool {
        self.opaque == 0 && matches!(self.body, Body::Done) && self.rectangles == 0
    }

    /// The length of the next piece at the front of `input`, or `None` if it isn't all there.
    fn step(&mut self, input: &mut [u8], updates: &mut u32) -> Result<Option<usize>, StreamError> {
        if self.opaque > 0 {
            let length = self.opaque.min(input.len());
            self.opaque -= length;
            return Ok(Some(length));
        }
        match self.body {
            Body::Hextile(_) => Ok(self.hextile_tile(input)),
            Body::Tight(size) => self.tight_rectangle(size, input),
            Body::Done if self.rectangles > 0 => self.rectangle(input, updates),
            Body::Done => self.message(input),
        }
    }

    fn message(&mut self, input: &[u8]) -> Result<Option<usize>, StreamError> {
        match *input {
            // FramebufferUpdate
            [0, _, n1, n0, ..] => {
                self.rectangles = u16::from_be_bytes([n1, n0]);
                self.painted = false;
                Ok(Some(4))
            }
            // SetColourMapEntries
            [1, _, _, _, n1, n0, ..] => {
                self.opaque = usize::from(u16::from_be_bytes([n1, n0])) * 6;
                Ok(Some(6))
            }
            // Bell
            [2, ..] => Ok(Some(1)),
            // ServerCutText
            [3, _, _, _, l3, l2, l1, l0, ..] => {
                let length = u32::from_be_bytes([l3, l2, l1, l0]);
                if length > MAX_CUT_TEXT {
                    return Err(StreamError::CutText(length));
                }
                self.opaque = usize::try_from(length).map_err(|_| StreamError::CutText(length))?;
                Ok(Some(8))
            }
            [0 | 1 | 3, ..] | [] => Ok(None),
            [other, ..] => Err(StreamError::UnknownType(other)),
        }
    }

    fn rectangle(&mut self, input: &[u8], updates: &mut u32) -> Result<Option<usize>, StreamError> {
        let Some(&[_, _, _, _, w1, w0, h1, h0, encoding @ ..]) = input.first_chunk::<12>() else {
            return Ok(None);
        };
        let size = Size { width: u16::from_be_bytes([w1, w0]), height: u16::from_be_bytes([h1, h0]) };
        if size.width > MAX_SIDE || size.height > MAX_SIDE {
            return Err(StreamError::TooLarge(size));
        }
        let (width, height) = (usize::from(size.width), usize::from(size.height));
        let pixels = width * height * self.format.bytes_per_pixel();
        let encoding = i32::from_be_bytes(encoding);
        match encoding {
            encodings::RAW => self.opaque = pixels,
            encodings::COPY_RECT => self.opaque = 4,
            encodings::HEXTILE => self.body = Tiles::new(size).map_or(Body::Done, Body::Hextile),
            encodings::TIGHT | encodings::TIGHT_PNG => self.body = Body::Tight(size),
            encodings::DESKTOP_SIZE => self.size = size,
            encodings::CURSOR => self.opaque = pixels + width.div_ceil(8) * height,
            encodings::POINTER_TYPE | encodings::EXTENDED_KEY => {}
            encodings::LED_STATE => self.opaque = 1,
            other => return Err(StreamError::UnknownEncoding(other)),
        }
        if !self.painted && encodings::has_pixels(encoding) {
            self.painted = true;
            *updates += 1;
        }
        self.rectangles -= 1;
        Ok(Some(12))
    }

    /// RFC 6143 §7.7.4.
    fn hextile_tile(&mut self, input: &[u8]) -> Option<usize> {
        let Body::Hextile(tiles) = &mut self.body else { return None };
        let flags = *input.first()?;
        let pixel = self.format.bytes_per_pixel();
        let (length, opaque) = if flags & HEXTILE_RAW != 0 {
            (1, tiles.pixels() * pixel)
        } else {
            let colour_if = |flag| if flags & flag != 0 { pixel } else { 0 };
            let colours = colour_if(HEXTILE_BACKGROUND) + colour_if(HEXTILE_FOREGROUND);
            if flags & HEXTILE_SUBRECTS != 0 {
                let count = usize::from(*input.get(1 + colours)?);
                (1 + colours + 1, count * (colour_if(HEXTILE_COLOURED) + 2))
            } else {
                (1 + colours, 0)
            }
        };
        if input.len() < length {
            return None;
        }
        if !tiles.advance() {
            self.body = Body::Done;
        }
        self.opaque = opaque;
        Some(length)
    }

    /// A Tight rectangle goes whole or not at all: half a zlib stream could not be made up.
    fn tight_rectangle(&mut self, size: Size, input: &mut [u8]) -> Result<Option<usize>, StreamError> {
        let Some(length) = tight::length(input, size, self.format)?.filter(|&length| length <= input.len())
        else {
            return Ok(None);
        };
        if let Some(control) = input.first_mut().filter(|_| self.resets_tight) {
            *control |= tight::RESET_STREAMS;
            self.resets_tight = false;
        }
        self.body = Body::Done;
        Ok(Some(length))
    }
}

/// The tiles of a Hextile rectangle that have not begun, in rows from the top left.
#[derive(Clone, Debug)]
struct Tiles {
    size: Size,
    x: u16,
    y: u16,
}

impl Tiles {
    const SIDE: u16 = 16;

    fn new(size: Size) -> Option<Self> {
        (size.width > 0 && size.height > 0).then_some(Self { size, x: 0, y: 0 })
    }

    /// Of the next tile, which is smaller at the right and lower edges.
    fn pixels(&self) -> usize {
        let width = (self.size.width - self.x).min(Self::SIDE);
        let height = (self.size.height - self.y).min(Self::SIDE);
        usize::from(width) * usize::from(height)
    }

    /// Goes on to the next tile and says whether there is one.
    fn advance(&mut self) -> bool {
        self.x += Self::SIDE;
        if self.x >= self.size.width {
            self.x = 0;
            self.y += Self::SIDE;
        }
        self.y < self.size.height
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: Size = Size { width: 640, height: 480 };

    fn delimiter() -> Delimiter {
        Delimiter::new(SIZE, PixelFormat::NATIVE)
    }

    fn rectangle(width: u16, height: u16, encoding: i32, body: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 4];
        out.extend(width.to_be_bytes());
        out.extend(height.to_be_bytes());
        out.extend(encoding.to_be_bytes());
        out.extend(body);
        out
    }

    fn update(rectangles: &[Vec<u8>]) -> Vec<u8> {
        let mut out = vec![0, 0];
        out.extend(u16::try_from(rectangles.len()).unwrap().to_be_bytes());
        out.extend(rectangles.concat());
        out
    }

    /// Scans `stream`, which must be whole messages, and returns the delimiter with what it said.
    fn scan_whole(stream: &[u8]) -> (Delimiter, Scanned) {
        let mut delimiter = delimiter();
        let scanned = delimiter.scan(&mut stream.to_vec()).unwrap();
        assert_eq!(scanned.ready, stream.len(), "the stream has a rest");
        assert!(delimiter.is_between_messages(), "the stream is short: {delimiter:?}");
        (delimiter, scanned)
    }

    #[test]
    fn pixels_answer_a_request_and_pseudo_rectangles_do_not() {
        let pseudo = [
            rectangle(3, 2, encodings::CURSOR, &[0; 3 * 2 * 4 + 2]),
            rectangle(640, 480, encodings::POINTER_TYPE, &[]),
            rectangle(640, 480, encodings::EXTENDED_KEY, &[]),
            rectangle(640, 480, encodings::LED_STATE, &[7]),
            rectangle(1280, 800, encodings::DESKTOP_SIZE, &[]),
        ];
        let (delimiter, scanned) = scan_whole(&update(&pseudo));
        assert_eq!(scanned.updates, 0);
        assert_eq!(delimiter.size(), Size { width: 1280, height: 800 });

        for (encoding, body) in [
            (encodings::RAW, vec![9; 3 * 2 * 4]),
            (encodings::COPY_RECT, vec![9; 4]),
            (encodings::HEXTILE, vec![0]),
            (encodings::TIGHT, vec![0x80, 1, 2, 3]),
            (encodings::TIGHT_PNG, vec![0xa0, 2, 1, 2]),
        ] {
            let rectangle = rectangle(3, 2, encoding, &body);
            assert_eq!(scan_whole(&update(&[rectangle.clone(), rectangle])).1.updates, 1, "{encoding}");
        }
    }

    #[test]
    fn messages_other_than_updates_pass() {
        let mut stream = vec![2];
        stream.extend([1, 0, 0, 0, 0, 2]);
        stream.extend([0; 12]);
        stream.extend([3, 0, 0, 0, 0, 0, 0, 2, b'h', b'i']);
        scan_whole(&stream);
    }

    #[test]
    fn hextile_tiles_at_the_edges_are_smaller() {
        let mut tiles = vec![HEXTILE_BACKGROUND | HEXTILE_FOREGROUND | HEXTILE_SUBRECTS];
        tiles.extend([1, 1, 1, 1, 2, 2, 2, 2, 2, 0, 0, 1, 1]);
        tiles.push(HEXTILE_RAW);
        tiles.extend([0; 16 * 4]);
        tiles.push(HEXTILE_SUBRECTS | HEXTILE_COLOURED);
        tiles.extend([1, 3, 3, 3, 3, 0, 0]);
        tiles.push(HEXTILE_RAW);
        tiles.extend([0; 4]);
        scan_whole(&update(&[rectangle(17, 17, encodings::HEXTILE, &tiles)]));
    }

    #[test]
    fn a_header_passes_only_whole() {
        let stream = update(&[rectangle(640, 480, encodings::LED_STATE, &[7])]);
        let ready = |length: usize| delimiter().scan(&mut stream.clone()[..length]).unwrap().ready;
        assert_eq!([ready(3), ready(4), ready(15), ready(16), ready(17)], [0, 4, 4, 16, 17]);
    }

    #[test]
    fn the_first_tight_rectangle_resets_the_viewers_streams() {
        let fill = rectangle(1, 1, encodings::TIGHT, &[0x80, 1, 2, 3]);
        let mut stream = update(&[fill.clone(), fill]);
        delimiter().scan(&mut stream).unwrap();
        assert_eq!([stream[16], stream[32]], [0x8f, 0x80]);
    }

    #[test]
    fn a_tight_rectangle_passes_only_whole() {
        let mut stream = update(&[rectangle(10, 10, encodings::TIGHT, &[0, 4, 1, 2, 3, 4])]);
        let length = stream.len();
        let mut delimiter = delimiter();
        assert_eq!(delimiter.scan(&mut stream[..length - 1]).unwrap().ready, 16);
        assert_eq!(delimiter.scan(&mut stream[16..]).unwrap().ready, 6);
    }

    #[test]
    fn refuses_what_it_cannot_delimit_or_bound() {
        let refusal = |stream: &[u8]| delimiter().scan(&mut stream.to_vec()).unwrap_err();
        assert_eq!(refusal(&[255, 1]), StreamError::UnknownType(255));
        assert_eq!(refusal(&[3, 0, 0, 0, 0, 16, 0, 1]), StreamError::CutText(1_048_577));
        let zrle = update(&[rectangle(1, 1, 16, &[])]);
        assert_eq!(refusal(&zrle), StreamError::UnknownEncoding(16));
        let large = update(&[rectangle(8193, 1, encodings::RAW, &[])]);
        assert_eq!(refusal(&large), StreamError::TooLarge(Size { width: 8193, height: 1 }));
    }

    fn any_rectangle() -> impl Strategy<Value = Vec<u8>> {
        let bytes = |length: usize| prop::collection::vec(any::<u8>(), length);
        let raw = (0u16..20, 0u16..20).prop_flat_map(move |(w, h)| {
            bytes(usize::from(w * h) * 4).prop_map(move |body| rectangle(w, h, encodings::RAW, &body))
        });
        let tile = prop_oneof![
            Just(vec![0]),
            bytes(4).prop_map(|pixel| [vec![HEXTILE_BACKGROUND], pixel].concat()),
            (0u8..4).prop_map(|n| [vec![HEXTILE_SUBRECTS, n], vec![0x11; usize::from(n) * 2]].concat()),
            bytes(16 * 16 * 4).prop_map(|pixels| [vec![HEXTILE_RAW], pixels].concat()),
        ];
        let hextile = prop::collection::vec(tile, 6)
            .prop_map(|tiles| rectangle(48, 32, encodings::HEXTILE, &tiles.concat()));
        let tight = (1usize..100, 0u8..0x40).prop_flat_map(move |(length, control)| {
            bytes(length).prop_map(move |data| {
                let body = [vec![control, u8::try_from(data.len()).unwrap()], data].concat();
                rectangle(16, 16, encodings::TIGHT, &body)
            })
        });
        let pseudo = prop_oneof![
            Just(rectangle(800, 600, encodings::DESKTOP_SIZE, &[])),
            Just(rectangle(1, 1, encodings::LED_STATE, &[1])),
        ];
        prop_oneof![raw, hextile, tight, pseudo]
    }

    fn any_stream() -> impl Strategy<Value = Vec<u8>> {
        let message = prop_oneof![
            4 => prop::collection::vec(any_rectangle(), 0..4).prop_map(|rectangles| update(&rectangles)),
            1 => Just(vec![2]),
            1 => Just(vec![3, 0, 0, 0, 0, 0, 0, 1, b'x']),
            1 => Just([vec![1, 0, 0, 0, 0, 1], vec![0; 6]].concat()),
        ];
        prop::collection::vec(message, 1..5).prop_map(|messages| messages.concat())
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_are_never_over_counted(
            mut bytes in prop::collection::vec(prop_oneof![3 => 0u8..8, 1 => any::<u8>()], 0..256),
        ) {
            if let Ok(scanned) = delimiter().scan(&mut bytes) {
                prop_assert!(scanned.ready <= bytes.len());
            }
        }

        #[test]
        fn fragments_pass_as_the_whole_does(stream in any_stream(), size in 1usize..200) {
            let mut whole = stream.clone();
            delimiter().scan(&mut whole).unwrap();

            let (mut held, mut passed) = (Vec::new(), Vec::new());
            let mut delimiter = delimiter();
            for fragment in stream.chunks(size) {
                held.extend(fragment);
                let ready = delimiter.scan(&mut held).unwrap().ready;
                passed.extend(held.drain(..ready));
            }
            prop_assert!(delimiter.is_between_messages());
            prop_assert_eq!(passed, whole);
        }

        #[test]
        fn a_stream_cut_anywhere_is_completed_to_whole_messages(
            stream in any_stream(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut begun = stream[..cut.index(stream.len() + 1)].to_vec();
            let mut delimiter = delimiter();
            let ready = delimiter.scan(&mut begun).unwrap().ready;
            begun.truncate(ready);
            while !delimiter.complete(&mut begun) {}
            scan_whole(&begun);
        }
    }
}
