//! Failed sign-ins: so many a minute for each address and in all, and none beyond, right or wrong.

use serin_judge::time::Time;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How far back failures count.
const WINDOW: Duration = Duration::from_secs(60);
/// Failures of one address in it.
const OF_ONE: usize = 10;
/// Failures in it in all.
const OF_ALL: usize = 100;

/// The last minute's failures, oldest first.
#[derive(Default)]
pub(in super::super) struct Attempts(Mutex<VecDeque<(Time, IpAddr)>>);

impl Attempts {
    fn failures(&self, now: Time) -> MutexGuard<'_, VecDeque<(Time, IpAddr)>> {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|(time, _)| now.since(*time) < WINDOW);
        failures
    }

    /// Whether another may be made; if not, how long until then.
    pub(super) fn allow(&self, address: IpAddr, now: Time) -> Result<(), Duration> {
        let (failures, network) = (self.failures(now), network(address));
        let of_one: Vec<Time> =
            failures.iter().filter(|(_, of)| *of == network).map(|(time, _)| *time).collect();
        let oldest = match failures.front() {
            _ if of_one.len() >= OF_ONE => of_one.get(of_one.len() - OF_ONE).copied(),
            Some((time, _)) if failures.len() >= OF_ALL => Some(*time),
            Some(_) | None => None,
        };
        oldest.map_or(Ok(()), |time| Err(WINDOW.saturating_sub(now.since(time))))
    }

    /// One has failed.
    pub(super) fn failed(&self, address: IpAddr, now: Time) {
        let mut failures = self.failures(now);
        failures.push_back((now, network(address)));
        let surplus = failures.len().saturating_sub(OF_ALL);
        failures.drain(..surplus);
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(long) => match long.to_ipv4_mapped() {
            Some(short) => IpAddr::V4(short),
            None => IpAddr::V6((u128::from(long) & !u128::from(u64::MAX)).into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn who_fails_ten_times_waits_and_others_do_not() {
        let attempts = Attempts::default();
        for second in 0..10 {
            assert_eq!(attempts.allow(address("10.0.0.1"), Time(second * 1000)), Ok(()));
            attempts.failed(address("10.0.0.1"), Time(second * 1000));
        }
        assert_eq!(attempts.allow(address("10.0.0.1"), Time(10_000)), Err(Duration::from_secs(50)));
        assert_eq!(attempts.allow(address("::ffff:10.0.0.1"), Time(10_000)), Err(Duration::from_secs(50)));
        assert_eq!(attempts.allow(address("10.0.0.2"), Time(10_000)), Ok(()));
        assert_eq!(attempts.allow(address("10.0.0.1"), Time(60_000)), Ok(()));
    }

    #[test]
    fn many_addresses_together_are_limited_too() {
        let attempts = Attempts::default();
        for host in 0..100_u32 {
            attempts.failed(IpAddr::V4(std::net::Ipv4Addr::from(host)), Time(0));
        }
        assert_eq!(attempts.allow(address("10.0.0.1"), Time(20_000)), Err(Duration::from_secs(40)));
        let attempts = Attempts::default();
        for host in 0..10 {
            attempts.failed(address(&format!("2001:db8::{host}")), Time(0));
        }
        assert!(attempts.allow(address("2001:db8::ffff"), Time(1)).is_err(), "one network");
        assert!(attempts.allow(address("2001:db8:1::1"), Time(1)).is_ok());
    }
}
