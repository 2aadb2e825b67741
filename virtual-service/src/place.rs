//! Where a managed route stands: above every route that would decide about `x-canary` before it, and below
//! every route that it would take requests from.

use super::routes::{self, Split, Weighted, destinations, same_host};
use super::{Subsets, matching};
use serde_json::Value;

/// The list without Serin's own routes, and what is needed to judge it.
pub(super) struct Ground<'a> {
    pub(super) routes: &'a [Value],
    pub(super) subsets: &'a Subsets,
    pub(super) namespace: &'a str,
}

impl Ground<'_> {
    /// The index before which the copy of a weighted route for one value of `x-canary` is put.
    ///
    /// From the weighted route upwards. Routes that ask for `x-canary` and go to the same service (the
    /// user's own), and other weighted routes, are climbed over: their copies stand above this one. Any
    /// other route keeps its requests: where it could match the same ones, the climb ends below it, unless
    /// a route further up already takes everything with this value from it.
    pub(super) fn place(&self, weighted: &Weighted<'_>, value: &str) -> usize {
        let mut place = weighted.index;
        for (index, route) in self.routes.iter().enumerate().take(weighted.index).rev() {
            if self.steps_aside(index, route, weighted.host()) {
                place = index;
            } else if !matching::are_disjoint(route, weighted.route)
                && !self.is_shadowed(index, value, weighted.host())
            {
                break;
            }
        }
        place
    }

    fn steps_aside(&self, index: usize, route: &Value, host: &str) -> bool {
        match routes::split(index, route, self.subsets, self.namespace) {
            Split::Weighted(_) => true,
            Split::Ambiguous | Split::Other => {
                matching::asks_for_canary(route) && self.goes_only_to(route, host)
            }
        }
    }

    fn is_shadowed(&self, index: usize, value: &str, host: &str) -> bool {
        self.routes
            .iter()
            .enumerate()
            .take(index)
            .any(|(above, route)| self.steps_aside(above, route, host) && matching::takes_all(route, value))
    }

    fn goes_only_to(&self, route: &Value, host: &str) -> bool {
        let mut entries = destinations(route).peekable();
        entries.peek().is_some() && entries.all(|entry| same_host(self.namespace, entry.host(), host))
    }
}
