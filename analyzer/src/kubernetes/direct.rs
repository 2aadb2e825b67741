//! Rollbacks that people made without the analyzer, with `serin rollback --direct`. It leaves a mark on the
//! Canary; here the mark becomes the release's end, where a lower weight alone would only pause it.

use super::controller::Controller;
use super::object::Object;
use super::{CallError, JSON_PATCH, patch};
use crate::engine::{Attempt, Deed, Release};
use crate::kinds::ROLLED_BACK_DIRECTLY;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;
use serin_judge::ramp::Phase;
use serin_judge::time::Time;

/// Who stands in the history.
const BY: &str = "serin rollback --direct";
/// A mark's time is in whole seconds.
const SECOND: u64 = 1000;

impl Controller {
    /// Rolls back what was rolled back, once, and takes the mark away.
    pub(super) async fn obey_mark(
        &self,
        object: &Object<'_>,
        release: Option<&Release>,
    ) -> Result<(), CallError> {
        let annotations = object.0.annotations();
        let (Some(mark), Some(release)) = (annotations.get(ROLLED_BACK_DIRECTLY), release) else {
            return Ok(());
        };
        let state = &release.state;
        if let Some(reason) = meant(mark, state.rollout_started).filter(|_| state.phase != Phase::Failed) {
            let id = object.id().to_string();
            // Refused where the canary has nothing and will get nothing: then it is as it should be.
            let attempt = Attempt {
                canary: Some(id.clone()),
                deed: Deed::Rollback.name(),
                by: BY.to_owned(),
                role: "cluster",
                reason: Some(reason.to_owned()),
                peer: "an annotation of the Canary".to_owned(),
                ..Attempt::default()
            };
            if let Err(refused) = self.engine.act(&id, Deed::Rollback, attempt).await {
                tracing::info!(canary = %id, ?refused, "a direct rollback found nothing left to do");
            }
        }
        // Only this very mark: a newer one is for the next pass.
        let path = format!("/metadata/annotations/{}", ROLLED_BACK_DIRECTLY.replace('/', "~1"));
        let operations = json!([{"op": "test", "path": path, "value": mark}, {"op": "remove", "path": path}]);
        match patch(&self.client, &object.path(), JSON_PATCH, &operations).await {
            Err(error) if matches!(error.code(), 404 | 409 | 422) => Ok(()),
            answer => answer.map(drop),
        }
    }
}

/// The reason of a mark, unless the rollout that it was about is over and another has begun.
fn meant(mark: &str, rollout_started: Time) -> Option<&str> {
    let (time, reason) = mark.split_once(' ').unwrap_or((mark, "no reason given"));
    // A time that nobody can read is taken for now: somebody wanted a rollback.
    let Ok(time) = time.parse::<Timestamp>() else { return Some(mark) };
    let millis = u64::try_from(time.as_millisecond()).unwrap_or(0);
    (millis + SECOND > rollout_started.0).then_some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_counts_for_the_rollout_in_which_it_was_made() {
        let mark = "2023-11-14T22:13:20Z support calls";
        let made = 1_700_000_000_000;
        assert_eq!(meant(mark, Time(made - 60_000)), Some("support calls"));
        assert_eq!(meant(mark, Time(made + 900)), Some("support calls"), "within its second");
        assert_eq!(meant(mark, Time(made + 1000)), None, "the next rollout has begun");
        assert_eq!(meant("now please", Time(made)), Some("now please"));
        assert_eq!(meant("2023-11-14T22:13:20Z", Time(made)), Some("no reason given"));
    }
}
