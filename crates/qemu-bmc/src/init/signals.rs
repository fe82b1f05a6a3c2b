//! What wakes init up.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

pub(super) struct Signals {
    child: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
    quit: unix::Signal,
    hangup: unix::Signal,
}

/// A signal that was sent to init.
#[derive(Clone, Copy, Debug)]
pub(super) enum Received {
    /// A child ended.
    Child,
    /// All this is to stop. The controller gets this signal.
    Stop(Signal),
    /// SIGHUP: by custom "read your configuration again". The controller does by dying and starting anew.
    HangUp,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Received {
        tokio::select! {
            // What has happened goes before what is wanted: nothing is asked of a controller that is gone.
            biased;
            _ = self.child.recv() => Received::Child,
            _ = self.terminate.recv() => Received::Stop(Signal::TERM),
            _ = self.interrupt.recv() => Received::Stop(Signal::INT),
            // The controller knows no SIGQUIT, and a core of it helps nobody.
            _ = self.quit.recv() => Received::Stop(Signal::TERM),
            _ = self.hangup.recv() => Received::HangUp,
        }
    }

    /// That a child has ended.
    pub(super) fn child(&mut self) -> &mut unix::Signal {
        &mut self.child
    }
}

/// A signal that is sent from here, as people know it.
pub(super) fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::TERM => "SIGTERM",
        Signal::INT => "SIGINT",
        Signal::HUP => "SIGHUP",
        Signal::KILL => "SIGKILL",
        _ => "a signal",
    }
}
