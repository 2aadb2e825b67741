//! One line a second of what goes on.

use serin_tests::analyzer::Status;
use serin_tests::load::Record;
use std::time::Instant;

/// When the last line was written.
pub(crate) struct Live {
    begin: Instant,
    last: Instant,
}

impl Live {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { begin: now, last: now }
    }

    /// Writes a line if a second of the show is over that has none yet.
    pub(crate) fn show(&mut self, status: &Status, record: &Record) {
        let now = Instant::now();
        let second = now.duration_since(self.begin).as_secs();
        if second == self.last.duration_since(self.begin).as_secs() {
            return;
        }
        let versions = record.versions(self.last, now);
        let all: u64 = versions.values().sum();
        let failed = record.count(|exchange| exchange.sent >= self.last && exchange.failed());
        let shares: Vec<String> =
            versions.iter().map(|(version, count)| format!("{version} {count:>3}")).collect();
        let reason = status.verdict.as_ref().map_or("", |verdict| verdict.reason.as_str());
        println!(
            "{second:>4} s  {} at {:>3} %  {:<11}  {all:>3} answers: {:<15}  {failed:>2} failed  {}",
            status.canary_version,
            status.weight,
            format!("{:?}", status.phase),
            shares.join(", "),
            shorten(reason, 70),
        );
        self.last = now;
    }
}

fn shorten(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let head: String = text.chars().take(length - 3).collect();
    format!("{head}...")
}
