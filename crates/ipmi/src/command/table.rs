//! THE table of commands. One row is all that there is to know about a command beside what it does.
//!
//! A new command is a row here, and a handler in the file of its noun.

use std::ops::RangeInclusive;

use bmc::Privilege;

use super::{
    Context, boot_options, channel, chassis, dcmi, device, discovery, event, factory, fru, guid, lan_config,
    messages, payload, pef, sdr, sel, sensor, session, sol_config, system_info, user, watchdog,
};
use crate::{CompletionCode, Reply};

pub(super) const CHASSIS: u8 = 0x00;
pub(super) const SENSOR_EVENT: u8 = 0x04;
pub(super) const APP: u8 = 0x06;
pub(super) const STORAGE: u8 = 0x0a;
pub(super) const TRANSPORT: u8 = 0x0c;
/// Commands of this controller's own (§5.1, Table 5-1).
pub(super) const OEM: u8 = 0x30;
/// Commands of other bodies: the first byte of data says whose (§5.1).
pub(super) const GROUP_EXTENSION: u8 = 0x2c;
/// The body of the Data Center Manageability Interface.
pub(super) const DCMI: u8 = 0xdc;

/// No session either.
const ANYONE: Option<Privilege> = None;
const CALLBACK: Option<Privilege> = Some(Privilege::Callback);
const USER: Option<Privilege> = Some(Privilege::User);
const OPERATOR: Option<Privilege> = Some(Privilege::Operator);
const ADMIN: Option<Privilege> = Some(Privilege::Administrator);

/// All commands.
#[rustfmt::skip] // One row, one line, and what is special about it on a second.
pub static TABLE: &[Row] = &[
    // Chassis (§28)
    get(CHASSIS, 0x00, "28.1", "Get Chassis Capabilities", USER, 0..=0, chassis::get_capabilities)
        .shown_by("ipmi-chassis --get-chassis-capabilities"),
    get(CHASSIS, 0x01, "28.2", "Get Chassis Status", USER, 0..=0, chassis::get_status)
        .shown_by("ipmitool chassis status"),
    set(CHASSIS, 0x02, "28.3", "Chassis Control", OPERATOR, 1..=1, chassis::control)
        .shown_by("ipmitool chassis power on"),
    set(CHASSIS, 0x04, "28.5", "Chassis Identify", OPERATOR, 0..=2, chassis::identify)
        .shown_by("ipmitool chassis identify"),
    set(CHASSIS, 0x05, "28.7", "Set Chassis Capabilities", ADMIN, 5..=6, chassis::set_capabilities)
        .guarded().shown_by("ipmitool raw 0x00 0x05 0x00 0x20 0x20 0x20 0x20"),
    set(CHASSIS, 0x06, "28.8", "Set Power Restore Policy", OPERATOR, 1..=1, chassis::set_restore_policy)
        .guarded().shown_by("ipmitool chassis policy list"),
    get(CHASSIS, 0x07, "28.11", "Get System Restart Cause", USER, 0..=0, chassis::get_restart_cause)
        .shown_by("ipmitool chassis restart_cause"),
    set(CHASSIS, 0x08, "28.12", "Set System Boot Options", OPERATOR, 1..=18, boot_options::set)
        .shown_by("ipmitool chassis bootdev pxe"),
    get(CHASSIS, 0x09, "28.13", "Get System Boot Options", OPERATOR, 3..=3, boot_options::get)
        .shown_by("ipmitool chassis bootparam get 5"),
    set(CHASSIS, 0x0b, "28.9", "Set Power Cycle Interval", ADMIN, 1..=1, chassis::set_cycle_interval)
        .guarded().shown_by("ipmi-chassis --set-power-cycle-interval=5"),
    get(CHASSIS, 0x0f, "28.14", "Get POH Counter", USER, 0..=0, chassis::get_power_on_hours)
        .shown_by("ipmitool chassis poh"),
    // App: the device (§20, §22.1)
    get(APP, 0x01, "20.1", "Get Device ID", USER, 0..=0, device::get_id)
        .shown_by("ipmitool mc info"),
    set(APP, 0x02, "20.2", "Cold Reset", ADMIN, 0..=0, device::cold_reset)
        .guarded().shown_by("ipmitool mc reset cold"),
    set(APP, 0x03, "20.3", "Warm Reset", ADMIN, 0..=0, device::warm_reset)
        .guarded().shown_by("ipmitool mc reset warm"),
    get(APP, 0x04, "20.4", "Get Self Test Results", USER, 0..=0, device::get_self_test)
        .shown_by("ipmitool mc selftest"),
    set(APP, 0x06, "20.6", "Set ACPI Power State", ADMIN, 2..=2, device::set_acpi_power_state)
        .shown_by("ipmitool raw 0x06 0x06 0x80 0x80"),
    get(APP, 0x07, "20.7", "Get ACPI Power State", USER, 0..=0, device::get_acpi_power_state)
        .shown_by("bmc-device --get-acpi-power-state"),
    get(APP, 0x08, "20.8", "Get Device GUID", USER, 0..=0, guid::get)
        .shown_by("bmc-info --get-device-guid"),
    set(APP, 0x2e, "22.1", "Set BMC Global Enables", ADMIN, 1..=1, device::set_global_enables)
        .shown_by("ipmitool raw 0x06 0x2e 0x0c"),
    get(APP, 0x2f, "22.2", "Get BMC Global Enables", USER, 0..=0, device::get_global_enables)
        .shown_by("ipmitool mc getenables"),
    // App: the watchdog timer (§27)
    set(APP, 0x22, "27.5", "Reset Watchdog Timer", OPERATOR, 0..=0, watchdog::reset)
        .shown_by("ipmitool mc watchdog reset"),
    set(APP, 0x24, "27.6", "Set Watchdog Timer", OPERATOR, 6..=6, watchdog::set)
        .shown_by("ipmitool mc watchdog off"),
    get(APP, 0x25, "27.7", "Get Watchdog Timer", USER, 0..=0, watchdog::get)
        .shown_by("ipmitool mc watchdog get"),
    // App: messages (§22)
    set(APP, 0x30, "22.3", "Clear Message Flags", ADMIN, 1..=1, messages::clear_flags)
        .in_band_only().shown_by("guest: ipmi_si, when it starts"),
    get(APP, 0x31, "22.4", "Get Message Flags", USER, 0..=0, messages::get_flags)
        .in_band_only().shown_by("guest: ipmi_si, when the interface asks for attention"),
    set(APP, 0x32, "22.5", "Enable Message Channel Receive", ADMIN, 2..=2, messages::enable_receive)
        .in_band_only().shown_by("guest: ipmitool raw 0x06 0x32 0x01 0x02"),
    set(APP, 0x33, "22.6", "Get Message", USER, 0..=0, messages::get)
        .in_band_only().shown_by("guest: ipmi_si, when a message waits"),
    set(APP, 0x34, "22.7", "Send Message", USER, 8..=250, messages::send)
        .shown_by("ipmitool raw 0x06 0x34 0x40 0x20 0x18 0xc8 0x81 0x04 0x01 0x7a"),
    set(APP, 0x35, "22.8", "Read Event Message Buffer", USER, 0..=0, messages::read_event)
        .in_band_only().shown_by("guest: ipmi_si, when it starts"),
    get(APP, 0x36, "22.10", "Get BT Interface Capabilities", USER, 0..=0, messages::get_bt_capabilities)
        .shown_by("ipmitool raw 0x06 0x36"),
    set(APP, 0x52, "22.11", "Master Write-Read", OPERATOR, 3..=250, messages::master_write_read)
        .shown_by("ipmitool i2c 0xa0 1 -> 83"),
    // App: channels and sessions (§22)
    get(APP, 0x37, "22.14", "Get System GUID", ANYONE, 0..=0, guid::get)
        .shown_by("bmc-info --get-system-guid"),
    get(APP, 0x38, "22.13", "Get Channel Authentication Capabilities", ANYONE, 2..=2, channel::get_authentication)
        .shown_by("ipmitool mc info"),
    set(APP, 0x39, "22.16", "Get Session Challenge", ANYONE, 17..=17, session::get_challenge)
        .lan_only().shown_by("test: ipmi_1_5_is_spoken_where_it_is_asked_for"),
    set(APP, 0x3a, "22.17", "Activate Session", ANYONE, 22..=22, session::activate)
        .lan_only().shown_by("test: ipmi_1_5_is_spoken_where_it_is_asked_for"),
    set(APP, 0x3b, "22.18", "Set Session Privilege Level", USER, 1..=1, session::set_privilege)
        .shown_by("ipmitool mc info"),
    set(APP, 0x3c, "22.19", "Close Session", CALLBACK, 4..=5, session::close)
        .guarded().shown_by("ipmitool mc info"),
    get(APP, 0x3d, "22.20", "Get Session Info", USER, 1..=5, session::get_info)
        .shown_by("ipmitool session info active"),
    set(APP, 0x40, "22.22", "Set Channel Access", ADMIN, 3..=3, channel::set_access)
        .guarded().shown_by("ipmitool lan set 1 access on"),
    get(APP, 0x41, "22.23", "Get Channel Access", USER, 2..=2, channel::get_access)
        .shown_by("ipmitool channel info"),
    get(APP, 0x42, "22.24", "Get Channel Info", USER, 1..=1, channel::get_info)
        .shown_by("ipmitool channel info"),
    set(APP, 0x43, "22.26", "Set User Access", ADMIN, 3..=4, user::set_access)
        .guarded().shown_by("ipmitool user priv 3 2 1"),
    get(APP, 0x44, "22.27", "Get User Access", OPERATOR, 2..=2, user::get_access)
        .shown_by("ipmitool user list"),
    set(APP, 0x45, "22.28", "Set User Name", ADMIN, 17..=17, user::set_name)
        .guarded().shown_by("ipmitool user set name 3 bob"),
    get(APP, 0x46, "22.29", "Get User Name", OPERATOR, 1..=1, user::get_name)
        .shown_by("ipmitool user list"),
    set(APP, 0x47, "22.30", "Set User Password", ADMIN, 2..=22, user::set_password)
        .guarded().shown_by("ipmitool user set password 3 secret"),
    set(APP, 0x58, "22.14a", "Set System Info Parameters", ADMIN, 2..=18, system_info::set)
        .shown_by("ipmitool mc setsysinfo system_name db1"),
    get(APP, 0x59, "22.14b", "Get System Info Parameters", USER, 4..=4, system_info::get)
        .shown_by("ipmitool mc getsysinfo system_name"),
    get(APP, 0x54, "22.15", "Get Channel Cipher Suites", ANYONE, 3..=3, channel::get_cipher_suites)
        .shown_by("ipmitool mc info"),
    set(APP, 0x56, "22.25", "Set Channel Security Keys", ADMIN, 3..=32, channel::set_security_keys)
        .guarded().shown_by("ipmi-config --category=core --checkout --section=Lan_Conf_Security_Keys"),
    // App: command discovery and firmware firewall (§21)
    get(APP, 0x09, "21.2", "Get NetFn Support", USER, 1..=1, discovery::get_netfns)
        .shown_by("ipmitool firewall info"),
    get(APP, 0x0a, "21.3", "Get Command Support", USER, 3..=6, discovery::get_commands)
        .shown_by("ipmitool firewall info"),
    get(APP, 0x0b, "21.4", "Get Command Sub-function Support", USER, 4..=7, discovery::get_subfunctions)
        .shown_by("ipmitool firewall info lun 0 netfn 0 command 1"),
    get(APP, 0x0c, "21.5", "Get Configurable Commands", USER, 3..=6, discovery::get_configurable)
        .shown_by("ipmitool firewall info"),
    get(APP, 0x0d, "21.6", "Get Configurable Command Sub-functions", USER, 4..=7, discovery::get_configurable_subfunctions)
        .shown_by("ipmitool firewall info lun 0 netfn 0 command 1"),
    set(APP, 0x60, "21.7", "Set Command Enables", ADMIN, 19..=22, discovery::set_enables)
        .guarded().shown_by("ipmitool firewall enable lun 0 netfn 0 command 1"),
    get(APP, 0x61, "21.8", "Get Command Enables", USER, 3..=6, discovery::get_enables)
        .shown_by("ipmitool firewall info"),
    set(APP, 0x62, "21.9", "Set Command Sub-function Enables", ADMIN, 8..=15, discovery::set_subfunction_enables)
        .guarded().shown_by("ipmitool firewall enable lun 0 netfn 0 command 1"),
    get(APP, 0x63, "21.10", "Get Command Sub-function Enables", USER, 4..=7, discovery::get_subfunction_enables)
        .shown_by("ipmitool firewall info lun 0 netfn 0 command 1"),
    get(APP, 0x64, "21.11", "Get OEM NetFn IANA Support", USER, 3..=3, discovery::get_oem_netfns)
        .shown_by("ipmitool raw 0x06 0x64 0x0e 0x2c 0x00"),
    // App: payloads (§24). Who may activate SOL is a SOL parameter, which the handlers check.
    set(APP, 0x48, "24.1", "Activate Payload", USER, 6..=6, payload::activate)
        .shown_by("test: one_sol_session_shows_every_byte_from_the_first_on"),
    set(APP, 0x49, "24.2", "Deactivate Payload", USER, 6..=6, payload::deactivate)
        .shown_by("ipmitool sol deactivate -> 80"),
    get(APP, 0x4a, "24.4", "Get Payload Activation Status", USER, 1..=1, payload::get_status)
        .shown_by("ipmitool raw 0x06 0x4a 0x01"),
    get(APP, 0x4b, "24.5", "Get Payload Instance Info", USER, 2..=2, payload::get_instance)
        .shown_by("ipmitool raw 0x06 0x4b 0x01 0x01"),
    set(APP, 0x4c, "24.6", "Set User Payload Access", ADMIN, 6..=6, payload::set_user_access)
        .guarded().shown_by("ipmitool sol payload enable 1 3"),
    get(APP, 0x4d, "24.7", "Get User Payload Access", OPERATOR, 2..=2, payload::get_user_access)
        .shown_by("ipmitool sol payload status 1 2"),
    get(APP, 0x4e, "24.8", "Get Channel Payload Support", USER, 1..=1, payload::get_support)
        .shown_by("ipmitool raw 0x06 0x4e 0x0e"),
    get(APP, 0x4f, "24.9", "Get Channel Payload Version", USER, 2..=2, payload::get_version)
        .shown_by("ipmitool raw 0x06 0x4f 0x0e 0x01"),
    // Storage: FRU inventory (§34)
    get(STORAGE, 0x10, "34.1", "Get FRU Inventory Area Info", USER, 1..=1, fru::get_area_info)
        .shown_by("ipmitool fru print 0"),
    get(STORAGE, 0x11, "34.2", "Read FRU Data", USER, 4..=4, fru::read)
        .shown_by("ipmitool fru print 0"),
    set(STORAGE, 0x12, "34.3", "Write FRU Data", OPERATOR, 4..=250, fru::write)
        .guarded().shown_by("ipmitool fru edit 0 field b 0 Maker"),
    // Sensor and event: events (§29)
    set(SENSOR_EVENT, 0x00, "29.1", "Set Event Receiver", ADMIN, 2..=2, event::set_receiver)
        .guarded().shown_by("ipmitool raw 0x04 0x00 0x20 0x00"),
    get(SENSOR_EVENT, 0x01, "29.2", "Get Event Receiver", USER, 0..=0, event::get_receiver)
        .shown_by("ipmitool raw 0x04 0x01"),
    set(SENSOR_EVENT, 0x02, "29.3", "Platform Event", OPERATOR, 7..=8, event::platform_event)
        .shown_by("ipmitool event 1"),
    // Sensor/event: event filtering and alerts (§30). Who got a trap acknowledges it without a session.
    get(SENSOR_EVENT, 0x10, "30.1", "Get PEF Capabilities", USER, 0..=0, pef::get_capabilities)
        .shown_by("ipmitool pef info"),
    set(SENSOR_EVENT, 0x11, "30.2", "Arm PEF Postpone Timer", ADMIN, 1..=1, pef::arm_postpone_timer)
        .guarded().shown_by("ipmitool raw 0x04 0x11 0xff"),
    set(SENSOR_EVENT, 0x12, "30.3", "Set PEF Configuration Parameters", ADMIN, 1..=22, pef::set_config)
        .guarded().shown_by("ipmitool pef policy disable 2"),
    get(SENSOR_EVENT, 0x13, "30.4", "Get PEF Configuration Parameters", OPERATOR, 3..=3, pef::get_config)
        .shown_by("ipmitool pef filter list"),
    set(SENSOR_EVENT, 0x14, "30.5", "Set Last Processed Event ID", ADMIN, 3..=3, pef::set_last_processed)
        .guarded().shown_by("ipmitool raw 0x04 0x14 0x00 0x00 0x00"),
    get(SENSOR_EVENT, 0x15, "30.6", "Get Last Processed Event ID", ADMIN, 0..=0, pef::get_last_processed)
        .shown_by("ipmitool pef status"),
    set(SENSOR_EVENT, 0x16, "30.7", "Alert Immediate", ADMIN, 3..=11, pef::alert_immediate)
        .guarded().shown_by("ipmitool raw 0x04 0x16 0x01 0x41 0x00"),
    set(SENSOR_EVENT, 0x17, "30.8", "PET Acknowledge", ANYONE, 12..=12, pef::acknowledge)
        .lan_only().shown_by("ipmitool raw 0x04 0x17 0x01 0x00 0x00 0x00 0x00 0x00 0x20 0x20 0x04 0x01 0xff 0xff"),
    // Sensor device (§35)
    get(SENSOR_EVENT, 0x20, "35.2", "Get Device SDR Info", USER, 0..=1, sdr::get_device_info)
        .shown_by("ipmitool raw 0x04 0x20"),
    get(SENSOR_EVENT, 0x21, "35.3", "Get Device SDR", USER, 6..=6, sdr::get)
        .shown_by("ipmitool raw 0x04 0x21 0 0 0 0 0 0xff"),
    get(SENSOR_EVENT, 0x22, "35.4", "Reserve Device SDR Repository", USER, 0..=0, sdr::reserve)
        .shown_by("ipmitool raw 0x04 0x22"),
    get(SENSOR_EVENT, 0x23, "35.5", "Get Sensor Reading Factors", USER, 2..=2, sensor::get_factors)
        .shown_by("ipmitool raw 0x04 0x23 0x11 0"),
    set(SENSOR_EVENT, 0x24, "35.6", "Set Sensor Hysteresis", OPERATOR, 4..=4, sensor::set_hysteresis)
        .guarded().shown_by("ipmitool raw 0x04 0x24 0x11 0xff 2 2"),
    get(SENSOR_EVENT, 0x25, "35.7", "Get Sensor Hysteresis", USER, 2..=2, sensor::get_hysteresis)
        .shown_by("ipmi-sensors -vv"),
    set(SENSOR_EVENT, 0x26, "35.8", "Set Sensor Thresholds", OPERATOR, 8..=8, sensor::set_thresholds)
        .guarded().shown_by("ipmitool sensor thresh \"CPU Temp\" unc 84"),
    get(SENSOR_EVENT, 0x27, "35.9", "Get Sensor Thresholds", USER, 1..=1, sensor::get_thresholds)
        .shown_by("ipmitool sensor"),
    set(SENSOR_EVENT, 0x28, "35.10", "Set Sensor Event Enable", OPERATOR, 2..=6, sensor::set_event_enable)
        .guarded().shown_by("ipmitool raw 0x04 0x28 0x11 0xc0"),
    get(SENSOR_EVENT, 0x29, "35.11", "Get Sensor Event Enable", USER, 1..=1, sensor::get_event_enable)
        .shown_by("ipmitool sensor get \"Inlet Temp\""),
    set(SENSOR_EVENT, 0x2a, "35.12", "Re-arm Sensor Events", OPERATOR, 2..=6, sensor::rearm)
        .guarded().shown_by("ipmitool raw 0x04 0x2a 0x11 0"),
    get(SENSOR_EVENT, 0x2b, "35.13", "Get Sensor Event Status", USER, 1..=1, sensor::get_event_status)
        .shown_by("ipmitool sensor get \"Inlet Temp\""),
    get(SENSOR_EVENT, 0x2d, "35.14", "Get Sensor Reading", USER, 1..=1, sensor::get_reading)
        .shown_by("ipmitool sdr elist"),
    get(SENSOR_EVENT, 0x2f, "35.16", "Get Sensor Type", USER, 1..=1, sensor::get_type)
        .shown_by("ipmitool raw 0x04 0x2f 0x11"),
    set(SENSOR_EVENT, 0x30, "35.17", "Set Sensor Reading And Event Status", OPERATOR, 2..=10, sensor::set_reading)
        .guarded().shown_by("ipmitool raw 0x04 0x30 0x10 0x01 0x98"),
    // Storage: sensor data records (§33)
    get(STORAGE, 0x20, "33.9", "Get SDR Repository Info", USER, 0..=0, sdr::get_info)
        .shown_by("ipmitool sdr info"),
    get(STORAGE, 0x21, "33.10", "Get SDR Repository Allocation Info", USER, 0..=0, sdr::get_allocation)
        .shown_by("ipmitool raw 0x0a 0x21"),
    get(STORAGE, 0x22, "33.11", "Reserve SDR Repository", USER, 0..=0, sdr::reserve)
        .shown_by("ipmitool sdr elist"),
    get(STORAGE, 0x23, "33.12", "Get SDR", USER, 6..=6, sdr::get)
        .shown_by("ipmitool sdr elist"),
    get(STORAGE, 0x28, "33.17", "Get SDR Repository Time", USER, 0..=0, sdr::get_time)
        .shown_by("bmc-device --get-sdr-repository-time"),
    set(STORAGE, 0x29, "33.18", "Set SDR Repository Time", OPERATOR, 4..=4, sel::set_time)
        .guarded().shown_by("bmc-device --set-sdr-repository-time=now"),
    set(STORAGE, 0x2c, "33.21", "Run Initialization Agent", OPERATOR, 1..=1, sdr::run_initialization_agent)
        .guarded().shown_by("ipmitool raw 0x0a 0x2c 0"),
    // Storage: the event log (§31)
    get(STORAGE, 0x40, "31.2", "Get SEL Info", USER, 0..=0, sel::get_info)
        .shown_by("ipmitool sel info"),
    get(STORAGE, 0x41, "31.3", "Get SEL Allocation Info", USER, 0..=0, sel::get_allocation_info)
        .shown_by("ipmitool sel info"),
    set(STORAGE, 0x42, "31.4", "Reserve SEL", USER, 0..=0, sel::reserve)
        .shown_by("ipmitool sel clear"),
    get(STORAGE, 0x43, "31.5", "Get SEL Entry", USER, 6..=6, sel::get_entry)
        .shown_by("ipmitool sel list"),
    set(STORAGE, 0x44, "31.6", "Add SEL Entry", OPERATOR, 16..=16, sel::add_entry)
        .shown_by("test: entries_are_added_from_a_file"),
    set(STORAGE, 0x45, "31.7", "Partial Add SEL Entry", OPERATOR, 6..=22, sel::partial_add_entry)
        .shown_by("test: an_entry_can_be_added_in_parts"),
    set(STORAGE, 0x46, "31.8", "Delete SEL Entry", OPERATOR, 4..=4, sel::delete_entry)
        .guarded().shown_by("ipmi-sel --delete=1"),
    set(STORAGE, 0x47, "31.9", "Clear SEL", OPERATOR, 6..=6, sel::clear)
        .guarded().shown_by("ipmitool sel clear"),
    get(STORAGE, 0x48, "31.10", "Get SEL Time", USER, 0..=0, sel::get_time)
        .shown_by("ipmitool sel time get"),
    set(STORAGE, 0x49, "31.11", "Set SEL Time", OPERATOR, 4..=4, sel::set_time)
        .guarded().shown_by("ipmitool sel time set now"),
    get(STORAGE, 0x5c, "31.11a", "Get SEL Time UTC Offset", USER, 0..=0, sel::get_utc_offset)
        .shown_by("bmc-device --get-sel-time-utc-offset"),
    set(STORAGE, 0x5d, "31.11b", "Set SEL Time UTC Offset", OPERATOR, 2..=2, sel::set_utc_offset)
        .guarded().shown_by("bmc-device --set-sel-time-utc-offset=60"),
    // Transport: LAN (§23)
    set(TRANSPORT, 0x01, "23.1", "Set LAN Configuration Parameters", ADMIN, 3..=22, lan_config::set)
        .guarded().shown_by("ipmitool lan set 1 snmp public"),
    get(TRANSPORT, 0x02, "23.2", "Get LAN Configuration Parameters", OPERATOR, 4..=4, lan_config::get)
        .shown_by("ipmitool lan print 1"),
    set(TRANSPORT, 0x03, "23.3", "Suspend BMC ARPs", ADMIN, 2..=2, lan_config::suspend_arps)
        .guarded().shown_by("ipmitool raw 0x0c 0x03 0x01 0x00"),
    set(TRANSPORT, 0x04, "23.4", "Get IP/UDP/RMCP Statistics", USER, 2..=2, lan_config::get_statistics)
        .shown_by("ipmitool lan stats get 1"),
    // Transport: SOL (§26)
    set(TRANSPORT, 0x21, "26.2", "Set SOL Configuration Parameters", ADMIN, 3..=4, sol_config::set)
        .guarded().shown_by("ipmitool sol set enabled true 1"),
    get(TRANSPORT, 0x22, "26.3", "Get SOL Configuration Parameters", USER, 4..=4, sol_config::get)
        .shown_by("ipmitool sol info 1"),
    // Data Center Manageability Interface (DCMI 1.5)
    get(GROUP_EXTENSION, 0x01, "DCMI 6.1.1", "Get DCMI Capabilities Info", USER, 1..=1, dcmi::get_capabilities)
        .of(DCMI).shown_by("ipmitool dcmi discover"),
    get(GROUP_EXTENSION, 0x02, "DCMI 6.6.1", "Get Power Reading", USER, 3..=3, dcmi::get_power_reading)
        .of(DCMI).shown_by("ipmitool dcmi power reading"),
    get(GROUP_EXTENSION, 0x03, "DCMI 6.6.2", "Get Power Limit", USER, 2..=2, dcmi::get_power_limit)
        .of(DCMI).shown_by("ipmitool dcmi power get_limit -> 80"),
    set(GROUP_EXTENSION, 0x04, "DCMI 6.6.3", "Set Power Limit", OPERATOR, 14..=14, dcmi::set_power_limit)
        .of(DCMI).guarded().shown_by("ipmitool dcmi power set_limit limit 300"),
    set(GROUP_EXTENSION, 0x05, "DCMI 6.6.4", "Activate/Deactivate Power Limit", OPERATOR, 3..=3, dcmi::activate_power_limit)
        .of(DCMI).guarded().shown_by("ipmitool dcmi power deactivate"),
    get(GROUP_EXTENSION, 0x06, "DCMI 6.4.2", "Get Asset Tag", USER, 2..=2, dcmi::get_asset_tag)
        .of(DCMI).shown_by("ipmitool dcmi asset_tag"),
    get(GROUP_EXTENSION, 0x07, "DCMI 6.5.2", "Get DCMI Sensor Info", USER, 4..=4, dcmi::get_sensor_info)
        .of(DCMI).shown_by("ipmitool dcmi sensors"),
    set(GROUP_EXTENSION, 0x08, "DCMI 6.4.3", "Set Asset Tag", OPERATOR, 2..=18, dcmi::set_asset_tag)
        .of(DCMI).guarded().shown_by("ipmitool dcmi set_asset_tag rack7"),
    get(GROUP_EXTENSION, 0x09, "DCMI 6.4.6.1", "Get Management Controller Identifier String", USER, 2..=2, dcmi::get_controller_id)
        .of(DCMI).shown_by("ipmitool dcmi get_mc_id_string"),
    set(GROUP_EXTENSION, 0x0a, "DCMI 6.4.6.2", "Set Management Controller Identifier String", ADMIN, 2..=18, dcmi::set_controller_id)
        .of(DCMI).guarded().shown_by("ipmitool dcmi set_mc_id_string node9"),
    set(GROUP_EXTENSION, 0x0b, "DCMI 6.7.1", "Set Thermal Limit", OPERATOR, 6..=6, dcmi::set_thermal_limit)
        .of(DCMI).guarded().shown_by("ipmitool dcmi thermalpolicy set 0x40 1 nonvolatile nopoweroff sel 45 60 0"),
    get(GROUP_EXTENSION, 0x0c, "DCMI 6.7.2", "Get Thermal Limit", USER, 2..=2, dcmi::get_thermal_limit)
        .of(DCMI).shown_by("ipmitool dcmi thermalpolicy get 0x40 1"),
    get(GROUP_EXTENSION, 0x10, "DCMI 6.5.3", "Get Temperature Readings", USER, 4..=4, dcmi::get_temperatures)
        .of(DCMI).shown_by("ipmitool dcmi get_temp_reading"),
    set(GROUP_EXTENSION, 0x12, "DCMI 6.1.2", "Set DCMI Configuration Parameters", ADMIN, 3..=4, dcmi::set_config)
        .of(DCMI).guarded().shown_by("ipmitool dcmi set_conf_param timeout 120"),
    get(GROUP_EXTENSION, 0x13, "DCMI 6.1.3", "Get DCMI Configuration Parameters", USER, 2..=2, dcmi::get_config)
        .of(DCMI).shown_by("ipmitool dcmi get_conf_param"),
    // This controller's own
    set(OEM, 0x40, "OEM", "Restore Factory Settings", ADMIN, 3..=3, factory::restore)
        .guarded().shown_by("ipmitool raw 0x30 0x40 0x43 0x4c 0x52"),
];

/// What a row's command is carried out by. It gets the data of a request whose length is one of the row's,
/// without the defining body of a group extension.
pub(super) type Handler = fn(&mut Context<'_>, &[u8], &mut Reply) -> Result<(), CompletionCode>;

/// By which channels a command can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// All.
    Any,
    /// The LAN channel alone: what is about the session that it comes by.
    Lan,
    /// The system interface alone: what only the guest's own driver has a use for.
    SystemInterface,
}

/// One command.
#[derive(Debug)]
pub struct Row {
    /// Network function, even.
    pub netfn: u8,
    /// The defining body, of a command of the group extension.
    pub group: Option<u8>,
    /// Command number.
    pub command: u8,
    /// The section of the specification that has it.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// The level that it needs; `None`: none, and no session either.
    pub privilege: Option<Privilege>,
    /// By which channels it can come.
    pub channels: Channels,
    /// Whether a guest that is not trusted is refused it (VM_IPMI_TRUST=restricted).
    pub guarded: bool,
    /// What shows that it works: the command line of a client that sends it, or the name of a test.
    pub shown_by: &'static str,
    /// How much data a request can have.
    pub(super) lengths: RangeInclusive<usize>,
    /// Whether it changes anything, so that a retransmission must not run it again.
    pub(crate) mutates: bool,
    pub(super) handler: Handler,
}

impl Row {
    /// Makes it a command of another body than IPMI's.
    const fn of(mut self, body: u8) -> Self {
        self.group = Some(body);
        self
    }

    const fn lan_only(mut self) -> Self {
        self.channels = Channels::Lan;
        self
    }

    const fn in_band_only(mut self) -> Self {
        self.channels = Channels::SystemInterface;
        self
    }

    /// It changes settings of the controller's, or removes what it has recorded, which a guest may not be
    /// trusted with.
    const fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    const fn shown_by(mut self, what: &'static str) -> Self {
        self.shown_by = what;
        self
    }
}

/// The row of a command that changes nothing.
const fn get(
    netfn: u8,
    command: u8,
    section: &'static str,
    name: &'static str,
    privilege: Option<Privilege>,
    lengths: RangeInclusive<usize>,
    handler: Handler,
) -> Row {
    Row {
        netfn,
        group: None,
        command,
        section,
        name,
        privilege,
        channels: Channels::Any,
        guarded: false,
        shown_by: "",
        lengths,
        mutates: false,
        handler,
    }
}

/// The row of a command that changes something.
const fn set(
    netfn: u8,
    command: u8,
    section: &'static str,
    name: &'static str,
    privilege: Option<Privilege>,
    lengths: RangeInclusive<usize>,
    handler: Handler,
) -> Row {
    let mut row = get(netfn, command, section, name, privilege, lengths, handler);
    row.mutates = true;
    row
}

/// The row of a command. `data` tells commands of a group extension apart.
pub(crate) fn lookup(netfn: u8, command: u8, data: &[u8]) -> Option<&'static Row> {
    let group = if netfn == GROUP_EXTENSION { Some(*data.first()?) } else { None };
    TABLE.iter().find(|row| (row.netfn, row.group, row.command) == (netfn, group, command))
}
