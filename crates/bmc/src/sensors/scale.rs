//! How a byte stands for a value: the linear conversion of a sensor (IPMI 2.0 §36.3).
//!
//! ```text
//!   value = (M × raw + B × 10^K1) × 10^K2
//! ```

/// The conversion factors of one sensor. Raw readings are unsigned; values below zero come from B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    m: i16,
    b: i16,
    b_exponent: i8,
    r_exponent: i8,
}

/// What the factors can hold: M and B have 10 bits with a sign, the exponents 4.
const FACTOR_MAX: i16 = 511;
const EXPONENTS: std::ops::RangeInclusive<i8> = -8..=7;

impl Scale {
    /// Raw reading × `m` × 10^`exponent`, from `b` × 10^`exponent` on.
    pub(crate) const fn new(m: i16, b: i16, exponent: i8) -> Self {
        Self { m, b, b_exponent: 0, r_exponent: exponent }
    }

    /// The finest scale of round steps that reaches from `low` to `high`; none if there is none.
    pub fn covering(low: f64, high: f64) -> Option<Self> {
        let span = high - low;
        if !(span.is_finite() && low.is_finite() && span > 0.0) {
            return None;
        }
        let finest = span / 255.0 * (1.0 - 1e-9);
        EXPONENTS
            .flat_map(|r_exponent| [1, 2, 3, 4, 5, 6, 8].map(|m| (m, r_exponent)))
            .filter(|(m, r_exponent)| f64::from(*m) * power_of_ten(*r_exponent) >= finest)
            .find_map(|(m, r_exponent)| {
                let scale = Self { m, r_exponent, ..Self::starting_at(low, r_exponent)? };
                (scale.value(u8::MAX) >= high - span * 1e-9).then_some(scale)
            })
    }

    /// B and its exponent for a lowest value, rounded down to what they can hold.
    fn starting_at(low: f64, r_exponent: i8) -> Option<Self> {
        (0..=*EXPONENTS.end()).find_map(|b_exponent| {
            let b = (low / power_of_ten(r_exponent) / power_of_ten(b_exponent) + 1e-6).floor();
            let b = (b.abs() <= f64::from(FACTOR_MAX)).then(|| whole(b))?;
            Some(Self { m: 1, b, b_exponent, r_exponent })
        })
    }

    /// What a raw reading stands for.
    pub fn value(&self, raw: u8) -> f64 {
        self.of(f64::from(raw))
    }

    fn of(&self, raw: f64) -> f64 {
        let offset = f64::from(self.b) * power_of_ten(self.b_exponent);
        let digits = f64::from(self.m) * raw + offset;
        // Dividing by a power of ten keeps decimal fractions exact where multiplying would not.
        if self.r_exponent < 0 {
            digits / power_of_ten(-self.r_exponent)
        } else {
            digits * power_of_ten(self.r_exponent)
        }
    }

    /// The raw reading that is nearest to a value. What is out of range is at its end.
    pub fn raw(&self, value: f64) -> u8 {
        let raw = (value - self.of(0.0)) / (self.of(1.0) - self.of(0.0));
        u8::try_from(whole(raw.round().clamp(0.0, 255.0))).unwrap_or(u8::MAX)
    }

    /// M: the weight of a step.
    pub fn m(&self) -> i16 {
        self.m
    }

    /// B: the offset.
    pub fn b(&self) -> i16 {
        self.b
    }

    /// K1: the exponent of the offset.
    pub fn b_exponent(&self) -> i8 {
        self.b_exponent
    }

    /// K2: the exponent of the result.
    pub fn r_exponent(&self) -> i8 {
        self.r_exponent
    }

    /// How many digits after the point values have.
    pub fn decimals(&self) -> usize {
        usize::from(self.r_exponent.min(0).unsigned_abs())
    }
}

fn power_of_ten(exponent: i8) -> f64 {
    10f64.powi(exponent.into())
}

#[expect(clippy::cast_possible_truncation, reason = "callers keep it within the factors' range")]
fn whole(value: f64) -> i16 {
    value as i16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn factors(low: f64, high: f64) -> (i16, i16, i8, i8) {
        let scale = Scale::covering(low, high).unwrap();
        (scale.m(), scale.b(), scale.b_exponent(), scale.r_exponent())
    }

    #[test]
    fn ranges_get_round_steps() {
        assert_eq!(factors(0.0, 255.0), (1, 0, 0, 0));
        assert_eq!(factors(-128.0, 127.0), (1, -128, 0, 0));
        assert_eq!(factors(0.0, 15.0), (6, 0, 0, -2));
        assert_eq!(factors(0.0, 18_000.0), (8, 0, 0, 1));
        assert_eq!(factors(0.0, 1.5), (6, 0, 0, -3));
        assert_eq!(factors(10_000.0, 10_255.0), (1, 100, 2, 0));
    }

    #[test]
    fn values_are_rounded_to_the_nearest_step_and_stay_in_range() {
        let volts = Scale::new(6, 0, -2);
        assert_eq!(volts.raw(12.0), 200);
        assert_eq!(volts.value(200), 12.0);
        assert_eq!(volts.value(201), 12.06);
        assert_eq!((volts.raw(-1.0), volts.raw(1e9), volts.raw(f64::NAN)), (0, 255, 0));
        assert_eq!(volts.decimals(), 2);
        assert_eq!(Scale::new(1, -128, 0).raw(-40.0), 88);
    }

    #[test]
    fn what_is_no_range_has_no_scale() {
        for (low, high) in [(1.0, 1.0), (2.0, 1.0), (0.0, f64::NAN), (0.0, f64::INFINITY), (0.0, 1e300)] {
            assert_eq!(Scale::covering(low, high), None, "{low} to {high}");
        }
    }

    proptest! {
        #[test]
        fn a_range_is_covered_and_every_byte_comes_back(low in -1e6..1e6f64, span in 1e-3..1e6f64, raw: u8) {
            let Some(scale) = Scale::covering(low, low + span) else { return Ok(()) };
            prop_assert!(scale.value(0) <= low + span * 1e-4 + 1e-5);
            prop_assert!(scale.value(255) >= low + span * (1.0 - 1e-6));
            prop_assert_eq!(scale.raw(scale.value(raw)), raw);
            prop_assert!(scale.m().abs() <= 511 && scale.b().abs() <= 511);
        }
    }
}
