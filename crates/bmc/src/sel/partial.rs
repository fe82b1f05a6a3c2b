//! An entry that comes in pieces (Partial Add SEL Entry, IPMI 2.0 §31.7): in order, without gap or overlap,
//! and under one reservation.

use super::OutOfSpace;

/// Why a piece was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartialError {
    /// It does not go on where the last one ended, or goes past the record's end.
    #[error("the piece does not follow the one before it")]
    Offset,
    /// It is called the last, and the record is not whole.
    #[error("the record is not whole")]
    Length,
    /// The log takes no records of this type.
    #[error("the record's type is not one that can be added")]
    RecordType,
    /// There is no room.
    #[error(transparent)]
    OutOfSpace(#[from] OutOfSpace),
}

/// What has come so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Partial {
    bytes: [u8; Self::SIZE],
    len: usize,
}

impl Partial {
    /// The size of a record, its id included.
    pub const SIZE: usize = 16;

    pub(super) fn join(mut self, offset: u8, bytes: &[u8]) -> Result<Self, PartialError> {
        if usize::from(offset) != self.len {
            return Err(PartialError::Offset);
        }
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end).ok_or(PartialError::Offset)?.copy_from_slice(bytes);
        self.len = end;
        Ok(self)
    }

    pub(super) fn whole(&self) -> Result<&[u8; Self::SIZE], PartialError> {
        if self.len == Self::SIZE { Ok(&self.bytes) } else { Err(PartialError::Length) }
    }
}
