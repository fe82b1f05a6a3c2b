//! Copies of the console: a file that is rotated, and standard output. Other logs are such files too.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::mpsc,
};

use crate::config::{ConsoleLog, Plan};

/// Where a copy of all output goes.
#[derive(Debug, Default)]
pub(crate) struct Sinks {
    pub(super) file: Option<LogFile>,
    pub(super) stdout: Option<Stdout>,
}

impl Sinks {
    /// What the plan wants. A log that can't be opened is done without.
    pub(crate) fn open(plan: &Plan) -> Self {
        let mut sinks = Self::default();
        if plan.console.log != ConsoleLog::None {
            let path = plan.paths.state_dir.join("console.log");
            match LogFile::open(path.clone(), plan.console.log_size, plan.console.log_files) {
                Ok(file) => sinks.file = Some(file),
                Err(error) => {
                    tracing::warn!(
                        "open the console's log {}: {error}; the console is not logged",
                        path.display()
                    );
                }
            }
        }
        if plan.console.log == ConsoleLog::FileAndStdout {
            match Stdout::start() {
                Ok(stdout) => sinks.stdout = Some(stdout),
                Err(error) => {
                    tracing::warn!("start the thread that copies the console to standard output: {error}");
                }
            }
        }
        sinks
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file {
            file.write(bytes);
        }
        if let Some(stdout) = &mut self.stdout {
            stdout.write(bytes);
        }
    }
}

/// A log file such as the console's: `console.log`, and older ones as `console.log.1`, `console.log.2`…
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: fs::File,
    size: u64,
    limit: u64,
    keep: u32,
    failing: bool,
}

impl LogFile {
    /// Opens the log to append to it. It is rotated at `limit` bytes, and `keep` older files are kept.
    pub(crate) fn open(path: PathBuf, limit: u64, keep: u32) -> io::Result<Self> {
        let file = open(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { path, file, size, limit, keep, failing: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A log that can't be written must not stop what it is of: it is said once, and tried again each time.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let result = self.try_write(bytes);
        if let (Err(error), false) = (&result, self.failing) {
            tracing::warn!("write the log {}: {error}; what it is a log of goes on", self.path.display());
        }
        self.failing = result.is_err();
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + bytes.len() as u64 > self.limit {
            self.rotate()?;
        }
        self.file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.keep == 0 {
            self.file.set_len(0)?;
        } else {
            for number in (1..self.keep).rev() {
                let _ = fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1));
            }
            match fs::rename(&self.path, numbered(&self.path, 1)) {
                // Somebody has taken it away, which makes room as well.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.file = open(&self.path)?;
        }
        self.size = 0;
        Ok(())
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn open(path: &Path) -> io::Result<fs::File> {
    fs::File::options().create(true).append(true).mode(0o600).open(path)
}

/// Standard output, written by a thread of its own: whoever reads it may be slow, and then misses something.
#[derive(Debug)]
pub(crate) struct Stdout(mpsc::SyncSender<Vec<u8>>);

impl Stdout {
    pub(crate) fn start() -> io::Result<Self> {
        let (send, receive) = mpsc::sync_channel::<Vec<u8>>(64);
        std::thread::Builder::new().name("console-stdout".into()).spawn(move || {
            let mut stdout = io::stdout();
            for bytes in receive {
                let _ = stdout.write_all(&bytes).and_then(|()| stdout.flush());
            }
        })?;
        Ok(Self(send))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.try_send(bytes.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_rotated_and_nothing_is_lost_before_the_oldest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.log");
        let mut log = LogFile::open(path.clone(), 10, 2).unwrap();
        for text in ["aaaaaaaa", "bbbbbbbb", "cccccccc", "dd"] {
            log.write(text.as_bytes());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "ccccccccdd");
        assert_eq!(fs::read_to_string(numbered(&path, 1)).unwrap(), "bbbbbbbb");
        assert_eq!(fs::read_to_string(numbered(&path, 2)).unwrap(), "aaaaaaaa");
        log.write(b"eeeeeeee");
        assert_eq!(fs::read_to_string(numbered(&path, 2)).unwrap(), "bbbbbbbb");
        assert!(!numbered(&path, 3).exists());
    }

    #[test]
    fn a_log_that_somebody_removed_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.log");
        let mut log = LogFile::open(path.clone(), 10, 2).unwrap();
        log.write(b"aaaaaaaa");
        fs::remove_file(&path).unwrap();
        log.write(b"bbbbbbbb");
        assert_eq!(fs::read_to_string(&path).unwrap(), "bbbbbbbb");
    }

    #[test]
    fn a_log_that_was_there_is_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.log");
        fs::write(&path, "old ").unwrap();
        LogFile::open(path.clone(), 100, 1).unwrap().write(b"new");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old new");
    }
}
