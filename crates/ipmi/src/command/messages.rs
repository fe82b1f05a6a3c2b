//! Messages between the guest, remote consoles and this controller's own IPMB (IPMI 2.0 §6.13, §22.3 to §22.11).
//!
//! | Send Message by | to channel | what becomes of it |
//! |---|---|---|
//! | LAN | Fh, the guest | the receive message queue; the guest answers by channel 1 |
//! | the guest | 1, LAN | the session whose handle it names |
//! | either | 0, IPMB | run, if it is for the BMC; there is no other controller (83h) |
//!
//! An answer from the IPMB comes as a message of its own: to a remote console in a packet after the reply, to the
//! guest by the queue. Messages within messages are not run.
//!
//! A message to a session looks to its client like an answer of the controller's: most go by number and command
//! alone, and not by who speaks. So a guest that is not trusted sends none, and one that is speaks as software
//! (§5.5), never under the controller's address.

use bmc::{MessageFlags, MessageRefusal, ReceivedMessage};

use super::{Context, LAN_CHANNEL, SYSTEM_INTERFACE, THIS_CHANNEL, dispatch, table::APP};
use crate::{
    CompletionCode, Reply, Request, record,
    wire::message::{self, BMC_ADDRESS},
};

type Result = std::result::Result<(), CompletionCode>;

/// There is nothing to fetch (§22.6, §22.8).
const NOTHING: CompletionCode = CompletionCode(0x80);
/// No session has the handle (§22.7).
const INVALID_SESSION_HANDLE: CompletionCode = CompletionCode(0x80);
/// Nobody on the bus has the address (§22.7, §22.11).
const NOT_ACKNOWLEDGED: CompletionCode = CompletionCode(0x83);

/// The number of the IPMB channel.
const IPMB: u8 = 0;
const SEND_MESSAGE: u8 = 0x34;
/// Where a message has the address of who sends it (§13.8).
const SENDER: usize = 3;

const PRE_TIMEOUT: u8 = 1 << 3;
const EVENT_BUFFER: u8 = 1 << 1;
const RECEIVE_QUEUE: u8 = 1 << 0;

/// 30h.
pub(super) fn clear_flags(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let &[flags] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    context.bmc.clear_message_flags(MessageFlags {
        receive_queue: flags & RECEIVE_QUEUE != 0,
        event_buffer: flags & EVENT_BUFFER != 0,
        pre_timeout: flags & PRE_TIMEOUT != 0,
    });
    Ok(())
}

/// 31h.
pub(super) fn get_flags(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    let MessageFlags { receive_queue, event_buffer, pre_timeout } = context.bmc.message_flags();
    let if_so = |condition: bool, bit: u8| if condition { bit } else { 0 };
    reply.put(&[if_so(receive_queue, RECEIVE_QUEUE)
        | if_so(event_buffer, EVENT_BUFFER)
        | if_so(pre_timeout, PRE_TIMEOUT)]);
    Ok(())
}

/// 32h.
pub(super) fn enable_receive(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[channel, state] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let channel = channel & 0x0f;
    if ![IPMB, LAN_CHANNEL].contains(&channel) {
        return Err(CompletionCode::INVALID_FIELD);
    }
    match state & 0x03 {
        0 => context.bmc.set_receives_messages(channel, false),
        1 => context.bmc.set_receives_messages(channel, true),
        2 => {}
        _ => return Err(CompletionCode::INVALID_FIELD),
    }
    reply.put(&[channel, u8::from(context.bmc.receives_messages(channel))]);
    Ok(())
}

/// 33h.
pub(super) fn get(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    let ReceivedMessage { channel, privilege, bytes } = context.bmc.take_message().ok_or(NOTHING)?;
    reply.put(&[privilege.map_or(0, |level| level as u8) << 4 | channel]);
    reply.put(&bytes);
    Ok(())
}

/// 34h.
pub(super) fn send(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const TRACKING: u8 = 0xc0;
    const TRACKED: u8 = 0x40;

    let (&how, message) = data.split_first().ok_or(CompletionCode::INVALID_LENGTH)?;
    // The other two values: raw, for channels that are none of these, and reserved.
    if ![0, TRACKED].contains(&(how & TRACKING)) {
        return Err(CompletionCode::INVALID_FIELD);
    }
    let channel = match how & 0x0f {
        THIS_CHANNEL => context.channel,
        number => number,
    };
    match (channel, context.channel) {
        (IPMB, _) => send_on_ipmb(context, message),
        (SYSTEM_INTERFACE, LAN_CHANNEL) => send_to_guest(context, message),
        (LAN_CHANNEL, SYSTEM_INTERFACE) => send_to_session(context, message),
        _ => Err(CompletionCode::INVALID_FIELD),
    }
}

fn send_on_ipmb(context: &mut Context<'_>, message: &[u8]) -> Result {
    let request = message::Request::parse(message).map_err(|_| CompletionCode::INVALID_FIELD)?;
    if request.responder != BMC_ADDRESS {
        return Err(NOT_ACKNOWLEDGED);
    }
    let inner =
        Request { netfn: request.netfn, lun: request.lun, command: request.command, data: request.data };
    let answer = if (inner.netfn, inner.command) == (APP, SEND_MESSAGE) {
        let mut refused = Reply::default();
        refused.fail(CompletionCode::INVALID_COMMAND);
        refused
    } else {
        dispatch(context, &inner)
    };
    let mut bytes = Vec::new();
    request.emit_response(answer.code(), answer.data(), &mut bytes);
    match context.port.current() {
        Some(session) => context.bmc.send_to_session(session.handle, bytes),
        None => {
            // The requester's own address, which every message from a bus begins with, is left out.
            bytes.remove(0);
            context.bmc.receive_message(ReceivedMessage { channel: IPMB, privilege: None, bytes })
        }
    }
    .map_err(refused)
}

fn send_to_guest(context: &mut Context<'_>, message: &[u8]) -> Result {
    let session = context.port.current().ok_or(CompletionCode::INSUFFICIENT_PRIVILEGE)?;
    parse_either(message)?;
    let bytes = [&[session.handle], message].concat();
    let privilege = Some(session.privilege);
    context.bmc.receive_message(ReceivedMessage { channel: LAN_CHANNEL, privilege, bytes }).map_err(refused)
}

fn send_to_session(context: &mut Context<'_>, message: &[u8]) -> Result {
    const SOFTWARE_ID: u8 = 1 << 0;

    if !context.trusted {
        return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
    }
    let (&handle, message) = message.split_first().ok_or(CompletionCode::INVALID_LENGTH)?;
    parse_either(message)?;
    let sender = message.get(SENDER).copied().unwrap_or_default();
    if sender & SOFTWARE_ID == 0 {
        return Err(CompletionCode::INVALID_FIELD);
    }
    context.bmc.send_to_session(handle, message.to_vec()).map_err(refused)
}

/// A request or a response, whole and with right checksums.
fn parse_either(message: &[u8]) -> Result {
    message::Request::parse(message)
        .map(drop)
        .or_else(|_| message::Response::parse(message).map(drop))
        .map_err(|_| CompletionCode::INVALID_FIELD)
}

fn refused(refusal: MessageRefusal) -> CompletionCode {
    match refusal {
        MessageRefusal::Full => CompletionCode::NODE_BUSY,
        MessageRefusal::NotReceiving => CompletionCode::NOT_IN_PRESENT_STATE,
        MessageRefusal::NoSession => INVALID_SESSION_HANDLE,
    }
}

/// 35h.
pub(super) fn read_event(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    let event = context.bmc.take_buffered_event().ok_or(NOTHING)?;
    reply.put(&record::sel::emit(&event));
    Ok(())
}

/// 36h. One request at a time, of 255 bytes; answered at once, and with no need to repeat it.
pub(super) fn get_bt_capabilities(_: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    const OUTSTANDING: u8 = 1;
    const BUFFER: u8 = 0xff;
    const SECONDS_TO_ANSWER: u8 = 5;
    const RETRIES: u8 = 0;

    reply.put(&[OUTSTANDING, BUFFER, BUFFER, SECONDS_TO_ANSWER, RETRIES]);
    Ok(())
}

/// 52h. The public bus has nobody on it, and there is no other.
pub(super) fn master_write_read(_: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const PUBLIC_BUS: u8 = 0;

    match data.first() {
        Some(&PUBLIC_BUS) => Err(NOT_ACKNOWLEDGED),
        _ => Err(CompletionCode::INVALID_FIELD),
    }
}

#[cfg(test)]
mod tests;
