//! The sessions: kept in memory, under hashes of their ids, so that a dump of it opens none.

use crate::config::Token;
use serin_judge::time::Time;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Sessions at one time; of more, the one that would end first ends.
const MOST: usize = 1000;

type Key = [u8; 32];

/// Somebody who has signed in. What they may do is asked of their token at each call: once it is removed from the
/// configuration, its sessions open nothing.
#[derive(Debug, Clone)]
pub(in super::super) struct Session {
    key: Key,
    /// The token that opened it.
    pub(in super::super) token: Token,
    /// Who they say they are.
    pub(in super::super) name: Option<String>,
    /// When it ends.
    pub(in super::super) expires: Time,
}

/// All of them.
#[derive(Default)]
pub(in super::super) struct Sessions(Mutex<HashMap<Key, Session>>);

impl Sessions {
    fn all(&self) -> MutexGuard<'_, HashMap<Key, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session of this length, and its id.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(super) fn open(
        &self,
        token: &[u8],
        name: Option<String>,
        length: Duration,
        now: Time,
    ) -> Result<(String, Session), getrandom::Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)?;
        let mut id = String::new();
        for byte in random {
            let _ = write!(id, "{byte:02x}");
        }
        let session =
            Session { key: key(&id), token: Token::of_bytes(token), name, expires: now.plus(length) };
        let mut all = self.all();
        all.retain(|_, session| session.expires > now);
        if all.len() >= MOST
            && let Some(first) = all.values().min_by_key(|session| session.expires).map(|first| first.key)
        {
            all.remove(&first);
        }
        all.insert(session.key, session.clone());
        Ok((id, session))
    }

    /// The session with this id, if it stands.
    pub(in super::super) fn find(&self, id: &str, now: Time) -> Option<Session> {
        self.all().get(&key(id)).filter(|session| session.expires > now).cloned()
    }

    /// Whether a session stands.
    pub(in super::super) fn holds(&self, session: &Session, now: Time) -> bool {
        self.all().get(&session.key).is_some_and(|session| session.expires > now)
    }

    /// Signs out.
    pub(super) fn end(&self, id: &str) {
        self.all().remove(&key(id));
    }
}

fn key(id: &str) -> Key {
    Sha256::digest(id.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_session_stands_for_its_length_and_until_its_end() {
        let sessions = Sessions::default();
        let (id, session) = sessions.open(b"a-token", Some("kim".into()), DAY / 2, Time(0)).expect("random");
        let (other, _) = sessions.open(b"a-token", None, DAY / 2, Time(0)).expect("random");
        assert_ne!(id, other);
        let last = Time(12 * 3_600_000 - 1);
        assert_eq!(sessions.find(&id, last).and_then(|session| session.name).as_deref(), Some("kim"));
        assert!(
            sessions.find(&id, Time(last.0 + 1)).is_none() && !sessions.holds(&session, Time(last.0 + 1))
        );
        assert!(sessions.find("", Time(0)).is_none() && sessions.find(&id[1..], Time(0)).is_none());
        sessions.end(&id);
        assert!(sessions.find(&id, Time(0)).is_none() && sessions.find(&other, Time(0)).is_some());
    }

    #[test]
    fn of_too_many_the_one_that_ends_first_goes() {
        let sessions = Sessions::default();
        let open = |time| sessions.open(b"a-token", None, DAY / 2, Time(time)).expect("random").0;
        let ids: Vec<String> = (0..=MOST as u64).map(open).collect();
        assert_eq!(sessions.all().len(), MOST);
        assert!(sessions.find(&ids[0], Time(0)).is_none() && sessions.find(&ids[1], Time(0)).is_some());
        open(13 * 3_600_000);
        assert_eq!(sessions.all().len(), 1, "those that have ended are forgotten");
    }
}
