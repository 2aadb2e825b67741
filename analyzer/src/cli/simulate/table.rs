//! The answer as Markdown tables, which people can read as they are and paste.

use super::Row;
use serin_judge::simulate::{Quantiles, Rate};

/// One table for worlds in which nothing is wrong with the canary, one for faults, one for anomalies.
pub(super) fn text(rows: &[Row]) -> String {
    let (faulty, healthy): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.tally.found.is_some());
    let anomalies: Vec<&Row> = healthy
        .iter()
        .copied()
        .filter(|row| row.method == "evidence" && !row.tally.anomalies.is_empty())
        .collect();
    [healthy_table(&healthy), faulty_table(&faulty), anomaly_table(&anomalies)]
        .into_iter()
        .filter(|lines| lines.len() > 1)
        .map(|lines| laid_out(&lines))
        .collect::<Vec<_>>()
        .join("\n")
}

fn headings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn healthy_table(rows: &[&Row]) -> Vec<Vec<String>> {
    let names = ["nothing wrong", "method", "runs", "rolled back", "by the absolute limit", "otherwise"];
    let line = |row: &&Row| {
        let tally = &row.tally;
        vec![
            row.scenario.clone(),
            row.method.to_owned(),
            tally.runs.to_string(),
            rate(tally.false_rollbacks),
            format!("{:.1} %", tally.absolute_rollbacks.percent),
            rate(tally.blamed_rollbacks),
        ]
    };
    std::iter::once(headings(&names)).chain(rows.iter().map(line)).collect()
}

fn faulty_table(rows: &[&Row]) -> Vec<Vec<String>> {
    let names = ["fault", "method", "runs", "found", "seconds", "failed requests", "rolled back before"];
    let line = |row: &&Row| {
        let tally = &row.tally;
        vec![
            row.scenario.clone(),
            row.method.to_owned(),
            tally.runs.to_string(),
            tally.found.map_or_else(String::new, rate),
            quantiles(tally.seconds),
            quantiles(tally.failed_requests),
            format!("{:.1} %", tally.false_rollbacks.percent),
        ]
    };
    std::iter::once(headings(&names)).chain(rows.iter().map(line)).collect()
}

fn anomaly_table(rows: &[&Row]) -> Vec<Vec<String>> {
    let kinds = ["error_rate", "latency", "cpu", "correlation", "shared_rise"];
    let mut names = vec!["anomalies, of the looks"];
    names.extend(kinds);
    let line = |row: &&Row| {
        let found = kinds.iter().map(|kind| match row.tally.anomalies.get(kind) {
            Some(rate) => format!("{:.2} %", rate.percent),
            None => "-".to_owned(),
        });
        std::iter::once(row.scenario.clone()).chain(found).collect()
    };
    std::iter::once(headings(&names)).chain(rows.iter().map(line)).collect()
}

/// The rate in percent, and Wilson's interval of 95 %.
fn rate(rate: Rate) -> String {
    format!("{:.1} % ({:.1} to {:.1})", rate.percent, rate.interval.0, rate.interval.1)
}

/// Median / 90th percentile.
fn quantiles(quantiles: Option<Quantiles>) -> String {
    quantiles.map_or_else(|| "-".into(), |found| format!("{:.1} / {:.1}", found.median, found.p90))
}

/// Aligned Markdown: the first line are the headings.
fn laid_out(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let joined = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let padded = |line: &Vec<String>| {
        joined(line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect())
    };
    let rule = joined(widths.iter().map(|width| "-".repeat(*width)).collect());
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        text.push_str(&padded(line));
        if number == 0 {
            text.push_str(&rule);
        }
    }
    text
}
