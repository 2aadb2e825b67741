//! A weight on its way to the router, and whether it stays there.

use crate::router::virtual_service::Drift;
use crate::router::{RouterError, Standing, Written};
use serin_contract::Share;
use serin_judge::time::Time;
use std::time::Duration;

/// A weight that the router refused is written again after so long.
const RETRY: Duration = Duration::from_secs(1);
/// How often a file is looked at for changes by others.
const LOOK: Duration = Duration::from_secs(1);

/// The weight on its way to the router.
pub(super) struct Route {
    /// What should stand there.
    wanted: Share,
    /// What stands there, as far as we know; unknown after a start.
    pub(super) confirmed: Option<Share>,
    /// What stood there when we last knew.
    stood: Option<Share>,
    /// Why it could not be written.
    pub(super) error: Option<RouterError>,
    busy: bool,
    /// Whether the router was read since the start: until then nothing is written, because somebody may
    /// have pulled the brake while this program was away.
    read: bool,
    retry: Time,
    next_look: Time,
    /// The version of the object that was looked at or written last: an older one is old news.
    version: u64,
}

/// What stands in the router.
pub(super) enum Found {
    /// What we wrote, or what is about to be written anyway.
    AsWritten,
    /// More than we wrote; it will be written back.
    Raised(Share),
    /// Less than we wrote.
    Lowered(Share),
    /// Our weight, but not our routes for `x-canary`; they will be written again.
    Changed,
    /// At the first look after a start: more than we know of. It is written back unless it is adopted.
    Ahead(Share),
}

/// A weight to write.
#[derive(Clone, Copy)]
pub(super) struct Due {
    pub(super) share: Share,
    /// What is thought to stand there; less than that is a brake.
    pub(super) stood: Option<Share>,
}

impl Route {
    pub(super) fn new(wanted: Share, now: Time) -> Self {
        Self {
            wanted,
            confirmed: None,
            stood: None,
            error: None,
            busy: false,
            read: false,
            retry: now,
            next_look: now,
            version: 0,
        }
    }

    pub(super) fn wanted(&self) -> Share {
        self.wanted
    }

    /// Another weight should stand there, from now on.
    pub(super) fn want(&mut self, share: Share, now: Time) {
        if self.wanted != share {
            self.wanted = share;
            self.retry = now;
        }
    }

    /// Writes this weight, even if it is known to stand there already.
    pub(super) fn write(&mut self, share: Share, now: Time) {
        if self.wanted == share && self.confirmed == Some(share) {
            self.confirmed = None;
            self.retry = now;
        }
        self.want(share, now);
    }

    /// What was found ahead stays; it is written once, with everything else that belongs to it.
    pub(super) fn adopt(&mut self, share: Share) {
        (self.wanted, self.stood, self.confirmed) = (share, Some(share), None);
    }

    /// The weight to write now, if one is due; the caller must write it and say how it went.
    pub(super) fn due(&mut self, now: Time) -> Option<Due> {
        if self.busy || !self.read || self.confirmed == Some(self.wanted) || now < self.retry {
            return None;
        }
        self.busy = true;
        Some(Due { share: self.wanted, stood: self.stood })
    }

    /// How the write went. True when it failed as the one before did, so that it is old news.
    pub(super) fn written(&mut self, share: Share, result: &Result<Written, RouterError>, now: Time) -> bool {
        let old_news = result.as_ref().err() == self.error.as_ref();
        self.busy = false;
        self.next_look = now.plus(LOOK);
        match result {
            Ok(Written::Stands(version)) => {
                self.version = self.version.max(*version);
                self.stands(share);
            }
            Ok(Written::Braked(found)) => {
                self.wanted = *found;
                self.stands(*found);
            }
            Err(error) => {
                (self.confirmed, self.error) = (None, Some(error.clone()));
                self.retry = now.plus(RETRY);
            }
        }
        old_news
    }

    fn stands(&mut self, share: Share) {
        (self.confirmed, self.stood, self.error) = (Some(share), Some(share), None);
    }

    /// Whether to look now: at the start, and while nothing of ours is on its way.
    fn may_look(&self) -> bool {
        let settled = !self.busy && self.confirmed == Some(self.wanted);
        settled || !self.read
    }

    /// Whether a file should be read: at the start, then once a second.
    pub(super) fn look_is_due(&mut self, now: Time) -> bool {
        let due = self.may_look() && now >= self.next_look;
        if due {
            self.next_look = now.plus(LOOK);
        }
        due
    }

    /// Whether this version of an object is worth a look.
    pub(super) fn is_news(&mut self, version: u64) -> bool {
        let news = self.may_look() && (!self.read || version > self.version);
        if news {
            self.version = self.version.max(version);
        }
        news
    }

    /// What a look showed.
    pub(super) fn saw(&mut self, found: Result<Standing, RouterError>) -> Found {
        let first = !self.read;
        let standing = match found {
            Ok(standing) => standing,
            Err(error) => {
                // Writing again, or after a start reading again, finds out whether it was a passing fault.
                (self.confirmed, self.error) = (None, Some(error));
                return Found::AsWritten;
            }
        };
        (self.read, self.error) = (true, None);
        match standing.drift(self.wanted) {
            Drift::None if standing.is(self.wanted) => {
                self.stands(self.wanted);
                Found::AsWritten
            }
            Drift::Lowered(found) => {
                self.wanted = found;
                self.stands(found);
                if !standing.complete {
                    // A brake that took the managed routes along, as `serin rollback --direct` does.
                    self.confirmed = None;
                }
                Found::Lowered(found)
            }
            Drift::Raised(found) if first => {
                self.stood = Some(self.wanted);
                Found::Ahead(found)
            }
            Drift::None if first => {
                self.stood = Some(self.wanted);
                Found::AsWritten
            }
            Drift::None => {
                self.confirmed = None;
                Found::Changed
            }
            Drift::Raised(found) => {
                self.confirmed = None;
                Found::Raised(found)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(percent: f64) -> Share {
        Share::from_percent(percent).expect("a share")
    }

    /// A route whose 5 % stand in version 10 of the object.
    fn settled() -> Route {
        let mut route = Route::new(share(5.0), Time(0));
        assert!(route.due(Time(0)).is_none(), "nothing is written before the router was read");
        assert!(route.is_news(9));
        assert!(matches!(route.saw(Ok(Standing::only(share(7.0)))), Found::Ahead(_)));
        let due = route.due(Time(0)).expect("our own raise is taken back");
        assert_eq!((due.share, due.stood), (share(5.0), Some(share(5.0))));
        route.written(share(5.0), &Ok(Written::Stands(10)), Time(0));
        route
    }

    #[test]
    fn an_object_that_is_older_than_our_write_is_no_brake() {
        let mut route = settled();
        assert!(!route.is_news(9) && !route.is_news(10));
        route.want(share(25.0), Time(1));
        assert!(!route.is_news(11), "nothing is looked at while a weight is due");
        assert!(route.due(Time(1)).is_some());
        route.written(share(25.0), &Ok(Written::Stands(12)), Time(1));
        assert!(!route.is_news(11), "somebody's label of before our write");
        assert!(route.is_news(13));
        assert!(matches!(route.saw(Ok(Standing::only(share(5.0)))), Found::Lowered(_)));
    }

    #[test]
    fn a_brake_that_a_write_meets_is_what_stands_there() {
        let mut route = settled();
        route.want(share(25.0), Time(1));
        assert!(route.due(Time(1)).is_some());
        route.written(share(25.0), &Ok(Written::Braked(share(1.0))), Time(1));
        assert_eq!((route.wanted(), route.confirmed), (share(1.0), Some(share(1.0))));
        assert!(route.due(Time(9000)).is_none());
    }

    #[test]
    fn what_is_adopted_is_written_once_and_asked_for_again_when_it_is_raised_to() {
        let mut route = Route::new(share(0.0), Time(0));
        assert!(matches!(route.saw(Ok(Standing::only(share(5.0)))), Found::Ahead(_)));
        route.adopt(share(5.0));
        let due = route.due(Time(0)).expect("with the managed routes");
        assert_eq!((due.share, due.stood), (share(5.0), Some(share(5.0))));
        route.written(share(5.0), &Ok(Written::Stands(10)), Time(0));
        assert!(route.due(Time(1)).is_none());
        route.write(share(5.0), Time(1));
        assert_eq!(route.due(Time(1)).expect("due again").share, share(5.0));
    }

    #[test]
    fn managed_routes_that_are_gone_are_written_again() {
        let mut route = settled();
        assert!(route.is_news(11));
        let found = Standing { complete: false, ..Standing::only(share(5.0)) };
        assert!(matches!(route.saw(Ok(found)), Found::Changed));
        assert_eq!(route.due(Time(2)).expect("due").share, share(5.0));
    }

    #[test]
    fn a_brake_that_took_the_managed_routes_along_is_obeyed_and_the_routes_come_back() {
        let mut route = settled();
        assert!(route.is_news(11));
        let found = Standing { complete: false, ..Standing::only(share(0.0)) };
        assert!(matches!(route.saw(Ok(found)), Found::Lowered(_)));
        let due = route.due(Time(2)).expect("due");
        assert_eq!((due.share, due.stood), (share(0.0), Some(share(0.0))));
    }

    #[test]
    fn an_object_that_cannot_be_read_at_the_start_is_not_written_blindly() {
        let mut route = Route::new(share(5.0), Time(0));
        route.saw(Err(RouterError::failed("missing")));
        assert!(route.error.is_some() && route.due(Time(0)).is_none());
        assert!(matches!(route.saw(Ok(Standing::only(share(1.0)))), Found::Lowered(_)));
        assert!(route.error.is_none());
    }
}
