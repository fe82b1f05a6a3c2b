//! The encodings that a viewer may use (RFC 6143 §7.5.2), narrowed to those that outlive a power cycle.
//!
//! Each power cycle gives the viewer a new QEMU behind the same connection. Encodings that keep a zlib
//! stream from one rectangle to the next (ZRLE, Zlib) would break there, so viewers are not offered them;
//! Tight also keeps streams but has a bit to reset each. Pseudo-encodings that would let a viewer act
//! around the BMC (power through xvp), or that change the framing of the stream (audio, WMVi, the extended
//! clipboard), are left out as well.

/// Uncompressed pixels, which every viewer takes.
pub(super) const RAW: i32 = 0;
/// A move within the screen.
pub(super) const COPY_RECT: i32 = 1;
/// Tiles of 16 by 16 pixels.
pub(super) const HEXTILE: i32 = 5;
/// zlib and filters, see [`super::tight`].
pub(super) const TIGHT: i32 = 7;
/// Tight with PNG in place of zlib.
pub(super) const TIGHT_PNG: i32 = -260;

/// The size of the screen has changed.
pub(super) const DESKTOP_SIZE: i32 = -223;
/// The shape of the pointer, drawn by the viewer.
pub(super) const CURSOR: i32 = -239;
/// QEMU: pointer positions are absolute from here on, or relative.
pub(super) const POINTER_TYPE: i32 = -257;
/// QEMU: the viewer may send scan codes with its key events.
pub(super) const EXTENDED_KEY: i32 = -258;
/// QEMU: the state of the keyboard's lamps.
pub(super) const LED_STATE: i32 = -261;

/// What a viewer supports, in its order of preference, without what we cannot delimit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Encodings(Vec<i32>);

impl Encodings {
    /// Keeps the first mention of every encoding that is known here, so the result is short however long
    /// the viewer's list is.
    pub(super) fn keep_known(offered: impl IntoIterator<Item = i32>) -> Self {
        let mut kept = Vec::new();
        for encoding in offered {
            if is_known(encoding) && !kept.contains(&encoding) {
                kept.push(encoding);
            }
        }
        Self(kept)
    }

    /// True if the viewer can follow a change of the screen's size.
    pub(super) fn has_desktop_size(&self) -> bool {
        self.0.contains(&DESKTOP_SIZE)
    }

    /// Appends the SetEncodings message (RFC 6143 §7.5.2).
    pub(super) fn put_message(&self, out: &mut Vec<u8>) {
        let count = u16::try_from(self.0.len()).unwrap_or(u16::MAX);
        out.extend([2, 0]);
        out.extend(count.to_be_bytes());
        for encoding in self.0.iter().take(usize::from(count)) {
            out.extend(encoding.to_be_bytes());
        }
    }
}

/// True for encodings of pixels, false for pseudo-encodings.
pub(super) fn has_pixels(encoding: i32) -> bool {
    matches!(encoding, RAW | COPY_RECT | HEXTILE | TIGHT | TIGHT_PNG)
}

fn is_known(encoding: i32) -> bool {
    match encoding {
        _ if has_pixels(encoding) => true,
        DESKTOP_SIZE | CURSOR | POINTER_TYPE | EXTENDED_KEY | LED_STATE => true,
        // Hints of the JPEG quality (-32 to -23) and of the zlib level (-256 to -247) that Tight uses.
        -32..=-23 | -256..=-247 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_drops_what_has_state_or_is_unknown() {
        const ZLIB: i32 = 6;
        const ZRLE: i32 = 16;
        const XVP: i32 = -309;
        let kept =
            Encodings::keep_known([ZRLE, HEXTILE, ZLIB, RAW, HEXTILE, -26, XVP, 0x574d_5669, DESKTOP_SIZE]);
        assert_eq!(kept, Encodings(vec![HEXTILE, RAW, -26, DESKTOP_SIZE]));
        assert!(kept.has_desktop_size());
        assert!(!Encodings::default().has_desktop_size());
    }

    #[test]
    fn message_has_the_layout_of_the_specification() {
        let mut out = Vec::new();
        Encodings::keep_known([TIGHT, DESKTOP_SIZE]).put_message(&mut out);
        assert_eq!(out, [2, 0, 0, 2, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0x21]);
    }

    #[test]
    fn a_long_list_stays_short() {
        let Encodings(kept) = Encodings::keep_known(-100_000..100_000);
        assert_eq!(kept.len(), 5 + 5 + 10 + 10);
    }
}
