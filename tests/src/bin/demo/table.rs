//! The final table: what was asked for, what clients and shops saw, and whether it held. Every figure
//! comes from the load's and the shops' own records, none from the analyzer but the verdict's words.

use crate::acts::{Period, Promotion, Rollback};
use serin_contract::allocation::canary_arm;
use serin_contract::{Arm, AssignedUnit, Share};
use serin_tests::load::{Record, Who};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// From v3's first bad response to its last request: longer is too long.
const SOON: Duration = Duration::from_secs(20);
/// A rollback is over when v3 has served nothing for this long at the end.
const QUIET: Duration = Duration::from_secs(3);

/// The table.
pub(crate) struct Table {
    rows: Vec<Row>,
    verdict: String,
}

struct Row {
    what: String,
    asked: String,
    seen: String,
    holds: bool,
}

impl Table {
    /// From both acts and the load's record.
    pub(crate) fn of(first: &Promotion, second: &Rollback, record: &Record, users: u32) -> Self {
        let mut rows: Vec<Row> = first.periods.iter().map(|period| share_row(period, record)).collect();
        rows.push(all_weights(first));
        rows.push(misplaced_row(first, record));
        rows.push(moved_back_row(first, record));
        rows.push(broken_row(record));
        rows.extend(rollback_rows(second, record, users));
        Self { rows, verdict: second.verdict.clone() }
    }

    /// Whether every line holds.
    pub(crate) fn holds(&self) -> bool {
        self.rows.iter().all(|row| row.holds)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&Row) -> &str| self.rows.iter().map(|row| text(row).chars().count()).max();
        let what = width(|row| &row.what).unwrap_or(0);
        let asked = width(|row| &row.asked).unwrap_or(0);
        let seen = width(|row| &row.seen).unwrap_or(0);
        writeln!(out, "{:<what$}  {:>asked$}  {:>seen$}", "", "asked for", "seen", asked = asked.max(9))?;
        for row in &self.rows {
            let verdict = if row.holds { "holds" } else { "DOES NOT HOLD" };
            writeln!(
                out,
                "{:<what$}  {:>asked$}  {:>seen$}  {verdict}",
                row.what,
                row.asked,
                row.seen,
                asked = asked.max(9)
            )?;
        }
        writeln!(out, "\nThe analyzer's words on v3: {}", self.verdict)
    }
}

/// The users who got v2 in a period of constant weight, of those who came.
fn share_row(period: &Period, record: &Record) -> Row {
    let seen = record.users(period.from, period.to);
    let on_canary = seen.get("v2").map_or(0, BTreeSet::len);
    let all = seen.values().flatten().collect::<BTreeSet<_>>().len();
    let share = 100.0 * on_canary as f64 / all.max(1) as f64;
    // The users fall into buckets by chance: four standard errors of their number, and a little more.
    let part = period.weight / 100.0;
    let room = 400.0 * (part * (1.0 - part) / all.max(1) as f64).sqrt() + 0.01;
    Row {
        what: "users on v2 while its weight was".to_owned(),
        asked: format!("{} %", period.weight),
        seen: format!("{share:.1} % ({on_canary} of {all})"),
        holds: all > 0 && (share - period.weight).abs() <= room,
    }
}

/// The ramp took every step.
fn all_weights(first: &Promotion) -> Row {
    let weights: Vec<f64> = first.periods.iter().map(|period| period.weight).collect();
    let list = |weights: &[f64]| weights.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    Row {
        what: "weights that v2 went through".to_owned(),
        asked: list(&first.steps),
        seen: list(&weights),
        holds: weights == first.steps,
    }
}

/// Who was served by another version than the hash of the id says.
fn misplaced_row(first: &Promotion, record: &Record) -> Row {
    let mut misplaced = BTreeSet::new();
    let mut all = BTreeSet::new();
    for period in &first.periods {
        let Ok(share) = Share::from_percent(period.weight) else { continue };
        for (version, users) in record.users(period.from, period.to) {
            for user in users {
                all.insert(user);
                let id = Who::User(user).id().unwrap_or_default();
                let arm =
                    AssignedUnit::of(&first.salt, id.as_bytes()).map(|unit| canary_arm(unit.bucket, share));
                let right = if arm == Some(Arm::Canary) { "v2" } else { "v1" };
                if version != right {
                    misplaced.insert(user);
                }
            }
        }
    }
    Row {
        what: "users elsewhere than where md5 of their id puts them".to_owned(),
        asked: "0".to_owned(),
        seen: format!("{} of {}", misplaced.len(), all.len()),
        holds: misplaced.is_empty() && !all.is_empty(),
    }
}

fn moved_back_row(first: &Promotion, record: &Record) -> Row {
    let back = record.moved_back("v2", first.begin, first.end);
    Row {
        what: "users who moved back while the weight grew".to_owned(),
        asked: "0".to_owned(),
        seen: back.len().to_string(),
        holds: back.is_empty(),
    }
}

/// Requests that failed although no version failed them.
fn broken_row(record: &Record) -> Row {
    let broken = record.broken();
    let number: u64 = broken.values().sum();
    let kinds: Vec<String> =
        broken.iter().take(2).map(|(kind, count)| format!(": {count} x {kind}")).collect();
    Row {
        what: "requests without an answer from the shop".to_owned(),
        asked: "0".to_owned(),
        seen: format!("{number} of {}{}", record.sent(), kinds.concat()),
        holds: number == 0 && record.sent() > 0,
    }
}

fn rollback_rows(second: &Rollback, record: &Record, users: u32) -> Vec<Row> {
    let (bad_users, bad_requests) = record.failed_by("v3");
    let served = &second.served;
    let took = match (served.first_error, served.last_answer) {
        (Some(first), Some(last)) => Some(last.saturating_duration_since(first)),
        (Some(_), None) | (None, _) => None,
    };
    let quiet = served.last_answer.map(|last| second.end.saturating_duration_since(last));
    let most = (f64::from(users) * second.weight / 100.0) as usize;
    let sent = record.count(|exchange| second.begin <= exchange.sent && exchange.sent < second.end);
    vec![
        Row {
            what: format!("v3's weight after it failed at {} %", second.weight),
            asked: "0 %".to_owned(),
            seen: format!("{} %", second.weight_after),
            holds: second.weight_after == 0.0,
        },
        Row {
            what: "from v3's first bad response to its last request".to_owned(),
            asked: format!("< {} s", SOON.as_secs()),
            seen: took.map_or("none".to_owned(), |took| format!("{:.1} s", took.as_secs_f64())),
            holds: took.is_some_and(|took| took < SOON) && quiet.is_some_and(|quiet| quiet > QUIET),
        },
        Row {
            what: "users who saw an error because of v3".to_owned(),
            asked: format!("at most {most}"),
            seen: format!("{bad_users} of {users}"),
            // The fault was real, and nobody but the canary's users can have met it.
            holds: 0 < bad_users && bad_users <= most,
        },
        Row {
            what: "requests that saw an error because of v3".to_owned(),
            asked: format!("{} (the shop's count)", served.errors),
            seen: format!("{bad_requests} of {sent}"),
            holds: bad_requests as u64 == served.errors,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_tests::load::{Ending, Exchange};
    use serin_tests::shop::Served;
    use std::time::Instant;

    const USERS: u32 = 1000;

    fn answer(record: &Record, user: u32, sent: Instant, status: u16, version: &str) {
        record.add(Exchange {
            who: Who::User(user),
            manual: None,
            sent,
            took: Duration::from_millis(5),
            ending: Ending::Answered { status, version: Some(version.into()) },
        });
    }

    /// A show in which everything went as it should: one step at 50 %, and one error of v3's.
    struct Show {
        begin: Instant,
        first: Promotion,
        second: Rollback,
        record: Record,
    }

    impl Show {
        fn good() -> Self {
            let begin = Instant::now();
            let at = |seconds| begin + Duration::from_secs(seconds);
            let record = Record::default();
            let half = Share::from_percent(50.0).unwrap();
            for user in 0..USERS {
                let unit = AssignedUnit::of("salt", Who::User(user).id().unwrap().as_bytes()).unwrap();
                let version = if canary_arm(unit.bucket, half) == Arm::Canary { "v2" } else { "v1" };
                answer(&record, user, at(2), 200, version);
            }
            answer(&record, 1, at(20), 500, "v3");
            record.finish_sending(u64::from(USERS) + 1);
            let period = Period { weight: 50.0, from: at(1), to: at(9) };
            let (salt, steps) = ("salt".to_owned(), vec![50.0]);
            let first = Promotion { salt, steps, begin, end: at(10), periods: vec![period] };
            let served = Served {
                requests: 1,
                answered: 1,
                errors: 1,
                first_error: Some(at(20)),
                last_answer: Some(at(21)),
            };
            let second = Rollback {
                begin: at(11),
                end: at(30),
                weight: 25.0,
                verdict: "Statistical test".to_owned(),
                weight_after: 0.0,
                served,
            };
            Self { begin, first, second, record }
        }

        fn holds(&self) -> bool {
            Table::of(&self.first, &self.second, &self.record, USERS).holds()
        }
    }

    #[test]
    fn a_good_show_holds() {
        let show = Show::good();
        let table = Table::of(&show.first, &show.second, &show.record, USERS);
        assert!(table.holds(), "{table}");
        assert!(!table.to_string().contains("DOES NOT HOLD"));
    }

    #[test]
    fn a_user_who_moves_back_fails_the_show() {
        let show = Show::good();
        let on_v2 = show.record.users(show.begin, show.first.end)["v2"].first().copied().unwrap();
        answer(&show.record, on_v2, show.begin + Duration::from_millis(9500), 200, "v1");
        assert!(!show.holds());
    }

    #[test]
    fn a_step_that_was_left_out_fails_the_show() {
        let mut show = Show::good();
        show.first.steps.push(100.0);
        assert!(!show.holds());
    }

    #[test]
    fn a_v3_that_still_serves_at_the_end_fails_the_show() {
        let mut show = Show::good();
        show.second.served.last_answer = Some(show.second.end);
        assert!(!show.holds());
    }

    #[test]
    fn an_error_that_no_client_saw_fails_the_show() {
        let mut show = Show::good();
        show.second.served.errors += 1;
        assert!(!show.holds());
    }

    #[test]
    fn a_request_without_an_answer_fails_the_show() {
        let show = Show::good();
        show.record.add(Exchange {
            who: Who::Anonymous,
            manual: None,
            sent: show.begin,
            took: Duration::ZERO,
            ending: Ending::Broken("connection refused".into()),
        });
        assert!(!show.holds());
    }
}
