//! A QEMU that the test starts itself, as a person or libvirt would.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{Machine, SOON, wait_for};

/// A running QEMU. It ends with its value.
pub struct PlainQemu {
    child: Child,
    folder: PathBuf,
}

impl PlainQemu {
    /// Starts QEMU with an interface to the BMC that connects to `ipmi` (`path=…` or `host=…,port=…`), a
    /// monitor in `qmp.sock`, one for the test itself, and a serial port in `serial.sock`.
    pub fn start(machine: &Machine, ipmi: &str, arguments: &[&str]) -> Self {
        let folder = machine.folder().to_owned();
        let socket = |name: &str| format!("{}", folder.join(name).display());
        let child = Command::new("qemu-system-x86_64")
            .args(["-machine", "q35", "-accel", "tcg", "-nodefaults", "-display", "none"])
            .args(["-chardev", &format!("socket,id=ipmi0,{ipmi},reconnect=1")])
            .args(["-device", "ipmi-bmc-extern,id=bmc0,chardev=ipmi0", "-device", "isa-ipmi-kcs,bmc=bmc0"])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", socket("qmp.sock"))])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", socket("test.sock"))])
            .args(["-serial", &format!("unix:{},server=on,wait=off", socket("serial.sock"))])
            .args(arguments)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    #[track_caller]
    pub fn wait_end(&mut self, limit: Duration) {
        wait_for("QEMU ends", limit, || (!self.runs()).then_some(()));
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Commands it by the test's own monitor.
    pub fn monitor(&self, command: &str) {
        let stream = connect(&self.folder.join("test.sock"));
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        lines.next().unwrap().unwrap();
        for command in ["qmp_capabilities", command] {
            writeln!(&stream, "{{\"execute\": \"{command}\"}}").unwrap();
            let answered = lines.by_ref().any(|line| line.unwrap().contains("\"return\""));
            assert!(answered, "QEMU does not answer {command}");
        }
    }

    /// Its serial port.
    pub fn serial(&self) -> UnixStream {
        connect(&self.folder.join("serial.sock"))
    }
}

fn connect(path: &Path) -> UnixStream {
    wait_for("QEMU listens", SOON, || UnixStream::connect(path).ok())
}

impl Drop for PlainQemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
