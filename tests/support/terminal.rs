//! A client in a pseudo-terminal, as a person has it: `ipmitool sol activate`, `qemu-bmc console` and so on.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use super::{BOOT, Machine, SOON, Said, wait_for};

/// A program and the terminal that it runs in.
pub struct Terminal {
    child: Child,
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave =
            rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let slave = File::from(slave);
        let stream = || Stdio::from(slave.try_clone().unwrap());
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn();
        let child = child.unwrap_or_else(|error| panic!("start {command:?}: {error}"));

        let keyboard = File::from(master);
        let mut screen = keyboard.try_clone().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&shown);
        thread::spawn(move || {
            let mut bytes = [0; 64 << 10];
            // The end of a terminal is an error.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                to.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { child, keyboard, shown }
    }

    /// Everything that was shown so far.
    pub fn shown(&self) -> Vec<u8> {
        self.shown.lock().unwrap().clone()
    }

    /// Where the next output goes.
    pub fn position(&self) -> usize {
        self.shown.lock().unwrap().len()
    }

    /// Presses keys.
    pub fn keys(&self, keys: &str) {
        (&self.keyboard).write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line, and presses the return key.
    pub fn line(&self, text: &str) {
        self.keys(&format!("{text}\r"));
    }

    /// Waits until something is shown, from a position on. Returns the position behind it.
    #[track_caller]
    pub fn wait_from(&self, position: usize, text: &str, limit: Duration) -> usize {
        let find = || {
            let shown = self.shown.lock().unwrap();
            let new = &shown[position..];
            let at = new.windows(text.len()).position(|window| window == text.as_bytes())?;
            Some(position + at + text.len())
        };
        let end = std::time::Instant::now() + limit;
        loop {
            if let Some(found) = find() {
                return found;
            }
            if std::time::Instant::now() > end {
                let shown = self.shown();
                let from = shown.len().saturating_sub(2000).max(position);
                let text_shown = String::from_utf8_lossy(&shown[from..]).into_owned();
                panic!("{text:?} in the terminal: not within {limit:?}; it ends with:\n{text_shown}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub fn wait(&self, text: &str, limit: Duration) -> usize {
        self.wait_from(0, text, limit)
    }

    /// Ends ipmitool's SOL session as its user does.
    #[track_caller]
    pub fn leave_sol(mut self) {
        self.keys("\r~.");
        assert!(self.wait_end(SOON), "ipmitool failed");
    }

    /// Waits until the program has ended, and says whether it succeeded.
    #[track_caller]
    pub fn wait_end(&mut self, limit: Duration) -> bool {
        wait_for("the program in the terminal ends", limit, || self.child.try_wait().unwrap()).success()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Machine {
    /// `qemu-bmc console`, which is the guest's shell once the guest is ready.
    #[track_caller]
    pub fn shell(&self) -> Terminal {
        let terminal = Terminal::start(self.setup.command(&["console"]));
        terminal.wait("Attached to the serial console", SOON);
        terminal
    }

    /// `ipmitool sol activate`, and the session is there.
    #[track_caller]
    pub fn sol(&self) -> Terminal {
        let mut command = self.ipmitool_command();
        command.args(["sol", "activate"]);
        let terminal = Terminal::start(command);
        terminal.wait("SOL Session operational", SOON);
        terminal
    }

    /// Waits until the guest's shell can take a line, after so many boots in all.
    #[track_caller]
    pub fn wait_ready(&self, boots: usize) {
        self.wait_printed(super::READY, boots);
    }

    /// What the guest said of its boots, oldest first: `medium=disk firmware=bios`. How often its disk was
    /// booted before is none of a test's business.
    pub fn boots(&self) -> Vec<String> {
        let console = self.console();
        let lines = console.lines().filter_map(|line| line.split("qemu-bmc-guest: booted ").nth(1));
        lines.map(|line| line.split(" boot=").next().unwrap_or_default().to_owned()).collect()
    }

    /// Types a line into the guest's shell, and waits until it was carried out.
    #[track_caller]
    pub fn guest_does(&self, line: &str) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let shell = self.shell();
        shell.line(&format!("{line}; say did {number}"));
        self.wait_printed(&format!("qemu-bmc-guest: did {number}"), 1);
    }

    /// Types a line into the guest's shell, and waits for all that it says and how it ends.
    #[track_caller]
    pub fn guest_says(&self, line: &str) -> Said {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (begin, end) = (format!("says-{number}-begin"), format!("says-{number}-end"));
        let start = std::time::Instant::now();
        // The quotes keep the marks out of the line's own echo.
        let marked = |mark: &str| mark.replacen('-', "''-", 1);
        let shell = self.shell();
        shell.line(&format!("echo {}; ( {line} ) 2>&1; echo {} $? .", marked(&begin), marked(&end)));
        let find = || {
            let console = self.console().replace('\r', "");
            let (_, said) = console.split_once(&format!("{begin}\n"))?;
            let (out, status) = said.split_once(&format!("{end} "))?;
            let code: i32 = status.split_once(" .\n")?.0.parse().ok()?;
            Some((out.to_owned(), code))
        };
        let (out, code) = wait_for(&format!("the guest carries out {line:?}"), BOOT, find);
        let status = std::process::ExitStatus::from_raw(code << 8);
        Said { status, out, err: String::new(), took: start.elapsed() }
    }

    /// Waits until the guest has found its BMC.
    #[track_caller]
    pub fn wait_for_ipmi(&self) {
        self.guest_does("until [ -c /dev/ipmi0 ]; do usleep 100000; done");
    }

    /// The reason for the latest start, in ipmitool's words.
    pub fn restart_cause(&self) -> String {
        self.ipmitool(&["chassis", "restart_cause"]).ok().trim().to_owned()
    }
}

/// Lines of a `blob` in some output, from `position` on, checked against the checksum after it: every byte once.
/// Returns the position behind it.
#[track_caller]
pub fn check_blob(terminal: &Terminal, position: usize, lines: usize) -> usize {
    let begin = terminal.wait_from(position, &format!("BLOB-BEGIN lines={lines}\r\n"), BOOT);
    let end = terminal.wait_from(begin, "BLOB-END sha256=", BOOT);
    let hex_end = terminal.wait_from(end, "\r\n", BOOT);
    let shown = terminal.shown();
    assert_blob(&shown[begin..end - "BLOB-END sha256=".len()], &shown[end..hex_end], lines);
    hex_end
}

/// Asserts that `text`, in which the terminal's `\r\n` ends lines, is the blob with the checksum `hex`.
#[track_caller]
pub fn assert_blob(text: &[u8], hex: &[u8], lines: usize) {
    use sha2::{Digest as _, Sha256};

    let text = String::from_utf8_lossy(text).replace("\r\n", "\n");
    let hex = String::from_utf8_lossy(hex);
    for (number, line) in text.lines().enumerate() {
        assert!(line.starts_with(&format!("{number:08} ")) && line.len() == 63, "line {number} is {line:?}");
    }
    assert_eq!(text.lines().count(), lines);
    let sum = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(sum, hex.trim());
}
