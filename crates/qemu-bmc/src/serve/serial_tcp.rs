//! The serial console as a raw TCP stream on localhost (SOL_PORT), for several at a time.
//!
//! Everyone sees everything from the moment of connecting, and everyone can type.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    time,
};

use crate::console::Console;

/// More than this would be a mistake or an attack.
const CLIENTS_MAX: usize = 32;

/// A client that takes nothing for so long is let go.
const STUCK: Duration = Duration::from_secs(60);

pub(crate) async fn serve(listener: TcpListener, console: Arc<Console>) -> Infallible {
    let places = Arc::new(tokio::sync::Semaphore::new(CLIENTS_MAX));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                let console = Arc::clone(&console);
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    let (input, output) = stream.into_split();
                    join(&console, 0, input, output).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("accept a connection to the serial console: {error}");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Connects a stream with the console until it ends, after up to `history` bytes of what was printed before.
pub(crate) async fn join(
    console: &Arc<Console>,
    history: usize,
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) {
    let mut reader = console.reader(history, false);
    let showing = async {
        let mut chunk = vec![0; 4096];
        loop {
            reader.ready().await;
            let count = reader.read(&mut chunk);
            let writing = output.write_all(chunk.get(..count).unwrap_or_default());
            if !matches!(time::timeout(STUCK, writing).await, Ok(Ok(()))) {
                return;
            }
        }
    };
    let typing = async {
        let mut chunk = vec![0; 1024];
        while let Ok(count @ 1..) = input.read(&mut chunk).await {
            console.write_all(chunk.get(..count).unwrap_or_default()).await;
        }
    };
    tokio::select! {
        () = showing => {}
        () = typing => {}
    }
}
