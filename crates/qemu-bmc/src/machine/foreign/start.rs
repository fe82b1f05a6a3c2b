//! Powering a machine on that something else starts: by a command such as `virsh start vm1`.
//!
//! ```text
//!   the command runs ──▶ the machine connects ──▶ on
//!        │                  └── it doesn't within START_LIMIT ──▶ the start failed
//!        └── ends with an error ──▶ the start failed, for what it said last
//! ```
//!
//! The command may end, as virsh does, or be the machine, as QEMU in the foreground is: it has a session of its own
//! and outlives this program. No shell reads it, so that nothing in it means more than it says; who wants one writes
//! `sh -c '...'`.

use std::{str::FromStr, time::Duration};

use tokio::time;

use super::Machine;
use crate::{
    chain, config,
    machine::driver::Stop,
    os::children::{Ended, Process, Spawn},
};

/// How long a machine may take to connect that was started.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StartCommand {
    program: String,
    arguments: Vec<String>,
}

impl FromStr for StartCommand {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words =
            config::words(text).ok_or("takes a command, quoted as for a shell; a quote is not closed")?;
        match words.split_first() {
            Some((program, arguments)) => {
                Ok(Self { program: program.clone(), arguments: arguments.to_owned() })
            }
            None => Err("takes a command, such as 'virsh start vm1'"),
        }
    }
}

impl Machine {
    /// Runs the command and waits for the machine. Why it did not come is an error.
    pub(super) async fn start(&mut self) -> Result<(), String> {
        let process = self.run_start_command().map_err(|error| chain(&*error))?;
        let deadline = time::Instant::now() + START_LIMIT;
        let mut stop = self.driver.stop.clone();
        let stopping = async move { drop(stop.wait_for(|stop| *stop != Stop::No).await) };
        tokio::pin!(stopping);
        let mut ended = None;
        while !self.is_here() {
            tokio::select! {
                biased;
                happening = self.next_happening() => self.happened(happening).await,
                end = process.wait(), if ended.is_none() => match end.map_err(|error| chain(&error))? {
                    end @ Ended::Exited(0) => ended = Some(end),
                    end => return Err(self.words_of(end).await),
                },
                // Its interface alone will have to do.
                () = time::sleep_until(deadline), if self.is_on() => break,
                () = time::sleep_until(deadline) => {
                    return Err(format!(
                        "the start command was run, and the machine has not connected within {} s",
                        START_LIMIT.as_secs()
                    ));
                }
                () = &mut stopping => return Err("this program is stopping".into()),
            }
        }
        if ended.is_none() {
            // It is the machine itself, or about to end. Somebody has to take note of it.
            tokio::spawn(async move { process.wait().await });
        }
        Ok(())
    }

    /// Whether it is on and, as its interface connects before its monitor does, can be commanded.
    fn is_here(&self) -> bool {
        self.is_on() && (self.monitor.is_none() || self.has_monitor())
    }

    fn run_start_command(&self) -> Result<Process, Box<dyn std::error::Error + Send + Sync>> {
        let (Some(StartCommand { program, arguments }), Some(messages)) =
            (&self.driver.start, &self.messages)
        else {
            return Err("there is no start command".into());
        };
        messages.forget();
        let mut spawn = Spawn::new(program);
        spawn.args(arguments).output(messages.writer()?);
        Ok(spawn.start()?)
    }

    async fn words_of(&self, end: Ended) -> String {
        let said = match &self.messages {
            Some(messages) => messages.last_words_of_ended().await,
            None => String::new(),
        };
        let said = if said.is_empty() { said } else { format!(": {said}") };
        format!("the start command ended with {end}{said}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_words_and_no_shell_reads_them() {
        let command: StartCommand = "virsh -c qemu:///system start 'vm 1'; reboot".parse().unwrap();
        assert_eq!(command.program, "virsh");
        assert_eq!(command.arguments, ["-c", "qemu:///system", "start", "vm 1;", "reboot"]);
        for text in ["", "  ", "virsh 'start"] {
            assert!(text.parse::<StartCommand>().is_err(), "{text:?}");
        }
    }
}
