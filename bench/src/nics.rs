//! The guest's NICs: how much goes from one guest to another, and what it costs.
//!
//! ```text
//!   namespace a                                                        namespace b
//!   guest ─┬─ NIC ─ TAP ═ redirect ═ eth2 ──────── veth ──────── eth2 ═ redirect ═ TAP ─ NIC ─┬─ guest
//!          ├─ NIC ─ TAP ═  bridge  ═ eth3 ──────── veth ──────── eth3 ═  bridge  ═ TAP ─ NIC ─┤
//!          ├─ NIC ──────── macvtap ═ eth4 ──────── veth ──────── eth4 ═ macvtap ──────── NIC ─┤
//!          └─ NIC ─ TAP ═══════════ one bridge, made by hand ═══════════════════ TAP ─ NIC ───┘
//!                                    eth6 ──────── veth ──────── eth6
//! ```
//!
//! One pair of guests has a NIC for each way, so that nothing but the way differs. A guest without KVM is slower
//! than any of them; so the ways are also measured alone, through the very descriptors that QEMU was given, while
//! the guests' own drivers have their NICs down.

mod guests;
mod lab;
mod namespace;
mod node;
mod taps;

use std::{path::Path, time::Duration};

use anyhow::Context as _;

use self::lab::Lab;
use crate::table::{Rounds, Row, Table, Unit};

/// The ways from one guest to the other, as the table has them.
pub(crate) const WAYS: [&str; 5] = ["redirect", "bridge", "macvtap", "one bridge", "bare veth"];

const ROUNDS: usize = 5;

/// Lengths of frames, without the checksum: the least, and the most that an ordinary link takes.
const SHORT: usize = 60;
const FULL: usize = 1514;

/// A way from one guest to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Redirect,
    Bridge,
    Macvtap,
    /// Both guests' TAPs in one bridge, which the program knows nothing of.
    OneBridge,
    /// No guest at either end.
    Veth,
}

impl Way {
    const ALL: [Self; 5] = [Self::Redirect, Self::Bridge, Self::Macvtap, Self::OneBridge, Self::Veth];

    /// What is in its interfaces' names, its guests' hardware addresses and everybody's IP addresses.
    fn number(self) -> u8 {
        match self {
            Self::Redirect => 2,
            Self::Bridge => 3,
            Self::Macvtap => 4,
            Self::OneBridge => 5,
            Self::Veth => 6,
        }
    }

    /// What the program calls it.
    fn mode(self) -> &'static str {
        match self {
            Self::Redirect => "redirect",
            Self::Bridge => "bridge",
            Self::Macvtap => "macvtap",
            Self::OneBridge | Self::Veth => "none",
        }
    }

    fn interface(self) -> String {
        format!("eth{}", self.number())
    }

    /// Whether the interface is to be the guest's.
    fn is_attached(self) -> bool {
        matches!(self, Self::Redirect | Self::Bridge | Self::Macvtap)
    }
}

/// What one transfer came to.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    /// Bytes or frames.
    amount: f64,
    took: Duration,
    /// Processors' time, of everything that took part.
    busy: Duration,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
enum Load {
    /// From descriptor to descriptor, of this size.
    Frames(usize),
    /// From guest to guest.
    Tcp,
    /// From guest to guest, in the smallest frames.
    Udp,
}

impl Load {
    fn name(self) -> &'static str {
        match self {
            Self::Frames(SHORT) => "host's part alone: frames of 64 bytes",
            Self::Frames(_) => "host's part alone: frames of 1518 bytes",
            Self::Tcp => "guest to guest: TCP",
            Self::Udp => "guest to guest: UDP in frames of 64 bytes",
        }
    }

    /// How its rate and its cost are shown, with what each counts as one.
    fn units(self) -> [(Unit, f64); 2] {
        const MEBIBYTE: f64 = (1 << 20) as f64;
        match self {
            Self::Frames(_) | Self::Udp => [(Unit::PerSecond, 1.0), (Unit::SecondsPerMillion, 1e6)],
            Self::Tcp => {
                [(Unit::MebibytesPerSecond, MEBIBYTE), (Unit::SecondsPerGibibyte, 1024.0 * MEBIBYTE)]
            }
        }
    }

    fn send(self, way: Way, lab: &mut Lab) -> anyhow::Result<Transfer> {
        match self {
            Self::Frames(size) => lab.frames(way, size),
            Self::Tcp => lab.traffic(way, "receive", "send"),
            Self::Udp => lab.traffic(way, "count", "flood"),
        }
    }
}

/// Measures all ways, in turns. `guest` is the folder of the test guest.
pub(crate) fn measure(program: &Path, guest: &Path, table: &mut Table) -> anyhow::Result<()> {
    let mut lab = Lab::new(program, guest)?;
    for load in [Load::Frames(SHORT), Load::Frames(FULL)] {
        in_turns(load, &mut lab, table);
    }
    lab.address_guests().context("give the guests' NICs addresses")?;
    for load in [Load::Tcp, Load::Udp] {
        in_turns(load, &mut lab, table);
    }
    lab.stop()
}

/// All rounds of one measurement; a way that fails has no further round.
fn in_turns(load: Load, lab: &mut Lab, table: &mut Table) {
    let [(rate_unit, rate_of), (cost_unit, cost_of)] = load.units();
    let mut cells: [(Rounds, Rounds); 5] = Default::default();
    let mut working = [true; 5];
    for _ in 0..ROUNDS {
        let ways = Way::ALL.into_iter().zip(WAYS).zip(&mut cells).zip(&mut working);
        for (((way, name), (rates, costs)), works) in ways.filter(|(_, works)| **works) {
            match load.send(way, lab) {
                Ok(Transfer { amount, took, busy }) => {
                    rates.push(amount / rate_of / took.as_secs_f64());
                    costs.push(busy.as_secs_f64() / (amount / cost_of));
                }
                Err(error) => {
                    table.note(format!("{}, {name}: {error:#}", load.name()));
                    *works = false;
                }
            }
        }
    }
    let (rates, costs) = cells.into_iter().unzip();
    for (what, goal, unit, cells) in [
        (load.name(), "redirect ≥ bridge", rate_unit, rates),
        ("… and processors' time", "redirect ≤ bridge", cost_unit, costs),
    ] {
        table.push(Row { what, goal, unit, cells });
    }
}
