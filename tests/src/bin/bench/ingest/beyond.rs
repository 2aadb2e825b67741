//! More filters than one core holds: the plan must ask for fewer reports by itself, and nothing may be lost.

use super::filters::{Fleet, Load};
use super::world::{World, WorldOptions};
use super::{micros_each, millis};
use crate::figures::table;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) const NAME: &str = "beyond: 30,000 filters as often as the plan asks";
/// Each reports twice a second while nobody asks it for less.
const FILTERS: usize = 30_000;
/// How often it is looked.
const LOOK: Duration = Duration::from_secs(2);

pub(crate) async fn measure(time: Duration) -> Result<Value> {
    eprintln!("bench: {NAME}");
    let mut world = World::start(&WorldOptions::default()).await?;
    let fleet = Fleet::new(world.addresses(), FILTERS, 20).await?;
    let offered = FILTERS as f64 / fleet.interval().as_secs_f64();
    let watched = tokio::spawn(watch(Arc::clone(&fleet), time));
    let before = world.usage()?;
    let measured = fleet.run(Load::Planned(Duration::ZERO), time).await?;
    let (intervals, values) = watched.await?;
    let counted = world.counted(fleet.requests()).await?;
    let lost = fleet.requests() as i64 - counted as i64;
    let used = world.usage()?.since(&before);
    let (p50, p99) = (millis(measured.quantile(0.5)), millis(measured.quantile(0.99)));
    let asked = fleet.interval();
    table(
        &format!(
            "{FILTERS} filters as often as the plan asks, redb; at first they would send {offered:.0} reports/s"
        ),
        &["second", "interval that the plan asks for in ms", "reports/s since the last line"],
        &intervals,
    );
    let each = micros_each(used.cpu(), measured.replies);
    let row = vec![
        format!("{}", asked.as_millis()),
        measured.replies.to_string(),
        format!("{each:.1}"),
        format!("{p50:.1} / {p99:.1}"),
        format!("{:.0}", used.memory_mb),
        measured.failed.to_string(),
        lost.to_string(),
    ];
    let head = [
        "interval at the end in ms",
        "reports",
        "µs of processor time each",
        "reply p50 / p99 in ms",
        "memory in MB",
        "not answered, sent again",
        "requests lost",
    ];
    table("The same in all", &head, &[row]);
    ensure!(lost == 0, "{lost} requests are missing, or were counted twice if below 0");
    Ok(json!({
        "filters": FILTERS, "offered_per_s": offered, "seconds": values, "interval_at_end_ms": asked.as_millis() as u64,
        "reports": measured.replies, "cpu_us_per_report": each, "p50_ms": p50, "p99_ms": p99,
        "memory_mb": used.memory_mb, "failed": measured.failed, "requests_lost": lost,
    }))
}

/// The interval and the rate, every two seconds.
async fn watch(fleet: Arc<Fleet>, time: Duration) -> (Vec<Vec<String>>, Vec<Value>) {
    let begin = Instant::now();
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    let mut last = (begin, fleet.reports());
    while begin.elapsed() + LOOK <= time {
        tokio::time::sleep(LOOK).await;
        let now = (Instant::now(), fleet.reports());
        let rate = (now.1 - last.1) as f64 / (now.0 - last.0).as_secs_f64();
        let (second, interval) = (begin.elapsed().as_secs(), fleet.interval().as_millis() as u64);
        rows.push(vec![second.to_string(), interval.to_string(), format!("{rate:.0}")]);
        values.push(json!({ "second": second, "interval_ms": interval, "reports_per_s": rate }));
        last = now;
    }
    (rows, values)
}
