//! Every layout from any bytes; and what was read is written and read again.
#![no_main]

use ipmi::wire::{
    asf::Ping, message, open_session, rakp, rmcp::Class, session, session_v15, sol,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = (Class::parse(bytes), Ping::parse(bytes));
    let mut out = Vec::new();

    if let Ok(request) = message::Request::parse(bytes) {
        request.emit(&mut out);
        assert_eq!(out, bytes);
        out.clear();
        request.emit_response(ipmi::CompletionCode::OK, request.data, &mut out);
        let response = message::Response::parse(&out).unwrap();
        assert_eq!(response.data, request.data);
        out.clear();
    }
    let _ = message::Response::parse(bytes);

    if let Ok(packet) = session::Packet::parse(bytes) {
        assert_eq!(bytes.get(packet.payload_range()), Some(packet.payload));
        for size in [12, 16] {
            if let Ok((signed, code)) = packet.signed(size) {
                assert_eq!(signed.len() + code.len(), bytes.len());
            }
        }
    }
    if let Ok(packet) = session_v15::Packet::parse(bytes) {
        packet.emit(&mut out);
        assert_eq!(session_v15::Packet::parse(&out), Ok(packet));
        out.clear();
    }

    if let Ok(request) = open_session::Request::parse(bytes) {
        request.emit(&mut out);
        if request.proposal.is_ok() {
            assert_eq!(open_session::Request::parse(&out), Ok(request));
        }
        out.clear();
    }
    let _ = open_session::Response::parse(bytes);
    if let Ok(message) = rakp::Rakp1::parse(bytes) {
        message.emit(&mut out);
        assert_eq!(rakp::Rakp1::parse(&out), Ok(message));
        out.clear();
    }
    if let Ok(message) = rakp::Rakp3::parse(bytes) {
        message.emit(&mut out);
        assert_eq!(rakp::Rakp3::parse(&out), Ok(message));
        out.clear();
    }
    let _ = (rakp::Rakp2::parse(bytes), rakp::Rakp4::parse(bytes), rakp::Outcome::parse(bytes));

    if let Ok(packet) = sol::Packet::parse(bytes) {
        packet.emit(&mut out);
        assert_eq!(sol::Packet::parse(&out), Ok(packet));
    }
});
