//! From nothing to a running program, and what happens between fork(2) and execve(2).
//!
//! A child of the BMC is on its own from the first moment: a session of its own, so that no terminal's Ctrl-C
//! and no end of the BMC reaches it; no input; default signals, none blocked; no descriptor but those that it
//! was given; and of the environment only `PATH`, because the BMC's own may hold passwords. One that runs a guest
//! also loses the BMC's privileges ([`Spawn::confine`]): what escapes from a guest must not find them.
#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Error, Process, token::boot_id};

/// The greatest signal number of Linux.
const SIGNAL_MAX: libc::c_int = 64;

/// Whom a program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// The user.
    pub(crate) uid: u32,
    /// The primary group.
    pub(crate) gid: u32,
    /// The other groups, such as the one that may open `/dev/kvm`.
    pub(crate) groups: Vec<u32>,
}

/// A program about to be started. Unless told otherwise it runs as the BMC's user and writes where the BMC
/// writes.
#[derive(Debug)]
pub(crate) struct Spawn {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    output: Option<OwnedFd>,
    inherited: Vec<(RawFd, OwnedFd)>,
    announcement: Option<File>,
    user: Option<User>,
    capabilities: Option<CapabilitySet>,
}

impl Spawn {
    /// A program by its path, or by its name in `PATH`.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: std::env::var_os("PATH").map(|path| ("PATH".into(), path)).into_iter().collect(),
            output: None,
            inherited: Vec::new(),
            announcement: None,
            user: None,
            capabilities: None,
        }
    }

    /// Adds an argument.
    pub(crate) fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(&mut self, arguments: I) -> &mut Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// The arguments so far.
    pub(crate) fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Sets a variable of the program's environment.
    #[cfg_attr(not(test), expect(dead_code, reason = "no program needs a variable yet"))]
    pub(crate) fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Where standard output and standard error go. For a program that outlives the BMC this should be a file
    /// rather than a pipe: a pipe breaks with the BMC, and what is written to it then is lost.
    pub(crate) fn output(&mut self, output: OwnedFd) -> &mut Self {
        self.output = Some(output);
        self
    }

    /// Has the process write into a file who it is, before it becomes the program: whoever is killed while he
    /// starts it leaves no process that can't be found again ([`Token::announced`](super::Token::announced)).
    pub(crate) fn announce(&mut self, file: File) -> &mut Self {
        self.announcement = Some(file);
        self
    }

    /// Hands `fd` down under this number, which must be above 2.
    pub(crate) fn inherit(&mut self, fd: OwnedFd, number: RawFd) -> &mut Self {
        self.inherited.push((number, fd));
        self
    }

    /// Runs the program as another user, which takes the privilege to do so.
    #[cfg_attr(not(test), expect(dead_code, reason = "QEMU will run as a user of its own"))]
    pub(crate) fn user(&mut self, user: User) -> &mut Self {
        self.user = Some(user);
        self
    }

    /// Leaves the program these capabilities at most, of those that the BMC has, and no way to get more: neither
    /// by being root, nor by executing something else.
    pub(crate) fn confine(&mut self, capabilities: CapabilitySet) -> &mut Self {
        self.capabilities = Some(capabilities);
        self
    }

    /// Starts the program. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// There is no such program, it may not be executed, a descriptor's number is taken, or the system has no
    /// room for another process. A program that starts and then fails is not an error here.
    pub(crate) fn start(mut self) -> Result<Process, Error> {
        let failed = |source| Error::Start { program: self.program.clone().into(), source };
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(self.environment).stdin(Stdio::null());
        if let Some(output) = self.output {
            command.stdout(output.try_clone().map_err(failed)?).stderr(output);
        }

        let inherited = reserve(self.inherited).map_err(|(number, source)| Error::Inherit {
            program: self.program.clone().into(),
            number,
            source,
        })?;
        if let Some(file) = &mut self.announcement {
            let _ = writeln!(file, "{}", boot_id());
        }
        let in_child = InChild {
            announcement: self.announcement.as_ref().map(AsRawFd::as_raw_fd),
            inherited: inherited.iter().map(|(number, fd)| (*number, fd.as_raw_fd())).collect(),
            identity: self.user.map(Identity::from),
            capabilities: self.capabilities,
        };
        // SAFETY: between fork and exec in a program with threads, only what is safe in a signal handler may
        // be called: `prepare` makes system calls and allocates nothing.
        unsafe { command.pre_exec(move || in_child.prepare()) };

        let mut child = command.spawn().map_err(failed)?;
        let pid = Pid::from_child(&child);
        Process::watch(pid, true).inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })
    }
}

/// Gives every descriptor a number at which the child can take it over.
///
/// In the child the numbers that were asked for get overwritten, and one of them might be the pipe by which
/// the standard library reports a failed exec. That pipe takes the lowest free numbers; so each number that
/// is free is occupied here, by the descriptor itself, until the child exists. Ascending order sees to it that
/// no descriptor is overwritten before it was copied: where a number is taken, the copy lands above it.
fn reserve(mut wanted: Vec<(RawFd, OwnedFd)>) -> Result<Vec<(RawFd, OwnedFd)>, (RawFd, io::Error)> {
    wanted.sort_by_key(|(number, _)| *number);
    let mut last = 2;
    wanted
        .into_iter()
        .map(|(number, fd)| {
            if number <= last {
                return Err((number, io::ErrorKind::InvalidInput.into()));
            }
            last = number;
            let copy =
                rustix::io::fcntl_dupfd_cloexec(&fd, number).map_err(|error| (number, error.into()))?;
            Ok((number, copy))
        })
        .collect()
}

/// What the child does to itself before it becomes the program. Made before the fork, where memory can be
/// had.
pub(super) struct InChild {
    announcement: Option<RawFd>,
    /// The number that a descriptor shall have, and the one that it has.
    inherited: Vec<(RawFd, RawFd)>,
    identity: Option<Identity>,
    capabilities: Option<CapabilitySet>,
}

struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl From<User> for Identity {
    fn from(user: User) -> Self {
        Self {
            uid: Uid::from_raw(user.uid),
            gid: Gid::from_raw(user.gid),
            groups: user.groups.into_iter().map(Gid::from_raw).collect(),
        }
    }
}

impl InChild {
    /// What a child has to do that is given nothing but these capabilities.
    pub(super) fn confined(capabilities: CapabilitySet) -> Self {
        Self { announcement: None, inherited: Vec::new(), identity: None, capabilities: Some(capabilities) }
    }

    pub(super) fn prepare(&self) -> io::Result<()> {
        rustix::process::setsid()?;
        if let Some(file) = self.announcement {
            // SAFETY: it is open in this child until its number is given to another, below.
            let file = unsafe { BorrowedFd::borrow_raw(file) };
            // A full disk is no reason to have no machine.
            let _ = announce(file);
        }
        close_others_on_exec();
        for &(number, fd) in &self.inherited {
            if number == fd {
                // SAFETY: `fd` is open, and F_SETFD touches no memory.
                checked(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })?;
            } else {
                // SAFETY: what `number` refers to is this child's copy, which nothing here uses again.
                checked(unsafe { libc::dup2(fd, number) })?;
            }
        }
        if let Some(Identity { uid, gid, groups }) = &self.identity {
            // Per thread, which is what there is one of.
            rustix::thread::set_thread_groups(groups)?;
            rustix::thread::set_thread_gid(*gid)?;
            rustix::thread::set_thread_uid(*uid)?;
        }
        if let Some(kept) = self.capabilities {
            confine(kept)?;
        }
        default_signals()
    }
}

/// Copies into a file what the kernel says about this process.
fn announce(file: BorrowedFd<'_>) -> io::Result<()> {
    let mut stat = [0; 1024];
    let own = rustix::fs::open(c"/proc/self/stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let length = rustix::io::read(own, &mut stat)?;
    rustix::io::write(file, stat.get(..length).unwrap_or_default())?;
    Ok(())
}

/// Gives up all capabilities but `kept`, of which none is gained. What root gets back at an exec is bounded by the
/// bounding set, and where that can't be changed (it takes CAP_SETPCAP), by what root had before, because
/// nothing may be gained any more (capabilities(7), `PR_SET_NO_NEW_PRIVS`).
fn confine(kept: CapabilitySet) -> io::Result<()> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // Beyond the last one, or not allowed.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Kernels before 4.3 have no ambient set.
    match rustix::thread::clear_ambient_capability_set() {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    let kept = rustix::thread::capabilities(None)?.permitted & kept;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)?;
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Everything that this program opens is marked so already; this is for what it was handed without knowing.
/// Kernels before 5.11 and some sandboxes refuse the call, and do without.
fn close_others_on_exec() {
    // SAFETY: the call marks descriptors of this child and touches no memory.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Ignored signals and blocked ones would otherwise stay so in the program. Handlers end with exec.
fn default_signals() -> io::Result<()> {
    for signal in 1..=SIGNAL_MAX {
        // SAFETY: no handler is installed. Numbers that cannot be set are refused, which is as good.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut none = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set that sigprocmask then reads.
    checked(unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut())
    })
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
