//! The model among its users: one mutex, and what has to happen after each use.
//!
//! Whoever uses the model does so in [`Controller::with`], which afterwards passes on what the model wants:
//! intents wake the machine's driver, events go to the log, changes go to disk. The mutex is never held
//! across an await.

use std::{
    collections::VecDeque,
    convert::Infallible,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bmc::{Bmc, Event, HostPower, Saved, Severity};
use ipmi::inband::Signals;
use tokio::sync::{Notify, watch};

use crate::{
    chain,
    os::atomic_file,
    store::{SelFile, Store},
};

/// How many events `qemu-bmc status` can show.
const REMEMBERED: usize = 64;

/// How often the power-on hours are saved while nothing else is.
const SAVE_INTERVAL: Duration = Duration::from_secs(300);

/// How often to try to write what could not be written: to a full disk, most often.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// The controller, as the program's tasks share it.
#[derive(Debug)]
pub(crate) struct Controller {
    bmc: Mutex<Bmc>,
    recent: Mutex<VecDeque<(SystemTime, Event)>>,
    intents: Notify,
    unsaved: Notify,
    power: watch::Sender<HostPower>,
    unwanted: watch::Sender<bool>,
    restarting: watch::Sender<bool>,
    signals: watch::Sender<Signals>,
    media: Notify,
    messages: Notify,
    alerts: Notify,
    deadline: Notify,
    store: Store,
    /// Whether the state could not be saved, which was said, and has to be tried again.
    unsaveable: AtomicBool,
    /// Only ever locked while the model is.
    sel_file: Mutex<SelFile>,
    power_state_file: PathBuf,
    /// Whether the machine was on when the controller was told to stop: that, and not that it was then shut
    /// down, is what the restore policy "previous" means.
    on_at_stop: Mutex<Option<bool>>,
    /// What the machine's start waits for, in words.
    awaited: Mutex<Option<String>>,
}

impl Controller {
    pub(crate) fn new(bmc: Bmc, store: Store, sel_file: SelFile, power_state_file: PathBuf) -> Arc<Self> {
        let controller = Self {
            bmc: Mutex::new(bmc),
            recent: Mutex::default(),
            intents: Notify::new(),
            unsaved: Notify::new(),
            power: watch::Sender::new(HostPower::Off),
            unwanted: watch::Sender::new(false),
            restarting: watch::Sender::new(false),
            signals: watch::Sender::new(Signals::default()),
            media: Notify::new(),
            messages: Notify::new(),
            alerts: Notify::new(),
            deadline: Notify::new(),
            store,
            unsaveable: AtomicBool::new(false),
            sel_file: Mutex::new(sel_file),
            power_state_file,
            on_at_stop: Mutex::new(None),
            awaited: Mutex::default(),
        };
        controller.write_power_state(HostPower::Off);
        Arc::new(controller)
    }

    /// Uses the model.
    pub(crate) fn with<R>(&self, use_it: impl FnOnce(&mut Bmc) -> R) -> R {
        let mut bmc = self.bmc.lock().unwrap_or_else(PoisonError::into_inner);
        let time_of_day = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        bmc.observe_time(time_of_day.as_secs());
        let before = bmc.next_timeout();
        let result = use_it(&mut bmc);
        bmc.settle(Instant::now());
        let (events, intents) = (bmc.take_events(), bmc.has_intent());
        let (power, signals) = (bmc.host_power(), Signals::of(&bmc));
        let unwanted = bmc.power_state().will_be_on() == Some(false);
        let restarting = bmc.is_restarting();
        let (messages, alerts) = (bmc.has_outgoing_message(), bmc.has_alerts());
        let rescheduled = bmc.next_timeout() != before;
        // Under the lock, so that a later state never loses to an earlier one.
        let unsaved = bmc.take_unsaved();
        if unsaved {
            let mut saved = bmc.to_saved(Instant::now());
            saved.was_on =
                self.on_at_stop.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(saved.was_on);
            self.save(&saved);
        }
        let logged = bmc.take_log_changes();
        if !logged.is_empty() {
            self.sel_file().append(&logged, bmc.sel());
        }
        if *self.power.borrow() != power {
            self.write_power_state(power);
        }
        drop(bmc);

        for event in events {
            self.log(event);
        }
        if intents {
            self.intents.notify_one();
        }
        if messages {
            self.messages.notify_one();
        }
        if alerts {
            self.alerts.notify_one();
        }
        if unsaved || !logged.is_empty() {
            self.unsaved.notify_one();
        }
        if rescheduled {
            self.deadline.notify_one();
        }
        self.power.send_if_modified(|shown| std::mem::replace(shown, power) != power);
        self.unwanted.send_if_modified(|shown| std::mem::replace(shown, unwanted) != unwanted);
        self.restarting.send_if_modified(|shown| std::mem::replace(shown, restarting) != restarting);
        self.signals.send_if_modified(|shown| std::mem::replace(shown, signals) != signals);
        result
    }

    /// Remembers how the machine is now as what it was, for the restore policy.
    pub(crate) fn stopping(&self) {
        let on = self.with(|bmc| bmc.counts_as_on());
        // What counts is how it was when stopping began, however often that is asked for.
        self.on_at_stop.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(on);
        self.with(Bmc::touch);
    }

    fn sel_file(&self) -> MutexGuard<'_, SelFile> {
        self.sel_file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, saved: &Saved) {
        let result = self.store.put(saved);
        let failed_before = self.unsaveable.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !failed_before => {
                tracing::error!(
                    "save the controller's state: {error}; until it can be, it is kept in memory only"
                );
            }
            Ok(()) if failed_before => tracing::info!("the controller's state can be saved again"),
            _ => {}
        }
    }

    fn write_power_state(&self, power: HostPower) {
        let text = match power {
            HostPower::On => "on\n",
            HostPower::Off => "off\n",
        };
        if let Err(error) = atomic_file::replace(&self.power_state_file, text.as_bytes(), 0o644) {
            tracing::warn!("{}", chain(&error));
        }
    }

    fn log(&self, event: Event) {
        match event.severity() {
            Severity::Info => tracing::info!("{event}"),
            Severity::Warning => tracing::warn!("{event}"),
            Severity::Error => tracing::error!("{event}"),
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == REMEMBERED {
            recent.pop_front();
        }
        recent.push_back((SystemTime::now(), event));
    }

    /// Remembers what the machine's start waits for, to be shown.
    pub(crate) fn waits_for(&self, what: Option<String>) {
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// What the machine's start waits for.
    pub(crate) fn awaited(&self) -> Option<String> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The latest events, oldest first.
    pub(crate) fn recent_events(&self) -> Vec<(SystemTime, Event)> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Whether the machine is on, to watch.
    pub(crate) fn power(&self) -> watch::Receiver<HostPower> {
        self.power.subscribe()
    }

    /// What the guest's own interface has to show, to watch.
    pub(crate) fn signals(&self) -> watch::Receiver<Signals> {
        self.signals.subscribe()
    }

    /// Waits until the machine is to be off once all that was accepted has been done.
    pub(crate) async fn unwanted(&self) {
        // This value has the sender, so it does not go away.
        let _ = self.unwanted.subscribe().wait_for(|unwanted| *unwanted).await;
    }

    /// Waits until another controller is to take this one's place.
    pub(crate) async fn restarting(&self) {
        let _ = self.restarting.subscribe().wait_for(|restarting| *restarting).await;
    }

    /// Waits for what becomes of a change of a CD drive.
    pub(crate) async fn medium_outcome(&self, number: u64) -> Result<(), String> {
        loop {
            let settled = self.media.notified();
            let mut settled = std::pin::pin!(settled);
            // What happens from here on is not missed.
            settled.as_mut().enable();
            if let Some(outcome) = self.with(|bmc| bmc.medium_outcome(number)) {
                return outcome;
            }
            settled.await;
        }
    }

    /// Tells whoever waits that a change of a CD drive has ended.
    pub(crate) fn medium_settled(&self) {
        self.media.notify_waiters();
    }

    /// Waits until the guest has a message for a remote console. One task waits: the LAN's door.
    pub(crate) async fn message(&self) {
        self.messages.notified().await;
    }

    /// Waits until the model has alerts to send. One task waits: the one that sends them.
    pub(crate) async fn alert(&self) {
        self.alerts.notified().await;
    }

    /// Waits until the model wants something done. One task waits: the machine's driver.
    pub(crate) async fn intent(&self) {
        self.intents.notified().await;
    }

    /// Makes what was saved outlive the host's power, and tries again what could not be saved, for ever.
    pub(crate) async fn keep_saved(self: Arc<Self>) -> Infallible {
        let mut retry_at = None;
        loop {
            let failing =
                self.unsaveable.load(Ordering::Relaxed) || self.with(|_| self.sel_file().is_failing());
            retry_at = failing.then(|| retry_at.unwrap_or_else(|| Instant::now() + RETRY_INTERVAL));
            let next = retry_at.unwrap_or_else(|| Instant::now() + SAVE_INTERVAL);
            if tokio::time::timeout_at(next.into(), self.unsaved.notified()).await.is_err() {
                retry_at = None;
                self.with(|bmc| {
                    bmc.touch();
                    self.sel_file().retry(bmc.sel());
                });
            }
            let store = self.store.clone();
            // A panic in there would be a failed fsync's business; the next change tries again.
            let _ = tokio::task::spawn_blocking(move || store.sync()).await;
        }
    }

    /// Lets the model's own timers run, for ever.
    pub(crate) async fn keep_time(self: Arc<Self>) -> Infallible {
        loop {
            let due = self.with(|bmc| bmc.next_timeout());
            tokio::select! {
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                    self.with(|bmc| bmc.tick(Instant::now()));
                }
                () = self.deadline.notified() => {}
            }
        }
    }
}
