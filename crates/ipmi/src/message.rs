//! A command and its answer, as every interface (LAN, in band) hands them to the command table.

use crate::CompletionCode;

/// The most data that follows a completion code: what a KCS or BT interface can carry, and a LAN packet easily.
const DATA_MAX: usize = 251;

/// A request without the framing of the interface that it came by.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Network function, even (6 bits).
    pub netfn: u8,
    /// Logical unit of the responder (2 bits).
    pub lun: u8,
    /// Command number.
    pub command: u8,
    /// What follows the command.
    pub data: &'a [u8],
}

/// A completion code and up to 251 bytes. On an error code the data is not sent, unless the command
/// says that it is.
#[derive(Clone, Debug)]
pub struct Reply {
    code: CompletionCode,
    data: [u8; DATA_MAX],
    len: usize,
}

impl Default for Reply {
    fn default() -> Self {
        Self { code: CompletionCode::OK, data: [0; DATA_MAX], len: 0 }
    }
}

impl Reply {
    /// The completion code.
    pub fn code(&self) -> CompletionCode {
        self.code
    }

    /// What follows it.
    pub fn data(&self) -> &[u8] {
        self.data.get(..self.len).unwrap_or_default()
    }

    /// Ends the reply with an error: what was put before is dropped.
    pub fn fail(&mut self, code: CompletionCode) {
        self.code = code;
        self.len = 0;
    }

    /// Gives the reply a completion code that is a remark about its data, which goes with it all the same.
    pub fn remark(&mut self, code: CompletionCode) {
        self.code = code;
    }

    /// Appends bytes. What does not fit turns the reply into "cannot return that number of bytes".
    pub fn put(&mut self, bytes: &[u8]) {
        match self.data.get_mut(self.len..self.len + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.fail(CompletionCode::CANNOT_RETURN_BYTES),
        }
    }
}
