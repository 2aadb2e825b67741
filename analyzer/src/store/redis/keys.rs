//! The names of all keys. The prefix stands in braces, so that in a cluster all of them are in one slot: a
//! commit changes several, and must change them together.
//!
//! | key after the prefix | type | what |
//! |---|---|---|
//! | `:format` | string | the format's number |
//! | `:lock` | string with an expiry | `<token> {"name", "address"}` of the analyzer that leads |
//! | `:token` | string | the last fencing token |
//! | `:commits` | string | counts the leader's commits |
//! | `:marks` | hash | filter instance -> its high-water mark: 20 digits, a space, JSON |
//! | `:inbox` | stream | what is acknowledged, JSON: a report in the field `r`, the events of a call in `e` |
//! | `:taken`, `:taken-calls` | string | how many reports, and calls with events, were ever taken |
//! | `:exposed:<experiment>:<minute>` | set with an expiry | units whose exposure the inbox has |
//! | `:cursor` | string | the last entry of the inbox that experiments have counted |
//! | `:plan`, `:plan-revision` | string | the current plan, JSON, and its revision |
//! | `:snapshots`, `:units` | hash | canary -> its snapshot, JSON; its stratum's units, packed |
//! | `:journal:<canary>` | sorted set | reports that were imported and are in no snapshot |
//! | `:history:<canary>` | sorted set | transitions, by time |
//! | `:samples:<canary>`, `:reports:<canary>` | sorted set | by time: 20 digits, a space, JSON |
//! | `:audit` | sorted set | lines of the audit by number, JSON |
//! | `:experiments` | hash | experiment -> its specification and sums, JSON |
//! | `:experiment-units:<id>` | hash | unit -> its arms and goals, JSON |
//! | `:experiment-actions:<id>` | sorted set by name | unit, time and number in 16 digits each, JSON |
//! | `:experiment-keys:<key>` | string with an expiry | the answer to an idempotency key, JSON |

use serin_contract::UnitHash;

/// Makes names.
#[derive(Debug, Clone)]
pub(super) struct Keys(String);

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self(format!("{{{prefix}}}"))
    }

    pub(super) fn of(&self, name: &str) -> String {
        format!("{}:{name}", self.0)
    }

    pub(super) fn with(&self, name: &str, id: &str) -> String {
        format!("{}:{name}:{id}", self.0)
    }
}

/// The inbox's field with a report.
pub(super) const REPORT: &str = "r";
/// The inbox's field with the events of a call.
pub(super) const EVENTS: &str = "e";

/// A number that sorts as text.
pub(super) fn digits(number: u64) -> String {
    format!("{number:020}")
}

/// A member of a sorted set by time.
pub(super) fn member(number: u64, json: &[u8]) -> Vec<u8> {
    let mut member = digits(number).into_bytes();
    member.push(b' ');
    member.extend_from_slice(json);
    member
}

/// The JSON of such a member.
pub(super) fn json_of(member: &[u8]) -> &[u8] {
    member.get(21..).unwrap_or_default()
}

pub(super) fn unit(unit: UnitHash) -> String {
    format!("{:016x}", unit.0)
}

/// A member of an experiment's actions: by unit, then by time, then by number.
pub(super) fn action(unit: u64, time: u64, number: u64, json: &[u8]) -> Vec<u8> {
    let mut member = format!("{unit:016x}{time:016x}{number:016x}").into_bytes();
    member.extend_from_slice(json);
    member
}

/// The three numbers and the JSON of such a member.
pub(super) fn action_of(member: &[u8]) -> Option<(u64, u64, u64, &[u8])> {
    let number = |from: usize| {
        let text = std::str::from_utf8(member.get(from..from + 16)?).ok()?;
        u64::from_str_radix(text, 16).ok()
    };
    Some((number(0)?, number(16)?, number(32)?, member.get(48..)?))
}

/// A place in the inbox as one number: the milliseconds of the stream's id, then 22 bits of its counter.
pub(super) const COUNTER_BITS: u32 = 22;

/// The stream's id of a place.
pub(super) fn stream_id(place: u64) -> String {
    format!("{}-{}", place >> COUNTER_BITS, place & ((1 << COUNTER_BITS) - 1))
}

/// The place of a stream's id; none where its counter has more than 22 bits, as after a clock that went
/// back by hours.
pub(super) fn place(id: &str) -> Option<u64> {
    let (millis, counter) = id.split_once('-')?;
    let (millis, counter): (u64, u64) = (millis.parse().ok()?, counter.parse().ok()?);
    (counter < 1 << COUNTER_BITS && millis < 1 << (64 - COUNTER_BITS))
        .then_some((millis << COUNTER_BITS) | counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_inbox_is_its_streams_id() {
        let place = place("1764090000123-7").expect("fits");
        assert_eq!(
            (stream_id(place).as_str(), place >> COUNTER_BITS),
            ("1764090000123-7", 1_764_090_000_123)
        );
        assert!(super::place("1-4194304").is_none() && super::place("nonsense").is_none());
    }

    #[test]
    fn actions_sort_by_unit_then_time_then_number() {
        let one = action(1, 20, 1, b"{}");
        assert!(one < action(2, 0, 0, b"{}") && one < action(1, 20, 2, b"") && one > action(1, 3, 9, b"~"));
        assert_eq!(action_of(&one), Some((1, 20, 1, b"{}".as_slice())));
    }
}
