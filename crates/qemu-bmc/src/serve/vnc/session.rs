//! One viewer from its first request to its last, and what it looks at. No I/O: bytes in, bytes out.
//!
//! ```text
//!               attach              first request
//! Placeholder ──────────► Attached ───────────────► Streaming
//!      ▲                   │   ▲                       │   │
//!      │                   │   │ attach     new format │   │
//!      │                   │   └────── Reopening ◄─────┘   │
//!      │                   │               │               │
//!      └───────────────────┴─── detach ────┴───────────────┘
//! ```
//!
//! The viewer's connection outlives QEMU's, so everything that a fresh QEMU has to be told is remembered:
//! the pixel format, the encodings, and that an update is being waited for. The size of the screen is the
//! one thing that the viewer has to be told, by the DesktopSize pseudo-encoding (RFC 6143 §7.8.2).
//!
//! A connection to QEMU has one pixel format for its life. Pixels of the old format may be under way when
//! a viewer asks for a new one, and nothing in the stream says where one ends and the other begins; a new
//! connection does.

#[cfg(test)]
mod tests;

use std::mem;

use thiserror::Error;

use super::{
    Size,
    client_message::{ClientMessage, ClientMessageError, Decoder},
    delimiter::{Delimiter, StreamError},
    encodings::{self, Encodings},
    pixel_format::PixelFormat,
    placeholder::{Notice, Painting},
};

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
