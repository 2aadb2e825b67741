//! Which goals an answer reaches: by its status, or because the service says so.

use serin_contract::plan::GoalDocument;
use serin_contract::report::MAX_VALUE;

/// How many goals one answer may name.
const MAX_NAMED: usize = 32;

/// A goal that was reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    /// The goal's place in its experiment.
    pub goal: usize,
    /// What it is worth; 0 when nobody said.
    pub value: f64,
}

/// Which goals an answer to a request can be, a bit for each, by the request's method and path.
pub fn possible(goals: &[GoalDocument], path: &[u8], method: &[u8]) -> u32 {
    let bits = goals.iter().enumerate().filter(|(_, goal)| goal.covers(path, method));
    bits.fold(0, |bits, (place, _)| bits | 1 << place)
}

/// The goals of one experiment or canary that an answer reaches: `possible` are those that its request can
/// reach by itself, `said` is the service's `x-serin-goal`. A goal that the service names counts as often as
/// it is named, and then not by its status as well.
pub fn reached(known: &[GoalDocument], possible: u32, status: u16, said: Option<&[u8]>) -> Vec<Reached> {
    let mut goals = Vec::new();
    let names = said.unwrap_or_default().split(|byte| *byte == b',').take(MAX_NAMED);
    for (name, value) in names.filter_map(parse) {
        if let Some(goal) = known.iter().position(|goal| goal.name.as_bytes() == name) {
            goals.push(Reached { goal, value });
        }
    }
    for (goal, document) in known.iter().enumerate() {
        let possible = possible & 1 << goal != 0;
        let met = document.response.as_ref().is_some_and(|response| response.is_met_by(status));
        if possible && met && goals.iter().all(|known| known.goal != goal) {
            goals.push(Reached { goal, value: 0.0 });
        }
    }
    goals
}

/// `purchase` or `purchase=12.50`; a value that is no number, or absurd, makes it no goal at all.
fn parse(text: &[u8]) -> Option<(&[u8], f64)> {
    let text = text.trim_ascii();
    let Some(equals) = text.iter().position(|byte| *byte == b'=') else { return Some((text, 0.0)) };
    let (name, value) = text.split_at_checked(equals)?;
    let value: f64 = std::str::from_utf8(value.get(1..)?.trim_ascii()).ok()?.parse().ok()?;
    (-MAX_VALUE..=MAX_VALUE).contains(&value).then_some((name.trim_ascii(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_has_a_name_and_may_have_a_value() {
        assert_eq!(parse(b" purchase "), Some((&b"purchase"[..], 0.0)));
        assert_eq!(parse(b"purchase = 12.50"), Some((&b"purchase"[..], 12.5)));
        for rubbish in [&b"purchase=lots"[..], b"purchase=NaN", b"purchase=inf", b"purchase=\xff", b"a=1e13"]
        {
            assert_eq!(parse(rubbish), None);
        }
    }
}
