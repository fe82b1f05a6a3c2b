//! Commands of the Data Center Manageability Interface (DCMI 1.5), which are group extension commands with the
//! body DCh: every reply begins with it.
//!
//! Absent on purpose: DCMI's own discovery of a manager by DHCP (Activate DHCP, configuration parameter 1), for
//! the program configures no interface.

mod capabilities;
mod config;
mod limit;
mod sensors;
mod text;

pub(super) use capabilities::get_capabilities;
pub(super) use config::{get_config, set_config};
pub(super) use limit::{
    activate_power_limit, get_power_limit, get_thermal_limit, set_power_limit, set_thermal_limit,
};
pub(super) use sensors::{get_power_reading, get_sensor_info, get_temperatures};
pub(super) use text::{get_asset_tag, get_controller_id, set_asset_tag, set_controller_id};

use super::Context;
use crate::{CompletionCode, Reply};

type Result<T = ()> = std::result::Result<T, CompletionCode>;

/// The version of the specification: 1.5.
const CONFORMANCE: [u8; 2] = [1, 5];
