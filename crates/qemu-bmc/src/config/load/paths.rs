//! Folders and sockets: what their settings mean, and whether all that is to be in them can be.

use std::path::{Path, PathBuf};

use crate::{
    config::{
        host::PathKind,
        plan::{MachinePlan, Paths},
        reader::Reader,
        settings::{self, Row},
    },
    machine::argv::Sockets,
};

/// The longest path of a unix socket: `sun_path` less its final zero (unix(7)).
const SOCKET_PATH_MAX: usize = 107;

impl Reader<'_> {
    pub(super) fn paths(&mut self) -> Option<Paths> {
        let run = self.run_dir();
        let state = self.get(&settings::STATE_DIR);
        let qmp = self.get(&settings::QMP_SOCK);
        let power_state = self.get(&settings::POWER_STATE_FILE);

        let (run_dir, control_socket) = run?;
        if !self.host.can_write(&run_dir) {
            self.refuse(&settings::RUN_DIR.row, "this folder cannot be written");
        }
        let state_dir = match state? {
            None => self.default_state_dir(&run_dir),
            Some(folder) => {
                let folder = self.its_own(&settings::STATE_DIR.row, folder);
                match (self.host.can_write(&folder), self.host.kind(&folder)) {
                    (true, _) => {}
                    // What it holds counts all the same.
                    (false, Some(PathKind::Folder)) => self.warn(format!(
                        "{folder:?} cannot be written (STATE_DIR): what changes is forgotten at the next restart"
                    )),
                    _ => self.refuse(&settings::STATE_DIR.row, "this folder cannot be written"),
                }
                folder
            }
        };
        let qmp_socket = qmp?.unwrap_or_else(|| run_dir.join("qmp.sock"));
        self.check_socket(&settings::QMP_SOCK.row, &qmp_socket);
        let power_state_file = power_state?.unwrap_or_else(|| run_dir.join("power.state"));

        self.show(&settings::STATE_DIR.row, &state_dir.to_string_lossy());
        self.show(&settings::QMP_SOCK.row, &qmp_socket.to_string_lossy());
        self.show(&settings::POWER_STATE_FILE.row, &power_state_file.to_string_lossy());
        Some(Paths { run_dir, state_dir, qmp_socket, power_state_file, control_socket })
    }

    /// The run folder, and the control socket in it.
    pub(in crate::config) fn run_dir(&mut self) -> Option<(PathBuf, PathBuf)> {
        let run_dir = self.get(&settings::RUN_DIR)?;
        let run_dir = self.its_own(&settings::RUN_DIR.row, run_dir);
        self.show(&settings::RUN_DIR.row, &run_dir.to_string_lossy());
        let control_socket = run_dir.join("control.sock");
        self.check_socket(&settings::RUN_DIR.row, &control_socket);
        if holds(&run_dir, b'\n') {
            self.refuse(&settings::RUN_DIR.row, "a path of sockets cannot have a line break in it");
        }
        Some((run_dir, control_socket))
    }

    /// The folder of one of several machines, where one was said for all.
    fn its_own(&self, row: &'static Row, folder: PathBuf) -> PathBuf {
        match self.texts.folder_within(row) {
            Some(name) => folder.join(name),
            None => folder,
        }
    }

    fn default_state_dir(&mut self, run_dir: &Path) -> PathBuf {
        let volume = Path::new("/vm");
        let folder = self.its_own(&settings::STATE_DIR.row, volume.join("bmc"));
        // Without the volume there is nothing that outlives the container, so it isn't made up.
        if self.host.kind(volume) == Some(PathKind::Folder) && self.host.can_write(&folder) {
            return folder;
        }
        self.warn(format!(
            "{folder:?} cannot be written: settings and UEFI variables are kept in {run_dir:?}, \
             which may not outlive a restart; mount a volume on {volume:?} or set STATE_DIR"
        ));
        run_dir.to_owned()
    }

    /// Whether what the machine needs in its folders can be there.
    pub(super) fn check_folders(&mut self, machine: &MachinePlan, paths: &Paths) {
        let Paths { run_dir, state_dir, qmp_socket, control_socket, .. } = paths;
        let row = &settings::RUN_DIR.row;
        if fits(control_socket) {
            let sockets = Sockets::new(run_dir, qmp_socket).in_folder(machine);
            let longest = sockets.into_iter().max_by_key(|socket| socket.as_os_str().len());
            longest.iter().for_each(|socket| self.check_socket(row, socket));
        }
        // swtpm's options have no way to say a comma that separates nothing.
        if machine.firmware.tpm {
            let why = "the TPM (VM_TPM) cannot have a comma in this path";
            if holds(run_dir, b',') {
                self.refuse(row, why);
            }
            if state_dir != run_dir && holds(state_dir, b',') {
                self.refuse(&settings::STATE_DIR.row, why);
            }
        }
    }

    fn check_socket(&mut self, row: &'static Row, socket: &Path) {
        if !fits(socket) {
            self.refuse(row, &format!("a socket's path would be longer than {SOCKET_PATH_MAX} bytes"));
        }
    }
}

fn fits(socket: &Path) -> bool {
    socket.as_os_str().len() <= SOCKET_PATH_MAX
}

fn holds(path: &Path, byte: u8) -> bool {
    path.as_os_str().as_encoded_bytes().contains(&byte)
}
