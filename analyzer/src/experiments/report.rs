//! The report on an experiment, for people: Markdown, or one HTML page with plots and nothing to fetch.

use super::book::Status;
use super::release_report;
use crate::engine::ExperimentView;
use serin_judge::experiment::{Comparison, Results};
use std::fmt::Write;

/// Which number to trust when.
pub const TRUST: &str = "Looking daily, and free to stop: trust always_valid_p_value_holm and lift_interval. \
    One look at a size fixed beforehand: p_value (p_value_holm with several arms) and the intervals of the rates. \
    Above all: with a sample ratio mismatch trust none of them.";

/// As Markdown.
pub fn markdown(view: &ExperimentView, results: &Results) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = write_markdown(&mut text, view, results);
    text
}

fn write_markdown(out: &mut String, view: &ExperimentView, results: &Results) -> std::fmt::Result {
    writeln!(out, "# {}\n", plain(&view.name))?;
    writeln!(out, "{}\n", state(view))?;
    if let Some(hypothesis) = &view.spec.hypothesis {
        writeln!(out, "Hypothesis: {}\n", plain(hypothesis))?;
    }
    if results.sample_ratio.mismatch {
        writeln!(
            out,
            "**Sample ratio mismatch: the arms do not have the sizes that their shares promise. Trust no number below.**\n"
        )?;
    }
    writeln!(
        out,
        "| arm | share | exposures | conversions | rate | 95 % (Wilson) |\n|---|---|---|---|---|---|"
    )?;
    for (arm, variant) in arms(view, results) {
        let (low, high) = variant.wilson_interval;
        writeln!(
            out,
            "| {arm} | {} % | {} | {} | {:.2} % | {low:.2} to {high:.2} % |",
            view.shares.get(arm).copied().unwrap_or(0.0),
            variant.exposures,
            variant.conversions,
            variant.conversion_rate
        )?;
    }
    writeln!(
        out,
        "\n| goal | arm | lift | at any time | p at any time (Holm) | p, one look (Holm) | still needed |\n|---|---|---|---|---|---|---|"
    )?;
    for comparison in &results.comparisons {
        let needed = comparison.sample_size.map_or_else(|| "-".to_owned(), |size| size.missing.to_string());
        writeln!(
            out,
            "| {} | {} | {} | {} | {:.4} | {} | {needed} |",
            comparison.goal,
            comparison.arm,
            percent(comparison.lift),
            interval(comparison),
            comparison.always_valid_p_value_holm,
            comparison.p_value_holm.map_or_else(|| "-".to_owned(), |p| format!("{p:.4}")),
        )?;
    }
    release_report::markdown(out, results, first_goal(results))?;
    for guard in &results.guardrails {
        let verdict = if guard.harmed { "**harmed**" } else { "not harmed so far" };
        writeln!(
            out,
            "\nGuardrail {} in {}: {verdict} (E = {:.2}, threshold {:.0}).",
            guard.goal, guard.arm, guard.e_value, guard.threshold
        )?;
    }
    if let Some(analysis) = &results.analysis {
        writeln!(out, "\n{}", analysis.recommendation)?;
    }
    writeln!(out, "\n{TRUST}")
}

/// What the experiment is about.
fn first_goal(results: &Results) -> &str {
    results.comparisons.first().map_or("", |comparison| comparison.goal.as_str())
}

/// The arms in the order in which they were declared, control first.
fn arms<'a>(
    view: &'a ExperimentView,
    results: &'a Results,
) -> impl Iterator<Item = (&'a str, &'a serin_judge::experiment::Variant)> {
    view.spec.arms.iter().filter_map(|arm| Some((arm.name.as_str(), results.variants.get(&arm.name)?)))
}

fn state(view: &ExperimentView) -> String {
    let end = view.ended.as_ref().map_or_else(String::new, |ended| format!(", ended {ended}"));
    let status = match view.status {
        Status::Scheduled => "scheduled",
        Status::Running => "running",
        Status::Ended => "ended",
    };
    format!("`{}`, {status}, created {}{end}, step {}.", view.id, view.created, view.step)
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:+.1} %"))
}

fn interval(comparison: &Comparison) -> String {
    match comparison.lift_interval {
        (None, None) => "-".to_owned(),
        (low, high) => {
            let low = low.map_or_else(|| "-100.0 %".to_owned(), |low| format!("{low:+.1} %"));
            format!("{low} to {}", high.map_or_else(|| "open".to_owned(), |high| format!("{high:+.1} %")))
        }
    }
}

/// Text of people's, kept from being markup.
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '|' | '\n' | '\r' => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// As an HTML page.
pub fn html(view: &ExperimentView, results: &Results) -> String {
    let mut page = String::new();
    let _ = write_html(&mut page, view, results);
    page
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b2733}\
    table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d5dde5}\
    .bad{background:#fbe3e0;padding:.6rem 1rem}svg{width:100%;height:auto}";

fn write_html(out: &mut String, view: &ExperimentView, results: &Results) -> std::fmt::Result {
    let name = plain(&view.name);
    write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{name}</title><style>{STYLE}</style>"
    )?;
    write!(out, "<h1>{name}</h1><p>{}</p>", plain(&state(view)))?;
    if let Some(hypothesis) = &view.spec.hypothesis {
        write!(out, "<p>Hypothesis: {}</p>", plain(hypothesis))?;
    }
    if results.sample_ratio.mismatch {
        write!(
            out,
            "<p class=\"bad\">Sample ratio mismatch: the arms do not have the sizes that their shares promise. Trust no number below.</p>"
        )?;
    }
    write!(out, "<h2>Conversion rate, 95 % (Wilson)</h2>")?;
    let rates: Vec<Bar> = arms(view, results)
        .map(|(arm, variant)| Bar {
            label: format!("{arm} ({} of {})", variant.conversions, variant.exposures),
            low: variant.wilson_interval.0,
            middle: Some(variant.conversion_rate),
            high: variant.wilson_interval.1,
        })
        .collect();
    plot(out, &rates, None)?;
    write!(out, "<h2>Lift against control, valid at any time, 95 %</h2>")?;
    let lifts: Vec<Bar> = results
        .comparisons
        .iter()
        .filter_map(|comparison| {
            let (low, high) = comparison.lift_interval;
            let high = high?;
            let label = format!("{} in {}: {}", comparison.goal, comparison.arm, interval(comparison));
            Some(Bar { label, low: low.unwrap_or(-100.0), middle: comparison.lift, high })
        })
        .collect();
    if lifts.is_empty() {
        write!(out, "<p>Too few conversions yet to bound any lift.</p>")?;
    }
    plot(out, &lifts, Some(0.0))?;
    write!(
        out,
        "<table><tr><th>goal<th>arm<th>lift<th>p at any time (Holm)<th>p, one look (Holm)<th>units still needed"
    )?;
    for comparison in &results.comparisons {
        let fixed = comparison.p_value_holm.map_or_else(|| "-".to_owned(), |p| format!("{p:.4}"));
        let needed = comparison.sample_size.map_or_else(|| "-".to_owned(), |size| size.missing.to_string());
        write!(
            out,
            "<tr><td>{}<td>{}<td>{}<td>{:.4}<td>{fixed}<td>{needed}",
            comparison.goal,
            comparison.arm,
            percent(comparison.lift),
            comparison.always_valid_p_value_holm
        )?;
    }
    write!(out, "</table>")?;
    release_report::html(out, results, first_goal(results))?;
    for guard in &results.guardrails {
        let verdict = if guard.harmed { "harmed" } else { "not harmed so far" };
        write!(
            out,
            "<p>Guardrail {} in {}: {verdict} (E = {:.2}, threshold {:.0}).</p>",
            guard.goal, guard.arm, guard.e_value, guard.threshold
        )?;
    }
    if let Some(analysis) = &results.analysis {
        write!(out, "<p><strong>{}</strong></p>", plain(&analysis.recommendation))?;
    }
    write!(out, "<p>{TRUST}</p></html>")
}

/// An interval with a mark in it.
struct Bar {
    label: String,
    low: f64,
    middle: Option<f64>,
    high: f64,
}

/// Intervals under one another, on one scale; with a line at `zero` where there is one.
fn plot(out: &mut String, bars: &[Bar], zero: Option<f64>) -> std::fmt::Result {
    const WIDTH: f64 = 800.0;
    const ROW: f64 = 44.0;
    let low = bars.iter().map(|bar| bar.low).chain(zero).fold(f64::INFINITY, f64::min);
    let high = bars.iter().map(|bar| bar.high).chain(zero).fold(f64::NEG_INFINITY, f64::max);
    if bars.is_empty() || !(high - low).is_finite() {
        return Ok(());
    }
    let span = (high - low).max(1e-9);
    let x = |value: f64| 10.0 + (value - low) / span * (WIDTH - 20.0);
    let height = ROW * bars.len() as f64 + 24.0;
    write!(out, "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">")?;
    if let Some(zero) = zero {
        let x = x(zero);
        write!(
            out,
            "<line x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{:.0}\" stroke=\"#8794a1\" stroke-dasharray=\"4\"/>",
            height - 20.0
        )?;
    }
    for (place, bar) in bars.iter().enumerate() {
        let y = ROW * place as f64 + 30.0;
        write!(out, "<text x=\"10\" y=\"{:.0}\" font-size=\"14\">{}</text>", y - 12.0, plain(&bar.label))?;
        write!(
            out,
            "<line x1=\"{:.1}\" y1=\"{y}\" x2=\"{:.1}\" y2=\"{y}\" stroke=\"#2e86ab\" stroke-width=\"4\"/>",
            x(bar.low),
            x(bar.high)
        )?;
        if let Some(middle) = bar.middle {
            write!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{y}\" r=\"6\" fill=\"#a23b72\"/>",
                x(middle.clamp(low, high))
            )?;
        }
    }
    write!(out, "<text x=\"10\" y=\"{:.0}\" font-size=\"13\">{low:.2} %</text>", height - 4.0)?;
    write!(
        out,
        "<text x=\"{}\" y=\"{:.0}\" font-size=\"13\" text-anchor=\"end\">{high:.2} %</text></svg>",
        WIDTH - 10.0,
        height - 4.0
    )
}
