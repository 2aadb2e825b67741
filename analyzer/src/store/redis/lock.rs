//! Who leads, by a lock in Redis with a fencing token: whoever leads after another has a token of its own, and a
//! commit with an older one is refused.

use super::Redis;
use crate::store::StoreError;
use serde::{Deserialize, Serialize};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// Who holds the lock, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its name, for people.
    pub name: String,
    /// Where it is reached.
    pub address: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The lock is ours, with this token.
    Mine(String),
    /// Another has it.
    Other(Lock),
    /// Another has led since we did, or leads: we must not go on.
    Lost(Option<Lock>),
}

impl Redis {
    /// Takes the lock if it is free, or keeps it. `token` is that of our own term, if we have led.
    ///
    /// # Errors
    /// When Redis does not answer; then nobody knows.
    pub fn lock(&self, who: &Lock, life: Duration, token: Option<&str>) -> Result<Standing, StoreError> {
        self.lock_for(who, u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1), token)
    }

    /// Takes the lock from whoever has it, for ever: something else has elected us.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub fn seize(&self, who: &Lock) -> Result<Standing, StoreError> {
        self.lock_for(who, 0, None)
    }

    fn lock_for(&self, who: &Lock, millis: u64, token: Option<&str>) -> Result<Standing, StoreError> {
        let json = crate::store::redb::encode("lock", who)?;
        // Two that lead after a Redis that forgot the last token still have different ones.
        let random = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        let mut script = self.scripts.lock.prepare_invoke();
        script.key(self.keys.of("lock")).key(self.keys.of("token"));
        script.arg(json).arg(millis).arg(token.unwrap_or_default()).arg(random);
        let answer: Vec<String> = self.link.call("lock", |connection| {
            let answer = script.invoke(connection)?;
            self.await_replicas(connection)?;
            Ok(answer)
        })?;
        let words: Vec<&str> = answer.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["mine", token] => {
                self.lead(token);
                Ok(Standing::Mine((*token).to_owned()))
            }
            ["lost", holder] => Ok(Standing::Lost(holder_of(holder))),
            ["other", holder, _] => match holder_of(holder) {
                Some(holder) => Ok(Standing::Other(holder)),
                None => Err(StoreError::Record { table: "lock", error: format!("`{holder}` is no holder") }),
            },
            _ => Err(StoreError::Record { table: "lock", error: "an answer that is none".to_owned() }),
        }
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// When Redis does not answer; then it runs out.
    pub fn unlock(&self, token: &str) -> Result<(), StoreError> {
        let mut script = self.scripts.unlock.prepare_invoke();
        script.key(self.keys.of("lock")).arg(token);
        self.link.call("lock", |connection| script.invoke(connection))
    }
}

fn holder_of(held: &str) -> Option<Lock> {
    let (_, json) = held.split_once(' ')?;
    serde_json::from_str(json).ok()
}
