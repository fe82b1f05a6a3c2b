//! The SOL payload, on the BMC's side (IPMI 2.0 §15): the guest's serial port as numbered packets, each
//! acknowledged before the next is sent.
//!
//! Characters to the remote console stay in one queue until they are acknowledged, so that whatever
//! becomes of a packet, nothing is lost while the session lives:
//!
//! ```text
//!             send_at() is due                       acknowledged in whole
//!   waiting ───────────────────▶ in flight ─────────────────────────────────▶ gone
//!      ▲                           │    │  retry interval: the same number, the same characters
//!      │ rest, under a new number  │    └──────────────▶ in flight
//!      └───────────────────────────┘ accepted in part, or refused
//! ```
//!
//! When waiting characters are due: at once if they are as many as the send threshold, if the line has
//! been quiet for the accumulate interval, or if the remote console has typed since the last packet, for
//! then they are an echo; otherwise when the interval is over. Retries that have run out do not drop the
//! packet: it is sent at a slow pace until the session ends.
//!
//! In the other direction a packet is accepted as far as there is room, and its number is remembered: a
//! repetition is acknowledged again and delivered no second time. With no room at all the packet is not
//! answered, and the console's own repetition finds room or none: clients disagree about what a refusal
//! means (ipmitool forgets the characters; pyghmi and FreeIPMI repeat them at once, without end). While
//! the machine is off refusals are sent all the same, a few a second.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bmc::{HostPower, SolSettings};

use crate::{
    command::SolRequest,
    wire::sol::{CHARACTERS_MAX, Operation, PAYLOAD_MAX, Packet, Status},
};

/// Largest payload that consoles are told to send. They could send more, but some (pyghmi) take the size
/// for a number of characters and add the header.
pub(crate) const INBOUND_SIZE: u16 = 255;
/// Largest payload that is sent.
pub(crate) const OUTBOUND_SIZE: u16 = 259;
const _: () = assert!(INBOUND_SIZE as usize == CHARACTERS_MAX && OUTBOUND_SIZE as usize == PAYLOAD_MAX);

const QUEUE: usize = 16 * 1024;
/// The pace of repetitions once the retries have run out.
const SLOW_RETRY: Duration = Duration::from_secs(1);
/// "Back to back" (a retry interval of 0) would be a flood.
const FASTEST_RETRY: Duration = Duration::from_millis(10);
/// Between refusals, because a refused console may repeat itself at once.
const NACK_INTERVAL: Duration = Duration::from_millis(250);
/// How long the network may keep a packet that its sender has repeated and moved on from.
const REORDER_LIMIT: Duration = Duration::from_secs(2);

/// What a remote console does to the serial line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SolInput {
    /// Characters for the guest.
    Bytes(Vec<u8>),
    /// A break.
    Break,
    /// Characters to the guest that wait are to be dropped.
    FlushInbound,
    /// Characters from the guest that wait are to be dropped.
    FlushOutbound,
}

/// The packet that waits for its acknowledgement: its characters are the first of the queue.
#[derive(Clone, Copy, Debug)]
struct Flight {
    sequence: u8,
    length: usize,
    retries: u8,
    resend: Instant,
}

/// The last packet of the remote console that had a number.
#[derive(Clone, Copy, Debug)]
struct Received {
    sequence: u8,
    accepted: u8,
    refused: bool,
    at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    to: Received,
    due: Instant,
}

/// The payload state machine of one activation.
#[derive(Debug)]
pub(crate) struct Sol {
    settings: SolSettings,

    /// Characters for the remote console; those of the packet in flight are the first.
    queue: VecDeque<u8>,
    flight: Option<Flight>,
    /// The number of the last new packet that was sent; 0 before the first.
    sequence: u8,
    /// Until when less than a threshold of characters is held back. Set by every new packet.
    hold_until: Instant,
    /// Nothing new is sent before. Set when the console accepted nothing.
    not_before: Instant,
    /// What waits goes out without being held back. Set by input, cleared by every new packet.
    prompt: bool,
    /// The remote console has deasserted CTS.
    paused: bool,
    /// Characters were lost since the last packet.
    overrun: bool,

    received: Option<Received>,
    answer: Option<Answer>,
    /// No refusal is sent before.
    next_nack: Instant,
    /// The power state that the console knows of.
    told: HostPower,
}

impl Sol {
    /// An activation that begins now.
    ///
    /// `hold_handshake` has no effect: a virtual serial port has no lines to hold, and ipmitool, which
    /// asks for it every time, never lifts it.
    pub(crate) fn new(now: Instant, settings: SolSettings, _request: SolRequest) -> Self {
        Self {
            settings,
            queue: VecDeque::with_capacity(QUEUE),
            flight: None,
            sequence: 0,
            hold_until: now,
            not_before: now,
            prompt: false,
            paused: false,
            overrun: false,
            received: None,
            answer: None,
            next_nack: now,
            told: HostPower::On,
        }
    }

    /// The packet that tells a remote console that SOL is no longer its.
    pub(crate) fn emit_deactivated(out: &mut Vec<u8>) {
        Packet { flags: Status::DEACTIVATED.bits(), ..Packet::default() }.emit(out);
    }

    // ---- from the guest --------------------------------------------------------------------------

    /// How many bytes [`Sol::feed`] takes.
    pub(crate) fn feed_room(&self) -> usize {
        QUEUE - self.queue.len()
    }

    /// Takes output of the guest. What is more than [`Sol::feed_room`] is lost, and the console told.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(self.feed_room());
        self.queue.extend(bytes.iter().take(fits));
        self.overrun |= fits < bytes.len();
    }

    // ---- from the remote console -----------------------------------------------------------------

    /// Takes a payload of the remote console. At most `room` characters are accepted for the guest.
    pub(crate) fn on_packet(
        &mut self,
        now: Instant,
        host: HostPower,
        payload: &[u8],
        room: usize,
        input: &mut Vec<SolInput>,
    ) {
        let Ok(packet) = Packet::parse(payload) else { return };
        self.take_acknowledgement(now, &packet);
        if packet.sequence == 0 {
            self.operate(host, packet.operation(), &[], input);
            return;
        }
        match self.received {
            Some(last) if last.sequence == packet.sequence => return self.answer(now, last),
            Some(last) if is_behind(packet.sequence, last.sequence) && now < last.at + REORDER_LIMIT => {
                return;
            }
            _ => {}
        }
        let offered = packet.characters.len();
        let accepted = match host {
            HostPower::On => offered.min(room),
            HostPower::Off => 0,
        };
        if host == HostPower::On && accepted == 0 && offered > 0 {
            return;
        }
        self.operate(host, packet.operation(), packet.characters.get(..accepted).unwrap_or_default(), input);
        let received = Received {
            sequence: packet.sequence,
            accepted: u8::try_from(accepted).unwrap_or(u8::MAX),
            refused: accepted == 0 && offered > 0,
            at: now,
        };
        self.received = Some(received);
        self.answer(now, received);
    }

    fn take_acknowledgement(&mut self, now: Instant, packet: &Packet<'_>) {
        let Some(flight) = self.flight.take_if(|flight| flight.sequence == packet.ack) else { return };
        let accepted = flight.length.min(usize::from(packet.accepted));
        self.queue.drain(..accepted);
        if accepted == flight.length {
            return;
        }
        if accepted == 0 || packet.operation().contains(Operation::NACK) {
            self.not_before = now + self.retry_interval(0);
        }
        self.prompt = true;
    }

    fn operate(
        &mut self,
        host: HostPower,
        operation: Operation,
        characters: &[u8],
        input: &mut Vec<SolInput>,
    ) {
        self.paused = operation.contains(Operation::CTS_PAUSE);
        if operation.contains(Operation::FLUSH_OUTBOUND) {
            self.queue.truncate(self.flight.map_or(0, |flight| flight.length));
            input.push(SolInput::FlushOutbound);
        }
        if operation.contains(Operation::FLUSH_INBOUND) {
            input.push(SolInput::FlushInbound);
        }
        if !characters.is_empty() {
            self.prompt = true;
            input.push(SolInput::Bytes(characters.to_vec()));
        }
        if operation.contains(Operation::BREAK) && host == HostPower::On {
            input.push(SolInput::Break);
        }
    }

    fn answer(&mut self, now: Instant, to: Received) {
        if self.answer.is_some_and(|answer| answer.to.sequence == to.sequence) {
            return;
        }
        let mut due = now;
        if to.refused {
            due = due.max(self.next_nack);
            self.next_nack = due + NACK_INTERVAL;
        }
        self.answer = Some(Answer { to, due });
    }

    // ---- to the remote console -------------------------------------------------------------------

    /// Appends the payload that is due now to `out`; false if none is. To be called until it says so,
    /// after every other call, when [`Sol::timeout`] is reached and when the machine's power changes.
    pub(crate) fn poll(&mut self, now: Instant, host: HostPower, out: &mut Vec<u8>) -> bool {
        let sent = self.send(now);
        let answer = self.answer.take_if(|answer| answer.due <= now);
        let unavailable = sent.is_none() && host == HostPower::Off;
        let news = unavailable && self.told == HostPower::On && self.queue.is_empty();
        if sent.is_none() && answer.is_none() && !news {
            self.note_power_on(host);
            return false;
        }
        let mut status = Status::empty();
        status.set(Status::NACK, answer.is_some_and(|answer| answer.to.refused));
        status.set(Status::TRANSFER_UNAVAILABLE, unavailable || status.contains(Status::NACK));
        status.set(Status::TRANSMIT_OVERRUN, sent.is_some() && std::mem::take(&mut self.overrun));
        if unavailable {
            self.told = HostPower::Off;
        }
        self.note_power_on(host);
        let header = Packet {
            sequence: sent.map_or(0, |flight| flight.sequence),
            ack: answer.map_or(0, |answer| answer.to.sequence),
            accepted: answer.map_or(0, |answer| answer.to.accepted),
            flags: status.bits(),
            characters: &[],
        };
        header.emit(out);
        out.extend(self.queue.iter().take(sent.map_or(0, |flight| flight.length)));
        true
    }

    fn note_power_on(&mut self, host: HostPower) {
        if host == HostPower::On {
            self.told = HostPower::On;
        }
    }

    /// The packet with characters that goes out now: a repetition, or the next.
    fn send(&mut self, now: Instant) -> Option<Flight> {
        if let Some(flight) = self.flight {
            if now < flight.resend {
                return None;
            }
            let retries = flight.retries.saturating_add(1);
            self.flight = Some(Flight { retries, resend: now + self.retry_interval(retries), ..flight });
            return self.flight;
        }
        if self.send_at().is_none_or(|due| now < due) {
            return None;
        }
        self.sequence = self.sequence % 15 + 1;
        self.hold_until = now + Duration::from_millis(5) * u32::from(self.settings.accumulate_interval);
        self.prompt = false;
        let length = self.queue.len().min(CHARACTERS_MAX);
        let resend = now + self.retry_interval(0);
        self.flight = Some(Flight { sequence: self.sequence, length, retries: 0, resend });
        self.flight
    }

    /// When characters that wait are due, with nothing in flight.
    fn send_at(&self) -> Option<Instant> {
        if self.queue.is_empty() || self.paused {
            return None;
        }
        let at_once = self.prompt || self.queue.len() >= usize::from(self.settings.send_threshold);
        Some(if at_once { self.not_before } else { self.not_before.max(self.hold_until) })
    }

    fn retry_interval(&self, retries: u8) -> Duration {
        let set = Duration::from_millis(10) * u32::from(self.settings.retry_interval);
        set.max(if retries < self.settings.retry_count { FASTEST_RETRY } else { SLOW_RETRY })
    }

    /// When [`Sol::poll`] has something to say by itself. A time that has passed means now.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        let send = match self.flight {
            Some(flight) => Some(flight.resend),
            None => self.send_at(),
        };
        send.into_iter().chain(self.answer.map(|answer| answer.due)).min()
    }
}

/// Whether a packet number is one of the seven before `last`, on the circle of 1 to 15.
fn is_behind(sequence: u8, last: u8) -> bool {
    (15 + sequence - last) % 15 > 7
}

#[cfg(test)]
mod lossy_tests;
#[cfg(test)]
mod tests;
