#![deny(unsafe_code)]
//! A QEMU virtual machine with a real baseboard management controller.
//!
//! This file reads the command line and hands over: to [`run`] for the controller itself, to [`init`] for
//! PID 1, to [`cli`] for the local commands. What the program is made of is in ARCHITECTURE.md.

mod attach;
mod cli;
mod config;
mod configured;
mod console;
mod controller;
mod endpoint;
mod foundation;
mod init;
mod lan;
mod logging;
mod machine;
mod netlink;
mod nics;
mod os;
mod run;
mod sensors_file;
mod serve;
mod store;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    config::{ConfigErrors, Plan, ThisHost},
    serve::control::{PowerName, SelAction},
};

/// A QEMU virtual machine with a real BMC: IPMI 2.0 over LAN, serial over LAN, VNC.
///
/// Settings are environment variables or a TOML file; `qemu-bmc check` shows them all.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the controller and its machine in the foreground
    Run,
    /// Be the controller of a machine that something else started: QEMU by hand, libvirt
    #[command(alias = "serve")]
    Attach(attach::Arguments),
    /// Be PID 1 of a container: start the controller, restart it, reap orphans, forward signals
    Init(init::Arguments),
    /// Say what the configuration means and which QEMU command line it makes; start nothing
    Check,
    /// Print every setting, as a page of Markdown
    Settings,
    /// Exit with 0 if the controller answers, whether the machine is on or off
    Healthcheck,
    /// Say how the machine and its controller are
    Status,
    /// Press the machine's buttons
    Power {
        /// What to do
        request: PowerName,
    },
    /// Forget all that was set over IPMI, and restart the controller; the guest is left alone
    FactoryReset,
    /// Read or clear the event log
    Sel {
        /// What to do
        #[command(subcommand)]
        action: SelAction,
    },
    /// Show sensors, and have them read what they would not: faults, for tests of who watches them
    #[command(subcommand)]
    Sensor(cli::SensorCommand),
    /// Attach to the serial console; a tilde and a dot on a new line (~.) end it
    Console,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run => run::main(),
        Command::Attach(arguments) => attach::main(arguments),
        Command::Init(arguments) => return init::main(arguments),
        Command::Check => cli::check(),
        Command::Settings => cli::settings(),
        Command::Healthcheck => cli::healthcheck(),
        Command::Status => cli::status(),
        Command::Power { request } => cli::power(request),
        Command::FactoryReset => cli::factory_reset(),
        Command::Sel { action } => cli::sel(action),
        Command::Sensor(command) => cli::sensor(command),
        Command::Console => cli::console(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if cli::nobody_reads(&error) => ExitCode::SUCCESS,
        Err(error) => {
            logging::complain(&chain(&*error));
            ExitCode::from(if error.is::<ConfigErrors>() { ConfigErrors::EXIT_CODE } else { 1 })
        }
    }
}

/// The plan for this process on this host.
fn plan() -> anyhow::Result<Plan> {
    Ok(Plan::load(std::env::vars_os(), &ThisHost)?)
}

/// An error with all that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
