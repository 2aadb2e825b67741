//! A commit as the words of Redis commands, and the script that runs them.

use super::keys::{EVENTS, REPORT, action, digits, member, stream_id, unit};
use super::{Leading, Redis};
use crate::experiments::desk::KEY_LIFE;
use crate::store::redb::encode;
use crate::store::{AUDIT_LINES, Post, StoreError, Write};
use std::sync::PoisonError;

/// One command.
pub(super) type Words = Vec<Vec<u8>>;

fn words<const N: usize>(words: [&[u8]; N]) -> Words {
    words.iter().map(|word| word.to_vec()).collect()
}

impl Redis {
    pub(super) fn commit_all(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut commands = Vec::with_capacity(writes.len());
        for write in writes {
            self.commands(write, &mut commands)?;
        }
        let mut leading = self.leading.lock().unwrap_or_else(PoisonError::into_inner);
        let commits = match leading.commits {
            Some(commits) => commits,
            None => self.bump(&mut leading)?,
        };
        let mut script = self.scripts.commit.prepare_invoke();
        script.key(self.keys.of("token")).key(self.keys.of("lock")).key(self.keys.of("commits"));
        script.arg(&leading.token).arg(commits);
        for command in &commands {
            script.arg(command.len());
            for word in command {
                script.arg(word);
            }
        }
        // Whatever happens now, only an answer says how many there are.
        leading.commits = None;
        let committed = self.link.call("commit", |connection| {
            script.invoke::<()>(connection)?;
            self.await_replicas(connection)
        });
        committed.inspect_err(|error| self.note_fence(error))?;
        leading.commits = Some(commits + 1);
        Ok(())
    }

    /// See [`crate::store::Store::settle`].
    pub(super) fn bump(&self, leading: &mut Leading) -> Result<u64, StoreError> {
        let mut script = self.scripts.bump.prepare_invoke();
        script.key(self.keys.of("token")).key(self.keys.of("commits")).arg(&leading.token);
        let bumped = self.link.call("commit", |connection| script.invoke(connection));
        let commits = bumped.inspect_err(|error| self.note_fence(error))?;
        leading.commits = Some(commits);
        Ok(commits)
    }

    fn commands(&self, write: &Write, out: &mut Vec<Words>) -> Result<(), StoreError> {
        let of = |name: &str| self.keys.of(name).into_bytes();
        let with = |name: &str, id: &str| self.keys.with(name, id).into_bytes();
        match write {
            Write::Mark(instance, mark) => {
                let value = member(mark.sequence, &encode("marks", mark)?);
                out.push(words([b"HSET", &of("marks"), instance.to_string().as_bytes(), &value]));
            }
            Write::Journal { canary, offset, entry } => {
                let value = member(*offset, &encode("journal", entry)?);
                out.push(words([b"ZADD", &with("journal", canary), digits(*offset).as_bytes(), &value]));
            }
            Write::Snapshot { canary, snapshot, units } => {
                let json = encode("snapshots", snapshot)?;
                out.push(words([b"HSET", &of("snapshots"), canary.as_bytes(), &json]));
                out.push(words([b"HSET", &of("units"), canary.as_bytes(), units]));
                let end = snapshot.offset.to_string();
                out.push(words([b"ZREMRANGEBYSCORE", &with("journal", canary), b"-inf", end.as_bytes()]));
            }
            Write::Transition(canary, transition) => {
                let json = encode("history", transition)?;
                let time = transition.time.0.to_string();
                out.push(words([b"LINE", &with("history", canary), time.as_bytes(), &json]));
            }
            Write::Sample(canary, time, sample) => {
                replace(&with("samples", canary), time.0, &encode("samples", sample)?, out);
            }
            Write::Report(canary, report) => {
                replace(&with("reports", canary), report.time.0, &encode("reports", report)?, out);
            }
            Write::Audit(line) => {
                let (key, time) = (of("audit"), line.time.0.to_string());
                out.push(words([b"LINE", &key, time.as_bytes(), &encode("audit", line)?]));
                let surplus = format!("-{}", AUDIT_LINES + 1);
                out.push(words([b"ZREMRANGEBYRANK", &key, b"0", surplus.as_bytes()]));
            }
            Write::Experiment(record) => {
                let json = encode("experiments", record)?;
                out.push(words([b"HSET", &of("experiments"), record.id.as_bytes(), &json]));
            }
            Write::Unit { experiment, unit: hash, record } => {
                let json = encode("experiment_units", record)?;
                let key = with("experiment-units", experiment);
                out.push(words([b"HSET", &key, unit(*hash).as_bytes(), &json]));
            }
            Write::Action { experiment, unit, time, number, action: what } => {
                let value = action(unit.0, time.0, *number, &encode("experiment_actions", what)?);
                out.push(words([b"ZADD", &with("experiment-actions", experiment), b"0", &value]));
            }
            Write::Key(key, answer) => {
                let life = KEY_LIFE.as_millis().to_string();
                let json = encode("experiment_keys", answer)?;
                out.push(words([b"SET", &with("experiment-keys", key), &json, b"PX", life.as_bytes()]));
            }
            Write::Cursor(place) => {
                out.push(words([b"SET", &of("cursor"), place.to_string().as_bytes()]));
            }
            Write::Trim(place) => {
                let first = stream_id(place.saturating_add(1));
                out.push(words([b"XTRIM", &of("inbox"), b"MINID", first.as_bytes()]));
            }
            Write::Plan(revision, json) => {
                out.push(words([b"SET", &of("plan-revision"), revision.0.to_string().as_bytes()]));
                out.push(words([b"SET", &of("plan"), json.get().as_bytes()]));
            }
            Write::Inbox(place, post) => {
                let (field, json) = match post {
                    Post::Report(report) => (REPORT, encode("inbox", report)?),
                    Post::Events(events) => (EVENTS, encode("inbox", events)?),
                };
                out.push(words([
                    b"ENTRY",
                    &of("inbox"),
                    stream_id(*place).as_bytes(),
                    field.as_bytes(),
                    &json,
                ]));
            }
        }
        Ok(())
    }
}

/// One of a moment, whatever was there before.
fn replace(key: &[u8], time: u64, json: &[u8], out: &mut Vec<Words>) {
    let at = time.to_string();
    out.push(words([b"ZREMRANGEBYSCORE", key, at.as_bytes(), at.as_bytes()]));
    out.push(words([b"ZADD", key, at.as_bytes(), &member(time, json)]));
}
