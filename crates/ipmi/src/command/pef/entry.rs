//! The entries of the tables of event filters and of alert policies (IPMI 2.0 Table 17-2 and Table 17-4).

use bmc::{Actions, AlertPolicy, DataMatch, EventFilter, Rule};

use super::{CompletionCode, Result};

const ENABLED: u8 = 0x80;

/// The first byte of a filter: enabled, and who made it.
pub(super) fn filter_head(filter: &EventFilter) -> u8 {
    if filter.enabled { ENABLED | filter.kind << 5 } else { filter.kind << 5 }
}

/// The same, to a filter.
pub(super) fn set_filter_head(filter: &mut EventFilter, head: u8) {
    filter.enabled = head & ENABLED != 0;
    filter.kind = head >> 5 & 0x03;
}

pub(super) fn emit_filter(filter: &EventFilter) -> [u8; 20] {
    let [generator, channel] = filter.generator;
    let [low, high] = filter.offsets.to_le_bytes();
    let [a, b, c] = filter.data;
    let mut bytes = [
        filter_head(filter),
        filter.actions.0,
        filter.group << 4 | filter.policy,
        filter.severity,
        generator,
        channel,
        filter.sensor_type,
        filter.sensor,
        filter.trigger,
        low,
        high,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    let data = [a, b, c].into_iter().flat_map(|data| [data.mask, data.compare1, data.compare2]);
    for (place, byte) in bytes.iter_mut().skip(11).zip(data) {
        *place = byte;
    }
    bytes
}

pub(super) fn parse_filter(bytes: &[u8; 20]) -> EventFilter {
    let &[
        head,
        actions,
        policy,
        severity,
        generator,
        channel,
        sensor_type,
        sensor,
        trigger,
        low,
        high,
        a0,
        a1,
        a2,
        b0,
        b1,
        b2,
        c0,
        c1,
        c2,
    ] = bytes;
    let data = |mask, compare1, compare2| DataMatch { mask, compare1, compare2 };
    let mut filter = EventFilter {
        enabled: false,
        kind: 0,
        actions: Actions(actions & 0x7f),
        policy: policy & 0x0f,
        group: policy >> 4 & 0x07,
        severity,
        generator: [generator, channel],
        sensor_type,
        sensor,
        trigger,
        offsets: u16::from_le_bytes([low, high]),
        data: [data(a0, a1, a2), data(b0, b1, b2), data(c0, c1, c2)],
    };
    set_filter_head(&mut filter, head);
    filter
}

pub(super) fn emit_policy(policy: &AlertPolicy) -> [u8; 3] {
    const POLICY_ENABLED: u8 = 0x08;

    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    [
        policy.number << 4 | flag(policy.enabled, POLICY_ENABLED) | policy.rule.number(),
        policy.channel << 4 | policy.destination,
        flag(policy.event_specific, 0x80) | policy.string,
    ]
}

pub(super) fn parse_policy([policy, way, string]: [u8; 3]) -> Result<AlertPolicy> {
    Ok(AlertPolicy {
        number: policy >> 4,
        enabled: policy & 0x08 != 0,
        rule: Rule::from_number(policy & 0x07).ok_or(CompletionCode::INVALID_FIELD)?,
        channel: way >> 4,
        destination: way & 0x0f,
        event_specific: string & 0x80 != 0,
        string: string & 0x7f,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_filter_comes_back_but_for_its_reserved_bits(bytes: [u8; 20]) {
            let mut expected = bytes;
            expected[0] &= 0xe0;
            expected[1] &= 0x7f;
            expected[2] &= 0x7f;
            prop_assert_eq!(emit_filter(&parse_filter(&bytes)), expected);
        }

        #[test]
        fn a_policy_comes_back_unless_its_rule_is_reserved(bytes: [u8; 3]) {
            match parse_policy(bytes) {
                Ok(policy) => prop_assert_eq!(emit_policy(&policy), bytes),
                Err(code) => prop_assert!(bytes[0] & 0x07 > 4 && code == CompletionCode::INVALID_FIELD),
            }
        }
    }
}
