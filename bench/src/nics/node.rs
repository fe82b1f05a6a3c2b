//! qemu-bmc with a guest, in a namespace, seen from its serial console.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};

use super::{
    Way,
    guests::{Outside, Tool},
    namespace::Namespace,
    taps::{self, End},
};
use crate::{
    line::{Line as _, Sol},
    peers::QemuBmc,
    requests::power_up,
    serial::{PROMPT, find, wait_for_shell},
};

const LIMIT: Duration = Duration::from_secs(20);

/// Finds the NIC that has a hardware address, gives it an IP address, and sets it up.
const ADDRESS: &str = "address() { for nic in /sys/class/net/*; do [ $(cat $nic/address) = $1 ] && \
    ip address add $2/24 dev ${nic##*/} && ip link set ${nic##*/} up; done; }\r";

/// A node of the lab.
pub(super) struct Node {
    // The session ends before the program does.
    console: Sol,
    program: QemuBmc,
    number: u8,
    /// The tool that the guest has, for namespaces without one.
    traffic: PathBuf,
}

impl Node {
    /// Starts the program with its machine on. It has NICs for all ways that have any.
    pub(super) fn power_on(
        program: &Path,
        guest: &Path,
        space: &Namespace,
        number: u8,
    ) -> anyhow::Result<Self> {
        let traffic = guest.join("traffic");
        let traffic = traffic
            .canonicalize()
            .with_context(|| format!("find {}: run tests/guest/build", traffic.display()))?;
        // Whoever owns a TAP needs no privilege to open it.
        let hand_made = hand_made(number);
        space.ip(&format!("tuntap add dev {hand_made} mode tap user 0"))?;
        let attached = || Way::ALL.into_iter().filter(|way| way.is_attached());
        let mode = |way: Way| format!("{}={}", way.interface(), way.mode());
        let settings = [
            ("VM_NETWORKS", attached().map(Way::interface).collect::<Vec<_>>().join(",")),
            ("VM_NETWORK_MODE", attached().map(mode).collect::<Vec<_>>().join(",")),
            ("VM_NETWORK_FALLBACK", "none".into()),
            // With several, TAPs have several queues, of which a flow takes one.
            ("VM_CPUS", "1".into()),
            ("VM_MAC_BASE", mac(number, 0)),
            (
                "QEMU_EXTRA_ARGS",
                format!(
                    "-netdev tap,id=hand,ifname={hand_made},script=no,downscript=no \
                     -device virtio-net-pci,netdev=hand,mac={},romfile=",
                    mac(number, Way::OneBridge.number())
                ),
            ),
        ];
        let mut command = space.enter();
        command.arg(program);
        let program = QemuBmc::launch_with(command, Some(guest), &settings)?;
        let console = space.inside(|| {
            program.wait_until_it_answers()?;
            power_up(program.address())?;
            Sol::activate(program.address())
        });
        let console =
            console.with_context(|| format!("switch a machine on; the log is: {}", program.log()))?;
        Ok(Self { console, program, number, traffic })
    }

    pub(super) fn wait_until_booted(&mut self) -> anyhow::Result<()> {
        wait_for_shell(&mut self.console).context("boot a guest")?;
        // Enter was pressed more than once: what follows has a prompt for each.
        self.console.write(b"echo awa''ke\r")?;
        self.read_until("the guest to be awake", b"\nawake\r\nguest:/root# ")?;
        // Long before it is used, for the tool is on a disk that is mounted when it is first wanted.
        self.run(ADDRESS)?;
        self.run("traffic 2>/dev/null\r")?;
        Ok(())
    }

    /// Gives the guest's NIC of this way an address, and sets it up.
    pub(super) fn address(&mut self, way: Way, address: &str) -> anyhow::Result<()> {
        let mac = mac(self.number, way.number());
        // A way that there is no NIC for fails when it is used.
        self.run(&format!("address {mac} {address}\r")).map(drop)
    }

    /// The TAP that the program knows nothing of.
    pub(super) fn hand_made(&self) -> String {
        hand_made(self.number)
    }

    /// The descriptor that QEMU has for this way.
    pub(super) fn tap(&self, way: Way) -> anyhow::Result<End> {
        let qemu = self.program.qemu()?;
        match way {
            Way::Macvtap => taps::macvtap_of(qemu),
            Way::OneBridge => taps::tap_of(qemu, &self.hand_made()),
            _ => taps::tap_of(qemu, &way.interface()),
        }
    }

    /// The guest's tool outside of any guest.
    pub(super) fn tool<'a>(&'a self, space: &'a Namespace) -> Outside<'a> {
        Outside::new(space, &self.traffic)
    }

    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        self.program.stop()
    }

    /// Types into the guest, and returns what it said until it took more.
    fn run(&mut self, line: &str) -> anyhow::Result<String> {
        self.console.write(line.as_bytes())?;
        self.read_until("the guest's prompt", PROMPT)
    }

    fn read_until(&mut self, what: &str, wanted: &[u8]) -> anyhow::Result<String> {
        self.console.read_until(what, LIMIT, |came| {
            find(came, wanted).map(|()| String::from_utf8_lossy(came).into_owned())
        })
    }
}

impl Tool for Node {
    fn listen(&mut self, arguments: &str) -> anyhow::Result<()> {
        self.console.write(format!("traffic {arguments}\r").as_bytes())?;
        self.console.read_until("the guest to listen", LIMIT, |came| {
            let failed =
                || find(came, PROMPT).map(|()| Err(failure(arguments, &String::from_utf8_lossy(came))));
            find(came, b"listening\r\n").map(Ok).or_else(failed)
        })?
    }

    fn send(&mut self, arguments: &str) -> anyhow::Result<()> {
        let said = self.run(&format!("traffic {arguments}\r"))?;
        if said.contains("Error:") { Err(failure(arguments, &said)) } else { Ok(()) }
    }

    fn heard(&mut self) -> anyhow::Result<String> {
        let said = self.read_until("the end of what the guest receives", PROMPT)?;
        let line = said.lines().find(|line| line.starts_with("received "));
        line.map(str::to_owned).with_context(|| format!("read what has come to a guest from {said:?}"))
    }

    fn hang_up(&mut self) -> anyhow::Result<()> {
        const INTERRUPT: &str = "\x03";
        self.run(INTERRUPT).map(drop)
    }
}

fn failure(arguments: &str, said: &str) -> anyhow::Error {
    let error = said.lines().find(|line| line.starts_with("Error:")).unwrap_or(said);
    anyhow!("run `traffic {arguments}` in a guest: {error}")
}

/// The hardware address of a node's NIC.
fn mac(node: u8, nic: u8) -> String {
    format!("02:00:00:00:{node:02x}:{nic:02x}")
}

fn hand_made(node: u8) -> String {
    format!("hand{node}")
}
