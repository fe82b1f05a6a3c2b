//! `qemu-bmc media`: what is in the CD drives.

use std::{io::Write as _, time::Duration};

use anyhow::bail;

use super::{UNEXPECTED, controllers::controller, output::output};
use crate::{
    config::Medium,
    serve::{
        control::{Request, Response},
        media::DriveLine,
    },
};

/// Longer than the controller waits for the machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(70);

/// What can be done with CD drives.
#[derive(clap::Subcommand)]
pub(crate) enum MediaCommand {
    /// Put an image into a drive, in the place of what is there
    Insert {
        /// A path, or an http or https address
        medium: Medium,
        /// The drive; the first if none is named
        #[arg(long, value_name = "NAME")]
        drive: Option<String>,
        /// Take out what is there even if the guest holds the tray shut
        #[arg(long)]
        force: bool,
    },
    /// Empty a drive
    Eject {
        /// The drive; the first if none is named
        #[arg(long, value_name = "NAME")]
        drive: Option<String>,
        /// Even if the guest holds the tray shut
        #[arg(long)]
        force: bool,
    },
}

/// Changes a drive, or shows all.
pub(crate) fn media(machine: Option<&str>, command: Option<MediaCommand>) -> anyhow::Result<()> {
    let request = match command {
        None => Request::Media,
        Some(MediaCommand::Insert { medium, drive, force }) => {
            // The controller may be in another folder.
            let medium = match medium {
                Medium::File(path) => Medium::File(std::path::absolute(path)?),
                url @ Medium::Url(_) => url,
            };
            Request::ChangeMedium { drive, medium: Some(medium.to_string()), force }
        }
        Some(MediaCommand::Eject { drive, force }) => Request::ChangeMedium { drive, medium: None, force },
    };
    let mut out = output();
    match controller(machine)?.ask_patiently(&request, ANSWER_LIMIT)? {
        Response::Done(said) => writeln!(out, "{said}")?,
        Response::Media(lines) => {
            for DriveLine { name, medium, tray_open } in lines {
                let tray = if tray_open { "  (the guest opened the tray)" } else { "" };
                writeln!(out, "{name}  {}{tray}", medium.as_deref().unwrap_or("empty"))?;
            }
        }
        _ => bail!(UNEXPECTED),
    }
    Ok(())
}
