//! What is said to a guest's agent, and what is made of its answers ("QEMU Guest Agent Protocol Reference"). Pure.
//!
//! Requests and answers are lines of JSON. Nothing tells which answer is whose, and an agent may answer late what
//! another connection asked: so each round begins with `guest-sync-delimited`, whose answer has a number that was
//! just drawn, after a byte that is in no JSON (FFh).
//!
//! The other end is the guest's, and no more to be trusted than the guest is: lines, answers and texts have limits,
//! and a text has letters, digits, ASCII and nothing that a terminal obeys.

use std::net::IpAddr;

use bmc::GuestInfo;
use serde_json::{Value, json};

/// What goes before a request and comes before its answer, and is in no JSON.
const DELIMITER: u8 = 0xff;

/// A line may have this many bytes: more than all addresses of a large host take.
const LINE_MAX: usize = 64 << 10;

/// How much of a text is shown.
const TEXT_MAX: usize = 64;

/// How many addresses are shown.
const ADDRESSES_MAX: usize = 16;

/// A line that has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest's agent sent a line of more than {LINE_MAX} bytes")]
pub(super) struct Endless;

/// Lines out of bytes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
}

impl Lines {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line that is JSON, without what came before a delimiter in it. Other lines are passed over.
    pub(super) fn next(&mut self) -> Result<Option<Value>, Endless> {
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let said = line.rsplit(|byte| *byte == DELIMITER).next().unwrap_or_default();
            if said.len() > LINE_MAX {
                return Err(Endless);
            }
            if let Ok(value) = serde_json::from_slice(said) {
                return Ok(Some(value));
            }
        }
        if self.buffer.len() > LINE_MAX { Err(Endless) } else { Ok(None) }
    }
}

/// What can be asked. Each answers with an object that has `return` or `error`, but for a shutdown that is obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Sync(u32),
    OsInfo,
    HostName,
    Interfaces,
    Shutdown,
}

impl Request {
    pub(super) fn bytes(self) -> Vec<u8> {
        let request = match self {
            Self::Sync(id) => json!({ "execute": "guest-sync-delimited", "arguments": { "id": id } }),
            Self::OsInfo => json!({ "execute": "guest-get-osinfo" }),
            Self::HostName => json!({ "execute": "guest-get-host-name" }),
            Self::Interfaces => json!({ "execute": "guest-network-get-interfaces" }),
            Self::Shutdown => json!({ "execute": "guest-shutdown", "arguments": { "mode": "powerdown" } }),
        };
        // The delimiter ends whatever half a line the agent has of somebody else.
        let mut bytes = if matches!(self, Self::Sync(_)) { vec![DELIMITER] } else { Vec::new() };
        bytes.extend(request.to_string().bytes());
        bytes.push(b'\n');
        bytes
    }
}

/// Whether this answers the sync of that number.
pub(super) fn is_sync(answer: &Value, id: u32) -> bool {
    answer.get("return").and_then(Value::as_u64) == Some(id.into())
}

/// What the agent says of its guest, of the answers that it gave.
pub(super) fn guest(os: &Value, host_name: &Value, interfaces: &Value) -> GuestInfo {
    let text = |answer: &Value, member: &str| answer.get("return")?.get(member)?.as_str().and_then(shown);
    let long = || Some(format!("{} {}", text(os, "name")?, text(os, "version")?));
    GuestInfo {
        os: text(os, "pretty-name").or_else(long).or_else(|| text(os, "name")),
        name: text(host_name, "host-name"),
        addresses: addresses(interfaces).unwrap_or_default(),
    }
}

fn addresses(interfaces: &Value) -> Option<Vec<IpAddr>> {
    let interfaces = interfaces.get("return")?.as_array()?.iter();
    let all = interfaces.filter_map(|interface| interface.get("ip-addresses")?.as_array()).flatten();
    let parsed = all.filter_map(|address| address.get("ip-address")?.as_str()?.parse().ok());
    Some(parsed.filter(is_of_use).take(ADDRESSES_MAX).collect())
}

/// Whether somebody else could reach it.
fn is_of_use(address: &IpAddr) -> bool {
    let local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(local || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

/// A guest's text as it may be shown to a person; none if nothing is left of it.
fn shown(text: &str) -> Option<String> {
    let safe = |char: char| char.is_alphanumeric() || char.is_ascii_graphic() || char == ' ';
    let text: String = text.chars().take(TEXT_MAX).map(|char| if safe(char) { char } else { '?' }).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Value> {
        let mut lines = Lines::default();
        lines.feed(bytes);
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn what_is_left_of_another_conversation_is_passed_over() {
        assert_eq!(lines(b"{\"return\": {\"half\xff{\"return\": 7}\n"), [json!({ "return": 7 })]);
        assert_eq!(
            lines(b"junk\n\n{\"return\": {}}\n{\"return\": 7}\nhalf"),
            [json!({ "return": {} }), json!({ "return": 7 })]
        );
        assert!(is_sync(&json!({ "return": 7 }), 7) && !is_sync(&json!({ "return": 7 }), 8));
        assert!(!is_sync(&json!({ "error": { "class": "CommandNotFound" } }), 7));
    }

    #[test]
    fn a_line_without_end_is_an_error() {
        let mut lines = Lines::default();
        lines.feed(&vec![b'x'; LINE_MAX]);
        assert_eq!(lines.next(), Ok(None));
        lines.feed(b"x");
        assert_eq!(lines.next(), Err(Endless));
    }

    #[test]
    fn a_guest_is_shown_as_it_says_and_no_terminal_obeys_it() {
        let os = json!({ "return": { "pretty-name": "Debian GNU/Linux 13 (trixie)", "name": "Debian" } });
        let name = json!({ "return": { "host-name": "node1\u{1b}[2J\u{202e}" } });
        let interfaces = json!({ "return": [
            { "name": "lo", "ip-addresses": [{ "ip-address": "127.0.0.1" }, { "ip-address": "::1" }] },
            { "name": "ens3", "ip-addresses": [
                { "ip-address": "10.0.2.15", "ip-address-type": "ipv4", "prefix": 24 },
                { "ip-address": "fe80::1" }, { "ip-address": "2001:db8::2" }, { "ip-address": "what?" },
            ] },
            { "name": "down" },
        ] });
        let guest = guest(&os, &name, &interfaces);
        assert_eq!(guest.os.as_deref(), Some("Debian GNU/Linux 13 (trixie)"));
        assert_eq!(guest.name.as_deref(), Some("node1?[2J?"));
        assert_eq!(guest.addresses, ["10.0.2.15", "2001:db8::2"].map(|text| text.parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn an_agent_that_knows_less_is_shown_with_what_it_knows() {
        let refused = json!({ "error": { "class": "CommandNotFound", "desc": "no" } });
        assert_eq!(guest(&refused, &refused, &refused), GuestInfo::default());
        let os = json!({ "return": { "name": "Alpine Linux", "version": "3.22.1" } });
        assert_eq!(guest(&os, &refused, &json!(7)).os.as_deref(), Some("Alpine Linux 3.22.1"));
    }

    #[test]
    fn a_request_is_one_line() {
        assert_eq!(
            Request::Sync(7).bytes(),
            b"\xff{\"arguments\":{\"id\":7},\"execute\":\"guest-sync-delimited\"}\n"
        );
        assert_eq!(Request::HostName.bytes(), b"{\"execute\":\"guest-get-host-name\"}\n");
    }

    proptest! {
        #[test]
        fn any_bytes_are_lines_or_none(chunks in proptest::collection::vec(any::<Vec<u8>>(), 0..20)) {
            let mut lines = Lines::default();
            for chunk in chunks {
                lines.feed(&chunk);
                while let Ok(Some(value)) = lines.next() {
                    let guest = guest(&value, &value, &value);
                    prop_assert!(guest.addresses.len() <= ADDRESSES_MAX);
                }
            }
        }

        #[test]
        fn no_text_is_long_or_has_what_a_terminal_obeys(text in "(?s).{0,200}") {
            if let Some(text) = shown(&text) {
                prop_assert!(text.chars().count() <= TEXT_MAX && !text.chars().any(char::is_control));
            }
        }
    }
}
