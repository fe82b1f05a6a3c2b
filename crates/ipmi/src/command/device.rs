//! The device: who the controller is, whether it works, its restart, ACPI state and global enables
//! (IPMI 2.0 §20 and §22.1).
//!
//! Absent on purpose: Manufacturing Test On (05h), for there is no such test.

use bmc::{AcpiDeviceState, AcpiPower, AcpiSystemState, enables};

use super::{Context, lookup};
use crate::{CompletionCode, Reply};

type Result = std::result::Result<(), CompletionCode>;

const DEVICE_ID: u8 = 0x20;
const DEVICE_REVISION: u8 = 0x01;
const IPMI_2_0: u8 = 0x02;
/// "Unspecified": this program is nobody's product number.
const MANUFACTURER: [u8; 3] = [0; 3];
const PRODUCT: [u8; 2] = [0; 2];
const VERSION: [u8; 3] = [
    decimal(env!("CARGO_PKG_VERSION_MAJOR")),
    decimal(env!("CARGO_PKG_VERSION_MINOR")),
    decimal(env!("CARGO_PKG_VERSION_PATCH")),
];

const fn decimal(text: &str) -> u8 {
    match u8::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => u8::MAX,
    }
}

/// Two decimal digits, as the minor revision is written.
const fn bcd(number: u8) -> u8 {
    number / 10 % 10 * 16 + number % 10
}

/// Additional device support: what a client may expect of this controller, as far as the table has it.
pub(super) fn support() -> u8 {
    const CHASSIS_DEVICE: u8 = 1 << 7;
    /// Functions, with a command that is there if they are.
    const FUNCTIONS: [(u8, u8, u8); 4] = [
        (1 << 0, 0x04, 0x2d), // sensors: Get Sensor Reading
        (1 << 1, 0x0a, 0x23), // sensor data records: Get SDR
        (1 << 2, 0x0a, 0x43), // event log: Get SEL Entry
        (1 << 3, 0x0a, 0x11), // FRU inventory: Read FRU Data
    ];

    FUNCTIONS
        .into_iter()
        .filter(|&(_, netfn, command)| lookup(netfn, command, &[]).is_some())
        .fold(CHASSIS_DEVICE, |support, (bit, ..)| support | bit)
}

/// 01h.
pub(super) fn get_id(_: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    const PROVIDES_DEVICE_SDRS: u8 = 1 << 7;

    let device_sdrs = if lookup(0x04, 0x21, &[]).is_some() { PROVIDES_DEVICE_SDRS } else { 0 };
    let [major, minor, patch] = VERSION;
    let revision = DEVICE_REVISION | device_sdrs;
    reply.put(&[DEVICE_ID, revision, major & 0x7f, bcd(minor), IPMI_2_0, support()]);
    reply.put(&MANUFACTURER);
    reply.put(&PRODUCT);
    reply.put(&[patch, 0, 0, 0]);
    Ok(())
}

/// 02h: restarts the controller and leaves the guest alone. The watchdog stops (§27.6).
pub(super) fn cold_reset(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    context.bmc.stop_watchdog();
    warm_reset(context, data, reply)
}

/// 03h: restarts the controller and leaves the guest alone.
pub(super) fn warm_reset(context: &mut Context<'_>, _: &[u8], _: &mut Reply) -> Result {
    let by = context.requester();
    context.bmc.restart_controller(by);
    Ok(())
}

/// 04h. A controller that is a program has one test: that it answers.
pub(super) fn get_self_test(_: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    reply.put(&[0x55, 0x00]);
    Ok(())
}

const SET: u8 = 0x80;
const NO_CHANGE: u8 = 0x7f;

/// 06h. A byte without its "set" bit, or of 7Fh, changes nothing.
pub(super) fn set_acpi_power_state(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let &[system, device] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let mut acpi = context.bmc.chassis().acpi();
    if let Some(number) = state_to_set(system) {
        acpi.system = AcpiSystemState::from_number(number).ok_or(CompletionCode::INVALID_FIELD)?;
    }
    if let Some(number) = state_to_set(device) {
        acpi.device = AcpiDeviceState::from_number(number).ok_or(CompletionCode::INVALID_FIELD)?;
    }
    context.bmc.chassis_mut().set_acpi(acpi);
    Ok(())
}

fn state_to_set(byte: u8) -> Option<u8> {
    let number = byte & !SET;
    (byte & SET != 0 && number != NO_CHANGE).then_some(number)
}

/// 07h.
pub(super) fn get_acpi_power_state(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    let AcpiPower { system, device } = context.bmc.chassis().acpi();
    reply.put(&[system as u8, device as u8]);
    Ok(())
}

/// 2Eh. Bits 3:0 are the specification's; the OEM bits have no meaning here and cannot be set. A guest that is
/// not trusted has its driver's bits, and leaves event logging as it is.
pub(super) fn set_global_enables(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const STANDARD: u8 = 0x0f;
    const OEM: u8 = 0xe0;

    let &[enables] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    if enables & OEM != 0 {
        return Err(CompletionCode::INVALID_FIELD);
    }
    let kept = if context.is_untrusted_guest() { enables::EVENT_LOGGING } else { 0 };
    let enables = enables & STANDARD & !kept | context.bmc.global_enables & kept;
    context.bmc.set_global_enables(enables);
    Ok(())
}

/// 2Fh.
pub(super) fn get_global_enables(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    reply.put(&[context.bmc.global_enables]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bmc::Intent;

    use super::{
        super::{table::APP, tests::Bench},
        *,
    };

    #[test]
    fn the_device_id_says_what_is_there() {
        let mut bench = Bench::new();
        let [major, minor, patch] = VERSION;
        let said = bench.ok(APP, 0x01, &[]);
        assert_eq!(support() & 0x8b, 0x8b, "a chassis, an inventory, sensors and their records");
        let expected = [0x20, 0x81, major, bcd(minor), 0x02, support(), 0, 0, 0, 0, 0, patch, 0, 0, 0];
        assert_eq!(said, expected);
        let [major, minor, patch] = VERSION;
        assert_eq!(format!("{major}.{minor}.{patch}"), env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_minor_revision_is_two_decimal_digits() {
        assert_eq!((bcd(7), bcd(42), bcd(99)), (0x07, 0x42, 0x99));
    }

    #[test]
    fn both_resets_restart_the_controller_alone() {
        for command in [0x02, 0x03] {
            let mut bench = Bench::new();
            bench.ok(APP, command, &[]);
            assert_eq!(bench.bmc.take_intent(), Some(Intent::RestartController));
            assert_eq!(bench.bmc.take_intent(), None);
        }
    }

    #[test]
    fn the_self_test_passes() {
        assert_eq!(Bench::new().ok(APP, 0x04, &[]), [0x55, 0x00]);
    }

    #[test]
    fn the_acpi_state_changes_only_where_asked() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x07, &[]), [0x05, 0x03]);
        bench.power_on();
        assert_eq!(bench.ok(APP, 0x07, &[]), [0x00, 0x00]);
        bench.ok(APP, 0x06, &[0x83, 0x01]);
        assert_eq!(bench.ok(APP, 0x07, &[]), [0x03, 0x00]);
        bench.ok(APP, 0x06, &[0xff, 0x82]);
        assert_eq!(bench.ok(APP, 0x07, &[]), [0x03, 0x02]);
        assert_eq!(bench.code(APP, 0x06, &[0x80, 0x84]), 0xcc);
        assert_eq!(bench.ok(APP, 0x07, &[]), [0x03, 0x02], "neither");
    }

    #[test]
    fn global_enables_come_back_as_set() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x2f, &[]), [0x08]);
        bench.ok(APP, 0x2e, &[0x15]);
        assert_eq!(bench.ok(APP, 0x2f, &[]), [0x05]);
        assert_eq!(bench.code(APP, 0x2e, &[0x85]), 0xcc);
    }

    #[test]
    fn a_guest_that_is_not_trusted_leaves_event_logging_as_it_is() {
        let mut bench = Bench::new();
        bench.ok(APP, 0x2e, &[0x08]);
        let own = bench.sessions.own.take();
        bench.channel = super::super::SYSTEM_INTERFACE;
        bench.trusted = false;
        bench.ok(APP, 0x2e, &[0x07]);
        assert_eq!(bench.ok(APP, 0x2f, &[]), [0x0f], "the driver's bits change, and no other");
        bench.sessions.own = own;
        bench.channel = super::super::LAN_CHANNEL;
        bench.ok(APP, 0x2e, &[0x00]);
        bench.sessions.own = None;
        bench.channel = super::super::SYSTEM_INTERFACE;
        bench.ok(APP, 0x2e, &[0x0f]);
        assert_eq!(bench.ok(APP, 0x2f, &[]), [0x07], "nor does it undo what an administrator has set");
    }
}
