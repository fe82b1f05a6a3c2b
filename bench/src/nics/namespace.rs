//! A network namespace that ends with this process, however that ends.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    os::fd::AsFd as _,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::Running;

/// What the process does by which the namespace is held. `/sys` shows the interfaces of whoever mounts it; without
/// IPv6 the kernel sends nothing of its own.
const HOLD: &str = "mount -t sysfs sysfs /sys && ip link set lo up \
    && echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6 && echo ready && exec cat";

/// A namespace with a loopback interface that is up, and a view of `/sys` that belongs to it.
pub(super) struct Namespace {
    holder: Running,
    label: &'static str,
}

impl Namespace {
    pub(super) fn new(label: &'static str) -> anyhow::Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", HOLD]).stdout(Stdio::piped());
        let mut holder = Running::hold(&mut command)?;
        let mut line = String::new();
        BufReader::new(holder.take_output()?).read_line(&mut line)?;
        if line != "ready\n" {
            bail!("make a network namespace, which takes root's privileges (CAP_SYS_ADMIN, CAP_NET_ADMIN)");
        }
        Ok(Self { holder, label })
    }

    /// What `ip` takes for its name.
    pub(super) fn name(&self) -> u32 {
        self.holder.id()
    }

    /// The beginning of a command line that runs in here.
    pub(super) fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--mount", "--target", &self.name().to_string(), "--"]);
        command
    }

    /// Runs `ip` in here, with words that have no blanks in them.
    pub(super) fn ip(&self, words: &str) -> anyhow::Result<()> {
        let mut command = self.enter();
        let done = command.arg("ip").args(words.split(' ')).output().context("start nsenter")?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            bail!("run `ip {words}` in namespace {}: {}", self.label, said.trim_end());
        }
        Ok(())
    }

    /// Puts a cable between interfaces of the same name, here and there, which are both up then.
    pub(super) fn cable(&self, interface: &str, other: &Self) -> anyhow::Result<()> {
        self.ip(&format!("link add {interface} type veth peer name {interface} netns {}", other.name()))?;
        self.ip(&format!("link set {interface} up"))?;
        other.ip(&format!("link set {interface} up"))
    }

    /// What comes of a function that runs in here: sockets that it opens stay here.
    pub(super) fn inside<T: Send>(
        &self,
        run: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        let path = format!("/proc/{}/ns/net", self.name());
        let space = File::open(&path).with_context(|| format!("open {path}"))?;
        let inside = || {
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))
                .with_context(|| format!("enter namespace {}", self.label))?;
            run()
        };
        // Only a thread moves, and it ends in there.
        let ended = thread::scope(|scope| scope.spawn(inside).join());
        ended.unwrap_or_else(|_| bail!("work in namespace {}: it panicked", self.label))
    }
}
