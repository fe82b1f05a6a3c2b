//! Changes against a QEMU that each test plays itself.

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
};

use super::*;

/// A QEMU with one drive and what is in it. What is called `broken` can't be put there.
async fn qemu() -> (Client, tokio::task::JoinHandle<Option<String>>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let qemu = tokio::spawn(async move {
        let (reader, mut writer) = theirs.into_split();
        let mut lines = BufReader::new(reader).lines();
        let (mut inside, mut open) = (Some("old".to_owned()), false);
        let greeting = json!({ "QMP": { "version": { "qemu": { "major": 7, "minor": 2, "micro": 0 } } } });
        writer.write_all(format!("{greeting}\r\n").as_bytes()).await.unwrap();
        while let Ok(Some(line)) = lines.next_line().await {
            let asked: Value = serde_json::from_str(&line).unwrap();
            let mut answer = json!({ "return": {}, "id": asked["id"] });
            match asked["execute"].as_str().unwrap() {
                "query-block" => answer["return"] = json!([{ "qdev": "cdrom0", "tray_open": open }]),
                "blockdev-open-tray" => open = true,
                "blockdev-close-tray" => open = false,
                "blockdev-remove-medium" => inside = None,
                "blockdev-insert-medium" if asked["arguments"]["node-name"] == "broken" => {
                    let refusal = json!({ "class": "GenericError", "desc": "it is broken" });
                    answer = json!({ "error": refusal, "id": asked["id"] });
                }
                "blockdev-insert-medium" => inside = asked["arguments"]["node-name"].as_str().map(Into::into),
                _ => {}
            }
            writer.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
        }
        assert!(!open, "the tray is shut in the end");
        inside
    });
    (qmp::negotiate(ours, ANSWER_LIMIT).await.unwrap().client, qemu)
}

#[tokio::test]
async fn a_change_that_fails_halfway_puts_the_old_medium_back() {
    for (new, outcome, inside) in [
        (Some("new"), Ok(()), Some("new")),
        (None, Ok(()), None),
        (Some("broken"), Err("it is broken".to_owned()), Some("old")),
    ] {
        let (client, qemu) = qemu().await;
        assert_eq!(put(&client, "cdrom0", Some("old"), new, false).await, outcome);
        drop(client);
        assert_eq!(qemu.await.unwrap().as_deref(), inside, "{new:?}");
    }
}

#[test]
fn what_is_in_a_drive_is_found_in_all_that_qemu_calls_it() {
    let found = |file: &str| {
        let inserted = qmp::commands::Medium { file: file.into(), ..Default::default() };
        contents(&BlockDevice { inserted: Some(inserted), ..BlockDevice::default() })
    };
    assert_eq!(contents(&BlockDevice::default()), Some(None), "it is empty");
    assert_eq!(found("/a.iso"), Some(Some("/a.iso".into())));
    assert_eq!(found("http://example.org/a.iso"), Some(Some("http://example.org/a.iso".into())));
    let described = r#"json:{"driver": "raw", "file": {"driver": "file", "filename": "/b.iso"}}"#;
    assert_eq!(found(described), Some(Some("/b.iso".into())));
    assert_eq!(found(r#"json:{"driver": "null-co"}"#), None, "nothing that could be put in here");
}
