//! The users that reports list, and what a filter has to say after five hundred requests of one canary.

use serin_contract::Plan;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Requests that a report tells of.
pub(crate) const REQUESTS: u64 = 500;
/// Users of all canaries together: for one canary fewer than the 65,536 from which on a plan samples them, so that
/// reports stay as large as they begin.
const ONE_CANARY: usize = 60_000;
const ALL_CANARIES: usize = 1_000_000;
/// A user in a list: 16 digits, two quotes, a comma.
const WIDTH: usize = 19;

/// Every canary's users, each in one arm, as reports list them: ready to be copied.
pub(crate) struct Users {
    of: BTreeMap<String, [String; 2]>,
    each: usize,
}

impl Users {
    /// Users for every canary of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        let canaries = plan.canaries();
        let each = (ALL_CANARIES / canaries.len().max(1)).min(ONE_CANARY) / 2;
        let list = |canary: usize, arm: u64| {
            let mut text = String::with_capacity(each * WIDTH);
            for number in 0..each as u64 {
                let hash = mixed((canary as u64) << 32 | number << 1 | arm);
                // Writing to a string cannot fail.
                write!(text, "\"{hash:016x}\",").unwrap_or_default();
            }
            text
        };
        let lists = |(place, name): (usize, &str)| (name.to_owned(), [list(place, 0), list(place, 1)]);
        let names = canaries.iter().map(|canary| canary.name.as_str());
        Self { of: names.enumerate().map(lists).collect(), each }
    }

    /// Users of one arm that follow one another; whoever has listed the last begins again.
    fn some(&self, canary: &str, arm: usize, turn: u64, count: usize) -> &str {
        let count = count.min(self.each);
        let from = (turn as usize % (self.each / count.max(1)).max(1)) * count * WIDTH;
        let text = self.of.get(canary).map_or("", |arms| &arms[arm]);
        // Without the last comma.
        text.get(from..(from + count * WIDTH).saturating_sub(1)).unwrap_or_default()
    }
}

/// A report of one canary: 500 requests, two of which failed, and so many users whom this filter sees first; of none
/// it is empty, as that of a proxy without traffic.
pub(crate) fn report(plan: &Plan, users: &Users, instance: u64, sequence: u64, seen: usize) -> Vec<u8> {
    let canaries = plan.canaries();
    let canary = &canaries[mixed(instance ^ sequence << 32) as usize % canaries.len()];
    let mut text = String::with_capacity(1_100 + seen * WIDTH);
    // Writing to a string cannot fail.
    let mut add = |part: std::fmt::Arguments<'_>| text.write_fmt(part).unwrap_or_default();
    add(format_args!(
        r#"{{"instance":"{instance:016x}","sequence":{sequence},"plan_revision":{},"node":"gateway-{}.default","interval_ms":{},"canaries":["#,
        plan.revision,
        instance % 10_000,
        plan.report_interval.as_millis(),
    ));
    if seen == 0 {
        add(format_args!("]}}"));
        return text.into_bytes();
    }
    add(format_args!(
        r#"{{"name":"{}","step":{},"stratum":{},"arms":{{"#,
        canary.name, canary.step, canary.stratum
    ));
    for (place, arm) in ["stable", "canary"].into_iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        add(format_args!(
            r#"{comma}"{arm}":{{"requests":250,"errors":1,"responses":[["GET",200,230],["POST",200,19],["GET",503,1]],"latency":["#
        ));
        let counts = [3, 9, 17, 31, 45, 50, 38, 24, 14, 9, 5, 3, 1, 1];
        for (bucket, count) in counts.into_iter().enumerate() {
            let comma = if bucket == 0 { "" } else { "," };
            add(format_args!("{comma}[{},{count}]", 140 + bucket * 2 + place));
        }
        // Every filter begins elsewhere among them.
        let users = users.some(&canary.name, place, (instance >> 20) + sequence, seen / 2);
        add(format_args!(r#"],"overdue":0,"seen":[{users}],"erred":[],"slow":[]}}"#));
    }
    add(format_args!(r#"}},"excluded":5}}]}}"#));
    text.into_bytes()
}

/// splitmix64's finalizer: numbers without a pattern.
pub(crate) fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_contract::Report;
    use std::collections::BTreeSet;

    #[test]
    fn reports_are_what_the_analyzer_takes_and_as_large_as_they_are_said_to_be() {
        let plan = serde_json::json!({ "revision": 1, "report_interval_ms": 500, "canaries": [{
            "name": "default/shop", "step": 1, "stratum": 1, "hosts": ["shop.example"], "salt": "",
            "canary_share": 5000, "slow_edge_us": 1, "served_by": { "stable": ["s"], "canary": ["c"] } }] });
        let plan = Plan::from_json(plan.to_string().as_bytes()).unwrap();
        let users = Users::of(&plan);
        for (seen, bytes) in [(20, 1_000..1_400), (300, 5_500..6_600)] {
            let mut all = BTreeSet::new();
            for sequence in 1..=3 {
                let body = report(&plan, &users, mixed(7), sequence, seen);
                let report = Report::from_json(&body).unwrap();
                let arms = &report.canaries[0].arms;
                assert_eq!(arms.stable.requests + arms.canary.requests, REQUESTS);
                assert!(bytes.contains(&body.len()), "{}", body.len());
                all.extend(arms.stable.seen.iter().chain(&arms.canary.seen).copied());
            }
            assert_eq!(all.len(), 3 * seen, "each report lists others");
        }
    }
}
