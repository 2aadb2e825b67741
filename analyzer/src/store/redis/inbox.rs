//! The inbox: reports and events that any analyzer has taken, in the order in which Redis has them. The leader
//! counts them from there.

use super::Redis;
use super::keys::{EVENTS, REPORT, digits, place, stream_id};
use crate::store::redb::{decode, encode};
use crate::store::{Mark, Post, StoreError};
use serde_json::value::RawValue;
use serin_contract::{Report, Revision};
use serin_judge::time::Time;

/// A stream's id and its fields.
type Entry = (String, Vec<(String, Vec<u8>)>);

/// What became of reports.
#[derive(Debug)]
pub struct Taken {
    /// The current plan's revision.
    pub revision: Revision,
    /// What each report came to, in order.
    pub reports: Vec<Intaken>,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intaken {
    /// It is in.
    New,
    /// It was in before; the highest number of its sender that is.
    Known(u64),
    /// It is of one sender more than can be.
    Refused,
}

impl Redis {
    /// Takes reports in one call: they are in when this returns, and each one once.
    ///
    /// # Errors
    /// When Redis does not answer or refuses; a report may be in nevertheless, and is known then when it comes
    /// again.
    pub fn take(&self, reports: &[&Report], now: Time) -> Result<Taken, StoreError> {
        let mut script = self.scripts.take.prepare_invoke();
        script.key(self.keys.of("marks")).key(self.keys.of("inbox"));
        script.key(self.keys.of("plan-revision")).key(self.keys.of("taken"));
        script.arg(self.senders);
        for report in reports {
            let mark = Mark { sequence: report.sequence, time: now, node: report.node.clone() };
            let is_empty = report.canaries.is_empty() && report.experiments.is_empty();
            let mark = if is_empty { Vec::new() } else { encode("marks", &mark)? };
            script.arg(report.instance.to_string()).arg(digits(report.sequence));
            script.arg(mark).arg(encode("inbox", report)?);
        }
        self.metrics.batch.observe(reports.len() as f64);
        let answer: Vec<String> = self.link.call("take", |connection| {
            let answer = script.invoke(connection)?;
            self.await_replicas(connection)?;
            Ok(answer)
        })?;
        let wrong = || StoreError::Record { table: "marks", error: "an answer that is none".to_owned() };
        let (revision, marks) = answer.split_first().ok_or_else(wrong)?;
        let revision = Revision(revision.parse().map_err(|_| wrong())?);
        if marks.len() != reports.len() {
            return Err(wrong());
        }
        let told = marks.iter().map(|mark| match mark.as_str() {
            "" => Ok(Intaken::New),
            "full" => Ok(Intaken::Refused),
            mark => Ok(Intaken::Known(mark.parse().map_err(|_| wrong())?)),
        });
        Ok(Taken { revision, reports: told.collect::<Result<_, StoreError>>()? })
    }

    /// The current plan; none before anybody has led.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub fn plan(&self) -> Result<Option<(Revision, Box<RawValue>)>, StoreError> {
        let mut both = redis::pipe();
        // Together, for they change together.
        both.atomic().cmd("GET").arg(self.keys.of("plan-revision")).cmd("GET").arg(self.keys.of("plan"));
        let (revision, json): (Option<u64>, Option<String>) =
            self.link.call("read", |connection| both.query(connection))?;
        let (Some(revision), Some(json)) = (revision, json) else { return Ok(None) };
        let wrong = |error: serde_json::Error| StoreError::Record { table: "plan", error: error.to_string() };
        Ok(Some((Revision(revision), RawValue::from_string(json).map_err(wrong)?)))
    }

    pub(super) fn read_plan_revision(&self) -> Result<Revision, StoreError> {
        let key = self.keys.of("plan-revision");
        let found: Option<u64> =
            self.link.call("read", |connection| redis::cmd("GET").arg(&key).query(connection))?;
        Ok(Revision(found.unwrap_or(0)))
    }

    pub(super) fn read_cursor(&self) -> Result<u64, StoreError> {
        let key = self.keys.of("cursor");
        let found: Option<u64> =
            self.link.call("read", |connection| redis::cmd("GET").arg(&key).query(connection))?;
        Ok(found.unwrap_or(0))
    }

    pub(super) fn read_inbox(&self, after: u64, most: usize) -> Result<Vec<(u64, Post)>, StoreError> {
        let mut command = redis::cmd("XRANGE");
        let first = stream_id(after.saturating_add(1));
        command.arg(self.keys.of("inbox")).arg(first).arg("+").arg("COUNT").arg(most);
        let rows: Vec<Entry> = self.link.call("inbox", |connection| command.query(connection))?;
        self.metrics.waiting.set(rows.len() as i64);
        let wrong = |error: &str| StoreError::Record { table: "inbox", error: error.to_owned() };
        let post = |(id, fields): &Entry| {
            let place = place(id).ok_or_else(|| wrong("a place beyond what fits"))?;
            let (field, json) = fields.first().ok_or_else(|| wrong("an entry without anything"))?;
            let post = match field.as_str() {
                REPORT => Post::Report(decode("inbox", json)?),
                EVENTS => Post::Events(decode("inbox", json)?),
                _ => return Err(wrong("an entry that is neither a report nor events")),
            };
            Ok((place, post))
        };
        rows.iter().map(post).collect()
    }
}
