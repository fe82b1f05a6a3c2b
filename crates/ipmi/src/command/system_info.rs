//! System Info Parameters (IPMI 2.0 §22.14a and §22.14b, Table 22-16c): names and texts, in blocks of 16 bytes.
//!
//! ```text
//!   block 0   encoding, length in bytes, the first 14
//!   block n   the next 16, filled up with zeros
//! ```

use bmc::{SystemName, SystemText};

use super::{Context, boot_options::next_progress};
use crate::{CompletionCode, Reply};

type Result = std::result::Result<(), CompletionCode>;

const REVISION: u8 = 0x11;
const UNSUPPORTED: CompletionCode = CompletionCode(0x80);

const BLOCK: usize = 16;
const FIRST_BLOCK: usize = BLOCK - 2;
const ENCODING: u8 = 0x0f;
/// Encodings from here on are reserved.
const RESERVED: u8 = 3;

/// Where a block's bytes are in the text.
fn offset(block: u8) -> usize {
    match usize::from(block) {
        0 => 0,
        block => FIRST_BLOCK + (block - 1) * BLOCK,
    }
}

/// 58h.
pub(super) fn set(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (&parameter, data) = data.split_first().ok_or(CompletionCode::INVALID_LENGTH)?;
    if parameter == 0 {
        let &[state] = data else { return Err(CompletionCode::INVALID_LENGTH) };
        let now = context.bmc.system_info().set_in_progress;
        context.bmc.system_info_mut().set_in_progress = next_progress(now, state)?;
        return Ok(());
    }
    let name = SystemName::from_parameter(parameter).ok_or(UNSUPPORTED)?;
    let (&block, data) = data.split_first().ok_or(CompletionCode::INVALID_LENGTH)?;
    match (block, data) {
        (0, &[encoding, length, ref first @ ..]) => {
            let encoding = encoding & ENCODING;
            if encoding >= RESERVED {
                return Err(CompletionCode::INVALID_FIELD);
            }
            let mut bytes = first.get(..FIRST_BLOCK).unwrap_or(first).to_vec();
            bytes.resize(length.into(), 0);
            let by = context.requester();
            context.bmc.write_system_text(name, SystemText { encoding, bytes }, by);
        }
        (1.., bytes) if (1..=BLOCK).contains(&bytes.len()) => {
            if !context.bmc.continue_system_text(name, offset(block), bytes) {
                return Err(CompletionCode::OUT_OF_RANGE);
            }
        }
        _ => return Err(CompletionCode::INVALID_LENGTH),
    }
    Ok(())
}

/// 59h. With bit 7 of the first byte the revision alone is asked for. The block selector has no meaning in any of
/// the parameters.
pub(super) fn get(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const REVISION_ONLY: u8 = 0x80;

    let &[flags, parameter, block, _] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    reply.put(&[REVISION]);
    if flags & REVISION_ONLY != 0 {
        return Ok(());
    }
    if parameter == 0 {
        reply.put(&[context.bmc.system_info().set_in_progress]);
        return Ok(());
    }
    let name = SystemName::from_parameter(parameter).ok_or(UNSUPPORTED)?;
    let text = context.bmc.system_text(name);
    let length = u8::try_from(text.bytes.len()).unwrap_or(u8::MAX);
    let mut filled = [0; BLOCK];
    let room = if block == 0 {
        let [encoding, said, room @ ..] = &mut filled;
        (*encoding, *said) = (text.encoding, length);
        &mut room[..]
    } else {
        &mut filled[..]
    };
    match text.bytes.get(offset(block)..) {
        Some(rest) if block == 0 || !rest.is_empty() => {
            room.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        }
        _ => return Err(CompletionCode::OUT_OF_RANGE),
    }
    reply.put(&[block]);
    reply.put(&filled);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{table::APP, tests::Bench};

    #[test]
    fn a_text_of_three_blocks_comes_back() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x59, &[0, 4, 0, 0]), [&[0x11, 0, 0, 0][..], &[0; 14]].concat());
        let text: Vec<u8> = (b'a'..).take(35).collect();
        bench.ok(APP, 0x58, &[&[4, 0, 1, 35], &text[..14]].concat());
        bench.ok(APP, 0x58, &[&[4, 1], &text[14..30]].concat());
        bench.ok(APP, 0x58, &[&[4, 2], &text[30..]].concat());
        assert_eq!(bench.ok(APP, 0x59, &[0, 4, 0, 0]), [&[0x11, 0, 1, 35], &text[..14]].concat());
        assert_eq!(bench.ok(APP, 0x59, &[0, 4, 1, 0]), [&[0x11, 1], &text[14..30]].concat());
        assert_eq!(bench.ok(APP, 0x59, &[0, 4, 2, 0]), [&[0x11, 2], &text[30..], &[0; 11][..]].concat());
        assert_eq!(bench.code(APP, 0x59, &[0, 4, 3, 0]), 0xc9);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x59, &[0x80, 99, 0, 0]), [0x11]);
        assert_eq!(bench.code(APP, 0x59, &[0, 99, 0, 0]), 0x80);
        assert_eq!(bench.code(APP, 0x58, &[99, 0, 0, 1, b'x']), 0x80);
        assert_eq!(bench.code(APP, 0x58, &[2, 0, 3, 1, b'x']), 0xcc);
        assert_eq!(bench.code(APP, 0x58, &[2, 0, 0]), 0xc7);
        assert_eq!(bench.code(APP, 0x58, &[2, 1, b'x']), 0xc9);
        bench.ok(APP, 0x58, &[0, 1]);
        assert_eq!(bench.code(APP, 0x58, &[0, 1]), 0x81);
        bench.ok(APP, 0x58, &[0, 0]);
        assert_eq!(bench.ok(APP, 0x59, &[0, 0, 0, 0]), [0x11, 0]);
    }
}
