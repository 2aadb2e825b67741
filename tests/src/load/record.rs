//! What the load's clients saw, one entry for each request, and the questions that the tests and the
//! demo ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A user, by number.
    User(u32),
    /// A client that sends no id.
    Anonymous,
}

impl Who {
    /// The id that is sent.
    pub fn id(self) -> Option<String> {
        match self {
            Self::User(number) => Some(format!("user-{number:04}")),
            Self::Anonymous => None,
        }
    }
}

/// How a request ended for its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With an answer; the version that gave it, or none if Envoy did.
    Answered {
        /// The HTTP status.
        status: u16,
        /// As the shop names itself.
        version: Option<Arc<str>>,
    },
    /// The client went away first, as it was told to.
    Cut,
    /// Without an answer.
    Broken(Arc<str>),
}

/// One request and what came of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Who asked.
    pub who: Who,
    /// The version that was asked for by hand: the canary or not.
    pub manual: Option<bool>,
    /// When.
    pub sent: Instant,
    /// How long until the end.
    pub took: Duration,
    /// The end.
    pub ending: Ending,
}

impl Exchange {
    /// The version that answered.
    pub fn version(&self) -> Option<&str> {
        match &self.ending {
            Ending::Answered { version, .. } => version.as_deref(),
            Ending::Cut | Ending::Broken(_) => None,
        }
    }

    /// Whether the client was failed: a 5xx or no answer at all.
    pub fn failed(&self) -> bool {
        match &self.ending {
            Ending::Answered { status, .. } => *status >= 500,
            Ending::Cut => false,
            Ending::Broken(_) => true,
        }
    }

    /// The user, if the request was left to Serin to assign.
    pub fn assigned_user(&self) -> Option<u32> {
        match (self.who, self.manual) {
            (Who::User(number), None) => Some(number),
            (Who::User(_), Some(_)) | (Who::Anonymous, _) => None,
        }
    }

    fn sent_within(&self, from: Instant, to: Instant) -> bool {
        from <= self.sent && self.sent < to
    }
}

/// Everything that the clients saw.
#[derive(Debug, Default)]
pub struct Record {
    exchanges: Mutex<Vec<Exchange>>,
    sent: AtomicU64,
}

impl Record {
    /// Adds what came of one more request.
    pub fn add(&self, exchange: Exchange) {
        self.lock().push(exchange);
    }

    /// Says how many requests were sent in all.
    pub fn finish_sending(&self, sent: u64) {
        self.sent.store(sent, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests were sent; known once the load has ended.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// What `ask` makes of all requests that have ended, in the order in which they did.
    pub fn read<T>(&self, ask: impl FnOnce(&[Exchange]) -> T) -> T {
        ask(&self.lock())
    }

    /// How many requests that have ended are such.
    pub fn count(&self, such: impl Fn(&Exchange) -> bool) -> u64 {
        self.lock().iter().filter(|exchange| such(exchange)).count() as u64
    }

    /// How many requests each version answered in a period; under `envoy` those that none answered.
    pub fn versions(&self, from: Instant, to: Instant) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for exchange in self.lock().iter().filter(|exchange| exchange.sent_within(from, to)) {
            *counts.entry(exchange.version().unwrap_or("envoy").to_owned()).or_default() += 1;
        }
        counts
    }

    /// The users who were assigned to each version in a period.
    pub fn users(&self, from: Instant, to: Instant) -> BTreeMap<String, BTreeSet<u32>> {
        let mut users: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for exchange in self.lock().iter().filter(|exchange| exchange.sent_within(from, to)) {
            if let (Some(user), Some(version)) = (exchange.assigned_user(), exchange.version()) {
                users.entry(version.to_owned()).or_default().insert(user);
            }
        }
        users
    }

    /// The users who had an answer of `canary` in hand when they sent a request that another version
    /// answered, in a period. (Of two requests that overlap nobody can say which came first.)
    pub fn moved_back(&self, canary: &str, from: Instant, to: Instant) -> BTreeSet<u32> {
        let exchanges = self.lock();
        let assigned = || {
            let within = exchanges.iter().filter(|exchange| exchange.sent_within(from, to));
            within.filter_map(|exchange| Some((exchange, exchange.assigned_user()?, exchange.version()?)))
        };
        let mut first_answer: BTreeMap<u32, Instant> = BTreeMap::new();
        for (exchange, user, _) in assigned().filter(|(_, _, version)| *version == canary) {
            let answered = exchange.sent + exchange.took;
            let first = first_answer.entry(user).or_insert(answered);
            *first = answered.min(*first);
        }
        let back = assigned().filter(|(exchange, user, version)| {
            *version != canary && first_answer.get(user).is_some_and(|first| exchange.sent > *first)
        });
        back.map(|(_, user, _)| user).collect()
    }

    /// The users and the requests that a version failed.
    pub fn failed_by(&self, version: &str) -> (usize, usize) {
        let exchanges = self.lock();
        let failed =
            exchanges.iter().filter(|exchange| exchange.failed() && exchange.version() == Some(version));
        let users: BTreeSet<Who> = failed.clone().map(|exchange| exchange.who).collect();
        let users = users.iter().filter(|who| matches!(who, Who::User(_))).count();
        (users, failed.count())
    }

    /// Requests that failed although no version of the shop failed them, as counts of what was seen.
    pub fn broken(&self) -> BTreeMap<String, u64> {
        let mut kinds = BTreeMap::new();
        for exchange in self.lock().iter() {
            let kind = match &exchange.ending {
                Ending::Answered { status, version: None } => format!("{status} from Envoy"),
                Ending::Broken(why) => why.to_string(),
                Ending::Answered { .. } | Ending::Cut => continue,
            };
            *kinds.entry(kind).or_default() += 1;
        }
        kinds
    }
}

impl fmt::Display for Record {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        for exchange in self.lock().iter() {
            let kind = match &exchange.ending {
                Ending::Answered { status, version } => {
                    format!("{} {status}", version.as_deref().unwrap_or("envoy"))
                }
                Ending::Cut => "cut".to_owned(),
                Ending::Broken(_) => "broken".to_owned(),
            };
            *kinds.entry(kind).or_default() += 1;
        }
        write!(out, "{kinds:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(record: &Record, begin: Instant, after_ms: u64, user: u32, version: &str) {
        record.add(Exchange {
            who: Who::User(user),
            manual: None,
            sent: begin + Duration::from_millis(after_ms),
            took: Duration::from_millis(5),
            ending: Ending::Answered { status: 200, version: Some(version.into()) },
        });
    }

    #[test]
    fn only_who_leaves_the_canary_has_moved_back() {
        let (record, begin) = (Record::default(), Instant::now());
        seen(&record, begin, 0, 1, "v1");
        seen(&record, begin, 10, 1, "v2");
        seen(&record, begin, 0, 2, "v2");
        // Entries are in the order of the answers, not of the requests.
        seen(&record, begin, 30, 3, "v1");
        seen(&record, begin, 20, 3, "v2");
        // These two overlap: an answer takes 5 ms.
        seen(&record, begin, 20, 4, "v2");
        seen(&record, begin, 22, 4, "v1");
        let back = record.moved_back("v2", begin, begin + Duration::from_secs(1));
        assert_eq!(back, BTreeSet::from([3]));
        assert!(record.moved_back("v2", begin, begin + Duration::from_millis(25)).is_empty());
    }
}
