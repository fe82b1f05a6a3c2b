//! What waits for the guest, and what the guest has to say to remote consoles: the receive message queue, the
//! event message buffer and the message flags (IPMI 2.0 §6.13, §22.1 to §22.8).
//!
//! ```text
//!   Send Message by LAN ─▶ receive message queue ─┐
//!   platform event ──────▶ event message buffer ──┼─▶ message flags ─▶ attention ─▶ the guest fetches
//!   watchdog ────────────▶ pre-timeout flag ──────┘        (interrupt, where the global enables say so)
//!
//!   Send Message by the guest ─▶ outgoing ─▶ the session that it names
//! ```
//!
//! The flags are not kept: each is what its source says, so that attention can't outlast its reason. A queue or
//! buffer that is full takes no more, and whoever sends is told; nothing in it is lost for something newer.
//! The machine's reset empties all of it: the next boot must not find what the last was sent.

use std::collections::VecDeque;

use crate::{Bmc, PlatformEvent, Privilege, SelEntry, SelRecord};

/// Bits of the global enables (§22.1).
pub mod enables {
    /// A message in the receive message queue interrupts the guest, and so does the watchdog's warning.
    pub const RECEIVE_QUEUE_INTERRUPT: u8 = 1 << 0;
    /// A full event message buffer interrupts the guest.
    pub const EVENT_BUFFER_INTERRUPT: u8 = 1 << 1;
    /// Events go into the event message buffer.
    pub const EVENT_BUFFER: u8 = 1 << 2;
    /// Events go into the event log. Set from the start.
    pub const EVENT_LOGGING: u8 = 1 << 3;
    /// Those that are the guest's driver's, for its boot. It does not expect that a restart of the controller
    /// takes them from it.
    pub(crate) const DRIVERS: u8 = RECEIVE_QUEUE_INTERRUPT | EVENT_BUFFER_INTERRUPT | EVENT_BUFFER;
}

/// The id that no record has (§31.5).
const NO_RECORD: u16 = 0xffff;

/// How many messages wait for the guest.
const QUEUE_MAX: usize = 16;
/// How many messages of the guest's wait to be sent. There is a sender as long as there are sessions.
const OUTGOING_MAX: usize = 64;

/// A message for the guest, as Get Message delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The channel that it came by.
    pub channel: u8,
    /// The level of the session that it came by; none where there is no session.
    pub privilege: Option<Privilege>,
    /// The message, in the form of its channel.
    pub bytes: Vec<u8>,
}

/// A session of the LAN channel, as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionAddress {
    /// Its handle. Another session can have it later.
    pub handle: u8,
    /// Its id, which no other ever has.
    pub id: u32,
}

/// A message for a remote console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// By which session.
    pub to: SessionAddress,
    /// The message, as it stands in the session's packet.
    pub bytes: Vec<u8>,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageRefusal {
    /// There is no room.
    #[error("the message queue is full")]
    Full,
    /// The guest does not take messages of this channel, or there is no guest.
    #[error("nobody receives messages")]
    NotReceiving,
    /// There is no such session.
    #[error("no session has this handle")]
    NoSession,
}

/// The message flags (§22.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageFlags {
    /// The receive message queue has a message.
    pub receive_queue: bool,
    /// The event message buffer has an event.
    pub event_buffer: bool,
    /// The watchdog has warned.
    pub pre_timeout: bool,
}

/// What the system interface shows the guest (SMS_ATN, §9.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attention {
    /// There is something to fetch.
    pub raised: bool,
    /// The guest is to be interrupted for it.
    pub interrupt: bool,
}

/// Messages and events on their way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Messages {
    queue: VecDeque<ReceivedMessage>,
    event: Option<SelEntry>,
    pre_timeout: bool,
    /// A bit for each channel whose messages the guest does not want.
    refused_channels: u16,
    outgoing: VecDeque<OutgoingMessage>,
    sessions: Vec<SessionAddress>,
}

impl Messages {
    pub(crate) fn set_pre_timeout(&mut self) {
        self.pre_timeout = true;
    }

    pub(crate) fn clear_pre_timeout(&mut self) {
        self.pre_timeout = false;
    }

    /// The machine begins anew: nothing of what waited is for it.
    pub(crate) fn host_reset(&mut self) {
        let sessions = std::mem::take(&mut self.sessions);
        *self = Self { sessions, ..Self::default() };
    }

    fn flags(&self) -> MessageFlags {
        MessageFlags {
            receive_queue: !self.queue.is_empty(),
            event_buffer: self.event.is_some(),
            pre_timeout: self.pre_timeout,
        }
    }
}

impl Bmc {
    /// Sets the global enables (§22.1).
    pub fn set_global_enables(&mut self, enables: u8) {
        if self.global_enables != enables {
            self.global_enables = enables;
            self.touch();
        }
    }

    /// The message flags.
    pub fn message_flags(&self) -> MessageFlags {
        self.messages.flags()
    }

    /// Clears the flags that are set here, and what they stand for (§22.3).
    pub fn clear_message_flags(&mut self, which: MessageFlags) {
        let messages = &mut self.messages;
        if which.receive_queue {
            messages.queue.clear();
        }
        if which.event_buffer {
            messages.event = None;
        }
        messages.pre_timeout &= !which.pre_timeout;
    }

    /// What the system interface has to show the guest now.
    pub fn attention(&self) -> Attention {
        let MessageFlags { receive_queue, event_buffer, pre_timeout } = self.messages.flags();
        let enabled = |bit| self.global_enables & bit != 0;
        Attention {
            raised: receive_queue || event_buffer || pre_timeout,
            interrupt: (receive_queue || pre_timeout) && enabled(enables::RECEIVE_QUEUE_INTERRUPT)
                || event_buffer && enabled(enables::EVENT_BUFFER_INTERRUPT),
        }
    }

    /// Whether the guest takes messages of a channel (§22.5).
    pub fn receives_messages(&self, channel: u8) -> bool {
        1u16.checked_shl(channel.into()).is_some_and(|bit| self.messages.refused_channels & bit == 0)
    }

    /// Says whether the guest takes messages of a channel.
    pub fn set_receives_messages(&mut self, channel: u8, receives: bool) {
        let bit = 1u16.checked_shl(channel.into()).unwrap_or(0);
        if receives {
            self.messages.refused_channels &= !bit;
        } else {
            self.messages.refused_channels |= bit;
        }
    }

    /// Puts a message into the receive message queue.
    ///
    /// # Errors
    /// [`MessageRefusal`]: it was not taken.
    pub fn receive_message(&mut self, message: ReceivedMessage) -> Result<(), MessageRefusal> {
        if !self.receives_messages(message.channel) || self.host_power() == crate::HostPower::Off {
            return Err(MessageRefusal::NotReceiving);
        }
        if self.messages.queue.len() == QUEUE_MAX {
            return Err(MessageRefusal::Full);
        }
        self.messages.queue.push_back(message);
        Ok(())
    }

    /// Takes the oldest message from the receive message queue (§22.6).
    pub fn take_message(&mut self) -> Option<ReceivedMessage> {
        self.messages.queue.pop_front()
    }

    /// Puts an event into the event message buffer, where that is enabled and empty.
    pub(crate) fn buffer_event(&mut self, event: PlatformEvent) {
        if self.global_enables & enables::EVENT_BUFFER != 0 && self.messages.event.is_none() {
            let record = SelRecord::event(event);
            self.messages.event = Some(SelEntry { id: NO_RECORD, time: self.log_time(), record });
        }
    }

    /// Takes the event from the event message buffer (§22.8), as a record that is in no log.
    pub fn take_buffered_event(&mut self) -> Option<SelEntry> {
        self.messages.event.take()
    }

    /// Says which sessions the LAN channel has.
    pub fn observe_sessions(&mut self, sessions: impl Iterator<Item = SessionAddress>) {
        self.messages.sessions.clear();
        self.messages.sessions.extend(sessions);
        let Messages { sessions, outgoing, .. } = &mut self.messages;
        outgoing.retain(|message| sessions.contains(&message.to));
    }

    /// Sends a message to a remote console, by the session that has this handle now.
    ///
    /// # Errors
    /// [`MessageRefusal`]: it was not taken.
    pub fn send_to_session(&mut self, handle: u8, bytes: Vec<u8>) -> Result<(), MessageRefusal> {
        let Messages { sessions, outgoing, .. } = &mut self.messages;
        let to = sessions.iter().find(|session| session.handle == handle).ok_or(MessageRefusal::NoSession)?;
        if outgoing.len() == OUTGOING_MAX {
            return Err(MessageRefusal::Full);
        }
        outgoing.push_back(OutgoingMessage { to: *to, bytes });
        Ok(())
    }

    /// The next message for a remote console.
    pub fn take_outgoing_message(&mut self) -> Option<OutgoingMessage> {
        self.messages.outgoing.pop_front()
    }

    /// Whether [`Bmc::take_outgoing_message`] would return something.
    pub fn has_outgoing_message(&self) -> bool {
        !self.messages.outgoing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{Fact, Identity, Lan, ResetBy, Users};

    fn bmc() -> Bmc {
        let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        bmc.on_fact(Instant::now(), Fact::Started);
        bmc
    }

    fn message(byte: u8) -> ReceivedMessage {
        ReceivedMessage { channel: 1, privilege: Some(Privilege::Operator), bytes: vec![byte] }
    }

    const EVENT: PlatformEvent = PlatformEvent {
        generator: crate::Generator::BMC,
        sensor_type: 0x23,
        sensor: 5,
        event_type: crate::SENSOR_SPECIFIC,
        direction: crate::Direction::Asserted,
        data: [1, 0xff, 0xff],
    };

    #[test]
    fn messages_are_fetched_in_order_and_attention_ends_with_the_last() {
        let mut bmc = bmc();
        assert_eq!(bmc.attention(), Attention::default());
        bmc.receive_message(message(1)).unwrap();
        bmc.receive_message(message(2)).unwrap();
        assert_eq!(bmc.attention(), Attention { raised: true, interrupt: false });
        bmc.global_enables |= enables::RECEIVE_QUEUE_INTERRUPT;
        assert_eq!(bmc.attention(), Attention { raised: true, interrupt: true });
        assert_eq!(bmc.take_message(), Some(message(1)));
        assert_eq!(bmc.take_message(), Some(message(2)));
        assert_eq!(bmc.take_message(), None);
        assert_eq!(bmc.attention(), Attention::default());
    }

    #[test]
    fn a_queue_that_is_full_takes_no_more_and_loses_nothing() {
        let mut bmc = bmc();
        for number in 0..16 {
            bmc.receive_message(message(number)).unwrap();
        }
        assert_eq!(bmc.receive_message(message(16)), Err(MessageRefusal::Full));
        assert_eq!(bmc.take_message(), Some(message(0)));
    }

    #[test]
    fn a_machine_that_is_off_and_a_channel_that_is_not_wanted_receive_nothing() {
        let mut off = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        assert_eq!(off.receive_message(message(1)), Err(MessageRefusal::NotReceiving));
        let mut bmc = bmc();
        bmc.set_receives_messages(1, false);
        assert_eq!(bmc.receive_message(message(1)), Err(MessageRefusal::NotReceiving));
        assert!(bmc.receives_messages(0) && !bmc.receives_messages(200));
        bmc.set_receives_messages(1, true);
        bmc.receive_message(message(1)).unwrap();
    }

    #[test]
    fn the_buffer_has_the_first_event_since_it_was_read() {
        let mut bmc = bmc();
        bmc.platform_event(EVENT);
        assert_eq!(bmc.take_buffered_event(), None, "it is not enabled");
        bmc.global_enables |= enables::EVENT_BUFFER;
        bmc.observe_time(77);
        bmc.platform_event(EVENT);
        bmc.platform_event(PlatformEvent { sensor: 6, ..EVENT });
        assert_eq!(bmc.attention(), Attention { raised: true, interrupt: false });
        bmc.global_enables |= enables::EVENT_BUFFER_INTERRUPT;
        assert!(bmc.attention().interrupt);
        let record = SelRecord::event(EVENT);
        assert_eq!(bmc.take_buffered_event(), Some(SelEntry { id: 0xffff, time: 77, record }));
        assert_eq!(bmc.take_buffered_event(), None);
    }

    #[test]
    fn clearing_a_flag_clears_what_it_stands_for() {
        let mut bmc = bmc();
        bmc.global_enables = enables::EVENT_BUFFER;
        bmc.platform_event(EVENT);
        bmc.receive_message(message(1)).unwrap();
        bmc.messages.set_pre_timeout();
        let event_buffer = MessageFlags { event_buffer: true, ..MessageFlags::default() };
        bmc.clear_message_flags(event_buffer);
        assert_eq!(
            bmc.message_flags(),
            MessageFlags { receive_queue: true, event_buffer: false, pre_timeout: true }
        );
        bmc.clear_message_flags(bmc.message_flags());
        assert_eq!(bmc.message_flags(), MessageFlags::default());
        assert_eq!(bmc.take_message(), None);
    }

    #[test]
    fn the_next_boot_finds_nothing_of_the_last() {
        let mut bmc = bmc();
        bmc.global_enables = 0x0f;
        bmc.receive_message(message(1)).unwrap();
        bmc.platform_event(EVENT);
        bmc.on_fact(Instant::now(), Fact::Reset { by: ResetBy::Guest });
        assert_eq!(bmc.message_flags(), MessageFlags::default());
        assert_eq!(bmc.global_enables, enables::EVENT_LOGGING, "nor an interrupt that no driver expects");
    }

    #[test]
    fn a_driver_keeps_its_interrupts_when_the_controller_restarts_and_the_next_boot_does_not() {
        let now = Instant::now();
        let mut bmc = bmc();
        bmc.take_unsaved();
        bmc.set_global_enables(0x0f);
        assert!(bmc.take_unsaved());
        let saved = bmc.to_saved(now);
        let mut next = self::bmc();
        next.restore(saved.clone());
        next.on_fact(now, Fact::Adopted);
        assert_eq!(next.global_enables, 0x0f);
        next.restore(saved);
        next.on_fact(now, Fact::Started);
        assert_eq!(next.global_enables, enables::EVENT_LOGGING);
    }

    #[test]
    fn a_message_reaches_the_session_that_it_was_for_or_none() {
        let mut bmc = bmc();
        let first = SessionAddress { handle: 1, id: 0xa0 };
        assert_eq!(bmc.send_to_session(1, vec![1]), Err(MessageRefusal::NoSession));
        bmc.observe_sessions([first].into_iter());
        bmc.send_to_session(1, vec![1]).unwrap();
        bmc.send_to_session(1, vec![2]).unwrap();
        assert_eq!(bmc.take_outgoing_message(), Some(OutgoingMessage { to: first, bytes: vec![1] }));
        bmc.observe_sessions([SessionAddress { handle: 1, id: 0xb0 }].into_iter());
        assert!(!bmc.has_outgoing_message(), "another session has the handle now");
    }

    #[test]
    fn a_guest_that_sends_without_end_fills_no_memory() {
        let mut bmc = bmc();
        bmc.observe_sessions([SessionAddress { handle: 1, id: 1 }].into_iter());
        let sent = (0..1000).filter(|_| bmc.send_to_session(1, vec![0; 200]).is_ok()).count();
        assert_eq!(sent, OUTGOING_MAX);
    }
}
