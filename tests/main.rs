//! The tests of the whole program: with real clients, real QEMU, real guests and real containers.
//!
//! They are one program, so that what they share is compiled once. Each file is about one thing; what begins with
//! `guest` or `container` takes a processor for itself and has time limits of its own (`.config/nextest.toml`).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests"
)]

mod agent;
mod architecture;
mod attach;
mod commands;
mod configuration;
mod container;
mod containers_net;
mod dcmi;
mod disks;
mod documents;
mod faults;
mod firewall;
mod firmware;
mod freeipmi;
mod fru;
mod guest_aarch64;
mod guest_attach;
mod guest_boot;
mod guest_console;
mod guest_debian;
mod guest_disks;
mod guest_firmware;
mod guest_inband;
mod guest_media;
mod guest_net;
mod guest_power;
mod guest_provisioning;
mod guest_pxe;
mod guest_sel;
mod guest_sensors;
mod guest_share;
mod guest_vnc;
mod init;
mod ipmi_interface;
mod ipmitool;
mod lan_config;
mod local;
mod media;
mod nic_addresses;
mod nic_faults;
mod nics;
mod pef;
mod provisioning;
mod pyghmi;
mod refused;
mod security;
mod sel;
mod sensors;
mod several;
mod support;
mod tpm;
mod users;
mod watchdog;
