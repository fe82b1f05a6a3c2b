//! What the guest is told at its first boot, as the machine has it: the seed on a disk, made anew at each start.
//!
//! Its contents may be passwords, so nobody else can read it, and there is none where none is wanted any more.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::{
    config::{MachinePlan, Paths, read_file},
    os::atomic_file,
    provisioning::{Problem, Seed, check_ignition},
};

/// The disk with the seed.
#[derive(Clone, Debug)]
pub(crate) struct SeedDisk {
    pub(crate) path: PathBuf,
    /// What is in it, without a secret.
    pub(crate) contents: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SeedError {
    /// Files that were good when the program started.
    #[error("what the guest is to be told at its first boot: {}", lines(.0))]
    Unusable(Vec<Problem>),
    #[error("write the cloud-init seed")]
    Write(#[source] atomic_file::Error),
    #[error("remove {}, a cloud-init seed that is no longer wanted", path.display())]
    Remove { path: PathBuf, source: io::Error },
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Looks at what there is.
pub(crate) fn look(plan: &MachinePlan, paths: &Paths) -> Result<Option<SeedDisk>, SeedError> {
    Ok(read(plan)?.map(|seed| disk(&seed, paths)))
}

/// Makes the disk.
pub(crate) fn make(plan: &MachinePlan, paths: &Paths, node: Uuid) -> Result<Option<SeedDisk>, SeedError> {
    let path = path(paths);
    let Some(seed) = read(plan)? else {
        return match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(SeedError::Remove { path, source })
            }
            _ => Ok(None),
        };
    };
    atomic_file::replace(&path, &seed.image(node), 0o600).map_err(SeedError::Write)?;
    Ok(Some(disk(&seed, paths)))
}

fn read(plan: &MachinePlan) -> Result<Option<Seed>, SeedError> {
    let from_disk = |path: &Path| read_file(path);
    if let Some(ignition) = &plan.provisioning.ignition {
        check_ignition(ignition, &from_disk).map_err(|problem| SeedError::Unusable(vec![problem]))?;
    }
    let seed = plan.provisioning.cloud_init.as_ref();
    let seed = seed.map(|cloud_init| Seed::read(cloud_init, &plan.identity.name, &from_disk));
    seed.transpose().map_err(SeedError::Unusable)
}

fn disk(seed: &Seed, paths: &Paths) -> SeedDisk {
    SeedDisk { path: path(paths), contents: seed.to_string() }
}

fn path(paths: &Paths) -> PathBuf {
    paths.run_dir.join("bmc-seed.iso")
}
