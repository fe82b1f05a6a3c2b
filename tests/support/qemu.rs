//! QEMU without the controller between: one that the test starts itself, as a person or libvirt would, and the
//! monitor that the machine's QEMU has for its user.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

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

/// A connection to the monitor of a machine's QEMU, as a user's script has it.
pub struct Qmp(BufReader<UnixStream>);

impl Qmp {
    pub fn connect(machine: &Machine) -> Self {
        Self::connect_at(&machine.folder().join("run/qmp.sock"))
    }

    /// A connection to the monitor of any QEMU.
    pub fn connect_at(socket: &Path) -> Self {
        let stream = connect(socket);
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut qmp = Self(BufReader::new(stream));
        assert!(qmp.line().get("QMP").is_some());
        qmp.execute("qmp_capabilities", json!({}));
        qmp
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// The answer to a command; events that come before it are passed over.
    #[track_caller]
    pub fn execute(&mut self, command: &str, arguments: Value) -> Value {
        let said = json!({ "execute": command, "arguments": arguments });
        writeln!(self.0.get_mut(), "{said}").unwrap();
        loop {
            let mut line = self.line();
            assert!(line.get("error").is_none(), "{said}: {line}");
            if let Some(answer) = line.get_mut("return") {
                return answer.take();
            }
        }
    }

    pub fn property(&mut self, path: &str, name: &str) -> Value {
        self.execute("qom-get", json!({ "path": path, "property": name }))
    }

    /// What the human monitor prints.
    pub fn human(&mut self, line: &str) -> String {
        let said = self.execute("human-monitor-command", json!({ "command-line": line }));
        said.as_str().unwrap().to_owned()
    }

    /// The machine's NICs, in the order of their root ports.
    pub fn nics(&mut self) -> Vec<QemuNic> {
        let children = self.execute("qom-list", json!({ "path": "/machine/peripheral" }));
        let names = children.as_array().unwrap().iter().filter_map(|child| child["name"].as_str());
        let mut nics: Vec<_> = names
            .filter(|name| name.starts_with("nic-") && !name.starts_with("nic-port"))
            .map(|id| {
                let path = format!("/machine/peripheral/{id}");
                let bus = self.property(&path, "parent_bus");
                let port = bus.as_str().unwrap().rsplit("nic-port").next().unwrap();
                QemuNic {
                    id: id.to_owned(),
                    mac: self.property(&path, "mac").as_str().unwrap().to_owned(),
                    model: self.property(&path, "type").as_str().unwrap().to_owned(),
                    port: port.parse().unwrap(),
                    bootindex: self.property(&path, "bootindex").as_i64().unwrap(),
                }
            })
            .collect();
        nics.sort_by_key(|nic| nic.port);
        nics
    }
}

/// A NIC as QEMU has it.
#[derive(Clone, Debug)]
pub struct QemuNic {
    pub id: String,
    pub mac: String,
    pub model: String,
    pub port: usize,
    pub bootindex: i64,
}
