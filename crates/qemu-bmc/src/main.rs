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
mod provisioning;
mod run;
mod sensors_file;
mod serve;
mod several;
mod store;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    config::{ConfigErrors, Machines, Plan, ThisHost},
    serve::control::{PowerName, SelAction},
};

/// A QEMU virtual machine with a real BMC: IPMI 2.0 over LAN, serial over LAN, VNC.
///
/// Settings are environment variables or a TOML file; `qemu-bmc check` shows them all.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// The machine that is meant, where the configuration has several
    #[arg(long, global = true, value_name = "NAME")]
    machine: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the controller and its machine in the foreground; of several machines, all
    Run(run::Arguments),
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
    /// Show what is in the CD drives, and change it, also while the machine runs
    Media {
        /// What to do; to show them if left out
        #[command(subcommand)]
        command: Option<cli::MediaCommand>,
    },
    /// Attach to the serial console; a tilde and a dot on a new line (~.) end it
    Console,
}

fn main() -> ExitCode {
    let Arguments { machine, command } = Arguments::parse();
    let machine = machine.as_deref();
    let outcome = match command {
        Command::Run(arguments) => match run::main(&arguments, machine) {
            Ok(status) => return status,
            Err(error) => Err(error),
        },
        Command::Attach(arguments) => attach::main(arguments, machine),
        Command::Init(arguments) => return init::main(arguments, machine),
        Command::Check => cli::check(machine),
        Command::Settings => cli::settings(),
        Command::Healthcheck => cli::healthcheck(machine),
        Command::Status => cli::status(machine),
        Command::Power { request } => cli::power(machine, request),
        Command::FactoryReset => cli::factory_reset(machine),
        Command::Sel { action } => cli::sel(machine, action),
        Command::Sensor(command) => cli::sensor(machine, command),
        Command::Media { command } => cli::media(machine, command),
        Command::Console => cli::console(machine),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if cli::nobody_reads(&error) => ExitCode::SUCCESS,
        Err(error) => {
            logging::complain(&chain(&*error));
            ExitCode::from(if error.is::<ConfigErrors>() { refused() } else { 1 })
        }
    }
}

/// The status of a program that can't use its configuration. One that was a controller before it executed itself
/// anew may have left a guest, and is not to be taken for one that never began.
fn refused() -> u8 {
    if os::life::was_a_controller() { init::RESTART_ME } else { ConfigErrors::EXIT_CODE }
}

/// The plans for this process on this host, or that for the machine that is asked for.
fn machines(asked_for: Option<&str>) -> Result<Machines, ConfigErrors> {
    Machines::load(std::env::vars_os(), &ThisHost, asked_for)
}

/// The plan for the one machine that is meant.
fn plan(asked_for: Option<&str>) -> anyhow::Result<Plan> {
    match machines(asked_for)? {
        Machines::One(plan) => Ok(*plan),
        Machines::Several(plans) => {
            let names: Vec<_> = plans.iter().filter_map(|plan| plan.name.as_ref()).collect();
            Err(cli::which_machine(&names))
        }
    }
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
