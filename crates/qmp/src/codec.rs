//! Bytes to messages and back, without I/O (QMP specification, "General definitions").
//!
//! A QMP stream is one JSON object a line:
//!
//! ```text
//! QEMU → us   {"QMP": {"version": ..., "capabilities": [...]}}              greeting, once, first
//! us → QEMU   {"execute": "stop", "id": 1}
//! QEMU → us   {"event": "STOP", "data": ..., "timestamp": {...}}            at any time
//! QEMU → us   {"return": {}, "id": 1}       or   {"error": {"class", "desc"}, "id": 1}
//! ```
//!
//! Each message carries the number of its line, so that whoever takes events and replies from different
//! queues can still put them in order. A line has a greatest length, so that a peer that never ends one cannot
//! take all memory.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::events::Event;
use crate::qapi::ErrorClass;

/// The longest line that QEMU may send, in bytes without the line end. `query-block` with many snapshots and
/// long `human-monitor-command` answers are some hundred KiB.
pub const MAX_LINE: usize = 4 << 20;

/// One line of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The number of the line on its connection, from 1.
    pub seq: u64,
    /// What it says.
    pub message: Message,
}

/// What QEMU sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The first message of a connection.
    Greeting(Greeting),
    /// A command succeeded.
    Return {
        /// The command's id.
        id: Option<u64>,
        /// What it returned.
        value: Value,
    },
    /// A command was refused.
    Error {
        /// The command's id; none where QEMU could not even read the command.
        id: Option<u64>,
        /// Why.
        refusal: Refusal,
    },
    /// Something happened.
    Event {
        /// When, since the Unix epoch by the host's clock, if QEMU knows.
        timestamp: Option<Duration>,
        /// What.
        event: Event,
    },
    /// JSON that is none of these.
    Unknown(Value),
}

/// An event, and where on the stream it came.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecord {
    /// The number of its line, to compare with [`Reply::seq`](crate::Reply::seq) of the same connection.
    pub seq: u64,
    /// When it happened, since the Unix epoch by the host's clock, if QEMU knows.
    pub timestamp: Option<Duration>,
    /// What happened.
    pub event: Event,
}

/// Who is speaking.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Greeting {
    /// QEMU's version.
    pub version: Version,
    /// The protocol capabilities that a client may switch on.
    pub capabilities: Vec<String>,
}

/// QEMU's version and its packager's (`VersionInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Version {
    /// The version of QEMU itself.
    pub qemu: VersionTriple,
    /// The version of the package, in the packager's own form.
    pub package: String,
}

/// Three numbers, in order of weight (`VersionTriple`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(default)]
pub struct VersionTriple {
    /// The first.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third.
    pub micro: u32,
}

/// Why QEMU refused a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of refusal, for programs.
    pub class: ErrorClass,
    /// The reason, for people.
    pub desc: String,
}

/// A stream that is not QMP. After one of these the decoder cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A line passed the limit.
    #[error("line {seq} is longer than {limit} bytes")]
    TooLong {
        /// The number of the line.
        seq: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// A line is not JSON.
    #[error("line {seq} is not JSON")]
    Malformed {
        /// The number of the line.
        seq: u64,
        /// Where and why.
        source: serde_json::Error,
    },
}

/// Cuts a stream into messages.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// How much of the front of `buffer` is known to hold no line end.
    scanned: usize,
    /// The number of the last complete line.
    seq: u64,
    limit: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::with_limit(MAX_LINE)
    }
}

impl Decoder {
    /// A decoder for lines of at most `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self { buffer: Vec::new(), scanned: 0, seq: 0, limit }
    }

    /// Takes the next bytes of the stream. Call [`next`](Self::next) until it returns none before feeding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete message. Blank lines are skipped, and have no number.
    ///
    /// # Errors
    /// The stream is not QMP; the connection is of no more use.
    #[expect(clippy::should_implement_trait, reason = "an iterator that can go on after its end misleads")]
    pub fn next(&mut self) -> Result<Option<Line>, DecodeError> {
        loop {
            let found = self.buffer.iter().skip(self.scanned).position(|&byte| byte == b'\n');
            let length = found.map_or(self.buffer.len(), |offset| self.scanned + offset);
            if length > self.limit {
                return Err(DecodeError::TooLong { seq: self.seq + 1, limit: self.limit });
            }
            if found.is_none() {
                self.scanned = length;
                return Ok(None);
            }
            let line: Vec<u8> = self.buffer.drain(..=length).collect();
            self.scanned = 0;
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            self.seq += 1;
            let value = serde_json::from_slice(line)
                .map_err(|source| DecodeError::Malformed { seq: self.seq, source })?;
            return Ok(Some(Line { seq: self.seq, message: classify(value) }));
        }
    }
}

/// The line that tells QEMU to execute a command. Arguments that are null are left out.
pub fn encode(id: u64, command: &str, arguments: Value) -> Vec<u8> {
    let mut object = json!({"execute": command, "id": id});
    if let (Some(object), false) = (object.as_object_mut(), arguments.is_null()) {
        object.insert("arguments".to_owned(), arguments);
    }
    format!("{object}\r\n").into_bytes()
}

fn classify(value: Value) -> Message {
    let Value::Object(mut object) = value else { return Message::Unknown(value) };
    let id = object.get("id").and_then(Value::as_u64);
    if let Some(greeting) = object.remove("QMP") {
        return Message::Greeting(Greeting::deserialize(greeting).unwrap_or_default());
    }
    if let Some(value) = object.remove("return") {
        return Message::Return { id, value };
    }
    if let Some(error) = object.get("error") {
        let text = |key| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        return Message::Error { id, refusal: Refusal { class: text("class").into(), desc: text("desc") } };
    }
    if let Some(Value::String(name)) = object.get("event").cloned() {
        let data = object.remove("data").unwrap_or_default();
        return Message::Event { timestamp: timestamp(&object), event: Event::new(&name, data) };
    }
    Message::Unknown(Value::Object(object))
}

/// QEMU says -1 in both members where its clock failed.
fn timestamp(event: &Map<String, Value>) -> Option<Duration> {
    let part = |key| event.get("timestamp")?.get(key)?.as_u64();
    let microseconds = Duration::from_micros(part("microseconds")?);
    Duration::from_secs(part("seconds")?).checked_add(microseconds)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::qapi::ShutdownCause;

    /// Any JSON value of moderate size.
    pub(crate) fn json() -> impl Strategy<Value = Value> {
        let key = prop_oneof![
            prop::sample::select(vec![
                "QMP",
                "return",
                "error",
                "event",
                "id",
                "data",
                "timestamp",
                "seconds",
                "class",
                "desc",
                "guest",
                "reason",
                "action",
                "info",
                "device",
                "tray-open",
                "offset",
                "client",
            ])
            .prop_map(str::to_owned),
            ".{0,8}",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn decode_all(chunks: &[&[u8]], limit: usize) -> (Vec<Line>, Option<String>) {
        let mut decoder = Decoder::with_limit(limit);
        let mut lines = Vec::new();
        for chunk in chunks {
            decoder.feed(chunk);
            loop {
                match decoder.next() {
                    Ok(Some(line)) => lines.push(line),
                    Ok(None) => break,
                    Err(error) => return (lines, Some(error.to_string())),
                }
            }
        }
        (lines, None)
    }

    fn decode_one(line: &str) -> Message {
        let (mut lines, error) = decode_all(&[line.as_bytes(), b"\r\n"], MAX_LINE);
        assert_eq!((lines.len(), error), (1, None));
        lines.remove(0).message
    }

    #[test]
    fn a_greeting() {
        let message = decode_one(
            r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2"},
            "capabilities": ["oob"]}}"#
                .replace('\n', " ")
                .as_str(),
        );
        let Message::Greeting(greeting) = message else { panic!("{message:?}") };
        assert_eq!(greeting.version.qemu, VersionTriple { major: 7, minor: 2, micro: 22 });
        assert_eq!(greeting.version.package, "Debian 1:7.2");
        assert_eq!(greeting.capabilities, ["oob"]);
    }

    #[test]
    fn replies() {
        assert_eq!(
            decode_one(r#"{"return": {"running": false}, "id": 7}"#),
            Message::Return { id: Some(7), value: json!({"running": false}) }
        );
        assert_eq!(
            decode_one(r#"{"id": 7, "error": {"class": "CommandNotFound", "desc": "no such"}}"#),
            Message::Error {
                id: Some(7),
                refusal: Refusal { class: ErrorClass::CommandNotFound, desc: "no such".to_owned() }
            }
        );
        assert!(matches!(
            decode_one(r#"{"error": {"class": "GenericError", "desc": "JSON parse error"}}"#),
            Message::Error { id: None, .. }
        ));
    }

    #[test]
    fn events_with_and_without_a_clock() {
        assert_eq!(
            decode_one(
                r#"{"timestamp": {"seconds": 2, "microseconds": 5}, "event": "RESET",
                "data": {"guest": true, "reason": "guest-reset"}, "new member": 1}"#
                    .replace('\n', " ")
                    .as_str()
            ),
            Message::Event {
                timestamp: Some(Duration::from_micros(2_000_005)),
                event: Event::Reset { guest: true, reason: ShutdownCause::GuestReset }
            }
        );
        assert_eq!(
            decode_one(r#"{"timestamp": {"seconds": -1, "microseconds": -1}, "event": "STOP"}"#),
            Message::Event { timestamp: None, event: Event::Stop }
        );
    }

    #[test]
    fn lines_are_numbered_and_blank_ones_are_not() {
        let (lines, error) = decode_all(&[b"{}\r\n\r\n\n[1]\n"], MAX_LINE);
        let seqs: Vec<u64> = lines.iter().map(|line| line.seq).collect();
        assert_eq!((seqs, error), (vec![1, 2], None));
    }

    #[test]
    fn a_line_may_reach_the_limit_but_not_pass_it() {
        let fits = format!("\"{}\"\n", "x".repeat(8));
        assert_eq!(decode_all(&[fits.as_bytes()], 10).0.len(), 1);
        let expected = Some("line 1 is longer than 9 bytes".to_owned());
        assert_eq!(decode_all(&[fits.as_bytes()], 9), (vec![], expected.clone()));
        assert_eq!(decode_all(&[b"          "], 9), (vec![], expected));
    }

    #[test]
    fn what_is_not_json_is_an_error_that_names_the_line() {
        let (lines, error) = decode_all(&[b"{}\nHTTP/1.1 400 Bad Request\n"], MAX_LINE);
        assert_eq!((lines.len(), error), (1, Some("line 2 is not JSON".to_owned())));
    }

    #[test]
    fn commands() {
        assert_eq!(encode(1, "stop", Value::Null), b"{\"execute\":\"stop\",\"id\":1}\r\n");
        let line = encode(2, "eject", json!({"id": "cd0"}));
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value, json!({"execute": "eject", "id": 2, "arguments": {"id": "cd0"}}));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_all(&[&bytes], 64);
        }

        #[test]
        fn any_json_is_a_message(value in json()) {
            let text = value.to_string();
            decode_one(&text);
        }

        #[test]
        fn where_the_stream_is_cut_does_not_matter(
            values in prop::collection::vec(json(), 1..5),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            limit in 1_usize..200,
        ) {
            let stream: Vec<u8> = values.iter().flat_map(|value| format!("{value}\r\n").into_bytes()).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode_all(&chunks, limit), decode_all(&[&stream], limit));
        }

        #[test]
        fn commands_are_one_line_of_json(id in any::<u64>(), name in ".{0,20}", arguments in json()) {
            let line = encode(id, &name, arguments.clone());
            let (end, body) = line.split_last().unwrap();
            prop_assert_eq!(*end, b'\n');
            prop_assert!(!body.contains(&b'\n'));
            let value: Value = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(value["execute"].as_str(), Some(name.as_str()));
            prop_assert_eq!(value["id"].as_u64(), Some(id));
            prop_assert_eq!(value.get("arguments").unwrap_or(&Value::Null), &arguments);
        }
    }
}
