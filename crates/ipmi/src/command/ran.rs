//! A command that was run, for a log of the finest level: which, and with what outcome. Its data is left out,
//! for there are passwords among it.

use std::fmt;

use super::{Row, lookup};
use crate::{CompletionCode, Reply, Request};

/// A command and its completion code.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    netfn: u8,
    command: u8,
    /// None if the table does not have it.
    row: Option<&'static Row>,
    code: CompletionCode,
}

impl Ran {
    pub(crate) fn new(request: &Request<'_>, reply: &Reply) -> Self {
        Self {
            netfn: request.netfn,
            command: request.command,
            row: lookup(request.netfn, request.command, request.data),
            code: reply.code(),
        }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.row.map_or("unknown command", |row| row.name);
        write!(f, "{name} ({:02x}:{:02x}) -> {:02x}", self.netfn, self.command, self.code.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_by_name_number_and_outcome() {
        let request = |command| Request { netfn: 0x06, lun: 0, command, data: &[] };
        let mut reply = Reply::default();
        assert_eq!(Ran::new(&request(0x01), &reply).to_string(), "Get Device ID (06:01) -> 00");
        reply.fail(CompletionCode::INVALID_COMMAND);
        assert_eq!(Ran::new(&request(0xff), &reply).to_string(), "unknown command (06:ff) -> c1");
    }
}
