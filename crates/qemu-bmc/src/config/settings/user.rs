//! What a `[[user]]` of the file says.

use std::path::PathBuf;

use bmc::{Password, Privilege};

use super::{FLAG, Row, Setting};
use crate::config::value;

settings! {
    NAME: String = Setting::new(
        "", "user.name", "", value::user_name, "1 to 16 printable ASCII characters",
        "the user's name",
    );
    PASSWORD: Password = Setting::new(
        "", "user.password", "", value::password, "1 to 20 bytes",
        "the user's password",
    ).secret();
    PASSWORD_FILE: Option<PathBuf> = Setting::new(
        "", "user.password_file", "", value::optional_path, "the path of a file that holds 1 to 20 bytes",
        "a file to read the password from",
    );
    PRIVILEGE: Privilege = Setting::new(
        "", "user.privilege", "administrator", value::privilege, "user, operator or administrator",
        "the highest level of the user's sessions",
    );
    ENABLED: bool = Setting::new(
        "", "user.enabled", "true", value::flag, FLAG,
        "whether the user can log in",
    );
}
