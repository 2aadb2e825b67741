//! A weight on its way to the router, and whether it stays there.

use crate::config::Router;
use crate::router::{self, RouterError};
use serin_contract::Share;
use serin_judge::time::Time;
use std::time::Duration;

/// A weight that the router refused is written again after so long.
const RETRY: Duration = Duration::from_secs(1);
/// How often the router is looked at for changes by others.
const LOOK: Duration = Duration::from_secs(1);

/// The weight on its way to the router.
pub(super) struct Route {
    /// What should stand there.
    wanted: Share,
    /// What stands there, as far as we know; unknown after a start.
    pub(super) confirmed: Option<Share>,
    /// Why it could not be written.
    pub(super) error: Option<RouterError>,
    busy: bool,
    /// Whether the router was read since the start: until then nothing is written, because somebody may
    /// have pulled the brake while this program was away.
    read: bool,
    retry: Time,
    next_look: Time,
}

/// What stands in the router.
pub(super) enum Found {
    /// What we wrote, or what is about to be written anyway.
    AsWritten,
    /// More than we wrote; it will be written back.
    Raised(Share),
    /// Less than we wrote.
    Lowered(Share),
}

impl Route {
    pub(super) fn new(wanted: Share, now: Time) -> Self {
        Self { wanted, confirmed: None, error: None, busy: false, read: false, retry: now, next_look: now }
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

    /// The share to write now, if one is due; the caller must write it and say how it went.
    pub(super) fn due(&mut self, now: Time) -> Option<Share> {
        if self.busy || !self.read || self.confirmed == Some(self.wanted) || now < self.retry {
            return None;
        }
        self.busy = true;
        Some(self.wanted)
    }

    /// How the write went. True when it failed as the one before did, so that it is old news.
    pub(super) fn written(&mut self, share: Share, result: &Result<(), RouterError>, now: Time) -> bool {
        let old_news = result.as_ref().err() == self.error.as_ref();
        self.busy = false;
        self.next_look = now.plus(LOOK);
        match result {
            Ok(()) => (self.confirmed, self.error) = (Some(share), None),
            Err(error) => {
                (self.confirmed, self.error) = (None, Some(error.clone()));
                self.retry = now.plus(RETRY);
            }
        }
        old_news
    }

    /// Reads the router: at the start, then once a second while nothing of ours is on its way.
    pub(super) fn look(&mut self, router: &Router, now: Time) -> Found {
        let settled = !self.busy && self.confirmed == Some(self.wanted);
        if (self.read && !settled) || now < self.next_look {
            return Found::AsWritten;
        }
        self.next_look = now.plus(LOOK);
        let first = !std::mem::replace(&mut self.read, true);
        match router::read(router) {
            Ok(found) if found == self.wanted => {
                self.confirmed = Some(found);
                Found::AsWritten
            }
            // Our own raise, if we ended between writing and storing it.
            Ok(found) if found > self.wanted && first => Found::AsWritten,
            Ok(found) if found > self.wanted => {
                self.confirmed = None;
                Found::Raised(found)
            }
            Ok(found) => {
                (self.wanted, self.confirmed) = (found, Some(found));
                Found::Lowered(found)
            }
            Err(error) => {
                // Writing again finds out whether it was a passing fault.
                (self.confirmed, self.error) = (None, Some(error));
                Found::AsWritten
            }
        }
    }
}
