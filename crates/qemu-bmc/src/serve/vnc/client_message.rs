//! What a viewer says once it is in (RFC 6143 §7.5), cut out of its byte stream.
//!
//! Input events are not looked into: they are of a known length, and QEMU is their reader. Clipboard text
//! is skipped as it arrives and never stored, since no guest here has a clipboard to put it into.

use thiserror::Error;

use super::{
    encodings::Encodings,
    pixel_format::{PixelFormat, PixelFormatError},
};

/// The most encodings that SetEncodings may list. Viewers know some thirty.
const MAX_ENCODINGS: u16 = 1024;

/// One message of a viewer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ClientMessage<'a> {
    /// §7.5.1
    SetPixelFormat(PixelFormat),
    /// §7.5.2
    SetEncodings(Encodings),
    /// §7.5.3, whole as it came.
    UpdateRequest { incremental: bool, wire: &'a [u8] },
    /// A key or pointer event (§7.5.4, §7.5.5, QEMU's extended key event), whole as it came.
    Input(&'a [u8]),
}

/// Why a viewer isn't understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum ClientMessageError {
    #[error("unknown message type {0}")]
    UnknownType(u8),
    #[error("unknown QEMU message subtype {0}")]
    UnknownQemuSubtype(u8),
    #[error("{0} encodings offered")]
    TooManyEncodings(u16),
    #[error("pixel format refused")]
    PixelFormat(#[from] PixelFormatError),
}

/// Finds the messages in a viewer's stream.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// How many bytes of clipboard text are still to be skipped.
    skip: usize,
}

impl Decoder {
    /// Takes the next message off the front of `input`, or `None` if there is no whole one yet.
    pub(super) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<ClientMessage<'a>>, ClientMessageError> {
        loop {
            let skipped = self.skip.min(input.len());
            *input = input.get(skipped..).unwrap_or_default();
            self.skip -= skipped;

            let Some(&message_type) = input.first() else { return Ok(None) };
            let message = match message_type {
                0 => set_pixel_format(input)?,
                2 => set_encodings(input)?,
                3 => take::<10>(input).map(update_request),
                4 => take::<8>(input).map(|wire| ClientMessage::Input(wire)),
                5 => take::<6>(input).map(|wire| ClientMessage::Input(wire)),
                6 => match take::<8>(input) {
                    Some(&[_, _, _, _, length @ ..]) => {
                        self.skip = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                        continue;
                    }
                    None => None,
                },
                255 => qemu_message(input)?,
                other => return Err(ClientMessageError::UnknownType(other)),
            };
            return Ok(message);
        }
    }
}

fn take<'a, const N: usize>(input: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (chunk, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(chunk)
}

fn set_pixel_format<'a>(input: &mut &[u8]) -> Result<Option<ClientMessage<'a>>, ClientMessageError> {
    let Some([_, _, _, _, format @ ..]) = take::<20>(input) else { return Ok(None) };
    Ok(Some(ClientMessage::SetPixelFormat(PixelFormat::parse(format)?)))
}

fn set_encodings<'a>(input: &mut &[u8]) -> Result<Option<ClientMessage<'a>>, ClientMessageError> {
    let Some((&[_, _, n1, n0], list)) = input.split_first_chunk() else { return Ok(None) };
    let count = u16::from_be_bytes([n1, n0]);
    if count > MAX_ENCODINGS {
        return Err(ClientMessageError::TooManyEncodings(count));
    }
    let Some((list, rest)) = list.split_at_checked(usize::from(count) * 4) else { return Ok(None) };
    *input = rest;
    let (list, _) = list.as_chunks();
    let offered = list.iter().map(|encoding| i32::from_be_bytes(*encoding));
    Ok(Some(ClientMessage::SetEncodings(Encodings::keep_known(offered))))
}

fn update_request(wire: &[u8; 10]) -> ClientMessage<'_> {
    let [_, incremental, ..] = *wire;
    ClientMessage::UpdateRequest { incremental: incremental != 0, wire }
}

/// Of QEMU's own messages, the extended key event; audio is never offered to a viewer.
fn qemu_message<'a>(input: &mut &'a [u8]) -> Result<Option<ClientMessage<'a>>, ClientMessageError> {
    match input.get(1) {
        None => Ok(None),
        Some(0) => Ok(take::<12>(input).map(|wire| ClientMessage::Input(wire))),
        Some(&other) => Err(ClientMessageError::UnknownQemuSubtype(other)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 8] = [4, 1, 0, 0, 0, 0, 0xff, 0x1b];

    fn decode(decoder: &mut Decoder, mut input: &[u8]) -> Result<(Vec<String>, usize), ClientMessageError> {
        let before = input.len();
        let mut messages = Vec::new();
        while let Some(message) = decoder.next(&mut input)? {
            messages.push(format!("{message:?}"));
        }
        Ok((messages, before - input.len()))
    }

    fn one_of_each() -> Vec<u8> {
        let mut stream = vec![0, 0, 0, 0];
        stream.extend(PixelFormat::NATIVE.emit());
        stream.extend([2, 0, 0, 2, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0x21]);
        stream.extend([3, 1, 0, 0, 0, 0, 2, 128, 1, 224]);
        stream.extend(KEY);
        stream.extend([5, 1, 0, 10, 0, 20]);
        stream.extend([6, 0, 0, 0, 0, 0, 0, 3, b'a', b'b', b'c']);
        stream.extend([255, 0, 0, 1, 0, 0, 0xff, 0x1b, 0, 0, 0, 1]);
        stream
    }

    #[test]
    fn every_message_is_recognised() {
        let stream = one_of_each();
        let mut input = stream.as_slice();
        let mut decoder = Decoder::default();
        let mut next = || decoder.next(&mut input).unwrap().unwrap();
        assert_eq!(next(), ClientMessage::SetPixelFormat(PixelFormat::NATIVE));
        assert_eq!(next(), ClientMessage::SetEncodings(Encodings::keep_known([5, -223])));
        assert_eq!(next(), ClientMessage::UpdateRequest { incremental: true, wire: &stream[32..42] });
        assert_eq!(next(), ClientMessage::Input(&KEY));
        assert_eq!(next(), ClientMessage::Input(&[5, 1, 0, 10, 0, 20]));
        assert_eq!(next(), ClientMessage::Input(&stream[67..]));
        assert_eq!(decoder.next(&mut input), Ok(None));
        assert_eq!(input, [0u8; 0]);
    }

    #[test]
    fn refuses_what_was_never_offered() {
        let refusal = |bytes: &[u8]| decode(&mut Decoder::default(), bytes).unwrap_err();
        assert_eq!(refusal(&[250, 0, 1, 2]), ClientMessageError::UnknownType(250));
        assert_eq!(refusal(&[255, 1]), ClientMessageError::UnknownQemuSubtype(1));
        assert_eq!(refusal(&[2, 0, 4, 1]), ClientMessageError::TooManyEncodings(1025));
    }

    #[test]
    fn clipboard_text_of_any_length_is_skipped_without_being_kept() {
        let mut decoder = Decoder::default();
        assert_eq!(decode(&mut decoder, &[6, 0, 0, 0, 0, 0, 1, 4]), Ok((vec![], 8)));
        assert_eq!(decode(&mut decoder, &[6; 256]), Ok((vec![], 256)));
        let mut rest = vec![6; 4];
        rest.extend(KEY);
        assert_eq!(decode(&mut decoder, &rest).unwrap().0.len(), 1);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_are_never_over_consumed(
            bytes in prop::collection::vec(prop_oneof![0u8..8, any::<u8>()], 0..256),
        ) {
            if let Ok((_, consumed)) = decode(&mut Decoder::default(), &bytes) {
                prop_assert!(consumed <= bytes.len());
            }
        }

        #[test]
        fn fragments_carry_the_same_messages(sizes in prop::collection::vec(1usize..20, 1..80)) {
            let stream = one_of_each();
            let whole = decode(&mut Decoder::default(), &stream).unwrap().0;
            let mut decoder = Decoder::default();
            let (mut held, mut messages) = (Vec::new(), Vec::new());
            let mut rest = stream.as_slice();
            for size in sizes.into_iter().chain([usize::MAX]) {
                let (fragment, after) = rest.split_at(size.min(rest.len()));
                rest = after;
                held.extend(fragment);
                let (found, consumed) = decode(&mut decoder, &held).unwrap();
                held.drain(..consumed);
                messages.extend(found);
            }
            prop_assert_eq!(messages, whole);
            prop_assert!(held.is_empty());
        }
    }
}
