//! One viewer from its first request to its last, and what it looks at. No I/O: bytes in, bytes out.
//!
//! ```text
//!                      attach                first request
//!    ┌─► Placeholder ─────────► Attached ───────────────────► Streaming ──┐
//!    │        ▲                    ▲                           │    │     │ bytes pass in
//!    │        └────────────────────┼──── detach ───────────────┘    │     │ both directions
//!    │                      attach │                                └─────┘
//!    └─ detach ─ Reopening ────────┘
//!                    ▲                 the pixel format changes
//!                    └──────────────────────────────────────── Streaming
//! ```
//!
//! The viewer's connection outlives QEMU's, so everything that a fresh QEMU has to be told is remembered:
//! the pixel format, the encodings, and that an update is being waited for. The size of the screen is the
//! one thing that the viewer has to be told, by the DesktopSize pseudo-encoding (RFC 6143 §7.8.2).
//!
//! A connection to QEMU has one pixel format for its life. Pixels of the old format may be under way when
//! a viewer asks for a new one, and nothing in the stream says where one ends and the other begins; a new
//! connection does.

use std::mem;

use thiserror::Error;

use super::Size;
use super::client_message::{ClientMessage, ClientMessageError, Decoder};
use super::delimiter::{Delimiter, StreamError};
use super::encodings::{self, Encodings};
use super::pixel_format::PixelFormat;
use super::placeholder::{Notice, Painting};

/// More is not produced while this much waits for the viewer.
const HIGH_WATER: usize = 64 * 1024;
/// A viewer is not read while this much waits for QEMU.
const HIGH_WATER_INPUT: usize = 4 * 1024;

/// The state of one viewer.
///
/// Bytes that arrive go to [`handle_viewer`](Self::handle_viewer) and [`handle_qemu`](Self::handle_qemu), the fate
/// of QEMU's connection to [`attach`](Self::attach) and [`detach`](Self::detach). After any of these,
/// [`produce`](Self::produce) fills the two outboxes. An error is the end of the session.
#[derive(Debug)]
pub(super) struct Session {
    /// Bytes that the viewer is to get; the front is taken off as they are sent.
    pub(super) to_viewer: Vec<u8>,
    /// Bytes that QEMU is to get, likewise.
    pub(super) to_qemu: Vec<u8>,
    decoder: Decoder,
    /// Of the screen, as the viewer knows it.
    size: Size,
    format: PixelFormat,
    encodings: Encodings,
    /// Requests for an update that wait for pixels. QEMU may answer several at once, so there can be fewer
    /// than it seems, and the viewer gets a picture too many; never one too few.
    requests: u32,
    source: Source,
    /// What must be finished before `source` has its say.
    unfinished: Option<Unfinished>,
}

/// Where the viewer's picture comes from.
#[derive(Debug)]
enum Source {
    /// From us. `shown` is false if the viewer has yet to see it.
    Placeholder { notice: Notice, shown: bool },
    /// From QEMU, which has been asked for nothing yet.
    Attached(Delimiter),
    /// From QEMU.
    Streaming(Delimiter),
    /// From the connection to QEMU that is to replace the last one.
    Reopening,
}

/// A message to the viewer of which a part is in its outbox, or gone.
#[derive(Debug)]
enum Unfinished {
    Painting(Painting),
    /// QEMU's, whose connection has ended.
    Cut(Delimiter),
}

/// Why a viewer can't stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum SessionError {
    #[error("viewer's message refused")]
    Viewer(#[from] ClientMessageError),
    #[error("QEMU's display stream refused")]
    Qemu(#[from] StreamError),
    #[error("viewer cannot follow the screen from {} by {} to {} by {}", .from.width, .from.height, .to.width, .to.height)]
    CannotResize { from: Size, to: Size },
}

impl Session {
    /// A viewer that was told of a screen of `size` in the native pixel format.
    pub(super) fn new(size: Size) -> Self {
        Self {
            to_viewer: Vec::new(),
            to_qemu: Vec::new(),
            decoder: Decoder::default(),
            size,
            format: PixelFormat::NATIVE,
            encodings: Encodings::default(),
            requests: 0,
            source: Source::Placeholder { notice: Notice::PowerOff, shown: false },
            unfinished: None,
        }
    }

    /// There is a fresh connection to QEMU, whose screen has `size`.
    pub(super) fn attach(&mut self, size: Size) {
        self.leave_source();
        self.source = Source::Attached(Delimiter::new(size, self.format));
    }

    /// There is no connection to QEMU any more, or still not.
    pub(super) fn detach(&mut self, notice: Notice) {
        if !matches!(self.source, Source::Placeholder { notice: present, .. } if present == notice) {
            self.leave_source();
            self.source = Source::Placeholder { notice, shown: false };
        }
    }

    /// True if QEMU's connection is to be replaced by a fresh one, from here until `attach` or `detach`.
    pub(super) fn is_reopening(&self) -> bool {
        matches!(self.source, Source::Reopening)
    }

    /// True if there is room for what the viewer says.
    pub(super) fn takes_viewer(&self) -> bool {
        self.to_qemu.len() < HIGH_WATER_INPUT
    }

    /// True if there is room for what QEMU says, and nothing of another source is to come first.
    pub(super) fn takes_qemu(&self) -> bool {
        self.unfinished.is_none() && self.to_viewer.len() < HIGH_WATER
    }

    /// Takes whole messages of the viewer off the front of `input`.
    pub(super) fn handle_viewer(&mut self, input: &mut Vec<u8>) -> Result<(), SessionError> {
        let mut rest = input.as_slice();
        while let Some(message) = self.decoder.next(&mut rest)? {
            self.on_message(message);
        }
        let consumed = input.len() - rest.len();
        input.drain(..consumed);
        Ok(())
    }

    /// Takes what may go to the viewer off the front of `input`. May be called while `takes_qemu`.
    pub(super) fn handle_qemu(&mut self, input: &mut Vec<u8>) -> Result<(), SessionError> {
        let (Source::Attached(delimiter) | Source::Streaming(delimiter)) = &mut self.source else {
            input.clear();
            return Ok(());
        };
        let scanned = delimiter.scan(input)?;
        if self.encodings.has_desktop_size() {
            self.size = delimiter.size();
        }
        self.requests = self.requests.saturating_sub(scanned.updates);
        self.to_viewer.extend(input.drain(..scanned.ready));
        Ok(())
    }

    /// Produces what is due, as far as there is room.
    pub(super) fn produce(&mut self) -> Result<(), SessionError> {
        while self.to_viewer.len() < HIGH_WATER {
            if let Some(unfinished) = &mut self.unfinished {
                let finished = match unfinished {
                    Unfinished::Painting(painting) => painting.advance(&mut self.to_viewer),
                    Unfinished::Cut(delimiter) => delimiter.complete(&mut self.to_viewer),
                };
                if finished {
                    self.unfinished = None;
                }
                continue;
            }
            match &mut self.source {
                Source::Placeholder { notice, shown: shown @ false } if self.requests > 0 => {
                    *shown = true;
                    self.requests = 0;
                    let painting = Painting::new(*notice, self.size, self.format);
                    self.unfinished = Some(Unfinished::Painting(painting));
                }
                Source::Attached(delimiter) if self.requests > 0 => {
                    let delimiter = delimiter.clone();
                    self.resize(delimiter.size())?;
                    self.brief_qemu(delimiter.size());
                    self.source = Source::Streaming(delimiter);
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn on_message(&mut self, message: ClientMessage<'_>) {
        match message {
            ClientMessage::SetPixelFormat(format) => self.set_format(format),
            ClientMessage::SetEncodings(encodings) => {
                if let Source::Streaming(_) = self.source {
                    encodings.put_message(&mut self.to_qemu);
                }
                self.encodings = encodings;
            }
            ClientMessage::UpdateRequest { incremental, wire } => {
                self.requests = self.requests.saturating_add(1);
                match &mut self.source {
                    Source::Streaming(_) => self.to_qemu.extend(wire),
                    Source::Placeholder { shown, .. } => *shown &= incremental,
                    Source::Attached(_) | Source::Reopening => {}
                }
            }
            ClientMessage::Input(wire) => {
                if let Source::Attached(_) | Source::Streaming(_) = self.source {
                    self.to_qemu.extend(wire);
                }
            }
        }
    }

    fn set_format(&mut self, format: PixelFormat) {
        if format == self.format {
            return;
        }
        self.format = format;
        match &mut self.source {
            Source::Streaming(_) => {
                self.leave_source();
                self.source = Source::Reopening;
            }
            Source::Attached(delimiter) => delimiter.set_format(format),
            Source::Placeholder { .. } | Source::Reopening => {}
        }
    }

    /// Ends the part of the current source, and lets no message of it be cut short.
    fn leave_source(&mut self) {
        self.to_qemu.clear();
        let source = mem::replace(&mut self.source, Source::Reopening);
        if let Source::Attached(delimiter) | Source::Streaming(delimiter) = source
            && !delimiter.is_between_messages()
        {
            self.unfinished = Some(Unfinished::Cut(delimiter));
        }
    }

    /// Tells the viewer of the size of QEMU's screen. One that can't be told stays if its own is as large.
    fn resize(&mut self, size: Size) -> Result<(), SessionError> {
        if size == self.size {
            return Ok(());
        }
        if self.encodings.has_desktop_size() {
            self.to_viewer.extend([0, 0, 0, 1]);
            size.put_rectangle(encodings::DESKTOP_SIZE, &mut self.to_viewer);
            self.size = size;
            Ok(())
        } else if size.width <= self.size.width && size.height <= self.size.height {
            Ok(())
        } else {
            Err(SessionError::CannotResize { from: self.size, to: size })
        }
    }

    /// Tells a fresh QEMU what the viewer has said so far, and asks for the whole screen.
    fn brief_qemu(&mut self, size: Size) {
        self.to_qemu.extend([0, 0, 0, 0]);
        self.to_qemu.extend(self.format.emit());
        self.encodings.put_message(&mut self.to_qemu);
        self.to_qemu.extend([3, 0, 0, 0, 0, 0]);
        size.put(&mut self.to_qemu);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::placeholder;
    use super::*;

    const VGA: Size = placeholder::SIZE;
    const XGA: Size = Size { width: 1024, height: 768 };
    const KEY: [u8; 8] = [4, 1, 0, 0, 0, 0, 0xff, 0x1b];
    const RGB565: [u8; 16] = [16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0];
    const ENCODINGS: [u8; 12] = [2, 0, 0, 2, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0x21];
    const BELL: [u8; 1] = [2];
    /// An update with one pixel.
    const PIXEL: [u8; 20] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4];

    fn request(incremental: bool) -> [u8; 10] {
        [3, u8::from(incremental), 0, 0, 0, 0, 2, 128, 1, 224]
    }

    fn set_format(format: [u8; 16]) -> Vec<u8> {
        [&[0; 4][..], &format].concat()
    }

    fn say(session: &mut Session, message: &[u8]) {
        session.handle_viewer(&mut message.to_vec()).unwrap();
    }

    /// Returns all that is due to the viewer, as if it read everything.
    fn drain(session: &mut Session) -> Vec<u8> {
        let mut drained = Vec::new();
        loop {
            session.produce().unwrap();
            if session.to_viewer.is_empty() {
                return drained;
            }
            drained.append(&mut session.to_viewer);
        }
    }

    fn to_qemu(session: &mut Session) -> Vec<u8> {
        mem::take(&mut session.to_qemu)
    }

    fn briefing(format: [u8; 16], encodings: &[u8], size: Size) -> Vec<u8> {
        let mut briefing = set_format(format);
        briefing.extend(encodings);
        briefing.extend([3, 0, 0, 0, 0, 0]);
        size.put(&mut briefing);
        briefing
    }

    fn streaming() -> Session {
        let mut session = Session::new(VGA);
        session.attach(VGA);
        say(&mut session, &ENCODINGS);
        say(&mut session, &request(false));
        assert_eq!(drain(&mut session), [0; 0]);
        session.to_qemu.clear();
        session
    }

    const PICTURE: usize = 16 + 640 * 480 * 4;

    #[test]
    fn a_picture_answers_a_request_once_until_it_changes() {
        let mut session = Session::new(VGA);
        assert_eq!(drain(&mut session).len(), 0, "nobody asked");
        say(&mut session, &request(false));
        let off = drain(&mut session);
        assert_eq!(off.len(), PICTURE);
        say(&mut session, &request(true));
        assert_eq!(drain(&mut session).len(), 0, "nothing new");
        session.detach(Notice::PowerOff);
        assert_eq!(drain(&mut session).len(), 0, "still nothing new");
        session.detach(Notice::NoSignal);
        let no_signal = drain(&mut session);
        assert_eq!(no_signal.len(), PICTURE);
        assert_ne!(no_signal, off);
        say(&mut session, &request(false));
        assert_eq!(drain(&mut session), no_signal);
    }

    #[test]
    fn a_fresh_qemu_is_told_what_the_viewer_said_and_the_viewer_of_its_size() {
        let mut session = Session::new(VGA);
        for message in [&set_format(RGB565), &ENCODINGS[..], &request(true)] {
            say(&mut session, message);
        }
        drain(&mut session);
        say(&mut session, &request(true));
        session.attach(XGA);
        let resize = [0, 0, 0, 1, 0, 0, 0, 0, 4, 0, 3, 0, 0xff, 0xff, 0xff, 0x21];
        assert_eq!(drain(&mut session), resize);
        assert_eq!(to_qemu(&mut session), briefing(RGB565, &ENCODINGS, XGA));
    }

    #[test]
    fn qemu_is_asked_for_nothing_before_the_viewer_asks() {
        let mut session = Session::new(VGA);
        session.attach(VGA);
        for message in [&KEY[..], &set_format(RGB565), &ENCODINGS] {
            say(&mut session, message);
        }
        session.produce().unwrap();
        assert_eq!(to_qemu(&mut session), KEY);
        assert!(!session.is_reopening());
        say(&mut session, &request(true));
        session.produce().unwrap();
        assert_eq!(to_qemu(&mut session), briefing(RGB565, &ENCODINGS, VGA));
    }

    #[test]
    fn messages_pass_in_both_directions() {
        let mut session = streaming();
        let messages = [&request(true)[..], &KEY, &[2, 0, 0, 1, 0, 0, 0, 0], &[5, 0, 0, 1, 0, 1]].concat();
        say(&mut session, &messages);
        assert_eq!(to_qemu(&mut session), messages);
        let mut stream = [&BELL[..], &PIXEL, &PIXEL[..17]].concat();
        session.handle_qemu(&mut stream).unwrap();
        assert_eq!(drain(&mut session), [&BELL[..], &PIXEL, &PIXEL[..17]].concat());
        assert!(stream.is_empty());
    }

    #[test]
    fn the_last_size_that_qemu_told_is_the_size_of_the_picture() {
        let mut session = streaming();
        let mut resize = vec![0, 0, 0, 1];
        XGA.put_rectangle(encodings::DESKTOP_SIZE, &mut resize);
        session.handle_qemu(&mut resize).unwrap();
        drain(&mut session);
        session.detach(Notice::PowerOff);
        assert_eq!(drain(&mut session).len(), 16 + 1024 * 768 * 4, "the request is still open");
    }

    #[test]
    fn a_picture_that_qemu_began_is_finished_before_ours_begins() {
        for cut in 0..=PIXEL.len() {
            let mut session = streaming();
            session.handle_qemu(&mut PIXEL[..cut].to_vec()).unwrap();
            session.detach(Notice::PowerOff);
            assert_eq!(session.takes_qemu(), cut < 4 || cut == PIXEL.len(), "cut at {cut}");
            say(&mut session, &request(false));
            let shown = drain(&mut session);
            let begun = match cut {
                0..4 => 0,
                // The header, and an empty rectangle in place of the one that was not begun.
                4..16 => 4 + 12,
                _ => PIXEL.len(),
            };
            assert_eq!(shown.len(), begun + PICTURE, "cut at {cut}");
        }
    }

    #[test]
    fn input_is_ignored_while_there_is_no_machine() {
        let mut session = Session::new(VGA);
        say(&mut session, &KEY);
        session.attach(VGA);
        session.produce().unwrap();
        assert_eq!(to_qemu(&mut session), [0; 0]);
        session.detach(Notice::PowerOff);
        say(&mut session, &KEY);
        assert_eq!(to_qemu(&mut session), [0; 0]);
    }

    #[test]
    fn a_new_pixel_format_takes_a_new_connection() {
        let mut session = streaming();
        say(&mut session, &set_format(PixelFormat::NATIVE.emit()));
        assert!(!session.is_reopening(), "the format is the same");
        say(&mut session, &set_format(RGB565));
        assert!(session.is_reopening());
        say(&mut session, &request(true));
        session.attach(VGA);
        assert!(!session.is_reopening());
        assert_eq!(drain(&mut session), [0; 0], "no picture of ours in between");
        assert_eq!(to_qemu(&mut session), briefing(RGB565, &ENCODINGS, VGA));
    }

    #[test]
    fn a_viewer_that_cannot_resize_stays_if_the_screen_fits() {
        let attach = |from: Size, to: Size| {
            let mut session = Session::new(from);
            say(&mut session, &request(false));
            session.attach(to);
            session.produce()
        };
        assert_eq!(attach(XGA, VGA), Ok(()));
        assert_eq!(attach(VGA, XGA), Err(SessionError::CannotResize { from: VGA, to: XGA }));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut session = Session::new(VGA);
        say(&mut session, &request(false));
        session.produce().unwrap();
        assert!(session.to_viewer.len() < HIGH_WATER + 640 * 4);
        let mut session = streaming();
        assert!(session.takes_qemu() && session.takes_viewer());
        session.handle_qemu(&mut vec![2; HIGH_WATER]).unwrap();
        assert!(!session.takes_qemu());
        say(&mut session, &KEY.repeat(HIGH_WATER_INPUT / KEY.len()));
        assert!(!session.takes_viewer());
    }

    #[derive(Clone, Debug)]
    enum Event {
        Viewer(Vec<u8>),
        Qemu(Vec<u8>),
        Attach(Size),
        Detach(Notice),
        Read(usize),
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let sizes = (1u16..50, 1u16..50).prop_map(|(width, height)| Size { width, height });
        prop_oneof![
            any::<bool>().prop_map(|incremental| Event::Viewer(request(incremental).to_vec())),
            Just(Event::Viewer(KEY.to_vec())),
            Just(Event::Viewer(ENCODINGS.to_vec())),
            (1..=PIXEL.len()).prop_map(|length| Event::Qemu(PIXEL[..length].to_vec())),
            prop::collection::vec(any::<u8>(), 1..40).prop_map(Event::Qemu),
            sizes.prop_map(Event::Attach),
            prop::sample::select(vec![Notice::PowerOff, Notice::NoSignal]).prop_map(Event::Detach),
            (1usize..10_000).prop_map(Event::Read),
        ]
    }

    proptest! {
        #[test]
        fn the_viewer_gets_whole_messages_whatever_happens(events in prop::collection::vec(any_event(), 0..40)) {
            let size = Size { width: 40, height: 30 };
            let mut session = Session::new(size);
            say(&mut session, &ENCODINGS);
            let (mut shown, mut held) = (Vec::new(), Vec::new());
            for event in events {
                match event {
                    Event::Viewer(message) => say(&mut session, &message),
                    Event::Qemu(bytes) if session.takes_qemu() => {
                        held.extend(bytes);
                        if session.handle_qemu(&mut held).is_err() {
                            return Ok(());
                        }
                    }
                    Event::Qemu(_) => {}
                    Event::Attach(size) => {
                        session.detach(Notice::NoSignal);
                        held.clear();
                        session.attach(size);
                    }
                    Event::Detach(notice) => {
                        held.clear();
                        session.detach(notice);
                    }
                    Event::Read(length) => {
                        let length = length.min(session.to_viewer.len());
                        shown.extend(session.to_viewer.drain(..length));
                    }
                }
                session.produce().unwrap();
            }
            session.detach(Notice::PowerOff);
            shown.extend(drain(&mut session));
            let mut viewer = Delimiter::new(size, PixelFormat::NATIVE);
            prop_assert_eq!(viewer.scan(&mut shown).map(|scanned| scanned.ready), Ok(shown.len()));
            prop_assert!(viewer.is_between_messages());
        }
    }
}
