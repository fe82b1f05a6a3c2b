//! Getting into the firmware's setup, for the boot device "bios setup".
//!
//! Neither firmware takes an order to open its setup, so the machine is started with a boot prompt and its
//! key is pressed, as a person would: F2 for both. OVMF opens its setup on it. SeaBIOS has none; its boot
//! menu, which waits for a choice, is the nearest there is, and it is told that F2 is its key. Both ignore
//! the key once they are there, so it is pressed until the console shows that they are.

use std::time::Duration;

use qmp::{
    Client,
    commands::{Key, SendKey},
};
use tokio::time;

use crate::console::Reader;

/// How long the firmware's prompt is up, in milliseconds.
pub(crate) const PROMPT_MS: u32 = 5_000;

/// The key's scan code (3Ch) as SeaBIOS reads it from `etc/boot-menu-key`.
pub(crate) const SEABIOS_KEY: char = '\u{3c}';

/// What either firmware prints when it has got there.
const SHOWN: [&[u8]; 3] = [b"Select boot device", b"Select Language", b"Boot Maintenance Manager"];

/// How much of the console's output is looked at together.
const WINDOW: usize = 32 << 10;

const AGAIN: Duration = Duration::from_millis(200);
const GIVE_UP: Duration = Duration::from_secs(60);

/// Presses the key until the console shows the menu, or long enough.
pub(crate) async fn press_key(client: Client, mut console: Reader) {
    let pressing = async {
        loop {
            // QEMU ended, or is hung: either way there is nothing more to press.
            let key = SendKey { keys: vec![Key::Qcode("f2")], hold_time: None };
            if client.call(&key, Duration::from_secs(2)).await.is_err() {
                return;
            }
            time::sleep(AGAIN).await;
        }
    };
    let watching = async {
        let mut seen = vec![0; WINDOW];
        let mut kept = 0;
        loop {
            console.ready().await;
            kept += console.read(seen.get_mut(kept..).unwrap_or_default());
            let text = seen.get(..kept).unwrap_or_default();
            if SHOWN.iter().any(|mark| text.windows(mark.len()).any(|window| window == *mark)) {
                return;
            }
            if kept == seen.len() {
                let half = kept / 2;
                seen.rotate_left(half);
                kept -= half;
            }
        }
    };
    tokio::select! {
        () = pressing => {}
        () = watching => {}
        () = time::sleep(GIVE_UP) => {
            tracing::warn!("the firmware's setup was asked for and did not show up within {GIVE_UP:?}");
        }
    }
}
