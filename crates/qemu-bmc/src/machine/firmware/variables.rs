//! The file of the machine's own UEFI variables: made once of a template, and kept.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::FirmwareError;

/// Makes the variables where there are none yet. Those that are there and are not used are set aside, not lost:
/// with `afresh`, and where their size says that they belong to another build of the firmware, which this one
/// could not read.
pub(super) fn make(template: &Path, variables: &Path, afresh: bool) -> Result<(), FirmwareError> {
    let wanted = fs::metadata(template).map_err(failed("look at", template))?.len();
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
    let fresh = fs::read(template).map_err(failed("read", template))?;
    crate::os::atomic_file::write(variables, &fresh, 0o600).map_err(|error| FirmwareError::File {
        doing: "write",
        path: variables.to_owned(),
        source: io::Error::other(error),
    })
}

fn set_aside(variables: &Path, why: &str) -> Result<PathBuf, FirmwareError> {
    let aside = variables.with_extension(format!("fd.{why}"));
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
}
