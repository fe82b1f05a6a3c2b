//! Sensors.

pub mod number;
