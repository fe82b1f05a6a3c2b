//! The machine: one QEMU process, and the one task that starts, commands and ends it.
//!
//! ```text
//!                  start: spawn, connect, cont
//!        ┌────────────────────────────────────────────▶┐
//!   ┌────┴──┐                                       ┌──┴─┐  reset: the same process
//!   │  off  │                                       │ on │◀─┐  (a new one where the firmware's
//!   └───▲───┘                                       └──┬─┘──┘   setup is wanted or was)
//!        └◀────────────────────────────────────────────┘
//!          quit, or killed; the guest shut down; QEMU crashed
//! ```
//!
//! [`driver`] is the only place from which QEMU is commanded, unless something else started it: then it is
//! [`foreign`]. It takes intents from the model, one after
//! the other, and reports facts. [`guest`] is a running QEMU with its connections; [`argv`] the command line
//! that made it; [`parts`] what it is put together from; [`companion`] what runs beside it; [`boot`] the order of devices; [`monitor`] says what an event of QEMU's means.
//!
//! A controller that starts finds a machine that is running already by [`guest::Record`] and takes it over:
//! whatever ends this program, the guest runs on.

mod agent;
pub(crate) mod argv;
mod boot;
mod companion;
mod connection;
mod disk;
mod driver;
pub(crate) mod emulator;
mod firmware;
mod foreign;
mod guest;
pub(crate) mod kvm;
mod load;
mod messages;
mod monitor;
pub(crate) mod nic;
pub(crate) mod parts;
pub(crate) mod platform;
mod seed;
mod setup;
mod share;
mod tpm;

pub(crate) use agent::Agent;
pub(crate) use boot::{CDROMS, usual_order};
pub(crate) use companion::Shown as ShownCompanion;
pub(crate) use driver::{Driver, End, Order, Stop, preview};
pub(crate) use firmware::Reset as FirmwareReset;
pub(crate) use foreign::{Foreign, StartCommand};
