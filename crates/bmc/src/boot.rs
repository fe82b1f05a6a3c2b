//! Which device the next boot comes from (System Boot Options, IPMI 2.0 §28.12 to §28.14).
//!
//! ```text
//!   flags set ──▶ valid ──┬── a boot begins, not persistent ──▶ not valid
//!                         ├── 60 s without a power command ───▶ not valid (unless persistent, or told not to)
//!                         └── a boot begins, persistent ──────▶ valid
//! ```

use std::{
    fmt,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{Bmc, Event, Requester};

/// How long boot flags wait for a power command (parameter 3, bit 3).
const UNUSED_LIMIT: Duration = Duration::from_secs(60);

/// A device to boot from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootDevice {
    /// The firmware's own order.
    #[default]
    None,
    /// Network.
    Pxe,
    /// Default hard drive.
    Disk,
    /// Default hard drive, safe mode: treated as the hard drive.
    DiskSafe,
    /// Diagnostic partition.
    Diagnostic,
    /// CD or DVD.
    Cdrom,
    /// Firmware setup.
    Setup,
    /// Floppy or primary removable media.
    Floppy,
}

impl fmt::Display for BootDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Pxe => "pxe",
            Self::Disk => "disk",
            Self::DiskSafe => "safe",
            Self::Diagnostic => "diag",
            Self::Cdrom => "cdrom",
            Self::Setup => "bios",
            Self::Floppy => "floppy",
        })
    }
}

/// Boot flags, parameter 5. What the model has no use for is kept and given back as it was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BootFlags {
    /// Whether the rest counts.
    pub valid: bool,
    /// For all boots, not for the next alone.
    pub persistent: bool,
    /// UEFI rather than legacy boot. It is kept, but the firmware is the machine's setting.
    pub uefi: bool,
    /// The device.
    pub device: BootDevice,
    /// The bits of the five data bytes that are none of the above, in place.
    pub opaque: [u8; 5],
}

impl fmt::Display for BootFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.valid, self.persistent) {
            (false, _) => f.write_str("none"),
            (true, false) => write!(f, "{} (next boot)", self.device),
            (true, true) => write!(f, "{} (every boot)", self.device),
        }
    }
}

/// Parameter 3: what does *not* clear the valid bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValidClearing(
    /// Bits 4:0 as the specification has them.
    pub u8,
);

impl ValidClearing {
    const KEEP_WITHOUT_COMMAND: u8 = 0x08;
}

/// Parameter 6: who set the boot options, as the setter says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InitiatorInfo {
    /// Channel number.
    pub channel: u8,
    /// Session id, least significant byte first on the wire.
    pub session_id: u32,
    /// Seconds since 1970-01-01.
    pub time: u32,
}

/// Tells one setting of the boot flags from every other, so that a boot uses up the one that it saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootGeneration(u64);

/// The device for the next boot, and which setting said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootChoice {
    /// The device, [`BootDevice::None`] where nothing overrides the firmware's order.
    pub device: BootDevice,
    /// To be given to [`crate::Bmc::boot_began`].
    pub generation: BootGeneration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedBoot {
    flags: BootFlags,
    clearing: ValidClearing,
    acknowledged: u8,
    initiator: InitiatorInfo,
    partition: u8,
    partition_scan: u8,
    mailbox: Vec<u8>,
}

/// All boot options.
#[derive(Clone, Debug)]
pub struct BootOptions {
    flags: BootFlags,
    generation: BootGeneration,
    expires: Option<Instant>,
    /// Which parameters are marked invalid, one bit each. Volatile.
    invalid: u8,
    /// Parameter 0: 0 set complete, 1 set in progress. Volatile.
    pub set_in_progress: u8,
    /// Parameter 1: service partition selector.
    pub partition: u8,
    /// Parameter 2: service partition scan, bits 1:0.
    pub partition_scan: u8,
    /// Parameter 3.
    pub clearing: ValidClearing,
    /// Parameter 4: which parties have handled the boot information, bits 4:0.
    pub acknowledged: u8,
    /// Parameter 6.
    pub initiator: InitiatorInfo,
    mailbox: [u8; Self::MAILBOX],
}

impl Default for BootOptions {
    fn default() -> Self {
        Self::from_saved(SavedBoot::default())
    }
}

impl BootOptions {
    /// Size of the initiator's mailbox (parameter 7): five blocks of 16 bytes.
    pub const MAILBOX: usize = 80;
    const FLAGS: u8 = 5;

    /// The boot flags.
    pub fn flags(&self) -> BootFlags {
        self.flags
    }

    /// What the next boot uses.
    pub fn choice(&self) -> BootChoice {
        let device = if self.in_force() { self.flags.device } else { BootDevice::None };
        BootChoice { device, generation: self.generation }
    }

    fn in_force(&self) -> bool {
        self.flags.valid && !self.marked_invalid(Self::FLAGS)
    }

    /// Whether a parameter (0 to 7) is marked invalid: what it holds does not count.
    pub fn marked_invalid(&self, parameter: u8) -> bool {
        self.invalid & Self::mark(parameter) != 0
    }

    fn mark(parameter: u8) -> u8 {
        1u8.checked_shl(parameter.into()).unwrap_or(0)
    }

    /// Returns whether that changes what the next boot uses.
    pub(crate) fn mark_invalid(&mut self, parameter: u8, invalid: bool) -> bool {
        if self.marked_invalid(parameter) == invalid {
            return false;
        }
        self.invalid ^= Self::mark(parameter);
        if parameter == Self::FLAGS {
            self.generation.0 += 1;
        }
        parameter == Self::FLAGS
    }

    /// A block of the initiator's mailbox (parameter 7).
    pub fn mailbox(&self, block: usize) -> Option<&[u8]> {
        self.mailbox.chunks(16).nth(block)
    }

    /// A block of the initiator's mailbox, to write.
    pub fn mailbox_mut(&mut self, block: usize) -> Option<&mut [u8]> {
        self.mailbox.chunks_mut(16).nth(block)
    }

    pub(crate) fn set_flags(&mut self, now: Instant, flags: BootFlags) {
        self.flags = flags;
        self.generation.0 += 1;
        self.expires = Some(now);
        self.restart_expiry(now);
    }

    /// The minute starts anew with every power command.
    pub(crate) fn restart_expiry(&mut self, now: Instant) {
        self.expires = self.expires.map(|_| now + UNUSED_LIMIT);
    }

    fn lapses(&self) -> bool {
        self.flags.valid
            && !self.flags.persistent
            && self.clearing.0 & ValidClearing::KEEP_WITHOUT_COMMAND == 0
    }

    pub(crate) fn expires(&self) -> Option<Instant> {
        self.expires.filter(|_| self.lapses())
    }

    /// Returns whether flags lapsed.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        if self.expires().is_none_or(|expires| now < expires) {
            return false;
        }
        self.clear();
        true
    }

    /// Returns whether flags were used up.
    pub(crate) fn began(&mut self, generation: BootGeneration) -> bool {
        if generation != self.generation || !self.in_force() || self.flags.persistent {
            return false;
        }
        self.clear();
        true
    }

    fn clear(&mut self) {
        self.flags.valid = false;
        self.generation.0 += 1;
        self.expires = None;
    }

    pub(crate) fn to_saved(&self) -> SavedBoot {
        SavedBoot {
            flags: self.flags,
            clearing: self.clearing,
            acknowledged: self.acknowledged,
            initiator: self.initiator,
            partition: self.partition,
            partition_scan: self.partition_scan,
            mailbox: self.mailbox.to_vec(),
        }
    }

    pub(crate) fn from_saved(saved: SavedBoot) -> Self {
        let mut mailbox = [0; Self::MAILBOX];
        for (to, from) in mailbox.iter_mut().zip(saved.mailbox) {
            *to = from;
        }
        Self {
            flags: saved.flags,
            generation: BootGeneration::default(),
            expires: None,
            invalid: 0,
            set_in_progress: 0,
            partition: saved.partition,
            partition_scan: saved.partition_scan,
            clearing: saved.clearing,
            acknowledged: saved.acknowledged,
            initiator: saved.initiator,
            mailbox,
        }
    }
}

impl Bmc {
    /// The boot options, to read.
    pub fn boot(&self) -> &BootOptions {
        &self.boot
    }

    /// Changes the boot flags (which device the next boot comes from).
    pub fn set_boot_flags(&mut self, now: Instant, flags: BootFlags, by: Requester) {
        self.boot.set_flags(now, flags);
        self.boot_order_stale = true;
        self.unsaved = true;
        self.record(Event::BootFlagsSet { flags, by });
    }

    /// Changes what does not decide about the next boot: acknowledge, initiator, clearing rules.
    pub fn boot_mut(&mut self) -> &mut BootOptions {
        self.unsaved = true;
        &mut self.boot
    }

    /// Marks a boot option (parameters 0 to 7) invalid, or valid again. What is marked is kept, and does
    /// not count.
    pub fn mark_boot_parameter(&mut self, parameter: u8, invalid: bool) {
        self.boot_order_stale |= self.boot.mark_invalid(parameter, invalid);
    }

    /// A boot began with the choice of `generation` in force: a one-time override is used up by it.
    pub fn boot_began(&mut self, generation: BootGeneration) {
        if self.boot.began(generation) {
            self.boot_order_stale = true;
            self.unsaved = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Intent, Lan, PowerRequest, Users};

    fn bmc() -> Bmc {
        Bmc::new(Identity::derive("node1"), Users::default(), Lan::default())
    }

    #[test]
    fn a_one_time_override_serves_exactly_one_boot() {
        let now = Instant::now();
        let mut bmc = bmc();
        let flags = BootFlags { valid: true, device: BootDevice::Pxe, ..BootFlags::default() };
        bmc.set_boot_flags(now, flags, Requester::Button);
        assert_eq!(bmc.take_intent(), Some(Intent::BootOrder));
        let choice = bmc.boot().choice();
        assert_eq!(choice.device, BootDevice::Pxe);
        bmc.boot_began(choice.generation);
        assert_eq!(bmc.boot().choice().device, BootDevice::None);
        assert_eq!(bmc.take_intent(), Some(Intent::BootOrder), "the firmware's order goes back");
    }

    #[test]
    fn an_override_set_after_the_boot_began_is_for_the_next_one() {
        let now = Instant::now();
        let mut bmc = bmc();
        let before = bmc.boot().choice();
        let flags = BootFlags { valid: true, device: BootDevice::Cdrom, ..BootFlags::default() };
        bmc.set_boot_flags(now, flags, Requester::Button);
        bmc.boot_began(before.generation);
        assert_eq!(bmc.boot().choice().device, BootDevice::Cdrom);
    }

    #[test]
    fn flags_that_are_marked_invalid_wait_until_they_are_valid_again() {
        let now = Instant::now();
        let mut bmc = bmc();
        let flags = BootFlags { valid: true, device: BootDevice::Pxe, ..BootFlags::default() };
        bmc.set_boot_flags(now, flags, Requester::Button);
        bmc.take_intent();
        bmc.mark_boot_parameter(5, true);
        assert_eq!(bmc.take_intent(), Some(Intent::BootOrder));
        let choice = bmc.boot().choice();
        assert_eq!(choice.device, BootDevice::None);
        bmc.boot_began(choice.generation);
        bmc.mark_boot_parameter(5, false);
        assert_eq!(bmc.boot().choice().device, BootDevice::Pxe, "the boot in between did not use it up");
        bmc.mark_boot_parameter(200, true);
        assert!(!bmc.boot().marked_invalid(200));
    }

    #[test]
    fn boot_flags_lapse_after_a_minute_without_a_power_command() {
        let now = Instant::now();
        let mut bmc = bmc();
        let flags = BootFlags { valid: true, device: BootDevice::Pxe, ..BootFlags::default() };
        bmc.set_boot_flags(now, flags, Requester::Button);
        assert_eq!(bmc.next_timeout(), Some(now + Duration::from_secs(60)));
        bmc.tick(now + Duration::from_secs(59));
        assert!(bmc.boot().flags().valid);
        bmc.tick(now + Duration::from_secs(60));
        assert!(!bmc.boot().flags().valid);
    }

    #[test]
    fn a_power_command_restarts_the_minute() {
        let now = Instant::now();
        let mut bmc = bmc();
        let flags = BootFlags { valid: true, device: BootDevice::Pxe, ..BootFlags::default() };
        bmc.set_boot_flags(now, flags, Requester::Button);
        bmc.power(now + Duration::from_secs(50), PowerRequest::On, Requester::Button).unwrap();
        bmc.tick(now + Duration::from_secs(61));
        assert!(bmc.boot().flags().valid);
    }
}
