//! A world and a release as options say them, checked.

use clap::{Args, ValueEnum};
use serin_contract::Share;
use serin_judge::settings::{Limits, Ramp, Settings};
use serin_judge::simulate::{Activity, Fault, Outage, World};
use std::time::Duration;

#[derive(Args)]
pub(super) struct WorldOptions {
    /// How many users there are [default: 5000]
    #[arg(long)]
    users: Option<usize>,
    /// How unequal users are [default: uneven]
    #[arg(long, value_enum)]
    activity: Option<ActivityName>,
    /// Percent of the users half of whose requests fail, whatever the version [default: 0]
    #[arg(long)]
    chronic: Option<f64>,
    /// Requests a second [default: 200]
    #[arg(long)]
    rate: Option<f64>,
    /// Percent by which traffic and errors swing around their mean, every five minutes [default: 0]
    #[arg(long)]
    swing: Option<f64>,
    /// Percent of requests that fail [default: 1]
    #[arg(long)]
    errors: Option<f64>,
    /// Both versions fail so many percent for a while, as in 90s..150s:30
    #[arg(long, value_parser = outage)]
    outage: Option<Outage>,
    /// When the canary's fault begins [default: 30s if there is one]
    #[arg(long, value_parser = humantime::parse_duration)]
    fault_at: Option<Duration>,
    /// How long the fault takes to grow to its size [default: 0s]
    #[arg(long, value_parser = humantime::parse_duration)]
    fault_over: Option<Duration>,
    /// The fault: percent of the canary's requests that fail
    #[arg(long)]
    fault_errors: Option<f64>,
    /// The fault: how many times as long the canary takes
    #[arg(long)]
    fault_slower: Option<f64>,
    /// The fault: the canary answers nothing any more
    #[arg(long)]
    fault_hangs: bool,
}

#[derive(Args)]
pub(super) struct SettingsOptions {
    /// The ramp, in percent
    #[arg(long, value_delimiter = ',', default_value = "5,25,45,65,85,100")]
    share: Vec<f64>,
    /// How long a share holds before the next
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// How often a canary that is no worse may be rolled back
    #[arg(long, default_value_t = 0.05)]
    false_rollback_rate: f64,
    /// The absolute limit, in percent
    #[arg(long, default_value_t = 5.0)]
    max_error_rate: f64,
    /// How much the canary's p95 may be above stable's, in percent
    #[arg(long, default_value_t = 50.0)]
    max_latency_increase: f64,
    /// Canary requests in a step before its weight grows
    #[arg(long, default_value_t = 10)]
    min_request_count: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum ActivityName {
    Even,
    Uneven,
    HeavyTailed,
}

/// `90s..150s:30`.
fn outage(text: &str) -> Result<Outage, String> {
    let parts = text.split_once("..").and_then(|(from, rest)| {
        let (until, percent) = rest.split_once(':')?;
        let time = |text: &str| humantime::parse_duration(text).ok();
        Some(Outage { at: time(from)?, until: time(until)?, errors: percent.parse::<f64>().ok()? / 100.0 })
    });
    let allowed = "an outage is written FROM..UNTIL:PERCENT, as in 90s..150s:30";
    parts
        .filter(|outage| outage.at < outage.until && (0.0..=1.0).contains(&outage.errors))
        .ok_or(allowed.into())
}

/// A number within bounds, or an error that says which are allowed.
fn within(option: &str, value: f64, low: f64, high: f64) -> Result<f64, String> {
    if value >= low && value <= high {
        return Ok(value);
    }
    Err(format!("--{option}: {value} is not allowed: {low} to {high}"))
}

impl WorldOptions {
    pub(super) fn compile(&self) -> Result<World, String> {
        let usual = World::default();
        let percent = |option: &str, value: Option<f64>, default: f64| match value {
            Some(value) => within(option, value, 0.0, 100.0).map(|value| value / 100.0),
            None => Ok(default),
        };
        let users = self.users.unwrap_or(usual.users);
        within("users", users as f64, 1.0, 10_000_000.0)?;
        Ok(World {
            users,
            activity: match self.activity {
                Some(ActivityName::Even) => Activity::Even,
                Some(ActivityName::HeavyTailed) => Activity::HeavyTailed,
                Some(ActivityName::Uneven) | None => Activity::Uneven,
            },
            chronic: percent("chronic", self.chronic, usual.chronic)?,
            rate: within("rate", self.rate.unwrap_or(usual.rate), 0.01, 100_000.0)?,
            swing: percent("swing", self.swing, usual.swing)?,
            errors: percent("errors", self.errors, usual.errors)?,
            fault: self.fault(percent("errors", self.errors, usual.errors)?)?,
            outage: self.outage,
        })
    }

    fn fault(&self, usual: f64) -> Result<Option<Fault>, String> {
        let is_there = self.fault_errors.is_some() || self.fault_slower.is_some() || self.fault_hangs;
        if !is_there {
            return match self.fault_at.or(self.fault_over) {
                Some(_) => {
                    Err("--fault-at and --fault-over need a fault: --fault-errors, --fault-slower or \
                                --fault-hangs"
                        .into())
                }
                None => Ok(None),
            };
        }
        let errors = match self.fault_errors {
            Some(errors) => within("fault-errors", errors, 0.0, 100.0)? / 100.0,
            None => usual,
        };
        Ok(Some(Fault {
            at: self.fault_at.unwrap_or(Duration::from_secs(30)),
            over: self.fault_over.unwrap_or_default(),
            errors,
            slower: within("fault-slower", self.fault_slower.unwrap_or(1.0), 0.01, 10_000.0)?,
            hangs: self.fault_hangs,
        }))
    }

    /// A named world is what its name says.
    pub(super) fn refuse_beside_scenarios(&self) -> Result<(), String> {
        let given = [
            ("users", self.users.is_some()),
            ("activity", self.activity.is_some()),
            ("chronic", self.chronic.is_some()),
            ("rate", self.rate.is_some()),
            ("swing", self.swing.is_some()),
            ("errors", self.errors.is_some()),
            ("outage", self.outage.is_some()),
            ("fault-at", self.fault_at.is_some()),
            ("fault-over", self.fault_over.is_some()),
            ("fault-errors", self.fault_errors.is_some()),
            ("fault-slower", self.fault_slower.is_some()),
            ("fault-hangs", self.fault_hangs),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => {
                Err(format!("--{option} describes a world of your own: leave --scenario out"))
            }
            None => Ok(()),
        }
    }
}

impl SettingsOptions {
    pub(super) fn compile(&self) -> Result<Settings, String> {
        let shares = self.share.iter().map(|percent| Share::from_percent(*percent)).collect::<Result<_, _>>();
        let shares = shares.map_err(|error| format!("--share: {error}"))?;
        let usual = Settings::default();
        if self.interval.is_zero() {
            return Err("--interval: 0 is not allowed: at least 1s".into());
        }
        Ok(Settings {
            ramp: Ramp::by_steps(shares).map_err(|error| format!("--share: {error}"))?,
            promotion_interval: self.interval,
            limits: Limits {
                max_error_rate: within("max-error-rate", self.max_error_rate, 0.0, 100.0)?,
                max_latency_increase: within("max-latency-increase", self.max_latency_increase, 0.0, 1e6)?,
                min_request_count: self.min_request_count,
                ..usual.limits
            },
            false_rollback_rate: within("false-rollback-rate", self.false_rollback_rate, 1e-6, 0.5)?,
            ..usual
        })
    }
}
