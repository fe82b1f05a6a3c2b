//! The file of the machine's own UEFI variables: made once of a template, and kept.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::FirmwareError;

/// How many of the same kind are kept.
const ASIDE_MAX: usize = 9;

/// Whether a file can be a template: a firmware volume (UEFI PI specification, volume 3 §3.2.1), in whole sectors of
/// flash memory.
pub(super) fn check(template: &Path) -> Result<(), FirmwareError> {
    const SECTOR: u64 = 4096;
    const SIGNATURE_AT: usize = 40;
    const SIGNATURE: &[u8] = b"_FVH";

    let wrong = |why| Err(FirmwareError::NoTemplate { path: template.to_owned(), why });
    let mut head = [0; SIGNATURE_AT + SIGNATURE.len()];
    let file = File::open(template).map_err(failed("open", template))?;
    let length = file.metadata().map_err(failed("look at", template))?.len();
    if (&file).read_exact(&mut head).is_err() || !head.ends_with(SIGNATURE) {
        return wrong("it does not begin as a firmware volume does");
    }
    if !length.is_multiple_of(SECTOR) {
        return wrong("its size is no multiple of 4096 bytes");
    }
    Ok(())
}

/// Makes the variables where there are none yet. Those that are there and are not used are set aside, not lost:
/// with `afresh`, and where their size says that they belong to another build of the firmware, which this one
/// could not read.
pub(super) fn make(template: &Path, variables: &Path, afresh: bool) -> Result<(), FirmwareError> {
    let fresh = fs::read(template).map_err(failed("read", template))?;
    let wanted = fresh.len() as u64;
    match fs::metadata(variables) {
        Ok(_) if afresh => {
            let aside = set_aside(variables, "before-reset")?;
            tracing::info!(
                "UEFI variables start afresh (VM_UEFI_RESET): those that were are kept as {}",
                aside.display()
            );
        }
        Ok(found) if found.len() == wanted => return Ok(()),
        Ok(found) => {
            let aside = set_aside(variables, "unusable")?;
            tracing::warn!(
                "UEFI variables in {} have {} bytes and this firmware's have {wanted}: they are kept as {} and the machine starts with fresh ones",
                variables.display(),
                found.len(),
                aside.display(),
            );
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::info!("UEFI variables are made of {} as {}", template.display(), variables.display());
        }
        Err(source) => return Err(failed("look at", variables)(source)),
    }
    crate::os::atomic_file::write(variables, &fresh, 0o600).map_err(|error| FirmwareError::File {
        doing: "write",
        path: variables.to_owned(),
        source: io::Error::other(error),
    })
}

/// Gives variables another name, under which nothing is yet: the first ones that were set aside are those that
/// somebody may miss, so they stay. Where all names are taken, the last is given again.
fn set_aside(variables: &Path, why: &str) -> Result<PathBuf, FirmwareError> {
    let name = |number| match number {
        1 => variables.with_extension(format!("fd.{why}")),
        number => variables.with_extension(format!("fd.{why}.{number}")),
    };
    let free = (1..ASIDE_MAX).map(name).find(|name| name.symlink_metadata().is_err());
    let aside = free.unwrap_or_else(|| name(ASIDE_MAX));
    fs::rename(variables, &aside).map_err(failed("set aside", variables))?;
    Ok(aside)
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FirmwareError {
    let path = path.to_owned();
    move |source| FirmwareError::File { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_a_firmware_volume_of_whole_sectors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vars.fd");
        let mut volume = vec![0; 8192];
        volume[40..44].copy_from_slice(b"_FVH");
        fs::write(&path, &volume).unwrap();
        check(&path).unwrap();
        for bad in [&volume[..5120], &volume[..20], &[0; 4096][..], b""] {
            fs::write(&path, bad).unwrap();
            assert!(check(&path).unwrap_err().to_string().contains("no template of UEFI variables"));
        }
    }

    struct Bench {
        folder: tempfile::TempDir,
        template: PathBuf,
        variables: PathBuf,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (template, variables) = (folder.path().join("template"), folder.path().join("variables.fd"));
            fs::write(&template, b"fresh").unwrap();
            Self { folder, template, variables }
        }

        /// What the variables are once they are made.
        fn made(&self, afresh: bool) -> Vec<u8> {
            make(&self.template, &self.variables, afresh).unwrap();
            fs::read(&self.variables).unwrap()
        }

        fn aside(&self, why: &str) -> Vec<u8> {
            fs::read(self.folder.path().join(format!("variables.fd.{why}"))).unwrap()
        }
    }

    #[test]
    fn variables_are_made_once_and_kept() {
        let bench = Bench::new();
        assert_eq!(bench.made(false), b"fresh");
        fs::write(&bench.variables, b"mine!").unwrap();
        assert_eq!(bench.made(false), b"mine!");
    }

    #[test]
    fn variables_of_another_size_are_set_aside() {
        let bench = Bench::new();
        fs::write(&bench.variables, b"too long").unwrap();
        assert_eq!(bench.made(false), b"fresh");
        assert_eq!(bench.aside("unusable"), b"too long");
    }

    #[test]
    fn variables_that_start_afresh_are_set_aside_too() {
        let bench = Bench::new();
        assert_eq!(bench.made(true), b"fresh");
        fs::write(&bench.variables, b"mine!").unwrap();
        assert_eq!(bench.made(true), b"fresh");
        assert_eq!(bench.aside("before-reset"), b"mine!");
    }

    #[test]
    fn what_was_set_aside_first_stays_however_often_variables_start_afresh() {
        let bench = Bench::new();
        for start in 0..20_u8 {
            fs::write(&bench.variables, [start; 5]).unwrap();
            assert_eq!(bench.made(true), b"fresh");
        }
        assert_eq!(bench.aside("before-reset"), [0; 5]);
        assert_eq!(bench.aside("before-reset.2"), [1; 5]);
        assert_eq!(bench.aside("before-reset.9"), [19; 5], "the last ones too");
        assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 2 + ASIDE_MAX);
    }
}
