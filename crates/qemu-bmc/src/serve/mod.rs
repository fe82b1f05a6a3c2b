//! The doors: one module each for every way in from outside.

pub(crate) mod alerts;
pub(crate) mod control;
pub(crate) mod inband_listener;
pub(crate) mod ipmi_inband;
pub(crate) mod ipmi_lan;
pub(crate) mod media;
pub(crate) mod sensors;
pub(crate) mod serial_tcp;
pub(crate) mod vnc;
