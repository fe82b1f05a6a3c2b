//! The sensors that the controller itself speaks for. Their numbers stay the same whatever a sensors file
//! adds: event records name them for years.

/// System ACPI power state (sensor type 22h).
pub const POWER_STATE: u8 = 0x01;
/// Power unit (09h): off, cycled, lost.
pub const POWER_UNIT: u8 = 0x02;
/// System boot or restart initiated (1Dh), with its cause.
pub const RESTART: u8 = 0x03;
/// OS stop or shutdown (20h): panic, graceful shutdown.
pub const OS_STOP: u8 = 0x04;
/// Watchdog 2 (23h).
pub const WATCHDOG: u8 = 0x05;
/// Event logging (10h): cleared, almost full, full.
pub const EVENT_LOG: u8 = 0x06;
/// Platform security (06h): log-ins that failed.
pub const SESSIONS: u8 = 0x07;
/// Microcontroller (16h): this controller's own starts.
pub const CONTROLLER: u8 = 0x08;
/// System event (12h): reconfigured, clock set.
pub const SYSTEM: u8 = 0x09;
/// System firmware progress or OS boot (0Fh, 1Fh).
pub const BOOT: u8 = 0x0a;
/// Version change (2Bh): users and settings changed.
pub const CONFIGURATION: u8 = 0x0b;
/// The first number that is free for others.
pub const FIRST_FREE: u8 = 0x10;
/// The first number of those for the NICs' links, one for each NIC in its place. What a sensors file has there
/// moves them on.
pub const FIRST_LINK: u8 = 0xc0;
