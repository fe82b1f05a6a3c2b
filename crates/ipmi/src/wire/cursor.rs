//! Reading bytes in order. All numbers of IPMI are least significant byte first, those of RMCP and ASF
//! are not: they are read as arrays.

/// Bytes that are not what they should be. Carries the name of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(
    /// The name of the layout.
    pub &'static str,
);

/// A cursor over the bytes of one layout.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    layout: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte; `layout` is named in errors.
    pub fn new(layout: &'static str, bytes: &'a [u8]) -> Self {
        Self { layout, rest: bytes }
    }

    /// The error of this layout, for checks of the caller's own.
    pub fn malformed(&self) -> Malformed {
        Malformed(self.layout)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Malformed`], as all methods here, when there are not that many bytes left.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// Two bytes, least significant first.
    ///
    /// # Errors
    /// As [`Reader::u8`].
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes, least significant first.
    ///
    /// # Errors
    /// As [`Reader::u8`].
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// As [`Reader::u8`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed(self.layout))?;
        self.rest = rest;
        Ok(*array)
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// As [`Reader::u8`].
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Malformed(self.layout))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_order_and_stops_at_the_end() {
        let mut reader = Reader::new("thing", &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0x0302));
        assert_eq!(reader.u32(), Ok(0x0706_0504));
        assert_eq!(reader.bytes(3), Err(Malformed("thing")));
        assert_eq!(reader.bytes(1), Ok(&[8][..]), "a failed read takes nothing");
        assert_eq!(reader.rest(), &[9]);
        assert_eq!(Malformed("thing").to_string(), "malformed thing");
    }
}
