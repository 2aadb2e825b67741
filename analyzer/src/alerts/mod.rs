//! Alerts: what people want to be told of, to whom it goes, and when it is over. [`desk`] decides what is
//! news; [`receiver`] delivers it, each receiver on a task of its own.

pub mod desk;
mod format;
pub mod receiver;

use crate::config::Token;
use hyper::Uri;
use serin_judge::time::Time;
use std::time::Duration;

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    /// For labels and logs.
    pub name: String,
    /// What it speaks.
    pub kind: ReceiverKind,
    /// Where it listens.
    pub url: Uri,
    /// How long one answer may take.
    pub timeout: Duration,
    /// What it asks for.
    pub token: Option<Token>,
}

/// What a receiver speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiverKind {
    /// Alertmanager's API v2.
    Alertmanager,
    /// Any web hook: a POST with JSON.
    Webhook,
}

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A release went from one phase to another: an event, over as soon as it is told.
    PhaseChanged,
    /// A release was rolled back, and no new one has begun.
    RolledBack,
    /// The arms' sizes do not fit the share.
    SampleRatio,
    /// An anomaly of high severity.
    Anomaly,
    /// A source does not answer.
    SourceDown,
    /// A user's own limit is broken.
    MetricLimit,
    /// An error budget burns fast.
    BudgetBurn,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Somebody should look now.
    Critical,
    /// Somebody should look today.
    Warning,
    /// Good to know.
    Info,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it is about.
    pub kind: Kind,
    /// The canary, as `<namespace>/<name>`.
    pub canary: String,
    /// What tells it from others of its kind and canary: a source, a version, a phase.
    pub subject: String,
    /// How much it matters.
    pub severity: Severity,
    /// What happened, in a sentence.
    pub text: String,
}

/// News of an alert, on its way to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The alert.
    pub alert: Alert,
    /// Since when it has been so.
    pub since: Time,
    /// Where it stands.
    pub status: Status,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is so.
    Firing,
    /// It is over since.
    Resolved(Time),
    /// It happened; there is nothing to be over.
    Event,
}

impl Kind {
    /// As in Alertmanager's `alertname`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PhaseChanged => "SerinPhaseChanged",
            Self::RolledBack => "SerinRolledBack",
            Self::SampleRatio => "SerinSampleRatioMismatch",
            Self::Anomaly => "SerinAnomaly",
            Self::SourceDown => "SerinSourceDown",
            Self::MetricLimit => "SerinMetricLimit",
            Self::BudgetBurn => "SerinBudgetBurn",
        }
    }

    /// The label that tells alerts of this kind apart.
    pub fn subject(self) -> &'static str {
        match self {
            Self::PhaseChanged | Self::RolledBack | Self::SampleRatio => "phase",
            Self::Anomaly => "anomaly",
            Self::SourceDown => "source",
            Self::MetricLimit => "metric",
            Self::BudgetBurn => "slo",
        }
    }

    /// For how long it must be gone before it counts as over: what is looked at anew at each tick comes and
    /// goes.
    fn patience(self) -> Duration {
        match self {
            Self::PhaseChanged | Self::RolledBack | Self::SampleRatio | Self::SourceDown => Duration::ZERO,
            Self::Anomaly | Self::MetricLimit | Self::BudgetBurn => Duration::from_secs(60),
        }
    }
}

impl Severity {
    /// As in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}
