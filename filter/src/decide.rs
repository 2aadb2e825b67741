//! Which version a request goes to. In this order:
//!
//! 1. No plan: nothing is done, the route's weights decide.
//! 2. The canary is found by authority and path. None: nothing is done.
//! 3. `x-canary-by` names this very canary: a filter before this one has decided; everything is kept
//!    and nothing recorded, so that a request counts once on its way. If it names another canary, then
//!    `x-canary` is that one's and no choice of the client: go on with 5.
//! 4. The client chose by `x-canary: true|false` and the canary allows it (with a key in `x-canary-key`, if
//!    it asks for one): kept, counted as forced.
//! 5. The path or the user agent is excluded: stable.
//! 6. Outside of the segment: stable, counted as ineligible.
//! 7. The first unit source that yields a value assigns.
//! 8. No unit: where the canary issues a cookie, an id is made, assigns, and goes back in that cookie.
//!    Elsewhere `x-canary` and `x-canary-by` are removed, the weighted route decides, and the request
//!    is counted as unassigned under the version that served it.
//!
//! Whoever talks to clients directly has removed their `x-canary-by` before this.

use crate::issue::{Issued, Issuer};
use serin_contract::allocation::canary_arm;
use serin_contract::headers::{CANARY, CANARY_BY, CANARY_KEY, FALSE, TRUE};
use serin_contract::plan::{Exclude, Manual};
use serin_contract::{Arm, AssignedUnit, CanaryPlan, Plan, RequestHeaders, UnitHash};
use std::borrow::Cow;

/// What happens to a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit<'p> {
    /// It stays as it is.
    Keep,
    /// It gets this value, and only this one.
    Set(&'p str),
    /// It goes.
    Remove,
}

/// How the version was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// By the unit: evidence.
    Assigned {
        /// The unit's arm.
        arm: Arm,
        /// The unit's name in reports.
        unit: UnitHash,
    },
    /// By the client.
    Forced(Arm),
    /// By the route's weights, for want of a unit.
    Unassigned,
    /// By exclusion: always stable.
    Excluded,
    /// Outside of the segment: always stable.
    Ineligible,
}

/// What to do with a request of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'p> {
    /// The canary's place in the plan.
    pub canary: usize,
    /// What happens to `x-canary`.
    pub version: Edit<'p>,
    /// What happens to `x-canary-by`.
    pub by: Edit<'p>,
    /// What the request counts as.
    pub choice: Choice,
    /// Whether `x-canary-key` is there and has to go: no service needs to see it.
    pub has_key: bool,
    /// The cookie that the client is to get.
    pub issued: Option<Issued<'p>>,
}

/// Decides; none when the request is to be left alone and not recorded.
pub fn decide<'p>(plan: &'p Plan, request: &impl RequestHeaders, issuer: &Issuer) -> Option<Decision<'p>> {
    let authority = request.get(":authority").unwrap_or_default();
    let path = request.get(":path").unwrap_or(Cow::Borrowed(b"/"));
    let (index, canary) = plan.find(&String::from_utf8_lossy(&authority), &String::from_utf8_lossy(&path))?;
    // Only where keys count is the header asked for, and removed.
    let key = match &canary.manual {
        Manual::WithKey(_) => request.get(CANARY_KEY),
        Manual::Always | Manual::Never => None,
    };
    let decided = |arm: Arm, choice| Decision {
        canary: index,
        version: Edit::Set(value_of(arm)),
        by: Edit::Set(&canary.name),
        choice,
        has_key: key.is_some(),
        issued: None,
    };

    let by = request.get(CANARY_BY);
    if by.as_deref() == Some(canary.name.as_bytes()) {
        return None;
    }
    let sent = request.get(CANARY);
    if by.is_none()
        && let Some(arm) = manual(canary, sent.as_deref(), key.as_deref())
    {
        return Some(decided(arm, Choice::Forced(arm)));
    }
    if excluded(&canary.exclude, &path, request) {
        return Some(decided(Arm::Stable, Choice::Excluded));
    }
    if canary.segment.as_ref().is_some_and(|segment| !segment.matches(request)) {
        return Some(decided(Arm::Stable, Choice::Ineligible));
    }
    let assigned = |unit: AssignedUnit| {
        let arm = canary_arm(unit.bucket, canary.canary_share);
        decided(arm, Choice::Assigned { arm, unit: unit.hash })
    };
    if let Some(unit) = unit(canary, request) {
        return Some(assigned(unit));
    }
    if let Some(cookie) = canary.issued_cookie() {
        let issued = issuer.issue(cookie, request);
        let unit = AssignedUnit::of(&canary.salt, issued.id().as_bytes())?;
        return Some(Decision { issued: Some(issued), ..assigned(unit) });
    }
    let remove = |there: bool| if there { Edit::Remove } else { Edit::Keep };
    Some(Decision {
        canary: index,
        version: remove(sent.is_some()),
        by: remove(by.is_some()),
        choice: Choice::Unassigned,
        has_key: key.is_some(),
        issued: None,
    })
}

fn value_of(arm: Arm) -> &'static str {
    match arm {
        Arm::Stable => FALSE,
        Arm::Canary => TRUE,
    }
}

fn manual(canary: &CanaryPlan, sent: Option<&[u8]>, key: Option<&[u8]>) -> Option<Arm> {
    let arm = Arm::ALL.into_iter().find(|arm| sent == Some(value_of(*arm).as_bytes()))?;
    let allowed = match &canary.manual {
        Manual::Never => false,
        Manual::Always => true,
        Manual::WithKey(keys) => key.is_some_and(|key| keys.hold(key)),
    };
    allowed.then_some(arm)
}

fn excluded(exclude: &Exclude, path: &[u8], request: &impl RequestHeaders) -> bool {
    if exclude.path_prefixes.iter().any(|prefix| path.starts_with(prefix.as_bytes())) {
        return true;
    }
    // Most canaries exclude no agents: then the header is not even asked for.
    !exclude.user_agents.is_empty()
        && request
            .get("user-agent")
            .is_some_and(|agent| exclude.user_agents.iter().any(|part| contains(&agent, part.as_bytes())))
}

/// Whether `text` contains `part` in any case.
fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window.eq_ignore_ascii_case(part))
}

fn unit(canary: &CanaryPlan, request: &impl RequestHeaders) -> Option<AssignedUnit> {
    canary.units.iter().find_map(|source| AssignedUnit::of(&canary.salt, &source.read(request)?))
}
