//! Units of values (IPMI 2.0 §43.17).

/// A unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its number in Table 43-15; 0 is none.
    pub code: u8,
    /// Whether values are percentages.
    pub percent: bool,
    /// How it is written after a value.
    pub symbol: &'static str,
    /// Its name in settings.
    pub name: &'static str,
}

impl Unit {
    /// Degrees Celsius.
    pub const CELSIUS: Self = Self::new(1, "°C", "celsius");
    /// Amperes.
    pub const AMPS: Self = Self::new(5, "A", "amps");
    /// None.
    pub const UNSPECIFIED: Self = Self::new(0, "", "unspecified");
    /// Volts.
    pub const VOLTS: Self = Self::new(4, "V", "volts");
    /// Watts.
    pub const WATTS: Self = Self::new(6, "W", "watts");
    /// Revolutions per minute.
    pub const RPM: Self = Self::new(18, "RPM", "rpm");
    /// Per cent.
    pub const PERCENT: Self = Self { code: 0, percent: true, symbol: "%", name: "percent" };

    /// All that have a name.
    pub const ALL: [Self; 16] = [
        Self::PERCENT,
        Self::CELSIUS,
        Self::new(2, "°F", "fahrenheit"),
        Self::new(3, "K", "kelvin"),
        Self::VOLTS,
        Self::AMPS,
        Self::WATTS,
        Self::new(7, "J", "joules"),
        Self::new(9, "VA", "volt-amperes"),
        Self::new(17, "CFM", "cfm"),
        Self::RPM,
        Self::new(19, "Hz", "hertz"),
        Self::new(22, "s", "seconds"),
        Self::new(24, "h", "hours"),
        Self::new(14, "kPa", "kilopascals"),
        Self::UNSPECIFIED,
    ];

    const fn new(code: u8, symbol: &'static str, name: &'static str) -> Self {
        Self { code, percent: false, symbol, name }
    }

    /// The unit of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_units() {
        for unit in Unit::ALL {
            assert_eq!(Unit::from_name(unit.name), Some(unit));
        }
        assert_eq!(Unit::from_name("furlongs"), None);
    }
}
