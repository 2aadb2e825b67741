//! The report as Markdown: for issues, chats and terminals.

use super::Report;
use super::text::{cell, count, length, moment, percent, wide};
use serde_json::Value;
use serin_contract::Arm;
use std::fmt::Write;

pub(super) fn page(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let mut line = |text: String| {
        writeln!(out, "{text}").ok();
    };
    line(format!("# {}: {}", cell(&report.name()), report.decision().to_lowercase()));
    line(String::new());
    line(format!("**Why:** {}", cell(report.reason())));
    line(String::new());
    line("| | |\n|---|---|".to_owned());
    line(format!("| stable | {} |", cell(report.version(Arm::Stable))));
    line(format!("| canary | {} |", cell(report.version(Arm::Canary))));
    line(format!("| began | {} |", moment(report.started)));
    line(format!("| lasted | {} |", length(report.length())));
    line(format!("| weight at the end | {} % |", report.number("/weight").unwrap_or(0.0)));
    line("\n## Who was affected\n".to_owned());
    line("| version | users seen | with an error | slow | requests | errors | error rate |".to_owned());
    line("|---|---|---|---|---|---|---|".to_owned());
    let totals = report.totals();
    for arm in Arm::ALL {
        let (affected, (requests, errors)) = (report.affected(arm), *totals.get(arm));
        line(format!(
            "| {} ({arm}) | {} | {} | {} | {} | {} | {} |",
            cell(report.version(arm)),
            count(affected.seen.round() as u64),
            count(affected.erred),
            count(affected.slow),
            count(requests),
            count(errors),
            percent(errors, requests)
        ));
    }
    line("\nA user counts once in each stratum (a step, or ten minutes of it).".to_owned());
    line("\n## Evidence\n".to_owned());
    let evidence = |name: &str| report.number(&format!("/summary/evidence/{name}")).map_or("–".into(), wide);
    line(format!(
        "E of errors {}, E of slowness {}; a rollback from {} on.",
        evidence("errors"),
        evidence("slow"),
        evidence("threshold")
    ));
    history(report, &mut line);
    anomalies(report, &mut line);
    limits(report, &mut line);
    out
}

fn history(report: &Report, line: &mut impl FnMut(String)) {
    line("\n## What happened\n".to_owned());
    line("| after | phase | weight | why | by |\n|---|---|---|---|---|".to_owned());
    for (time, step) in report.steps() {
        let text = |field: &str| step.get(field).and_then(Value::as_str).unwrap_or("");
        let weight = step.get("weight").and_then(Value::as_f64).unwrap_or(0.0);
        line(format!(
            "| {} | {} | {weight} % | {} | {} |",
            length(time),
            text("phase"),
            cell(text("reason")),
            cell(text("by"))
        ));
    }
}

fn anomalies(report: &Report, line: &mut impl FnMut(String)) {
    line("\n## Anomalies\n".to_owned());
    let anomalies = report.anomalies();
    if anomalies.is_empty() {
        line("None in the samples of this report.".to_owned());
        return;
    }
    line("| what | severity | first after | samples | |\n|---|---|---|---|---|".to_owned());
    for seen in anomalies {
        let (what, text) = (cell(&seen.what), cell(&seen.text));
        line(format!("| {what} | {} | {} | {} | {text} |", seen.severity, length(seen.first), seen.samples));
    }
}

fn limits(report: &Report, line: &mut impl FnMut(String)) {
    let metrics = report.canary.get("metrics").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if metrics.is_empty() {
        return;
    }
    line("\n## Metrics with limits\n".to_owned());
    line("| metric | stable | canary | stands | |\n|---|---|---|---|---|".to_owned());
    for metric in metrics {
        let text = |field: &str| metric.get(field).and_then(Value::as_str).unwrap_or("");
        let number = |field: &str| metric.get(field).and_then(Value::as_f64).map_or("–".into(), wide);
        line(format!(
            "| {} | {} | {} | {} | {} |",
            cell(text("name")),
            number("stable"),
            number("canary"),
            text("state"),
            cell(text("reason"))
        ));
    }
}
