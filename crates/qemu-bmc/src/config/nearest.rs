//! "Did you mean …?": which of the names that exist somebody may have had in mind.

/// How many letters have to be put in, left out, exchanged or swapped with a neighbour to make one name of the
/// other (the optimal string alignment distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    // The three rows of the table that the next cell depends on: the one before the last, the last, this one.
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let mut previous_char = None;
    for (row, char) in one.chars().enumerate() {
        let cell = |cells: &[usize], column: usize| cells.get(column).copied().unwrap_or(usize::MAX - 1);
        let mut this = vec![row + 1];
        for (column, other_char) in other.iter().enumerate() {
            let exchanged = cell(&last, column) + usize::from(char != *other_char);
            let mut best = exchanged.min(cell(&last, column + 1) + 1).min(cell(&this, column) + 1);
            if let Some(left) = column.checked_sub(1)
                && previous_char == Some(*other_char)
                && other.get(left) == Some(&char)
            {
                best = best.min(cell(&before, left) + 1);
            }
            this.push(best);
        }
        before = std::mem::replace(&mut last, this);
        previous_char = Some(char);
    }
    last.last().copied().unwrap_or_default()
}

/// The nearest of `names` that at most `limit` slips of the finger make of `name`.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>, limit: usize) -> Option<&'a str> {
    names
        .map(|known| (distance(name, known), known))
        .filter(|(slips, _)| *slips <= limit)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, known)| known)
}

/// The variable that is meant by one that doesn't exist: a slip of the finger, or a word that goes on
/// (`IPMI_PASSWORD`) or stops too early (`VM_MEM`).
///
/// The environment is full of variables that are nobody's mistake, such as Kubernetes' `IPMI_PORT_623_UDP`, so
/// this keeps silent in doubt.
pub(super) fn nearest_variable<'a>(
    name: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let same_word = |one: &str, other: &str| {
        one.strip_prefix(other).is_some_and(|rest| rest.len() <= 4 && !rest.starts_with('_'))
    };
    nearest(name, names.clone(), 2)
        .or_else(|| names.clone().find(|known| same_word(name, known) || same_word(known, name)))
}

/// The member of a family that is meant: `VM_MAC_ETH2` by `VM_MACS_ETH2`. `families` are what their variables begin
/// with.
pub(super) fn nearest_family<'a>(
    name: &str,
    families: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    let after_word = name.rfind('_')? + 1;
    let (first, member) = name.split_at_checked(after_word).filter(|(_, member)| !member.is_empty())?;
    nearest(first, families, 1).map(|family| format!("{family}{member}"))
}

/// The key that is meant by one that doesn't exist, which may also be the right one in the wrong table.
pub(super) fn nearest_key<'a>(name: &str, names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let last_part = |key: &str| key.rsplit('.').next().map(str::to_owned);
    nearest(name, names.clone(), 2)
        .or_else(|| names.clone().find(|known| last_part(known) == last_part(name)))
        .or_else(|| nearest(name, names, name.len() / 2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slips_are_counted() {
        for (one, other, slips) in [
            ("", "", 0),
            ("", "ab", 2),
            ("abc", "abc", 0),
            ("abc", "ac", 1),
            ("abc", "acb", 1),
            ("abcd", "badc", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), slips, "{one} {other}");
        }
    }

    #[test]
    fn mistakes_are_found_and_strangers_left_alone() {
        let names = ["VM_MEMORY", "VM_CPUS", "IPMI_PASS", "IPMI_PORT", "VNC_PORT", "VM_BOOT"].into_iter();
        for (name, meant) in [
            ("VM_MEMROY", Some("VM_MEMORY")),
            ("VM_MEM", Some("VM_MEMORY")),
            ("VM_CPU", Some("VM_CPUS")),
            ("IPMI_PASSWORD", Some("IPMI_PASS")),
            ("IPMI_PORT_623_UDP", None),
            ("VNC_SERVICE_HOST", None),
            ("VM_COLOUR", None),
        ] {
            assert_eq!(nearest_variable(name, names.clone()), meant, "{name}");
        }
    }

    #[test]
    fn a_family_is_found_by_its_beginning() {
        let families = ["VM_MAC_"].into_iter();
        for (name, meant) in [
            ("VM_MACS_ETH2", Some("VM_MAC_ETH2")),
            ("VM_MAX_ETH2", Some("VM_MAC_ETH2")),
            ("VM_MAC_", None),
            ("VM_MTU_ETH2", None),
            ("VM", None),
        ] {
            assert_eq!(nearest_family(name, families.clone()).as_deref(), meant, "{name}");
        }
    }

    #[test]
    fn keys_are_found_in_the_wrong_table() {
        let keys = ["machine.memory", "ipmi.port", "vnc.port"].into_iter();
        assert_eq!(nearest_key("machine.memroy", keys.clone()), Some("machine.memory"));
        assert_eq!(nearest_key("memory", keys.clone()), Some("machine.memory"));
        assert_eq!(nearest_key("qemu.memory", keys.clone()), Some("machine.memory"));
        assert_eq!(nearest_key("colour", keys), None);
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_bounded(one in "[a-c]{0,8}", other in "[a-c]{0,8}") {
            let slips = distance(&one, &other);
            prop_assert_eq!(slips, distance(&other, &one));
            prop_assert!(slips >= one.len().abs_diff(other.len()) && slips <= one.len().max(other.len()));
            prop_assert_eq!(slips == 0, one == other);
        }
    }
}
