//! The client against a peer that each test plays itself.

use std::future::Future;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::*;
use crate::commands::{QueryStatus, SystemReset};
use crate::events::Event;
use crate::qapi::{ErrorClass, RunState};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

/// The far end of the connection.
struct Peer {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Peer {
    async fn say(&mut self, value: Value) {
        self.writer.write_all(format!("{value}\r\n").as_bytes()).await.unwrap();
    }

    async fn emit(&mut self, event: &str) {
        self.say(json!({"event": event, "timestamp": {"seconds": 1, "microseconds": 0}})).await;
    }

    async fn reply(&mut self, id: u64, value: Value) {
        self.say(json!({"return": value, "id": id})).await;
    }

    /// The next command: its name and its id.
    async fn command(&mut self) -> (String, u64) {
        let line = limited(self.lines.next_line()).await.unwrap().expect("a command");
        let value: Value = serde_json::from_str(&line).unwrap();
        (value["execute"].as_str().unwrap().to_owned(), value["id"].as_u64().unwrap())
    }
}

async fn limited<F: Future>(future: F) -> F::Output {
    within(LONG, future).await.expect("done in time")
}

fn pair() -> (UnixStream, Peer) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (reader, writer) = theirs.into_split();
    (ours, Peer { lines: BufReader::new(reader).lines(), writer })
}

/// A connection after its handshake, which takes lines 1 and 2 of the stream.
async fn session() -> (Session, Peer) {
    let (stream, mut peer) = pair();
    let handshake = async {
        peer.say(json!({"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}}})).await;
        let (name, id) = peer.command().await;
        assert_eq!(name, "qmp_capabilities");
        peer.reply(id, json!({})).await;
    };
    let (session, ()) = tokio::join!(negotiate(stream, LONG), handshake);
    (session.unwrap(), peer)
}

#[tokio::test]
async fn the_handshake_tells_who_answers() {
    let (session, _peer) = session().await;
    assert_eq!(session.greeting.version.qemu.major, 7);
}

#[tokio::test]
async fn the_handshake_fails_on_what_is_not_qemu() {
    let (stream, _silent) = pair();
    assert!(matches!(negotiate(stream, SHORT).await, Err(Error::NoGreeting(_))));

    let (stream, mut other) = pair();
    other.say(json!({"hello": "world"})).await;
    assert!(matches!(negotiate(stream, LONG).await, Err(Error::NotQmp)));

    let (stream, gone) = pair();
    drop(gone);
    assert!(matches!(negotiate(stream, LONG).await, Err(Error::Handshake(Disconnect::Closed))));

    let missing = tempfile::tempdir().unwrap().path().join("qmp.sock");
    let error = connect(&missing, LONG).await.unwrap_err();
    assert_eq!(error.to_string(), format!("connect to qmp socket {}", missing.display()));
}

#[tokio::test]
async fn events_and_replies_tell_which_came_first() {
    let (Session { client, mut events, .. }, mut peer) = session().await;
    let peer = async {
        peer.emit("STOP").await;
        let (_, id) = peer.command().await;
        peer.emit("RESET").await;
        peer.reply(id, json!({})).await;
        peer.emit("RESUME").await;
        peer
    };
    let (reply, _peer) = tokio::join!(client.call(&SystemReset, LONG), peer);
    assert_eq!(reply.unwrap().seq, 5);

    // What came before the reply is there when the reply is.
    let stop = events.try_next().unwrap();
    let reset = events.try_next().unwrap();
    assert_eq!((stop.seq, stop.event), (3, Event::Stop));
    assert_eq!(reset.seq, 4);
    assert!(matches!(reset.event, Event::Reset { .. }));
    assert_eq!(reset.timestamp, Some(Duration::from_secs(1)));
    let resume = limited(events.next()).await.unwrap();
    assert_eq!((resume.seq, resume.event), (6, Event::Resume));
}

#[tokio::test]
async fn replies_find_their_calls_in_any_order() {
    let (Session { client, .. }, mut peer) = session().await;
    let peer = async {
        let (first, second) = (peer.command().await, peer.command().await);
        for (name, id) in [second, first] {
            peer.reply(id, json!(name)).await;
        }
    };
    let (a, b, ()) =
        tokio::join!(client.execute("a", json!({}), LONG), client.execute("b", Value::Null, LONG), peer);
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!((a.value, b.value), (json!("a"), json!("b")));
    assert!(b.seq < a.seq);
}

#[tokio::test]
async fn many_calls_among_many_events() {
    const CALLS: u64 = 500;
    let (Session { client, mut events, .. }, mut peer) = session().await;
    let echo = tokio::spawn(async move {
        for _ in 0..CALLS {
            let (name, id) = peer.command().await;
            peer.emit("STOP").await;
            peer.reply(id, json!(name)).await;
            peer.emit("RESUME").await;
        }
    });
    let calls: Vec<_> = (0..CALLS)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let name = format!("command {number}");
                let reply = client.execute(&name, Value::Null, LONG).await.unwrap();
                assert_eq!(reply.value, json!(name));
                reply.seq
            })
        })
        .collect();
    let mut seqs = Vec::new();
    for call in calls {
        seqs.push(limited(call).await.unwrap());
    }
    limited(echo).await.unwrap();
    while let Some(record) = limited(events.next()).await {
        seqs.push(record.seq);
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (3..3 * CALLS + 3).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_late_reply_is_dropped() {
    let (Session { client, .. }, mut peer) = session().await;
    let error = client.execute("slow", Value::Null, SHORT).await.unwrap_err();
    assert_eq!(error.to_string(), "slow: no answer from qemu within 20ms");

    let peer = async {
        let (_, late) = peer.command().await;
        peer.reply(late, json!("late")).await;
        let (_, id) = peer.command().await;
        peer.reply(id, json!("in time")).await;
    };
    let (reply, ()) = tokio::join!(client.execute("next", Value::Null, LONG), peer);
    assert_eq!(reply.unwrap().value, json!("in time"));
}

#[tokio::test]
async fn a_call_that_timed_out_before_its_turn_is_never_sent() {
    let (Session { client, .. }, mut peer) = session().await;
    // More than a socket holds, so that it stays half written until the peer reads.
    let large = json!({"text": "x".repeat(2 << 20)});
    for (name, arguments) in [("large", large), ("given-up", Value::Null)] {
        let result = client.execute(name, arguments, SHORT).await;
        assert!(matches!(result, Err(Error::Timeout { .. })), "{result:?}");
    }
    let peer = async {
        assert_eq!(peer.command().await.0, "large");
        let (name, id) = peer.command().await;
        assert_eq!(name, "next");
        peer.reply(id, json!({})).await;
    };
    let (reply, ()) = tokio::join!(client.execute("next", Value::Null, LONG), peer);
    reply.unwrap();
}

#[tokio::test]
async fn replies_pass_a_write_that_is_stuck() {
    let (Session { client, mut events, .. }, mut peer) = session().await;
    let first = client.execute("first", Value::Null, LONG);
    let then = async {
        let (_, id) = peer.command().await;
        let stuck =
            client.execute("large", json!({"text": "x".repeat(2 << 20)}), Duration::from_millis(50)).await;
        assert!(matches!(stuck, Err(Error::Timeout { .. })));
        peer.emit("STOP").await;
        peer.reply(id, json!({})).await;
        peer
    };
    let (reply, _peer) = tokio::join!(first, then);
    reply.unwrap();
    assert_eq!(events.try_next().unwrap().event, Event::Stop);
}

#[tokio::test]
async fn a_refusal_is_not_a_failure_of_the_connection() {
    let (Session { client, .. }, mut peer) = session().await;
    let peer = async {
        let (_, id) = peer.command().await;
        peer.say(json!({"id": id, "error": {"class": "CommandNotFound", "desc": "no such command"}})).await;
        let (_, id) = peer.command().await;
        peer.reply(id, json!({"status": "running", "running": true})).await;
    };
    let calls = async {
        let error = client.call(&SystemReset, LONG).await.unwrap_err();
        assert_eq!(error.to_string(), "system_reset: refused by qemu: no such command");
        assert_eq!(error.class(), Some(&ErrorClass::CommandNotFound));
        let status = client.call(&QueryStatus, LONG).await.unwrap().value;
        assert_eq!((status.status, status.running), (RunState::Running, true));
    };
    tokio::join!(calls, peer);
}

#[tokio::test]
async fn an_answer_of_another_form_is_an_error_of_its_own() {
    let (Session { client, .. }, mut peer) = session().await;
    let peer = async {
        let (_, id) = peer.command().await;
        peer.reply(id, json!("yes")).await;
    };
    let (result, ()) = tokio::join!(client.call(&QueryStatus, LONG), peer);
    assert!(matches!(result, Err(Error::Answer { command, .. }) if command == "query-status"));
}

#[tokio::test]
async fn when_qemu_closes_calls_fail_and_the_events_end() {
    let (Session { client, mut events, .. }, mut peer) = session().await;
    let peer = async {
        peer.command().await;
        peer.command().await;
        peer.emit("SHUTDOWN").await;
        drop(peer);
    };
    let (a, b, ()) =
        tokio::join!(client.execute("a", Value::Null, LONG), client.execute("b", Value::Null, LONG), peer);
    for result in [a, b, client.execute("too late", Value::Null, LONG).await] {
        let Err(Error::Disconnected { source, .. }) = result else { panic!("{result:?}") };
        assert!(matches!(*source, Disconnect::Closed), "{source:?}");
    }
    assert!(matches!(events.next().await.unwrap().event, Event::Shutdown { .. }));
    assert_eq!(events.next().await, None);
    assert!(matches!(*limited(client.closed()).await, Disconnect::Closed));
}

#[tokio::test]
async fn a_qemu_that_ends_with_a_command_unread_has_closed() {
    let (Session { client, .. }, mut peer) = session().await;
    let peer = async {
        peer.lines.get_ref().get_ref().readable().await.unwrap();
        drop(peer);
    };
    let (result, ()) = tokio::join!(client.execute("quit", Value::Null, LONG), peer);
    let Err(Error::Disconnected { source, .. }) = result else { panic!("{result:?}") };
    assert!(matches!(*source, Disconnect::Closed), "{source:?}");
}

#[tokio::test]
async fn the_last_events_survive_a_write_that_fails() {
    for _ in 0..20 {
        let (Session { client, mut events, .. }, mut peer) = session().await;
        peer.emit("SHUTDOWN").await;
        drop(peer);
        let result = client.execute("quit", Value::Null, LONG).await;
        assert!(matches!(result, Err(Error::Disconnected { .. })), "{result:?}");
        assert!(matches!(limited(events.next()).await.unwrap().event, Event::Shutdown { .. }));
        assert_eq!(limited(events.next()).await, None);
    }
}

#[tokio::test]
async fn what_is_not_qmp_ends_the_connection() {
    let (Session { client, mut events, .. }, mut peer) = session().await;
    peer.writer.write_all(b"{\"event\": \n").await.unwrap();
    assert_eq!(limited(events.next()).await, None);
    let cause = limited(client.closed()).await;
    assert!(matches!(*cause, Disconnect::Decode(codec::DecodeError::Malformed { seq: 3, .. })), "{cause:?}");
}

#[tokio::test]
async fn a_stalled_reader_loses_the_connection_and_no_event() {
    let (Session { client, mut events, .. }, mut peer) = session().await;
    let flood = "{\"event\": \"STOP\"}\n".repeat(EVENT_BACKLOG + 1);
    // The connection may end while the peer is still writing.
    let _ = peer.writer.write_all(flood.as_bytes()).await;
    assert!(matches!(*limited(client.closed()).await, Disconnect::Backlog(EVENT_BACKLOG)));
    let mut taken = 0;
    while events.next().await.is_some() {
        taken += 1;
    }
    assert_eq!(taken, EVENT_BACKLOG);
}

#[tokio::test]
async fn dropping_the_last_client_closes_the_connection() {
    let (Session { client, mut events, .. }, mut peer) = session().await;
    let clone = client.clone();
    drop(client);
    let answered = async {
        let (_, id) = peer.command().await;
        peer.reply(id, json!({})).await;
    };
    tokio::join!(clone.execute("still there", Value::Null, LONG), answered).0.unwrap();
    drop(clone);
    assert_eq!(limited(peer.lines.next_line()).await.unwrap(), None);
    assert_eq!(limited(events.next()).await, None);
}

#[tokio::test]
async fn dropping_the_events_does_not_close_the_connection() {
    let (Session { client, events, .. }, mut peer) = session().await;
    drop(events);
    peer.emit("STOP").await;
    let answered = async {
        let (_, id) = peer.command().await;
        peer.reply(id, json!({})).await;
    };
    tokio::join!(client.execute("still there", Value::Null, LONG), answered).0.unwrap();
}
