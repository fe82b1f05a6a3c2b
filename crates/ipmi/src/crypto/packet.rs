//! An RMCP+ packet of an active session: layout and keys together (IPMI 2.0 §13.28).

use super::SessionKeys;
use crate::wire::{
    rmcp::Class,
    session::{Header, Packet, emit_trailer},
};

/// Appends a datagram: what `payload` appends, encrypted and signed as the header says.
pub(crate) fn seal(
    keys: &SessionKeys,
    header: &Header,
    iv: [u8; 16],
    out: &mut Vec<u8>,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    Class::Ipmi.emit(out);
    let start = out.len();
    header.emit(out, |out| {
        if header.encrypted {
            let at = out.len();
            out.extend(iv);
            payload(out);
            keys.encrypt(out, at);
        } else {
            payload(out);
        }
    });
    if header.authenticated {
        emit_trailer(out, start);
        let code = keys.sign(out.get(start..).unwrap_or_default());
        out.extend_from_slice(code.as_bytes());
    }
}

/// Whether a packet carries the code that these keys give it.
pub(crate) fn is_genuine(keys: &SessionKeys, packet: &Packet<'_>) -> bool {
    packet.signed(keys.code_size()).is_ok_and(|(signed, code)| keys.sign(signed).matches(code))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        crypto::{KeyedHash, Suite},
        wire::{rmcp, session::PayloadType},
    };

    fn keys(suite: Suite, key: &[u8]) -> SessionKeys {
        SessionKeys::derive(suite, &KeyedHash::new(suite, key))
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_genuine_and_nothing_else_is(
            sha256: bool, encrypted: bool, iv: [u8; 16],
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            flip: prop::sample::Index, bit in 0u8..8,
        ) {
            let suite = if sha256 { Suite::Sha256 } else { Suite::Sha1 };
            let keys = keys(suite, b"one");
            let header = Header {
                payload_type: PayloadType::Ipmi, encrypted, authenticated: true, session: 1, sequence: 2,
            };
            let mut out = Vec::new();
            seal(&keys, &header, iv, &mut out, |out| out.extend(&payload));
            let body = &mut out[rmcp::HEADER_SIZE..];
            let packet = Packet::parse(body).unwrap();
            prop_assert!(is_genuine(&keys, &packet));
            prop_assert!(!is_genuine(&self::keys(suite, b"two"), &packet));
            let range = packet.payload_range();
            if encrypted {
                let mut payload_bytes = body[range].to_vec();
                prop_assert_eq!(keys.decrypt(&mut payload_bytes), Some(&payload[..]));
            } else {
                prop_assert_eq!(&body[range], &payload[..]);
            }

            let index = flip.index(body.len());
            body[index] ^= 1 << bit;
            let forged = Packet::parse(body).is_ok_and(|packet| is_genuine(&keys, &packet));
            prop_assert!(!forged);
        }
    }
}
