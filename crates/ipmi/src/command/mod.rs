//! Commands: what is checked before a handler runs, and what it runs on. The rows are in [`table`].
//!
//! Every command that this BMC knows is one row: NetFn and number, the privilege level that it needs
//! (IPMI 2.0 Appendix G), the channels that it can come by, the lengths that its request can have, whether
//! it changes anything, and its handler. Nothing of that is decided anywhere else. The order of the checks:
//!
//! ```text
//!   LUN not 0 ─▶ C2    no row, or not by this channel ─▶ C1    level too low, or a guest that is not
//!   trusted ─▶ D4    disabled ─▶ D6    length ─▶ C7    handler ─▶ 00, or its own code
//! ```
//!
//! Two rules hold for all handlers: reserved bits of a request are ignored, reserved values of a field
//! are refused (CC); and a handler checks everything before it changes anything.

mod boot_options;
mod channel;
mod chassis;
mod dcmi;
mod device;
mod discovery;
mod event;
mod factory;
mod fru;
mod guid;
mod lan_config;
mod messages;
mod payload;
mod pef;
mod port;
mod ran;
mod reference;
mod sdr;
mod sel;
mod sensor;
mod session;
mod sol_config;
mod system_info;
mod table;
mod user;
mod watchdog;

use std::time::Instant;

use bmc::{Bmc, Privilege, Requester};
pub(crate) use port::{SessionFacts, SessionPort, SessionRef, SolActivation, SolRequest};
pub use ran::Ran;
pub use reference::reference;
pub(crate) use table::lookup;
pub use table::{Channels, Row, TABLE};

use crate::{CompletionCode, Reply, Request};

/// The number of the LAN channel.
pub(crate) const LAN_CHANNEL: u8 = 1;
/// The number of the system interface, by which the guest itself speaks.
pub(crate) const SYSTEM_INTERFACE: u8 = 0x0f;
/// The number that stands for the channel by which a command came.
const THIS_CHANNEL: u8 = 0x0e;

/// What a handler works on.
pub(crate) struct Context<'a> {
    /// The time.
    pub(crate) now: Instant,
    /// The model.
    pub(crate) bmc: &'a mut Bmc,
    /// The channel that the command came by: [`LAN_CHANNEL`] or [`SYSTEM_INTERFACE`].
    pub(crate) channel: u8,
    /// Whether who speaks by the system interface may change what is [`Row::guarded`].
    pub(crate) trusted: bool,
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

    /// Whether it came from the guest, which is not trusted (VM_IPMI_TRUST=restricted).
    fn is_untrusted_guest(&self) -> bool {
        self.channel == SYSTEM_INTERFACE && !self.trusted
    }

    /// Takes one of the entries that the guest may have the event log make.
    fn expect_allowance(&mut self) -> Result<(), CompletionCode> {
        if self.channel != SYSTEM_INTERFACE || self.bmc.take_guest_entry(self.now) {
            Ok(())
        } else {
            Err(CompletionCode::NODE_BUSY)
        }
    }

    fn requester(&self) -> Requester {
        self.port.current().map_or(Requester::Guest, |session| Requester::User(session.user))
    }

    /// Takes the channel field of a request for a command that is about the LAN channel.
    fn expect_lan(&self, field: u8) -> Result<(), CompletionCode> {
        if self.named_channel(field)? == LAN_CHANNEL { Ok(()) } else { Err(CompletionCode::INVALID_FIELD) }
    }

    /// The channel that a request names, if there is such a channel: [`LAN_CHANNEL`] or
    /// [`SYSTEM_INTERFACE`].
    fn named_channel(&self, field: u8) -> Result<u8, CompletionCode> {
        match field & 0x0f {
            THIS_CHANNEL => Ok(self.channel),
            number @ (LAN_CHANNEL | SYSTEM_INTERFACE) => Ok(number),
            _ => Err(CompletionCode::INVALID_FIELD),
        }
    }

    /// Whether the command can come by this channel.
    fn reaches(&self, row: &Row) -> bool {
        match row.channels {
            Channels::Any => true,
            Channels::Lan => self.channel != SYSTEM_INTERFACE,
            Channels::SystemInterface => self.channel == SYSTEM_INTERFACE,
        }
    }
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
    let row = lookup(request.netfn, request.command, request.data).ok_or(CompletionCode::INVALID_COMMAND)?;
    if !context.reaches(row) {
        return Err(CompletionCode::INVALID_COMMAND);
    }
    if context.privilege() < row.privilege || row.guarded && context.is_untrusted_guest() {
        return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
    }
    if context.bmc.firewall().blocks(discovery::id_of(row, context.channel)) {
        return Err(CompletionCode::DISABLED);
    }
    let mut data = request.data;
    if let Some(body) = row.group {
        data = data.get(1..).unwrap_or_default();
        reply.put(&[body]);
    }
    if !row.lengths.contains(&data.len()) {
        return Err(CompletionCode::INVALID_LENGTH);
    }
    (row.handler)(context, data, reply)
}

#[cfg(test)]
mod tests;
