//! What of a rollout people are alerted of.

use super::rollout::Rollout;
use crate::alerts::{Alert, Kind, Severity};
use crate::sources::ledger::Source;
use serin_judge::anomaly::Severity as Bad;
use serin_judge::ramp::{Phase, Transition};
use serin_judge::sample_ratio;
use serin_judge::summary::Summary;
use serin_judge::time::Time;
use std::time::Duration;

/// Filters that have yet to report are no loss of a source until so much of a rollout has passed.
const START: Duration = Duration::from_secs(60);

impl Rollout {
    /// Everything that is so now.
    pub(super) fn alerts(&self, summary: &Summary, now: Time) -> Vec<Alert> {
        let mut alerts = Vec::new();
        if self.state.phase == Phase::Failed {
            let text = self.last_reason();
            alerts.push(self.alert(Kind::RolledBack, "Failed", Severity::Critical, text));
        }
        if self.is_live() && summary.sample_ratio >= 1.0 / sample_ratio::ALPHA {
            let text = format!("E of the sample ratio is {:.3e}", summary.sample_ratio);
            alerts.push(self.alert(Kind::SampleRatio, self.state.phase.name(), Severity::Critical, text));
        }
        if self.is_live() {
            self.lost_sources(&mut alerts, now);
            self.broken_limits(&mut alerts, now);
            self.odd_samples(&mut alerts);
        }
        alerts
    }

    fn lost_sources(&self, alerts: &mut Vec<Alert>, now: Time) {
        for health in self.ledger.health() {
            let young = now.since(self.state.rollout_started) < START;
            if let Some(problem) =
                health.problem.as_ref().filter(|_| health.source != Source::Filters || !young)
            {
                let text = problem.clone();
                alerts.push(self.alert(Kind::SourceDown, health.source.name(), Severity::Warning, text));
            }
        }
    }

    fn odd_samples(&self, alerts: &mut Vec<Alert>) {
        for anomaly in self.analysis.anomalies.iter().filter(|anomaly| anomaly.severity == Bad::High) {
            let version = anomaly.version.map(|arm| format!(" {arm}")).unwrap_or_default();
            let subject = format!("{}{version}", anomaly.kind.name());
            let text = anomaly.message.clone();
            alerts.push(self.alert(Kind::Anomaly, &subject, Severity::Warning, text));
        }
        for (name, finding) in &self.analysis.burning {
            let text = finding.reason.clone();
            alerts.push(self.alert(Kind::BudgetBurn, name, Severity::Critical, text));
        }
    }

    fn broken_limits(&self, alerts: &mut Vec<Alert>, now: Time) {
        let (limits, round) = (&self.spec.sources.limits, self.spec.settings.analysis_interval);
        for view in self.ledger.views(limits, round, now) {
            if let (crate::sources::ledger::BROKEN, Some(reason)) = (view.state, view.reason) {
                alerts.push(self.alert(Kind::MetricLimit, &view.name, Severity::Warning, reason));
            }
        }
    }

    /// A line of history as an event, where it changes the phase.
    pub(super) fn phase_event(&self, before: Phase, transition: &Transition) -> Option<Alert> {
        let severity = match transition.phase {
            Phase::Failed => Severity::Critical,
            Phase::Paused => Severity::Warning,
            Phase::Pending | Phase::Progressing | Phase::Promoting | Phase::Succeeded => Severity::Info,
        };
        (before != transition.phase).then(|| {
            let text = format!("at {}: {}", transition.weight, transition.reason);
            self.alert(Kind::PhaseChanged, transition.phase.name(), severity, text)
        })
    }

    fn last_reason(&self) -> String {
        self.history.back().map_or_else(|| self.state.verdict.reason.clone(), |line| line.reason.clone())
    }

    fn alert(&self, kind: Kind, subject: &str, severity: Severity, text: String) -> Alert {
        Alert { kind, canary: self.spec.id.to_string(), subject: subject.to_owned(), severity, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read_canary;
    use serde_json::json;
    use serin_contract::Share;
    use serin_judge::rules::{Finding, OnBreach};
    use std::path::Path;

    #[test]
    fn mismatched_sizes_burning_budgets_and_grave_anomalies_are_told_while_the_canary_has_users() {
        let document = json!({
            "apiVersion": "serin.dev/v1alpha1", "kind": "Canary", "metadata": {"name": "shop"},
            "spec": {"stableVersion": "v1", "canaryVersion": "v2", "hosts": ["shop"], "router": {"envoyRoutes":
                {"path": "routes.yaml", "stableCluster": "stable", "canaryCluster": "canary"}}},
        });
        let mut rollout = Rollout::new(read_canary(&document, Path::new(".")).expect("good"), 0, Time(1));
        rollout.state.phase = Phase::Progressing;
        rollout.state.weight = Share::from_percent(5.0).expect("a share");
        let anomaly = |severity: &str| json!({"type": "error_rate", "severity": severity, "version": "canary", "message": "4 % after 1 %"});
        rollout.analysis.anomalies = ["high", "medium"]
            .map(|severity| serde_json::from_value(anomaly(severity)).expect("an anomaly"))
            .to_vec();
        let finding = Finding { breach: OnBreach::Warn, reason: "the budget burns".to_owned() };
        rollout.analysis.burning = vec![("availability".to_owned(), finding)];
        let mut summary = rollout.summary(Time(1));
        summary.sample_ratio = 1.0 / sample_ratio::ALPHA;
        let kinds = |rollout: &Rollout| -> Vec<Kind> {
            rollout.alerts(&summary, Time(1)).into_iter().map(|alert| alert.kind).collect()
        };
        assert_eq!(kinds(&rollout), [Kind::SampleRatio, Kind::Anomaly, Kind::BudgetBurn]);
        rollout.state.phase = Phase::Failed;
        rollout.state.weight = Share::NONE;
        assert_eq!(kinds(&rollout), [Kind::RolledBack]);
    }
}
