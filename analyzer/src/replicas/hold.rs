//! Whether a lock that was ours is ours still. The clock is the monotonic one, which goes on while the program
//! is stopped: who was stopped for longer than its lock finds out before it writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So long after an unanswered question for the lock it still counts as unanswered.
const UNANSWERED: Duration = Duration::from_secs(3);

/// What is known of the lock.
#[derive(Debug, Clone)]
pub struct Hold {
    born: Instant,
    until: Arc<AtomicU64>,
    unanswered: Arc<AtomicU64>,
}

impl Default for Hold {
    fn default() -> Self {
        Self { born: Instant::now(), until: Arc::default(), unanswered: Arc::default() }
    }
}

impl Hold {
    fn millis(&self, moment: Instant) -> u64 {
        u64::try_from(moment.duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }

    /// The lock is ours; that was asked for at this moment, and is good for so long from then.
    pub fn renewed(&self, asked: Instant, good_for: Duration) {
        self.until.store(self.millis(asked + good_for), Ordering::Relaxed);
    }

    /// Nobody answered.
    pub fn unanswered(&self, now: Instant) {
        self.unanswered.store(self.millis(now).max(1), Ordering::Relaxed);
    }

    /// Another has the lock.
    pub fn lost(&self) {
        self.until.store(0, Ordering::Relaxed);
        self.unanswered.store(0, Ordering::Relaxed);
    }

    /// Whether a weight may be written: while the lock surely is ours; and a lower one also while nobody can
    /// say whose it is, for then nobody else may be there to take users off a canary.
    pub fn allows(&self, raises: bool) -> bool {
        self.allows_at(raises, Instant::now())
    }

    fn allows_at(&self, raises: bool, now: Instant) -> bool {
        let now = self.millis(now);
        let unanswered = self.unanswered.load(Ordering::Relaxed);
        let unknown = unanswered > 0 && now < unanswered + UNANSWERED.as_millis() as u64;
        now < self.until.load(Ordering::Relaxed) || (!raises && unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_ends_by_itself_and_while_nobody_answers_only_lower_weights_are_written() {
        let hold = Hold::default();
        let at = |millis: u64| hold.born + Duration::from_millis(millis);
        assert!(!hold.allows_at(true, at(0)) && !hold.allows_at(false, at(0)));
        hold.renewed(at(100), Duration::from_secs(1));
        assert!(hold.allows_at(true, at(1099)) && !hold.allows_at(true, at(1100)));
        assert!(!hold.allows_at(false, at(1100)), "stopped for longer than the lock: nothing at all");
        hold.unanswered(at(1200));
        assert!(hold.allows_at(false, at(1300)) && !hold.allows_at(true, at(1300)));
        assert!(!hold.allows_at(false, at(4200)), "stopped again");
        hold.lost();
        assert!(!hold.allows_at(false, at(1300)));
    }
}
