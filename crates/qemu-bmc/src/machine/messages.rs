//! What QEMU and its companions say: into the log, and the last of it kept for the reason of a failure.
//!
//! It comes through a named pipe that both sides hold open for reading and writing: so QEMU, which outlives
//! this process, never finds it broken, and the next process opens it again.

use std::{
    collections::VecDeque,
    fs, io,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use tokio::{io::AsyncReadExt as _, net::unix::pipe, time};

const LINE_MAX: usize = 2000;
const KEPT: usize = 3;

/// The pipe, and what came through it last.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    path: PathBuf,
    speaker: Arc<str>,
    /// By what its program begins a line.
    program: Arc<str>,
    last: Arc<Mutex<VecDeque<String>>>,
}

impl Messages {
    /// Makes the pipe and starts to read it, until the runtime ends. `speaker` says it, which is this `program`.
    pub(crate) fn open(path: PathBuf, speaker: &str, program: &Path) -> io::Result<Self> {
        match mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let pipe = pipe::OpenOptions::new().read_write(true).open_receiver(&path)?;
        let program = program.file_name().unwrap_or_default().to_string_lossy().into();
        let messages = Self { path, speaker: speaker.into(), program, last: Arc::default() };
        tokio::spawn(messages.clone().read(pipe));
        Ok(messages)
    }

    /// The speaker's end. It never blocks the speaker: what nobody reads for 64 KiB is lost.
    pub(crate) fn writer(&self) -> io::Result<OwnedFd> {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        fs::File::options().read(true).write(true).custom_flags(flags).open(&self.path).map(Into::into)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets what earlier processes said.
    pub(crate) fn forget(&self) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What was said last, in one line.
    pub(crate) fn last_words(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
    }

    /// The same of a process that has ended: its words are on their way through the pipe.
    pub(crate) async fn last_words_of_ended(&self) -> String {
        time::sleep(Duration::from_millis(20)).await;
        self.last_words()
    }

    async fn read(self, mut pipe: pipe::Receiver) {
        let mut line = Vec::new();
        let mut chunk = [0; 1024];
        // Both ends are held open here, so there is no end of file.
        while let Ok(count) = pipe.read(&mut chunk).await {
            for byte in chunk.iter().take(count) {
                if *byte == b'\n' || line.len() == LINE_MAX {
                    self.say(&line);
                    line.clear();
                }
                if *byte != b'\n' {
                    line.push(*byte);
                }
            }
        }
    }

    fn say(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line).trim().to_owned();
        // QEMU remarks on every firmware file that is not in the users' name space, which is as it should be.
        if text.is_empty() || text.contains("externally provided fw_cfg item names") {
            return;
        }
        let text = without_name(&text, &self.program).to_owned();
        tracing::info!("{} says: {text}", self.speaker);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back(text);
    }
}

/// A line without its program's name: who says it is said already. A program that was asked for can be a script that
/// becomes QEMU.
fn without_name<'a>(line: &'a str, program: &str) -> &'a str {
    match line.split_once(": ") {
        Some((name, rest)) if name == program || name.starts_with("qemu-system-") => rest,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn the_last_words_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let messages = Messages::open(dir.path().join("pipe"), "QEMU", Path::new("/opt/my-qemu")).unwrap();
        let mut qemu = fs::File::from(messages.writer().unwrap());
        qemu.write_all(b"one\ntwo\n\nqemu-system-aarch64: three\nmy-qemu: four\n").unwrap();
        let said = async {
            while !messages.last_words().ends_with("four") {
                tokio::task::yield_now().await;
            }
        };
        time::timeout(Duration::from_secs(5), said).await.unwrap();
        assert_eq!(messages.last_words(), "two; three; four");
    }
}
