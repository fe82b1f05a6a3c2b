//! THE table of commands, and what is checked before a handler runs.
//!
//! Every command that this BMC knows is one row: NetFn and number, the privilege level that it needs
//! (IPMI 2.0 Appendix G), the lengths that its request can have, whether it changes anything, and its
//! handler. Nothing of that is decided anywhere else. The order of the checks:
//!
//! ```text
//!   LUN not 0 ─▶ C2    no row ─▶ C1    level too low ─▶ D4    length ─▶ C7    handler ─▶ 00, or its own code
//! ```
//!
//! Two rules hold for all handlers: reserved bits of a request are ignored, reserved values of a field
//! are refused (CC); and a handler checks everything before it changes anything.
//!
//! A new command is a row here, and a handler in the file of its noun.

mod boot_options;
mod channel;
mod chassis;
mod device;
mod guid;
mod payload;
mod port;
mod session;
mod sol_config;
mod user;

use std::{ops::RangeInclusive, time::Instant};

use bmc::{Bmc, Privilege, Requester};
pub(crate) use port::{SessionFacts, SessionPort, SessionRef, SolActivation, SolRequest};

use crate::{CompletionCode, Reply, Request};

/// The number of the LAN channel.
pub(crate) const LAN_CHANNEL: u8 = 1;
/// The number of the system interface, by which the guest itself speaks.
pub(crate) const SYSTEM_INTERFACE: u8 = 0x0f;
/// The number that stands for the channel by which a command came.
const THIS_CHANNEL: u8 = 0x0e;

const CHASSIS: u8 = 0x00;
const APP: u8 = 0x06;
const TRANSPORT: u8 = 0x0c;

/// No session either.
const ANYONE: Option<Privilege> = None;
const CALLBACK: Option<Privilege> = Some(Privilege::Callback);
const USER: Option<Privilege> = Some(Privilege::User);
const OPERATOR: Option<Privilege> = Some(Privilege::Operator);
const ADMIN: Option<Privilege> = Some(Privilege::Administrator);

static TABLE: &[Row] = &[
    // Chassis (§28)
    get(CHASSIS, 0x00, "Get Chassis Capabilities", USER, 0..=0, chassis::get_capabilities),
    get(CHASSIS, 0x01, "Get Chassis Status", USER, 0..=0, chassis::get_status),
    set(CHASSIS, 0x02, "Chassis Control", OPERATOR, 1..=1, chassis::control),
    set(CHASSIS, 0x04, "Chassis Identify", OPERATOR, 0..=2, chassis::identify),
    set(CHASSIS, 0x05, "Set Chassis Capabilities", ADMIN, 5..=6, chassis::set_capabilities),
    set(CHASSIS, 0x06, "Set Power Restore Policy", OPERATOR, 1..=1, chassis::set_restore_policy),
    get(CHASSIS, 0x07, "Get System Restart Cause", USER, 0..=0, chassis::get_restart_cause),
    set(CHASSIS, 0x08, "Set System Boot Options", OPERATOR, 1..=18, boot_options::set),
    get(CHASSIS, 0x09, "Get System Boot Options", OPERATOR, 3..=3, boot_options::get),
    set(CHASSIS, 0x0b, "Set Power Cycle Interval", ADMIN, 1..=1, chassis::set_cycle_interval),
    get(CHASSIS, 0x0f, "Get POH Counter", USER, 0..=0, chassis::get_power_on_hours),
    // App: the device (§20, §22.1)
    get(APP, 0x01, "Get Device ID", USER, 0..=0, device::get_id),
    set(APP, 0x02, "Cold Reset", ADMIN, 0..=0, device::reset),
    set(APP, 0x03, "Warm Reset", ADMIN, 0..=0, device::reset),
    get(APP, 0x04, "Get Self Test Results", USER, 0..=0, device::get_self_test),
    set(APP, 0x06, "Set ACPI Power State", ADMIN, 2..=2, device::set_acpi_power_state),
    get(APP, 0x07, "Get ACPI Power State", USER, 0..=0, device::get_acpi_power_state),
    get(APP, 0x08, "Get Device GUID", USER, 0..=0, guid::get),
    set(APP, 0x2e, "Set BMC Global Enables", ADMIN, 1..=1, device::set_global_enables),
    get(APP, 0x2f, "Get BMC Global Enables", USER, 0..=0, device::get_global_enables),
    // App: channels and sessions (§22)
    get(APP, 0x37, "Get System GUID", ANYONE, 0..=0, guid::get),
    get(APP, 0x38, "Get Channel Authentication Capabilities", ANYONE, 2..=2, channel::get_authentication),
    set(APP, 0x39, "Get Session Challenge", ANYONE, 17..=17, session::get_challenge),
    set(APP, 0x3a, "Activate Session", ANYONE, 22..=22, session::activate),
    set(APP, 0x3b, "Set Session Privilege Level", USER, 1..=1, session::set_privilege),
    set(APP, 0x3c, "Close Session", CALLBACK, 4..=5, session::close),
    get(APP, 0x3d, "Get Session Info", USER, 1..=5, session::get_info),
    get(APP, 0x42, "Get Channel Info", USER, 1..=1, channel::get_info),
    get(APP, 0x44, "Get User Access", OPERATOR, 2..=2, user::get_access),
    get(APP, 0x54, "Get Channel Cipher Suites", ANYONE, 3..=3, channel::get_cipher_suites),
    // App: payloads (§24). Who may activate SOL is a SOL parameter, which the handlers check.
    set(APP, 0x48, "Activate Payload", USER, 6..=6, payload::activate),
    set(APP, 0x49, "Deactivate Payload", USER, 6..=6, payload::deactivate),
    get(APP, 0x4a, "Get Payload Activation Status", USER, 1..=1, payload::get_status),
    get(APP, 0x4b, "Get Payload Instance Info", USER, 2..=2, payload::get_instance),
    get(APP, 0x4e, "Get Channel Payload Support", USER, 1..=1, payload::get_support),
    get(APP, 0x4f, "Get Channel Payload Version", USER, 2..=2, payload::get_version),
    // Transport: SOL (§26)
    set(TRANSPORT, 0x21, "Set SOL Configuration Parameters", ADMIN, 3..=4, sol_config::set),
    get(TRANSPORT, 0x22, "Get SOL Configuration Parameters", USER, 4..=4, sol_config::get),
];

/// What a handler works on.
pub(crate) struct Context<'a> {
    /// The time.
    pub(crate) now: Instant,
    /// The model.
    pub(crate) bmc: &'a mut Bmc,
    /// The channel that the command came by: [`LAN_CHANNEL`] or [`SYSTEM_INTERFACE`].
    pub(crate) channel: u8,
    /// The sessions.
    pub(crate) port: &'a mut dyn SessionPort,
}

impl Context<'_> {
    /// The level at which the command is run; `None` outside a session. The system interface has no
    /// sessions and may do everything (§6.8).
    fn privilege(&self) -> Option<Privilege> {
        if self.channel == SYSTEM_INTERFACE {
            return Some(Privilege::Administrator);
        }
        self.port.current().map(|session| session.privilege)
    }

    fn requester(&self) -> Requester {
        self.port.current().map_or(Requester::Guest, |session| Requester::User(session.user))
    }

    /// Takes the channel field of a request for a command that is about the LAN channel.
    fn expect_lan(&self, field: u8) -> Result<(), CompletionCode> {
        let number = match field & 0x0f {
            THIS_CHANNEL => self.channel,
            number => number,
        };
        if number == LAN_CHANNEL { Ok(()) } else { Err(CompletionCode::INVALID_FIELD) }
    }
}

type Handler = fn(&mut Context<'_>, &[u8], &mut Reply) -> Result<(), CompletionCode>;

/// One command.
pub(crate) struct Row {
    /// Network function, even.
    pub(crate) netfn: u8,
    /// Command number.
    pub(crate) command: u8,
    /// Its name in the specification.
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever reads the table"))]
    pub(crate) name: &'static str,
    /// The level that it needs; `None`: none, and no session either.
    pub(crate) privilege: Option<Privilege>,
    /// How much data a request can have.
    lengths: RangeInclusive<usize>,
    /// Whether it changes anything, so that a retransmission must not run it again.
    pub(crate) mutates: bool,
    handler: Handler,
}

/// The row of a command that changes nothing.
const fn get(
    netfn: u8,
    command: u8,
    name: &'static str,
    privilege: Option<Privilege>,
    lengths: RangeInclusive<usize>,
    handler: Handler,
) -> Row {
    Row { netfn, command, name, privilege, lengths, mutates: false, handler }
}

/// The row of a command that changes something.
const fn set(
    netfn: u8,
    command: u8,
    name: &'static str,
    privilege: Option<Privilege>,
    lengths: RangeInclusive<usize>,
    handler: Handler,
) -> Row {
    Row { netfn, command, name, privilege, lengths, mutates: true, handler }
}

/// The row of a command.
pub(crate) fn lookup(netfn: u8, command: u8) -> Option<&'static Row> {
    TABLE.iter().find(|row| (row.netfn, row.command) == (netfn, command))
}

/// Runs a command.
pub(crate) fn dispatch(context: &mut Context<'_>, request: &Request<'_>) -> Reply {
    let mut reply = Reply::default();
    if let Err(code) = run(context, request, &mut reply) {
        reply.fail(code);
    }
    reply
}

fn run(context: &mut Context<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), CompletionCode> {
    if request.lun != 0 {
        return Err(CompletionCode::INVALID_FOR_LUN);
    }
    let row = lookup(request.netfn, request.command).ok_or(CompletionCode::INVALID_COMMAND)?;
    if context.privilege() < row.privilege {
        return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
    }
    if !row.lengths.contains(&request.data.len()) {
        return Err(CompletionCode::INVALID_LENGTH);
    }
    (row.handler)(context, request.data, reply)
}

#[cfg(test)]
mod tests;
