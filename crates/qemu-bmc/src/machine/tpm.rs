//! The machine's TPM 2.0: swtpm, a program that QEMU passes the guest's commands to.
//!
//! What the TPM keeps (its seeds, and so the keys made of them, and its NV memory) is in a folder of the state
//! folder and outlives machines and containers, as that of a physical one does. It is not sealed to anything: who
//! reads the folder has the TPM. It comes without an endorsement certificate, for nobody who checks one would
//! believe a certificate that was made here.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use rustix::thread::CapabilitySet;

use super::companion::{Companion, Role, find_program};

pub(super) const PROGRAM: &str = "swtpm";

#[derive(Debug, thiserror::Error)]
pub(crate) enum TpmError {
    #[error("the TPM (VM_TPM) needs {PROGRAM}, which is not in PATH: install the package {PROGRAM}")]
    NoProgram,
    #[error("make the TPM's folder {}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
}

/// A TPM that can be started.
#[derive(Debug)]
pub(crate) struct Tpm {
    program: PathBuf,
    folder: PathBuf,
}

impl Tpm {
    /// Looks for all that it takes. Changes nothing.
    pub(crate) fn find(state_dir: &Path) -> Result<Self, TpmError> {
        let program = find_program(PROGRAM).ok_or(TpmError::NoProgram)?;
        Ok(Self { program, folder: state_dir.join("tpm") })
    }

    /// Makes the folder of its state.
    pub(crate) fn make_folder(&self) -> Result<(), TpmError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|source| TpmError::Folder { folder: self.folder.clone(), source })
    }

    /// The process that it is, listening on `socket`.
    pub(crate) fn companion(&self, socket: &Path) -> Companion {
        let with_path = |before: &str, path: &Path, after: &str| {
            let mut option = OsString::from(before);
            option.push(path);
            option.push(after);
            option
        };
        let arguments = vec![
            "socket".into(),
            "--tpm2".into(),
            "--tpmstate".into(),
            with_path("dir=", &self.folder, ",mode=0600"),
            "--ctrl".into(),
            with_path("type=unixio,path=", socket, ",mode=0600"),
            "--terminate".into(),
        ];
        Companion {
            role: Role::Tpm,
            program: self.program.clone(),
            arguments,
            socket: socket.to_owned(),
            // A folder that root was given may be another user's.
            capabilities: CapabilitySet::DAC_OVERRIDE,
        }
    }
}
