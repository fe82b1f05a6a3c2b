//! Completion codes (IPMI 2.0 §5.2).

/// The first byte of every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionCode(
    /// The byte on the wire.
    pub u8,
);

impl CompletionCode {
    /// Command completed normally.
    pub const OK: Self = Self(0x00);
    /// Node busy: processing resources are temporarily unavailable.
    pub const NODE_BUSY: Self = Self(0xc0);
    /// Invalid command.
    pub const INVALID_COMMAND: Self = Self(0xc1);
    /// Command invalid for the given LUN.
    pub const INVALID_FOR_LUN: Self = Self(0xc2);
    /// Out of space.
    pub const OUT_OF_SPACE: Self = Self(0xc4);
    /// Request data truncated.
    pub const REQUEST_TRUNCATED: Self = Self(0xc6);
    /// Reservation canceled, or invalid reservation id.
    pub const RESERVATION_CANCELED: Self = Self(0xc5);
    /// Request data length invalid.
    pub const INVALID_LENGTH: Self = Self(0xc7);
    /// Parameter out of range.
    pub const OUT_OF_RANGE: Self = Self(0xc9);
    /// Cannot return that number of bytes.
    pub const CANNOT_RETURN_BYTES: Self = Self(0xca);
    /// Requested sensor, data or record is not present.
    pub const NOT_PRESENT: Self = Self(0xcb);
    /// Invalid data field in the request.
    pub const INVALID_FIELD: Self = Self(0xcc);
    /// Command illegal for the specified sensor or record type.
    pub const ILLEGAL_FOR_SENSOR: Self = Self(0xcd);
    /// The command can't be answered: the BMC is initializing itself.
    pub const INITIALIZING: Self = Self(0xd2);
    /// Insufficient privilege level.
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(0xd4);
    /// Not supported in the present state.
    pub const NOT_IN_PRESENT_STATE: Self = Self(0xd5);
    /// The command, or this function of it, has been disabled.
    pub const DISABLED: Self = Self(0xd6);
    /// Unspecified error.
    pub const UNSPECIFIED: Self = Self(0xff);
}
