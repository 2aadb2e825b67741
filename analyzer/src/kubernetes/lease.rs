//! Who leads: a Lease (coordination.k8s.io), as Kubernetes' own components use it. What it says is judged
//! here, without a clock; [`super::candidate`] reads and writes it.
//!
//! Clocks of machines differ, so the Lease's own times are for people. What counts is for how long we have
//! seen it unchanged (as client-go does). kube-leader-election 0.44 compares the written times instead, and
//! cannot carry the holder's address, so this is our own.

use std::time::Duration;

/// The annotation that says where the holder is reached.
pub(super) const ADDRESS: &str = "serin.dev/address";

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Who holds it; nobody after a holder that ended in order.
    pub(super) holder: Option<String>,
    /// Where the holder is reached.
    pub(super) address: Option<String>,
    /// Grows with each renewal.
    pub(super) version: String,
    /// For how long its holder may be silent, as the holder wrote it.
    pub(super) length: Duration,
}

/// What to do about a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is ours, or free: write it.
    Take,
    /// Somebody else has it.
    Wait,
    /// Somebody else has it, and it was ours: this program must end.
    Lost,
}

/// Judges a Lease that has been seen unchanged for so long.
pub(super) fn step(lease: &Seen, me: &str, led: bool, unchanged: Duration) -> Step {
    match lease.holder.as_deref() {
        None => Step::Take,
        Some(holder) if holder == me => Step::Take,
        Some(_) if led => Step::Lost,
        Some(_) if unchanged > lease.length => Step::Take,
        Some(_) => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(holder: Option<&str>) -> Seen {
        Seen {
            holder: holder.map(str::to_owned),
            address: None,
            version: "1".to_owned(),
            length: Duration::from_secs(15),
        }
    }

    #[test]
    fn a_lease_is_taken_when_it_is_free_or_ours_or_its_holder_is_silent_for_too_long() {
        let second = Duration::from_secs(1);
        assert_eq!(step(&held(None), "a", false, Duration::ZERO), Step::Take);
        assert_eq!(step(&held(Some("a")), "a", false, Duration::ZERO), Step::Take);
        assert_eq!(step(&held(Some("b")), "a", false, 15 * second), Step::Wait);
        assert_eq!(step(&held(Some("b")), "a", false, 16 * second), Step::Take);
    }

    #[test]
    fn who_has_led_ends_at_the_sight_of_another_holder_however_silent() {
        assert_eq!(step(&held(Some("b")), "a", true, Duration::from_secs(100)), Step::Lost);
        assert_eq!(step(&held(None), "a", true, Duration::ZERO), Step::Take);
    }
}
