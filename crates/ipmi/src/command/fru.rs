//! FRU inventory device commands (IPMI 2.0 §34). There is one device, number 0, accessed by bytes, whose
//! contents are the model's business: what is written is kept, also where no reader makes sense of it.

use bmc::FRU_SIZE;

use super::Context;
use crate::{CompletionCode, Reply};

type Result = std::result::Result<(), CompletionCode>;

/// The device that stands for the machine as a whole.
const DEVICE: u8 = 0;
/// The most bytes that one answer carries beside their count.
const READ_MAX: usize = 250;

fn expect_device(number: u8) -> Result {
    if number == DEVICE { Ok(()) } else { Err(CompletionCode::NOT_PRESENT) }
}

/// 10h.
pub(super) fn get_area_info(_: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const BY_BYTES: u8 = 0;

    let &[device] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    expect_device(device)?;
    reply.put(&u16::try_from(FRU_SIZE).unwrap_or(u16::MAX).to_le_bytes());
    reply.put(&[BY_BYTES]);
    Ok(())
}

/// 11h. Who asks for more than there is, or than an answer carries, gets what there is, with its count.
pub(super) fn read(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[device, low, high, count] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    expect_device(device)?;
    let offset = usize::from(u16::from_le_bytes([low, high]));
    let rest = context.bmc.fru().bytes().get(offset..).filter(|rest| !rest.is_empty());
    let rest = rest.ok_or(CompletionCode::OUT_OF_RANGE)?;
    let bytes = rest.get(..usize::from(count).min(READ_MAX)).unwrap_or(rest);
    reply.put(&[u8::try_from(bytes.len()).unwrap_or(u8::MAX)]);
    reply.put(bytes);
    Ok(())
}

/// 12h. All or nothing.
pub(super) fn write(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let (&[device, low, high], bytes) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    expect_device(device)?;
    let offset = usize::from(u16::from_le_bytes([low, high]));
    let by = context.requester();
    if !context.bmc.write_fru(context.now, offset, bytes, by) {
        return Err(CompletionCode::OUT_OF_RANGE);
    }
    reply.put(&[u8::try_from(bytes.len()).unwrap_or(u8::MAX)]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{table::STORAGE, tests::Bench};

    #[test]
    fn there_is_one_device_of_2048_bytes() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(STORAGE, 0x10, &[0]), [0x00, 0x08, 0x00]);
        assert_eq!(bench.code(STORAGE, 0x10, &[1]), 0xcb);
        assert_eq!(bench.code(STORAGE, 0x11, &[1, 0, 0, 8]), 0xcb);
        assert_eq!(bench.code(STORAGE, 0x12, &[1, 0, 0, 8]), 0xcb);
    }

    #[test]
    fn it_is_read_in_parts() {
        let mut bench = Bench::new();
        let header = bench.ok(STORAGE, 0x11, &[0, 0, 0, 8]);
        assert_eq!(header.len(), 9);
        assert_eq!(header[..3], [8, 1, 0]);
        assert_eq!(header[1..].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
        let all = bench.bmc.fru().bytes().to_vec();
        assert_eq!(bench.ok(STORAGE, 0x11, &[0, 0x05, 0x00, 2]), [2, all[5], all[6]]);
        assert_eq!(bench.ok(STORAGE, 0x11, &[0, 0, 0, 255]).len(), 251, "as much as an answer carries");
        assert_eq!(bench.ok(STORAGE, 0x11, &[0, 0xfe, 0x07, 16]), [2, 0, 0], "as much as there is");
        assert_eq!(bench.ok(STORAGE, 0x11, &[0, 0, 0, 0]), [0]);
        assert_eq!(bench.code(STORAGE, 0x11, &[0, 0x00, 0x08, 1]), 0xc9);
        assert_eq!(bench.code(STORAGE, 0x11, &[0, 0xff, 0xff, 1]), 0xc9);
    }

    #[test]
    fn what_is_written_is_read_whatever_it_is() {
        let mut bench = Bench::new();
        bench.bmc.take_unsaved();
        assert_eq!(bench.ok(STORAGE, 0x12, &[0, 0x10, 0x01, 0xaa, 0xbb, 0xcc]), [3]);
        assert!(bench.bmc.take_unsaved());
        assert_eq!(bench.ok(STORAGE, 0x11, &[0, 0x10, 0x01, 3]), [3, 0xaa, 0xbb, 0xcc]);
        assert_eq!(bench.code(STORAGE, 0x12, &[0, 0xfe, 0x07, 1, 2, 3]), 0xc9);
        assert_eq!(bench.ok(STORAGE, 0x11, &[0, 0xfe, 0x07, 2]), [2, 0, 0], "half a write is none");
    }
}
