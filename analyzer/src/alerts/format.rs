//! Notices as receivers read them.

use super::{Kind, Notice, Status};
use serde_json::{Value, json};
use serin_judge::time::Time;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Alertmanager forgets an event after so long by itself.
const EVENT: Duration = Duration::from_secs(300);
/// Alertmanager takes an alert as over when it has not heard of it for so long: three times the time after
/// which a receiver repeats it.
const UNHEARD: Duration = Duration::from_secs(180);

/// A body of `POST /api/v2/alerts`.
pub(super) fn alertmanager(notices: &[Notice], now: Time) -> Value {
    let alerts = notices.iter().map(|notice| {
        let ends = match notice.status {
            Status::Firing => now.plus(UNHEARD),
            Status::Resolved(time) => time,
            Status::Event => notice.since.plus(EVENT),
        };
        json!({
            "labels": labels(notice),
            "annotations": { "summary": summary(notice), "description": notice.alert.text },
            "startsAt": rfc3339(notice.since),
            "endsAt": rfc3339(ends),
        })
    });
    Value::Array(alerts.collect())
}

/// A web hook's body.
pub(super) fn webhook(notices: &[Notice]) -> Value {
    let alerts = notices.iter().map(|notice| {
        let (status, ends) = match notice.status {
            Status::Firing => ("firing", None),
            Status::Resolved(time) => ("resolved", Some(rfc3339(time))),
            Status::Event => ("event", None),
        };
        json!({
            "status": status,
            "labels": labels(notice),
            "summary": summary(notice),
            "description": notice.alert.text,
            "startsAt": rfc3339(notice.since),
            "endsAt": ends,
        })
    });
    json!({ "alerts": alerts.collect::<Vec<_>>() })
}

fn labels(notice: &Notice) -> Value {
    let alert = &notice.alert;
    let (namespace, name) = alert.canary.split_once('/').unwrap_or(("", &alert.canary));
    json!({
        "alertname": alert.kind.name(),
        "severity": alert.severity.name(),
        "canary": alert.canary,
        "namespace": namespace,
        "name": name,
        alert.kind.subject(): alert.subject,
    })
}

fn summary(notice: &Notice) -> String {
    let canary = &notice.alert.canary;
    let subject = &notice.alert.subject;
    match notice.alert.kind {
        Kind::PhaseChanged => format!("{canary} is {subject}"),
        Kind::RolledBack => format!("{canary} was rolled back"),
        Kind::SampleRatio => format!("{canary}: the arms' sizes do not fit the share"),
        Kind::Anomaly => format!("{canary}: anomaly in {subject}"),
        Kind::SourceDown => format!("{canary}: {subject} does not answer"),
        Kind::MetricLimit => format!("{canary}: metric {subject} is beyond its limit"),
        Kind::BudgetBurn => format!("{canary}: the error budget of {subject} burns fast"),
    }
}

fn rfc3339(time: Time) -> String {
    let time: SystemTime = UNIX_EPOCH + Duration::from_millis(time.0);
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{Alert, Severity};
    use super::*;

    fn notice(status: Status) -> Notice {
        let alert = Alert {
            kind: Kind::SourceDown,
            canary: "web/shop".into(),
            subject: "prometheus".into(),
            severity: Severity::Warning,
            text: "connection refused".into(),
        };
        Notice { alert, since: Time(1_700_000_000_000), status }
    }

    #[test]
    fn alertmanager_gets_labels_that_make_one_alert_of_all_news_about_it() {
        let now = Time(1_700_000_060_000);
        let body = alertmanager(&[notice(Status::Firing), notice(Status::Resolved(now))], now);
        assert_eq!(body[0]["labels"], body[1]["labels"]);
        assert_eq!(body[0]["labels"]["alertname"], "SerinSourceDown");
        assert_eq!(body[0]["labels"]["source"], "prometheus");
        assert_eq!(body[0]["startsAt"], "2023-11-14T22:13:20.000Z");
        assert_eq!(body[0]["endsAt"], "2023-11-14T22:17:20.000Z");
        assert_eq!(body[1]["endsAt"], "2023-11-14T22:14:20.000Z");
    }

    #[test]
    fn a_web_hook_reads_where_an_alert_stands() {
        let body =
            webhook(&[notice(Status::Firing), notice(Status::Resolved(Time(0))), notice(Status::Event)]);
        let statuses = ["firing", "resolved", "event"];
        for (index, status) in statuses.into_iter().enumerate() {
            assert_eq!(body["alerts"][index]["status"], status);
        }
        assert_eq!(body["alerts"][0]["summary"], "web/shop: prometheus does not answer");
    }
}
