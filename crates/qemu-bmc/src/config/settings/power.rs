//! Power.

use std::time::Duration;

use super::{FLAG, Row, Setting};
use crate::config::{plan::SoftTimeoutAction, value};

settings! {
    POWER_ON_AT_START: bool = Setting::new(
        "POWER_ON_AT_START", "power.on_at_start", "true", value::flag, FLAG,
        "start the guest with the container",
    );
    SOFT_TIMEOUT: Option<Duration> = Setting::new(
        "SOFT_TIMEOUT", "power.soft_timeout", "120", value::duration_or_none, "seconds, a time such as 2m, or none",
        "how long the guest has to follow a soft shutdown",
    );
    SOFT_TIMEOUT_ACTION: SoftTimeoutAction = Setting::new(
        "SOFT_TIMEOUT_ACTION", "power.soft_timeout_action", "leave", value::soft_timeout_action, "leave or off",
        "what happens to a guest that did not: it stays on, or is switched off",
    );
    STOP_TIMEOUT: Duration = Setting::new(
        "STOP_TIMEOUT", "power.stop_timeout", "8", value::duration, "seconds, or a time such as 500ms",
        "how long the guest has to shut down when the container stops; keep it below docker's 10",
    );
}
