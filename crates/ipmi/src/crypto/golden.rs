//! Handshakes that were recorded from the wire between programs that do not share this code: `ipmitool`
//! 1.8.19 with OpenIPMI's `ipmi_sim`, and with this server once `ipmitool` had accepted it.
//!
//! If a test in this module fails, do not change the test: these bytes are what is spoken in the field,
//! and they are never edited to make a test pass.

use bmc::Password;

use super::{
    SessionKeys, Suite,
    packet::is_genuine,
    rakp::{Exchange, UserName},
};
use crate::wire::{
    message::{Request, Response},
    open_session,
    rakp::{Rakp1, Rakp2, Rakp3, Rakp4},
    rmcp,
    session::Packet,
};

/// The datagrams of a login, in order, and of the first command and its response.
struct Recording {
    suite: Suite,
    password: &'static [u8],
    kg: Option<&'static [u8]>,
    open_request: &'static str,
    open_response: &'static str,
    rakp1: &'static str,
    rakp2: &'static str,
    rakp3: &'static str,
    rakp4: &'static str,
    request: &'static str,
    response: &'static str,
}

/// `ipmitool -C 3` and `ipmi_sim`.
const SUITE_3: Recording = Recording {
    suite: Suite::Sha1,
    password: b"test",
    kg: None,
    open_request: "0600ff0706100000000000000000200000000000a4a3a2a0\
        000000080100000001000008010000000200000801000000",
    open_response: "0600ff0706110000000000000000240000000000a4a3a2a002000000\
        000000080100000001000008010000000200000801000000",
    rakp1: "0600ff070612000000000000000023000000000002000000808cd3fe644da7e8b21243d169abc5e3\
        1400000769706d69757372",
    rakp2: "0600ff07061300000000000000003c0000000000a4a3a2a06e845b44bb45e957055ca87f94575078\
        a123456789abcdefa123456789abcdef3e48a140e32984a90c0ad3ce9e17f6ad7dd65ed0",
    rakp3: "0600ff07061400000000000000001c0000000000020000001b003dcdfcba352e87f2e0d60ad1b74311936c85",
    rakp4: "0600ff0706150000000000000000140000000000a4a3a2a0bf5438a763a6d96d182ac9a9",
    request: "0600ff0706c00200000003000000200050d1fa45fe1ccb431dea7043b5d2b1d8\
        536dd91eb5a48269f9b0c182815ca348ffff0207150dec847d703668399be1d4",
    response: "0600ff0706c0a4a3a2a0010000002000bd28390fee59965d0ecf34c0b5805f68\
        fe18575b14077124ea01c65135070575ffff0207b75c52899692702cc6eef628",
};

/// `ipmitool -C 17` and this server.
const SUITE_17: Recording = Recording {
    suite: Suite::Sha256,
    password: b"password",
    kg: None,
    open_request: "0600ff0706100000000000000000200000000000a4a3a2a0\
        000000080300000001000008040000000200000801000000",
    open_response: "0600ff0706110000000000000000240000000400a4a3a2a0fe6cfd54\
        000000080300000001000008040000000200000801000000",
    rakp1: "0600ff0706120000000000000000210000000000fe6cfd5430cf93760ef82c268882005aa2cbc5aa\
        1400000561646d696e",
    rakp2: "0600ff0706130000000000000000480000000000a4a3a2a065ad02cdd702336cf7a344334353ad22\
        83140b43d6c84180a4a792180454d25c\
        872bd7100d47ce799da9103e93a14bc42b3e03d797dbe9046e239d7a7921fc2e",
    rakp3: "0600ff0706140000000000000000280000000000fe6cfd54\
        3f9e7a67bde5a3c902e38a457fa28b5517e9235a058e5ea83d8b8596869a8891",
    rakp4: "0600ff0706150000000000000000180000000000a4a3a2a0e1713c0f182fddeb5855fdb5701026f8",
    request: "0600ff0706c0fe6cfd5403000000200012488acba5012c522877c510b4b93fc4\
        c2f6624cbb32b2854f273c7a4a2a250effff020752359bdb182d57660a935a4523b66e5d",
    response: "0600ff0706c0a4a3a2a001000000200038cfa1c7a7e6ee1ba2cb49f111e9a8df\
        4c2321b7e5bad0bf74eb927d18bba743ffff0207442ec5f9746460e60c3120ed842896bf",
};

/// `ipmitool -C 17 -k …` and this server.
const SUITE_17_TWO_KEYS: Recording = Recording {
    suite: Suite::Sha256,
    password: b"password",
    kg: Some(b"kgkgkgkgkgkgkgkgkgkg"),
    open_request: "0600ff0706100000000000000000200000000000a4a3a2a0\
        000000080300000001000008040000000200000801000000",
    open_response: "0600ff0706110000000000000000240000000400a4a3a2a0428b06f3\
        000000080300000001000008040000000200000801000000",
    rakp1: "0600ff0706120000000000000000210000000000428b06f3f285c550626506e63a7939e85a96cd96\
        1400000561646d696e",
    rakp2: "0600ff0706130000000000000000480000000000a4a3a2a0225872d6b025cbf2499aea596c8a4c21\
        83140b43d6c84150a4a792180454d25c\
        30b5830e2291d83cae933eb4a5a1c3c33e57f94edc177e7a96011c87c783acbb",
    rakp3: "0600ff0706140000000000000000280000000000428b06f3\
        00c6d8071cb3dad74b3cb2f94da56352ee4e3c68005ad56c9f2b6d8d351471cc",
    rakp4: "0600ff0706150000000000000000180000000000a4a3a2a0884b858759617b188a664e36cace1166",
    request: "0600ff0706c0428b06f3030000002000d0b3dffd3473ed9dc628303de7706fb7\
        f17a623c3803066787663425932b623fffff020725e674ba14b67304c7f042def63c6854",
    response: "0600ff0706c0a4a3a2a0010000002000c9b2455ae8d57d628fb130da58dbe584\
        d0d3fd4b9ec99d5c007833c9c15abef8ffff020730e68728dccfb533f505fbdeb985c806",
};

fn body(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).skip(rmcp::HEADER_SIZE).collect()
}

fn decrypted(keys: &SessionKeys, hex: &str) -> Vec<u8> {
    let mut body = body(hex);
    let packet = Packet::parse(&body).unwrap();
    assert!(packet.header.encrypted && is_genuine(keys, &packet));
    let range = packet.payload_range();
    keys.decrypt(&mut body[range]).unwrap().to_vec()
}

fn replay(recording: &Recording) {
    let bodies = [
        recording.open_request,
        recording.open_response,
        recording.rakp1,
        recording.rakp2,
        recording.rakp3,
        recording.rakp4,
    ]
    .map(body);
    let payloads = bodies.each_ref().map(|body| Packet::parse(body).unwrap().payload);
    let [open_request, open_response, rakp1, rakp2, rakp3, rakp4] = payloads;

    let request = open_session::Request::parse(open_request).unwrap();
    assert_eq!(Suite::choose(&request.proposal.unwrap(), &[3, 17]), Ok(recording.suite));
    let response = open_session::Response::parse(open_response).unwrap();
    assert_eq!(response.chosen, recording.suite.algorithms());
    let (rakp1, rakp2) = (Rakp1::parse(rakp1).unwrap(), Rakp2::parse(rakp2).unwrap());
    let exchange = Exchange {
        suite: recording.suite,
        console_session: request.console_session,
        managed_session: response.managed_session,
        console_random: rakp1.console_random,
        managed_random: rakp2.managed_random,
        guid: rakp2.guid,
        role: rakp1.role,
        name: UserName::new(rakp1.name).unwrap(),
    };
    let password = Password::new(recording.password).unwrap();
    assert_eq!(exchange.rakp2_code(password.key()).as_bytes(), rakp2.code);
    assert_eq!(exchange.rakp3_code(password.key()).as_bytes(), Rakp3::parse(rakp3).unwrap().code);
    let (check, keys) = exchange.establish(recording.kg.unwrap_or(password.key()));
    assert_eq!(check.as_bytes(), Rakp4::parse(rakp4).unwrap().code);

    let request = decrypted(&keys, recording.request);
    let request = Request::parse(&request).unwrap();
    let response = decrypted(&keys, recording.response);
    let response = Response::parse(&response).unwrap();
    assert_eq!((request.netfn, request.command, request.data), (0x06, 0x3b, &[0x04][..]));
    assert_eq!((response.netfn, response.command, response.data), (0x07, 0x3b, &[0x04][..]));
    assert_eq!(response.sequence, request.sequence);
}

#[test]
fn suite_3_as_ipmi_sim_speaks_it() {
    replay(&SUITE_3);
}

#[test]
fn suite_17_as_ipmitool_speaks_it() {
    replay(&SUITE_17);
}

#[test]
fn a_two_key_login_as_ipmitool_speaks_it() {
    replay(&SUITE_17_TWO_KEYS);
}
