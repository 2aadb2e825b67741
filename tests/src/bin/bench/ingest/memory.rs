//! Memory of an analyzer that many filters report to for minutes: once a second, or as seldom as its plan asks them.

use super::filters::{Fleet, Load};
use super::micros_each;
use super::world::{World, WorldOptions};
use crate::figures::table;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const NAME: &str = "memory: 5,000 filters, 1,000 canaries, for minutes";

pub(crate) async fn measure(minutes: u64) -> Result<Value> {
    eprintln!("bench: {NAME}");
    let mut world = World::start(&WorldOptions { canaries: 1_000, ..WorldOptions::default() }).await?;
    let before = world.usage()?;
    let fleet = Fleet::new(world.addresses(), 5_000, 20).await?;
    let dash = || "-".to_owned();
    let mut rows =
        vec![vec!["0".to_owned(), format!("{:.0}", before.memory_mb), dash(), dash(), dash(), dash()]];
    let mut values = Vec::new();
    for minute in 1..=minutes {
        let before = world.usage()?;
        let measured = fleet.run(Load::Planned(Duration::from_secs(1)), Duration::from_secs(60)).await?;
        let used = world.usage()?.since(&before);
        let each = micros_each(used.cpu(), measured.replies);
        rows.push(vec![
            minute.to_string(),
            format!("{:.0}", used.memory_mb),
            format!("{:.0}", measured.rate()),
            format!("{each:.1}"),
            fleet.interval().as_millis().to_string(),
            measured.failed.to_string(),
        ]);
        values.push(json!({
            "minute": minute, "memory_mb": used.memory_mb, "held_per_s": measured.rate(), "cpu_us_per_report": each,
            "interval_ms": fleet.interval().as_millis() as u64, "failed": measured.failed,
        }));
    }
    let lost = fleet.requests() as i64 - world.counted(fleet.requests()).await? as i64;
    let head = [
        "minute",
        "memory in MB",
        "held/s",
        "µs of processor time each",
        "interval that the plan asks for in ms",
        "not answered, sent again",
    ];
    table(
        "5,000 filters and 1,000 canaries with 1,000 users each, a report a second each or as seldom as the plan asks, redb",
        &head,
        &rows,
    );
    ensure!(lost == 0, "{lost} requests are missing, or were counted twice if below 0");
    Ok(values.into())
}
