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
//! A new command is a row here, and a handler in the file of its NetFn or its noun.

mod port;

use std::{ops::RangeInclusive, time::Instant};

use bmc::{Bmc, Privilege};
pub(crate) use port::{SessionFacts, SessionPort, SessionRef, SolActivation, SolRequest};

use crate::{CompletionCode, Reply, Request};

/// The number of the LAN channel.
pub(crate) const LAN_CHANNEL: u8 = 1;
/// The number of the system interface, by which the guest itself speaks.
pub(crate) const SYSTEM_INTERFACE: u8 = 0x0f;

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
}

type Handler = fn(&mut Context<'_>, &[u8], &mut Reply) -> Result<(), CompletionCode>;

/// One command.
pub(crate) struct Row {
    /// Network function, even.
    pub(crate) netfn: u8,
    /// Command number.
    pub(crate) command: u8,
    /// Its name in the specification.
    pub(crate) name: &'static str,
    /// The level that it needs; `None`: none, and no session either.
    pub(crate) privilege: Option<Privilege>,
    /// How much data a request can have.
    lengths: RangeInclusive<usize>,
    /// Whether it changes anything, so that a retransmission must not run it again.
    pub(crate) mutates: bool,
    handler: Handler,
}

static TABLE: &[Row] = &[];

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
    if row.privilege.is_some() && context.privilege() < row.privilege {
        return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
    }
    if !row.lengths.contains(&request.data.len()) {
        return Err(CompletionCode::INVALID_LENGTH);
    }
    (row.handler)(context, request.data, reply)
}
