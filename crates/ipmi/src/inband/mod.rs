//! The system interface: the guest's own way to its BMC (IPMI 2.0 §9 to §12), without the socket.
//!
//! The registers, KCS, BT or SSIF, are QEMU's. What the guest writes into them comes here as a message, one at
//! a time, and the answer goes back; the state of the attention bit goes there whenever it changes:
//!
//! ```text
//!   guest ─▶ registers (QEMU) ─▶ receive ─▶ the table of commands ─▶ the model
//!         ◀─ answer           ◀─ poll_transmit ◀───────────────────────┘ │
//!         ◀─ attention, interrupts on or off ◀─ refresh ◀────────────────┘ whoever changes it
//! ```
//!
//! Who speaks here is the guest: there is no session and no password, and the channel is Fh (§6.3). A guest
//! that is not trusted is refused what [`Row::guarded`](crate::Row::guarded) says.
//!
//! What a physical interface can't do, and this one has to live with:
//!
//! * **The connection can break**, when the controller restarts. QEMU then answers what was asked with an
//!   error, but not always: it takes the number of that answer from the bytes that it sent, where some
//!   numbers are escaped, and it forgets a request that it was about to write. The guest's registers then
//!   wait for that one number for ever, over resets too. So [`Server::connect`] gives an answer of every
//!   number, the highest first: exactly one fits, for the registers wait for the next higher number then. Only
//!   where they wait for 255 they take 0 as well, the last, since there is no order in which no number comes
//!   after the one before it. Registers that wait for none are in a state that drivers leave by the "abort"
//!   that they have for it (§9.12), or don't see.
//! * **A frame can be cut off** by that, too, and QEMU keeps its beginning. The first byte of the next
//!   connection ends it, for with another end it could be an order.
//! * **Every request is answered**, even one that is too long: QEMU would wait for four seconds.

mod port;
mod wire;

use std::{collections::VecDeque, time::Instant};

use bmc::{Bmc, Fact, ResetBy, enables};
pub use wire::{Attention, Capabilities};

use self::{
    port::NoSessions,
    wire::{Decoder, Frame, Notice, Numbered, Order},
};
use crate::{
    CompletionCode, Reply, Request,
    command::{self, Context, Ran, SYSTEM_INTERFACE},
};

/// What the guest's interface shows besides answers. The BMC owns it, and the model says what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// The attention bit.
    pub attention: Attention,
    /// Whether answers and attention interrupt the guest (BMC Global Enables, §22.1).
    pub interrupts: bool,
}

impl Signals {
    /// What the interface has to show now.
    pub fn of(bmc: &Bmc) -> Self {
        const INTERRUPTS: u8 = enables::RECEIVE_QUEUE_INTERRUPT | enables::EVENT_BUFFER_INTERRUPT;

        let bmc::Attention { raised, interrupt } = bmc.attention();
        let attention = match (raised, interrupt) {
            (false, _) => Attention::Off,
            (true, false) => Attention::On,
            (true, true) => Attention::Interrupt,
        };
        Self { attention, interrupts: bmc.global_enables & INTERRUPTS != 0 }
    }
}

/// What the machine can be made to do by this interface, where nothing else is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Power off, at once.
    PowerOff,
    /// Reset.
    Reset,
    /// A diagnostic interrupt.
    Nmi,
    /// The ACPI power button.
    GracefulShutdown,
}

impl Action {
    fn needs(self) -> Capabilities {
        match self {
            Self::PowerOff => Capabilities::POWER_OFF,
            Self::Reset => Capabilities::RESET,
            Self::Nmi => Capabilities::NMI,
            Self::GracefulShutdown => Capabilities::GRACEFUL_SHUTDOWN,
        }
    }

    fn order(self) -> Order {
        match self {
            Self::PowerOff => Order::PowerOff,
            Self::Reset => Order::Reset,
            Self::Nmi => Order::Nmi,
            Self::GracefulShutdown => Order::GracefulShutdown,
        }
    }
}

/// What is the program's to say.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Whether the guest may change users, the LAN and the firmware's settings.
    pub trusted: bool,
    /// The UDP port of SOL, as remote consoles see it.
    pub sol_port: u16,
}

/// One machine's system interface.
///
/// After [`connect`](Self::connect), [`receive`](Self::receive), [`refresh`](Self::refresh) and
/// [`act`](Self::act), write every frame that [`poll_transmit`](Self::poll_transmit) has, each whole.
#[derive(Debug)]
pub struct Server {
    config: Config,
    decoder: Decoder,
    capabilities: Capabilities,
    /// What the machine was last told; none before it was.
    shown: Option<Signals>,
    out: VecDeque<Vec<u8>>,
}

impl Server {
    /// An interface that nothing is connected to.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            decoder: Decoder::default(),
            capabilities: Capabilities::default(),
            shown: None,
            out: VecDeque::new(),
        }
    }

    /// A connection to the machine was made; here, nothing is left of an earlier one. `resumed`: the machine
    /// has had one before, which may have taken half a frame or a whole request with it.
    pub fn connect(&mut self, resumed: bool, bmc: &Bmc) {
        *self = Self::new(self.config);
        if resumed {
            self.out.push_back(wire::end_of_nothing());
        }
        self.out.push_back(wire::order(Order::Version));
        if resumed {
            self.out.extend((0..=u8::MAX).rev().map(answer_to_nothing));
        }
        self.refresh(bmc);
    }

    /// Whether these first bytes of a connection say what the machine speaks, or what it can do. QEMU says both
    /// by itself as soon as it is connected.
    pub fn introduces(said: &[u8]) -> bool {
        let mut decoder = Decoder::default();
        said.iter().any(|byte| {
            matches!(decoder.push(*byte), Some(Frame::Notice(Notice::Version(_) | Notice::Capabilities(_))))
        })
    }

    /// What the machine can do, as far as it has said.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Takes bytes of the machine's, however they are cut, and carries out the requests in them. Returns which
    /// these were, for a log.
    pub fn receive(&mut self, now: Instant, bytes: &[u8], bmc: &mut Bmc) -> Vec<Ran> {
        let mut all_run = Vec::new();
        for byte in bytes {
            let answer = match self.decoder.push(*byte) {
                None => continue,
                Some(Frame::Request(numbered)) => {
                    let reply = run(now, self.config, &numbered.request, bmc);
                    all_run.push(Ran::new(&numbered.request, &reply));
                    Some(wire::answer(&numbered, &reply))
                }
                Some(Frame::TooLong(numbered)) => Some(failed(&numbered, CompletionCode::REQUEST_TRUNCATED)),
                Some(Frame::Notice(notice)) => {
                    match notice {
                        // There is one version. A later one that speaks to us means to be understood.
                        Notice::Version(_) => {}
                        Notice::Capabilities(capabilities) => self.capabilities = capabilities,
                        Notice::Reset => bmc.on_fact(now, Fact::Reset { by: ResetBy::Guest }),
                    }
                    None
                }
            };
            // Before the answer: whoever reads that finds the bit as the command has left it.
            self.refresh(bmc);
            self.out.extend(answer);
        }
        all_run
    }

    /// Shows the machine what has changed.
    pub fn refresh(&mut self, bmc: &Bmc) {
        let now = Signals::of(bmc);
        let shown = self.shown.replace(now);
        // Interrupts first, so that an attention that comes with them is one.
        if shown.map(|shown| shown.interrupts) != Some(now.interrupts) {
            self.out.push_back(wire::order(Order::Interrupts(now.interrupts)));
        }
        if shown.map(|shown| shown.attention) != Some(now.attention) {
            self.out.push_back(wire::order(Order::Attention(now.attention)));
        }
    }

    /// Has the machine do something. False if it can't, or isn't there.
    pub fn act(&mut self, action: Action) -> bool {
        let can = self.capabilities.has(action.needs());
        if can {
            self.out.push_back(wire::order(action.order()));
        }
        can
    }

    /// The next frame to write.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }
}

fn run(now: Instant, config: Config, request: &Request<'_>, bmc: &mut Bmc) -> Reply {
    let Config { trusted, sol_port } = config;
    let port = &mut NoSessions { sol_port };
    let mut context = Context { now, bmc, channel: SYSTEM_INTERFACE, trusted, port };
    command::dispatch(&mut context, request)
}

fn failed(numbered: &Numbered<'_>, code: CompletionCode) -> Vec<u8> {
    let mut reply = Reply::default();
    reply.fail(code);
    wire::answer(numbered, &reply)
}

/// An answer to a request that is lost, which the number is all that matters of.
fn answer_to_nothing(seq: u8) -> Vec<u8> {
    let request = Request { netfn: 0x06, lun: 0, command: 0x01, data: &[] };
    failed(&Numbered { seq, request }, CompletionCode::INITIALIZING)
}

#[cfg(test)]
mod tests;
