//! By what a process is found again: its number and when it started.
//!
//! A process number alone is given out again, within seconds in a small container. The start time
//! (proc_pid_stat(5), field 22) is in clock ticks since the host booted, so together with the number and the
//! identity of the boot it names one process for ever.

use std::fs;
use std::io;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::Error;

/// Names one process for as long as the host exists. It is kept on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    pid: i32,
    start_time: u64,
    boot_id: String,
}

impl Token {
    /// The token of the process that has this number now.
    pub(crate) fn of(pid: Pid) -> Result<Self, Error> {
        let pid = pid.as_raw_pid();
        let failed = |source| Error::Identify { pid, source };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(failed)?;
        let start_time = start_time(&stat).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
        Ok(Self { pid, start_time, boot_id: boot_id() })
    }

    /// The token of a process that left it in a file itself ([`Spawn::announce`](super::Spawn::announce)); none if
    /// it did not get that far.
    pub(crate) fn announced(text: &str) -> Option<Self> {
        let (boot_id, stat) = text.split_once('\n')?;
        let pid = stat.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Self { pid, start_time: start_time(stat)?, boot_id: boot_id.to_owned() })
    }

    /// The process's number; none if what was read from disk cannot be one.
    pub(super) fn pid(&self) -> Option<Pid> {
        (self.pid > 0).then(|| Pid::from_raw(self.pid)).flatten()
    }
}

/// Some sandboxes have no such file: then reboots of the host are not told apart.
pub(super) fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim_end().to_owned()
}

/// Field 22. Fields are counted from the end of the second, the program's name, which is in parentheses and
/// may itself have spaces and parentheses in it.
fn start_time(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_process_is_named_the_same_twice() {
        let own = rustix::process::getpid();
        let token = Token::of(own).unwrap();
        assert_eq!(token, Token::of(own).unwrap());
        assert_eq!(token.pid(), Some(own));
        assert!(token.start_time > 0);
        let json = serde_json::to_string(&token).unwrap();
        assert_eq!(serde_json::from_str::<Token>(&json).unwrap(), token);
    }

    #[test]
    fn numbers_that_no_process_has_are_none() {
        for pid in [0, -1, i32::MIN] {
            assert_eq!(Token { pid, start_time: 1, boot_id: String::new() }.pid(), None);
        }
    }

    proptest! {
        #[test]
        fn the_start_time_is_found_after_any_name(name in "(?s).{0,15}", time: u64, more in "[0-9 ]{0,20}") {
            let stat = format!("12 ({name}) S 1 12 12 0 -1 4 9 0 0 0 1 2 0 0 20 0 1 0 {time} {more}\n");
            prop_assert_eq!(start_time(&stat), Some(time));
        }

        #[test]
        fn any_text_is_survived(text in "(?s).{0,80}") {
            Token::announced(&text);
            start_time(&text);
        }
    }
}
