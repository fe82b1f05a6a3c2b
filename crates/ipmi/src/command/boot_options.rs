//! System Boot Options (IPMI 2.0 §28.12 to §28.14, Table 28-14).
//!
//! Parameter 5, the boot flags, is five bytes, of which the model knows three bits and the device; the
//! rest is kept and given back as it was set:
//!
//! ```text
//!   1   valid (7), persistent (6), UEFI (5)
//!   2   device selector (5:2), and keyboard, screen and CMOS bits
//!   3   power button, verbosity, password and console bits
//!   4   BIOS mux control
//!   5   device instance
//! ```

use bmc::{BootDevice, BootFlags, InitiatorInfo, ValidClearing};

use super::Context;
use crate::{CompletionCode, Reply};

type Result<T = ()> = std::result::Result<T, CompletionCode>;

const PARAMETER_VERSION: u8 = 1;
const MARKED_INVALID: u8 = 0x80;

const UNSUPPORTED: CompletionCode = CompletionCode(0x80);
const SET_IN_PROGRESS: CompletionCode = CompletionCode(0x81);

/// 08h. A request without data only marks a parameter valid or invalid.
pub(super) fn set(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (&selector, data) = data.split_first().ok_or(CompletionCode::INVALID_LENGTH)?;
    let parameter = selector & !MARKED_INVALID;
    if parameter > 7 {
        return Err(UNSUPPORTED);
    }
    if !data.is_empty() {
        set_parameter(context, parameter, data)?;
    }
    context.bmc.mark_boot_parameter(parameter, selector & MARKED_INVALID != 0);
    Ok(())
}

fn set_parameter(context: &mut Context<'_>, parameter: u8, data: &[u8]) -> Result {
    let by = context.requester();
    let bmc = &mut *context.bmc;
    match (parameter, data) {
        (0, &[state]) => {
            let progress = &mut bmc.boot_mut().set_in_progress;
            *progress = next_progress(*progress, state)?;
        }
        (1, &[partition]) => bmc.boot_mut().partition = partition,
        (2, &[scan]) => bmc.boot_mut().partition_scan = scan & 0x03,
        (3, &[clearing]) => bmc.boot_mut().clearing = ValidClearing(clearing & 0x1f),
        (4, &[mask, handled]) => {
            let acknowledged = &mut bmc.boot_mut().acknowledged;
            *acknowledged = (*acknowledged & !mask | handled & mask) & 0x1f;
        }
        (5, &[a, b, c, d, e]) => {
            let flags = flags_from_wire([a, b, c, d, e])?;
            if flags.valid && flags.device == BootDevice::Setup && !bmc.has_setup {
                return Err(CompletionCode::NOT_IN_PRESENT_STATE);
            }
            bmc.set_boot_flags(context.now, flags, by);
        }
        (6, &[channel, i0, i1, i2, i3, t0, t1, t2, t3]) => {
            bmc.boot_mut().initiator = InitiatorInfo {
                channel: channel & 0x0f,
                session_id: u32::from_le_bytes([i0, i1, i2, i3]),
                time: u32::from_le_bytes([t0, t1, t2, t3]),
            }
        }
        (7, &[block, ref bytes @ ..]) => {
            let block = bmc.boot_mut().mailbox_mut(block.into()).ok_or(CompletionCode::OUT_OF_RANGE)?;
            block.get_mut(..bytes.len()).ok_or(CompletionCode::INVALID_LENGTH)?.copy_from_slice(bytes);
        }
        _ => return Err(CompletionCode::INVALID_LENGTH),
    }
    Ok(())
}

/// The rules of every "set in progress" parameter: one party at a time. A commit is taken and has nothing
/// to do, for every parameter counts from when it is set.
pub(super) fn next_progress(now: u8, wanted: u8) -> Result<u8> {
    match (wanted & 0x03, now) {
        (0 | 2, _) => Ok(0),
        (1, 0) => Ok(1),
        (1, _) => Err(SET_IN_PROGRESS),
        _ => Err(CompletionCode::INVALID_FIELD),
    }
}

/// 09h. The block selector, the third byte, has no meaning in any of the parameters.
pub(super) fn get(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[selector, set_selector, _] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let parameter = selector & !MARKED_INVALID;
    let boot = context.bmc.boot();
    let mark = if boot.marked_invalid(parameter) { MARKED_INVALID } else { 0 };
    reply.put(&[PARAMETER_VERSION, parameter | mark]);
    match parameter {
        0 => reply.put(&[boot.set_in_progress]),
        1 => reply.put(&[boot.partition]),
        2 => reply.put(&[boot.partition_scan]),
        3 => reply.put(&[boot.clearing.0]),
        4 => reply.put(&[0, boot.acknowledged]),
        5 => reply.put(&flags_to_wire(&boot.flags())),
        6 => {
            let InitiatorInfo { channel, session_id, time } = boot.initiator;
            reply.put(&[channel]);
            reply.put(&session_id.to_le_bytes());
            reply.put(&time.to_le_bytes());
        }
        7 => {
            reply.put(&[set_selector]);
            reply.put(boot.mailbox(set_selector.into()).ok_or(CompletionCode::OUT_OF_RANGE)?);
        }
        _ => return Err(UNSUPPORTED),
    }
    Ok(())
}

const VALID: u8 = 0x80;
const PERSISTENT: u8 = 0x40;
const UEFI: u8 = 0x20;
const SELECTOR: u8 = 0x3c;

/// The device selectors. Where the model has one device for several, the first is the one to give back.
const SELECTORS: [(u8, BootDevice); 12] = [
    (0x0, BootDevice::None),
    (0x1, BootDevice::Pxe),
    (0x2, BootDevice::Disk),
    (0x3, BootDevice::DiskSafe),
    (0x4, BootDevice::Diagnostic),
    (0x5, BootDevice::Cdrom),
    (0x6, BootDevice::Setup),
    (0xf, BootDevice::Floppy),
    (0x7, BootDevice::Floppy), // remotely connected
    (0x8, BootDevice::Cdrom),  // remotely connected
    (0x9, BootDevice::Cdrom),  // primary remote media
    (0xb, BootDevice::Disk),   // remotely connected
];

fn selector_of(device: BootDevice) -> u8 {
    SELECTORS.iter().find(|(_, known)| *known == device).map_or(0, |(selector, _)| selector << 2)
}

/// The selector's bits are opaque too, as what distinguishes it from the device's first.
fn flags_from_wire([a, b, c, d, e]: [u8; 5]) -> Result<BootFlags> {
    let selector = b & SELECTOR;
    let &(_, device) =
        SELECTORS.iter().find(|(known, _)| known << 2 == selector).ok_or(CompletionCode::INVALID_FIELD)?;
    Ok(BootFlags {
        valid: a & VALID != 0,
        persistent: a & PERSISTENT != 0,
        uefi: a & UEFI != 0,
        device,
        opaque: [a & !(VALID | PERSISTENT | UEFI), b ^ selector_of(device), c, d, e],
    })
}

fn flags_to_wire(flags: &BootFlags) -> [u8; 5] {
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    let [a, b, c, d, e] = flags.opaque;
    let first = bit(flags.valid, VALID) | bit(flags.persistent, PERSISTENT) | bit(flags.uefi, UEFI);
    [a | first, b ^ selector_of(flags.device), c, d, e]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bmc::Intent;
    use proptest::prelude::*;

    use super::{super::tests::Bench, *};

    const CHASSIS: u8 = 0x00;

    impl Bench {
        fn set_parameter(&mut self, data: &[u8]) {
            assert_eq!(self.ok(CHASSIS, 0x08, data), []);
        }

        fn parameter(&mut self, selector: u8) -> Vec<u8> {
            self.ok(CHASSIS, 0x09, &[selector, 0, 0])
        }
    }

    #[test]
    fn every_parameter_has_its_start_value() {
        let mut bench = Bench::new();
        assert_eq!(bench.parameter(0), [1, 0, 0]);
        assert_eq!(bench.parameter(1), [1, 1, 0]);
        assert_eq!(bench.parameter(2), [1, 2, 0]);
        assert_eq!(bench.parameter(3), [1, 3, 0]);
        assert_eq!(bench.parameter(4), [1, 4, 0, 0]);
        assert_eq!(bench.parameter(5), [1, 5, 0, 0, 0, 0, 0]);
        assert_eq!(bench.parameter(6), [&[1, 6][..], &[0; 9]].concat());
        assert_eq!(bench.parameter(7), [&[1, 7, 0][..], &[0; 16]].concat());
    }

    #[test]
    fn small_parameters_come_back_as_set() {
        let mut bench = Bench::new();
        bench.set_parameter(&[1, 0x42]);
        bench.set_parameter(&[2, 0xff]);
        bench.set_parameter(&[3, 0xff]);
        assert_eq!(bench.parameter(1), [1, 1, 0x42]);
        assert_eq!(bench.parameter(2), [1, 2, 0x03]);
        assert_eq!(bench.parameter(3), [1, 3, 0x1f]);
    }

    #[test]
    fn the_acknowledgement_changes_only_under_its_mask() {
        let mut bench = Bench::new();
        bench.set_parameter(&[4, 0xff, 0x15]);
        bench.set_parameter(&[4, 0x03, 0x02]);
        assert_eq!(bench.parameter(4), [1, 4, 0, 0x16]);
    }

    #[test]
    fn the_initiator_and_its_mailbox_come_back_as_set() {
        let mut bench = Bench::new();
        bench.set_parameter(&[6, 0x01, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bench.parameter(6), [1, 6, 0x01, 1, 2, 3, 4, 5, 6, 7, 8]);
        let block: Vec<u8> = (1..=16).collect();
        bench.set_parameter(&[&[7, 4], &block[..]].concat());
        bench.set_parameter(&[7, 4, 0xaa]);
        assert_eq!(bench.ok(CHASSIS, 0x09, &[7, 4, 0]), [&[1, 7, 4, 0xaa], &block[1..]].concat());
        assert_eq!(bench.code(CHASSIS, 0x08, &[7, 5, 0]), 0xc9);
        assert_eq!(bench.code(CHASSIS, 0x09, &[7, 5, 0]), 0xc9);
    }

    #[test]
    fn pxe_once_as_ironic_and_maas_ask_for_it() {
        let mut bench = Bench::new();
        bench.set_parameter(&[3, 0x08]);
        bench.set_parameter(&[5, 0xe0, 0x04, 0, 0, 0]);
        assert_eq!(bench.parameter(5), [1, 5, 0xe0, 0x04, 0, 0, 0]);
        assert_eq!(bench.bmc.take_intent(), Some(Intent::BootOrder));
        assert_eq!(bench.bmc.boot().choice().device, BootDevice::Pxe);
        assert!(bench.bmc.boot().flags().persistent && bench.bmc.boot().flags().uefi);
        assert_eq!(bench.bmc.next_timeout(), None, "parameter 3 says not to forget it");
    }

    #[test]
    fn one_party_sets_at_a_time() {
        let mut bench = Bench::new();
        bench.set_parameter(&[0, 1]);
        assert_eq!(bench.parameter(0), [1, 0, 1]);
        assert_eq!(bench.code(CHASSIS, 0x08, &[0, 1]), 0x81);
        bench.set_parameter(&[0, 2]);
        bench.set_parameter(&[0, 0]);
        assert_eq!(bench.parameter(0), [1, 0, 0]);
        assert_eq!(bench.code(CHASSIS, 0x08, &[0, 3]), 0xcc);
    }

    #[test]
    fn a_parameter_that_is_marked_invalid_does_not_count() {
        let mut bench = Bench::new();
        bench.set_parameter(&[5, 0x80, 0x14, 0, 0, 0]);
        bench.set_parameter(&[0x85]);
        assert_eq!(bench.parameter(5), [1, 0x85, 0x80, 0x14, 0, 0, 0]);
        assert_eq!(bench.bmc.boot().choice().device, BootDevice::None);
        bench.set_parameter(&[0x05]);
        assert_eq!(bench.parameter(5), [1, 0x05, 0x80, 0x14, 0, 0, 0]);
        assert_eq!(bench.bmc.boot().choice().device, BootDevice::Cdrom);
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut bench = Bench::new();
        assert_eq!(bench.code(CHASSIS, 0x08, &[8, 0]), 0x80);
        assert_eq!(bench.code(CHASSIS, 0x09, &[8, 0, 0]), 0x80);
        assert_eq!(bench.code(CHASSIS, 0x09, &[0x7f, 0, 0]), 0x80);
        assert_eq!(bench.code(CHASSIS, 0x08, &[0x85, 0x80, 0x04, 0, 0]), 0xc7);
        assert_eq!(bench.code(CHASSIS, 0x08, &[0x85, 0x80, 0x28, 0, 0, 0]), 0xcc, "selector Ah is reserved");
        assert_eq!(bench.parameter(5), [1, 5, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_setup_that_cannot_be_shown_is_refused() {
        let mut bench = Bench::new();
        bench.bmc.has_setup = false;
        assert_eq!(bench.code(CHASSIS, 0x08, &[5, 0x80, 0x18, 0, 0, 0]), 0xd5);
        assert_eq!(bench.parameter(5), [1, 5, 0, 0, 0, 0, 0]);
        bench.set_parameter(&[5, 0x00, 0x18, 0, 0, 0]);
    }

    #[test]
    fn flags_of_a_client_that_never_powers_on_lapse() {
        let mut bench = Bench::new();
        bench.set_parameter(&[5, 0x80, 0x04, 0, 0, 0]);
        bench.bmc.tick(bench.now + Duration::from_secs(60));
        assert_eq!(bench.parameter(5), [1, 5, 0x00, 0x04, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn flags_come_back_as_set(wire: [u8; 5]) {
            if let Ok(flags) = flags_from_wire(wire) {
                prop_assert_eq!(flags_to_wire(&flags), wire);
            } else {
                prop_assert!([0xa, 0xc, 0xd, 0xe].contains(&(wire[1] >> 2 & 0x0f)));
            }
        }
    }
}
