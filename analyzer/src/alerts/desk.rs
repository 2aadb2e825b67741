//! What is news: an alert is told when it begins and when it is over, however often it is seen in between.
//! Pure; who holds it sends what it returns.

use super::{Alert, Kind, Notice, Status};
use serde::Serialize;
use serin_judge::time::Time;
use std::collections::BTreeMap;

/// The alerts that are so now.
#[derive(Debug, Default)]
pub struct Desk {
    active: BTreeMap<Key, Active>,
}

type Key = (String, Kind, String);

#[derive(Debug)]
struct Active {
    alert: Alert,
    since: Time,
    seen: Time,
}

/// An alert that is so now, as people are shown it.
#[derive(Debug, Clone, Serialize)]
pub struct Firing {
    kind: &'static str,
    subject: String,
    severity: &'static str,
    text: String,
    since: Time,
}

impl Desk {
    /// All alerts of one canary as they are now; what is news of that.
    pub fn update(&mut self, canary: &str, alerts: Vec<Alert>, now: Time) -> Vec<Notice> {
        let mut news = Vec::new();
        for alert in alerts {
            let key = (alert.canary.clone(), alert.kind, alert.subject.clone());
            match self.active.get_mut(&key) {
                Some(active) => (active.seen, active.alert.text) = (now, alert.text),
                None => {
                    news.push(Notice { alert: alert.clone(), since: now, status: Status::Firing });
                    self.active.insert(key, Active { alert, since: now, seen: now });
                }
            }
        }
        self.active.retain(|(of, kind, _), active| {
            let over = of == canary && active.seen != now && now.since(active.seen) >= kind.patience();
            if over {
                let (alert, since) = (active.alert.clone(), active.since);
                news.push(Notice { alert, since, status: Status::Resolved(now) });
            }
            !over
        });
        news
    }

    /// A canary that is gone has no alerts.
    pub fn forget(&mut self, canary: &str, now: Time) -> Vec<Notice> {
        let mut news = Vec::new();
        self.active.retain(|(of, _, _), active| {
            if of == canary {
                let (alert, since) = (active.alert.clone(), active.since);
                news.push(Notice { alert, since, status: Status::Resolved(now) });
            }
            of != canary
        });
        news
    }

    /// A canary's alerts.
    pub fn firing(&self, canary: &str) -> Vec<Firing> {
        let own = self.active.iter().filter(|((of, _, _), _)| of == canary);
        let shown = |(_, active): (_, &Active)| Firing {
            kind: active.alert.kind.name(),
            subject: active.alert.subject.clone(),
            severity: active.alert.severity.name(),
            text: active.alert.text.clone(),
            since: active.since,
        };
        own.map(shown).collect()
    }

    /// How many alerts a canary has.
    pub fn count(&self, canary: &str) -> usize {
        self.active.keys().filter(|(of, _, _)| of == canary).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    fn alert(kind: Kind, subject: &str) -> Alert {
        Alert {
            kind,
            canary: "web/shop".into(),
            subject: subject.into(),
            severity: Severity::Warning,
            text: "it is so".into(),
        }
    }

    fn statuses(news: &[Notice]) -> Vec<Status> {
        news.iter().map(|notice| notice.status).collect()
    }

    #[test]
    fn an_alert_is_told_once_and_again_when_it_is_over() {
        let mut desk = Desk::default();
        let down = || vec![alert(Kind::SourceDown, "prometheus")];
        assert_eq!(statuses(&desk.update("web/shop", down(), Time(1))), [Status::Firing]);
        assert!(desk.update("web/shop", down(), Time(2)).is_empty());
        assert!(desk.update("web/other", vec![], Time(3)).is_empty(), "another canary's");
        assert_eq!(statuses(&desk.update("web/shop", vec![], Time(4))), [Status::Resolved(Time(4))]);
        assert!(desk.update("web/shop", vec![], Time(5)).is_empty());
    }

    #[test]
    fn an_anomaly_that_comes_and_goes_is_one_alert() {
        let mut desk = Desk::default();
        let odd = || vec![alert(Kind::Anomaly, "error_rate canary")];
        assert_eq!(desk.update("web/shop", odd(), Time(0)).len(), 1);
        assert!(desk.update("web/shop", vec![], Time(10_000)).is_empty());
        assert!(desk.update("web/shop", odd(), Time(20_000)).is_empty());
        assert!(desk.update("web/shop", vec![], Time(79_000)).is_empty());
        assert_eq!(
            statuses(&desk.update("web/shop", vec![], Time(80_000))),
            [Status::Resolved(Time(80_000))]
        );
    }

    #[test]
    fn two_sources_are_two_alerts_and_go_with_their_canary() {
        let mut desk = Desk::default();
        let both = vec![alert(Kind::SourceDown, "prometheus"), alert(Kind::SourceDown, "application")];
        assert_eq!(desk.update("web/shop", both, Time(1)).len(), 2);
        assert_eq!(desk.count("web/shop"), 2);
        assert_eq!(desk.firing("web/shop").first().map(|firing| firing.since), Some(Time(1)));
        assert_eq!(desk.forget("web/shop", Time(2)).len(), 2);
        assert_eq!(desk.count("web/shop"), 0);
    }
}
