//! Asset tag and management controller identifier string (DCMI 1.5 §6.4.2, §6.4.3, §6.4.6). Both are read and
//! written in parts of up to 16 bytes; a part that is written is the end of the text until the next comes.
//! Zeros at the end don't count: FreeIPMI fills a short text up with parts of them.

use bmc::{ASSET_TAG_MAX, AssetTagError, CONTROLLER_ID_MAX, Encoding};

use super::{CompletionCode, Context, Reply, Result};

/// The most bytes of a part.
const PART_MAX: usize = 16;

/// Answers with the length of the text, and the part of it that is there.
fn get(text: &[u8], room: usize, data: &[u8], reply: &mut Reply) -> Result {
    let &[offset, count] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let (start, end) = (usize::from(offset), usize::from(offset) + usize::from(count));
    if usize::from(count) > PART_MAX || start > room || end > room {
        return Err(CompletionCode::OUT_OF_RANGE);
    }
    let rest = text.get(start..).unwrap_or_default();
    reply.put(&[u8::try_from(text.len()).unwrap_or(u8::MAX)]);
    reply.put(rest.get(..usize::from(count)).unwrap_or(rest));
    Ok(())
}

/// The text as it is after a part was written.
fn with_part(mut text: Vec<u8>, room: usize, data: &[u8]) -> Result<Vec<u8>> {
    let (&[offset, count], part) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    if part.len() != usize::from(count) {
        return Err(CompletionCode::INVALID_LENGTH);
    }
    let start = usize::from(offset);
    if part.len() > PART_MAX || start + part.len() > room {
        return Err(CompletionCode::OUT_OF_RANGE);
    }
    text.truncate(start);
    let said = part.iter().rposition(|byte| *byte != 0).and_then(|last| part.get(..=last));
    if let Some(said) = said {
        // Blanks at the end of the part before did not count as long as they were the end of the text.
        text.resize(start, b' ');
        text.extend(said);
    }
    Ok(text)
}

/// The tag is in the inventory, where other clients read it; one that is not plain text there has a code that
/// says in which way.
fn tag_error(error: AssetTagError) -> CompletionCode {
    match error {
        AssetTagError::Encoded(Encoding::Binary) => CompletionCode(0x80),
        AssetTagError::Encoded(Encoding::BcdPlus) => CompletionCode(0x81),
        AssetTagError::Encoded(Encoding::Ascii6) => CompletionCode(0x82),
        AssetTagError::Encoded(Encoding::Language) => CompletionCode(0x83),
        AssetTagError::NoProduct => CompletionCode::NOT_PRESENT,
        AssetTagError::Full => CompletionCode::OUT_OF_SPACE,
    }
}

/// 06h.
pub(in super::super) fn get_asset_tag(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let tag = context.bmc.fru().asset_tag().map_err(tag_error)?;
    get(&tag, ASSET_TAG_MAX, data, reply)
}

/// 08h. What is there in another encoding is replaced.
pub(in super::super) fn set_asset_tag(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let before = match context.bmc.fru().asset_tag() {
        Ok(tag) => tag,
        Err(AssetTagError::Encoded(_)) => Vec::new(),
        Err(error) => return Err(tag_error(error)),
    };
    let tag = with_part(before, ASSET_TAG_MAX, data)?;
    let by = context.requester();
    context.bmc.set_asset_tag(&tag, by).map_err(tag_error)?;
    reply.put(&[u8::try_from(tag.len()).unwrap_or(u8::MAX)]);
    Ok(())
}

/// With the zero that ends it.
const CONTROLLER_ID_ROOM: usize = CONTROLLER_ID_MAX + 1;

/// 09h. The length is told without the zero that ends it.
pub(in super::super) fn get_controller_id(
    context: &mut Context<'_>,
    data: &[u8],
    reply: &mut Reply,
) -> Result {
    get(context.bmc.controller_id(), CONTROLLER_ID_ROOM, data, reply)
}

/// 0Ah. The zero that ends the string is sent with its last part.
pub(in super::super) fn set_controller_id(
    context: &mut Context<'_>,
    data: &[u8],
    reply: &mut Reply,
) -> Result {
    let id = with_part(context.bmc.controller_id().to_vec(), CONTROLLER_ID_ROOM, data)?;
    let by = context.requester();
    context.bmc.set_controller_id(&id, by);
    reply.put(&[u8::try_from(id.len()).unwrap_or(u8::MAX)]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::{
        table::{GROUP_EXTENSION, STORAGE},
        tests::Bench,
    };

    #[test]
    fn an_asset_tag_is_written_and_read_in_parts() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x06, &[0xdc, 0, 0]), [0xdc, 0]);
        let first = [&[0xdc, 0, 16][..], b"0123456789abcdef"].concat();
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x08, &first), [0xdc, 16]);
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x08, &[0xdc, 16, 2, b'g', b'h']), [0xdc, 18]);
        assert_eq!(
            bench.ok(GROUP_EXTENSION, 0x06, &[0xdc, 0, 16]),
            [&[0xdc, 18][..], b"0123456789abcdef"].concat()
        );
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x06, &[0xdc, 16, 16]), [0xdc, 18, b'g', b'h']);
        assert_eq!(bench.bmc.shown_identity().labels.asset_tag, "0123456789abcdefgh");
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x08, &[0xdc, 1, 1, b'x']), [0xdc, 2], "what follows goes");
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x06, &[0xdc, 0, 16]), [0xdc, 2, b'0', b'x']);
    }

    #[test]
    fn a_blank_at_the_end_of_a_part_stays_one() {
        let mut bench = Bench::new();
        bench.ok(GROUP_EXTENSION, 0x08, &[&[0xdc, 0, 16][..], b"Rack 12 Unit 07 "].concat());
        bench.ok(GROUP_EXTENSION, 0x08, &[&[0xdc, 16, 6][..], b"Bottom"].concat());
        assert_eq!(bench.bmc.shown_identity().labels.asset_tag, "Rack 12 Unit 07 Bottom");
    }

    #[test]
    fn zeros_at_the_end_do_not_count() {
        let mut bench = Bench::new();
        let part = |offset, text: &[u8]| {
            let mut part = [&[0xdc, offset, 16][..], text].concat();
            part.resize(3 + 16, 0);
            part
        };
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x08, &part(0, b"short")), [0xdc, 5]);
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x08, &part(16, b"")), [0xdc, 5]);
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x06, &[0xdc, 0, 16]), *b"\xdc\x05short");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut bench = Bench::new();
        assert_eq!(bench.code(GROUP_EXTENSION, 0x06, &[0xdc, 0, 17]), 0xc9);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x06, &[0xdc, 63, 1]), 0xc9);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x06, &[0xdc, 64, 0]), 0xc9);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x08, &[0xdc, 63, 1, b'x']), 0xc9);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x08, &[0xdc, 0, 2, b'x']), 0xc7);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x08, &[&[0xdc, 0, 17][..], &[b'x'; 17]].concat()), 0xc7);
    }

    #[test]
    fn a_device_without_inventory_has_no_asset_tag() {
        let mut bench = Bench::new();
        bench.ok(STORAGE, 0x12, &[0, 0, 0, 0xff]);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x06, &[0xdc, 0, 0]), 0xcb);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x08, &[0xdc, 0, 1, b'x']), 0xcb);
    }

    #[test]
    fn the_controllers_string_ends_with_a_zero_that_is_not_counted() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x09, &[0xdc, 0, 16]), [&[0xdc, 5][..], b"node1"].concat());
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x0a, &[0xdc, 0, 5, b'r', b'7', b'-', b'9', 0]), [0xdc, 4]);
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x09, &[0xdc, 0, 1]), [0xdc, 4, b'r']);
        for offset in [0, 16, 32, 48] {
            let part = [&[0xdc, offset, 16][..], &[b'x'; 16]].concat();
            bench.ok(GROUP_EXTENSION, 0x0a, &part);
        }
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x09, &[0xdc, 48, 16]).len(), 2 + 15, "63 and its zero");
    }
}
