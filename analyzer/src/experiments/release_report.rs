//! What a report says of a release beside its conversions: each step, and all of them standardised.

use serin_judge::experiment::Results;
use serin_judge::experiment::release::Measured;
use std::fmt::Write;

const COLUMNS: [&str; 6] = ["", "version", "conversions", "errors", "p50", "p95"];

/// The rows: what of, version, the first goal's conversions, errors, latency.
fn rows(results: &Results, goal: &str) -> Vec<[String; 6]> {
    let Some(release) = &results.release else { return Vec::new() };
    let percent = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2} %"));
    let millis = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |s| format!("{:.1} ms", 1e3 * s));
    let row = |of: String, version: &str, measured: &Measured| {
        let conversion = measured.conversion.get(goal).copied().flatten();
        let latency = (millis(measured.latency_p50), millis(measured.latency_p95));
        [of, version.to_owned(), percent(conversion), percent(measured.error_rate), latency.0, latency.1]
    };
    let mut rows = Vec::new();
    for step in &release.metrics.steps {
        let share = results.steps.iter().find(|known| known.step == step.step);
        let share = share.and_then(|known| known.shares.get("canary")).copied().unwrap_or(0.0);
        let of = format!("step {} at {share} %", step.step);
        rows.push(row(of.clone(), "stable", &step.stable));
        rows.push(row(of, "canary", &step.canary));
    }
    let total = &release.metrics.total;
    rows.push(row("all steps".to_owned(), "stable", &total.stable));
    rows.push(row("all steps".to_owned(), "canary", &total.canary));
    rows
}

/// What stands below the table.
const NOTE: &str = "All steps: standardised, each step with the same weight for both versions; never pooled.";

/// As a Markdown table; nothing for an experiment that is no release's.
pub(super) fn markdown(out: &mut String, results: &Results, goal: &str) -> std::fmt::Result {
    let rows = rows(results, goal);
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n| {} |\n|{}", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()))?;
    for row in rows {
        writeln!(out, "| {} |", row.join(" | "))?;
    }
    writeln!(out, "\n{NOTE}")
}

/// The same in HTML.
pub(super) fn html(out: &mut String, results: &Results, goal: &str) -> std::fmt::Result {
    let rows = rows(results, goal);
    if rows.is_empty() {
        return Ok(());
    }
    write!(out, "<h2>Each step</h2><table><tr><th>{}", COLUMNS.join("<th>"))?;
    for row in rows {
        write!(out, "<tr><td>{}", row.join("<td>"))?;
    }
    write!(out, "</table><p>{NOTE}</p>")
}
