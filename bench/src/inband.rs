//! IPMI in band: how fast the guest is answered by its own interface.
//!
//! The twin's interface ends in QEMU itself, in `ipmi-bmc-sim`: what it takes is the guest's drivers and
//! registers, and the floor for a BMC that is another process.

use std::time::{Duration, Instant};

use crate::{line::Line, serial::find};

const LIMIT: Duration = Duration::from_secs(60);
/// How often the guest asks in a round.
const ASKS: usize = 500;

/// How many times in a second the guest gets the device id. One ipmitool asks for all, and its start counts.
pub(crate) fn rate(line: &mut impl Line) -> anyhow::Result<f64> {
    let prepare = "until [ -c /dev/ipmi0 ]; do usleep 100000; done; ipmitool mc info >/dev/null";
    let ask =
        format!("yes 'raw 6 1' | head -n {ASKS} >/tmp/asks; echo asking; ipmitool exec /tmp/asks | wc -l");
    line.write(format!("{prepare}; {ask}; echo answered\r").as_bytes())?;
    line.read_until("the guest's first question", LIMIT, |came| find(came, b"\nasking\r\n"))?;
    let start = Instant::now();
    // One line for each answer.
    let all = format!("{ASKS}\r\nanswered\r\n");
    line.read_until("the answer to the last", LIMIT, |came| find(came, all.as_bytes()))?;
    Ok(ASKS as f64 / start.elapsed().as_secs_f64())
}
