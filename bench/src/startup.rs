//! From the start of the process to the first answers.

use std::{path::Path, process::Command, process::Stdio, time::Instant};

use anyhow::{Context as _, bail};

use crate::{
    peers::{IpmiSim, PASSWORD, QemuBmc, USER, first_login, free_tcp_port},
    requests::{GET_DEVICE_ID, expect_ok},
    table::{Rounds, Row, Table, Unit},
};

const ROUNDS: usize = 7;

/// Measures starts, in turns.
pub(crate) fn measure(program: &Path, table: &mut Table) -> anyhow::Result<()> {
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        ours.add(|| QemuBmc::launch(program, None).map(Some), QemuBmc::address)?;
        theirs.add(|| IpmiSim::launch(free_tcp_port()?), IpmiSim::address)?;
    }
    let unit = Unit::Milliseconds;
    table.push(Row {
        what: "process start → first login and Get Device ID",
        goal: "< 100 ms",
        unit,
        cells: vec![ours.device_id, theirs.device_id, Rounds::new()],
    });
    table.push(Row {
        what: "process start → `ipmitool mc info` has ended",
        goal: "",
        unit,
        cells: vec![ours.mc_info, theirs.mc_info, Rounds::new()],
    });
    Ok(())
}

#[derive(Default)]
struct Times {
    device_id: Rounds,
    mc_info: Rounds,
}

impl Times {
    /// Starts a BMC, if there is one, and ends it again.
    fn add<T>(
        &mut self,
        launch: impl FnOnce() -> anyhow::Result<Option<T>>,
        address: impl Fn(&T) -> std::net::SocketAddr,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        let Some(bmc) = launch()? else { return Ok(()) };
        let mut client = first_login(address(&bmc), 3)?;
        expect_ok(&mut client, GET_DEVICE_ID)?;
        self.device_id.push(start.elapsed().as_secs_f64() * 1e3);

        let first = start.elapsed();
        client.close()?;
        let again = Instant::now();
        let mut ipmitool = Command::new("ipmitool");
        ipmitool.args(["-I", "lanplus", "-C", "3", "-U", USER, "-P", PASSWORD, "-H", "127.0.0.1"]);
        ipmitool.args(["-p", &address(&bmc).port().to_string(), "mc", "info"]);
        let status = ipmitool.stdout(Stdio::null()).status().context("start ipmitool")?;
        if !status.success() {
            bail!("read mc info: ipmitool {status}");
        }
        self.mc_info.push((first + again.elapsed()).as_secs_f64() * 1e3);
        Ok(())
    }
}
