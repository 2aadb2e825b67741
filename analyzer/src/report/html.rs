//! The report as one HTML page: nothing is fetched, nothing runs in it.

use super::Report;
use super::charts::{CANARY, LIMIT, OTHER, Plot, STABLE, Scale};
use super::facts::Line;
use super::text::{count, escape, length, moment, percent, wide};
use plotters::style::RGBColor;
use serde_json::Value;
use serin_contract::Arm;

pub(super) fn page(report: &Report) -> Result<String, String> {
    let name = escape(&report.name());
    let parts = [
        header(report),
        affected(report),
        weights(report)?,
        rates(report)?,
        evidence(report)?,
        latency(report)?,
        scores(report)?,
        anomalies(report),
        limits(report),
        history(report),
    ];
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{name}: {}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n{}{}</main>\n</body>\n</html>\n",
        report.decision(),
        include_str!("style.css"),
        parts.concat(),
        footer(report),
    ))
}

fn header(report: &Report) -> String {
    let fact = |name: &str, value: &str| format!("<div><dt>{name}</dt><dd>{value}</dd></div>");
    let weight = report.number("/weight").unwrap_or(0.0);
    let facts = [
        fact("stable", &escape(report.version(Arm::Stable))),
        fact("canary", &escape(report.version(Arm::Canary))),
        fact("began", &moment(report.started)),
        fact("lasted", &length(report.length())),
        fact("canary's weight at the end", &format!("{weight} %")),
        fact("phase", &escape(report.text("/phase"))),
    ];
    format!(
        "<header class=\"{}\">\n<h1><b class=\"word\">{}</b> <span>{}</span></h1>\n<p class=\"why\">{}</p>\n\
         <dl>{}</dl>\n</header>\n",
        escape(&report.kind),
        report.decision(),
        escape(&report.name()),
        escape(report.reason()),
        facts.concat()
    )
}

fn affected(report: &Report) -> String {
    let totals = report.totals();
    let row = |arm: Arm| {
        let (affected, (requests, errors)) = (report.affected(arm), *totals.get(arm));
        let cells = [
            count(affected.seen.round() as u64),
            count(affected.erred),
            count(affected.slow),
            count(requests),
            count(errors),
            percent(errors, requests),
        ];
        let cells = cells.map(|cell| format!("<td class=\"number\">{cell}</td>")).concat();
        format!(
            "<tr><td>{} <span class=\"note\">({arm})</span></td>{cells}</tr>\n",
            escape(report.version(arm))
        )
    };
    let heads = ["users seen", "with an error", "slow", "requests", "errors", "error rate"];
    let heads = heads.map(|head| format!("<th class=\"number\">{head}</th>")).concat();
    section(
        "Who was affected",
        &format!(
            "<div class=\"scroll\"><table>\n<tr><th>version</th>{heads}</tr>\n{}</table></div>\n\
             <p class=\"note\">A user counts once in each stratum: a step, or ten minutes of it.</p>\n",
            Arm::ALL.map(row).concat()
        ),
    )
}

fn weights(report: &Report) -> Result<String, String> {
    let number = |line: &Value| line.get("weight").and_then(Value::as_f64);
    let line: Line = report.steps().filter_map(|(time, line)| Some((time, number(line)?))).collect();
    let plot = Plot { stepped: true, ..plot(report, Scale::Percent, vec![(CANARY, &line)]) };
    drawn("Weight of the canary", &[("canary", CANARY)], &plot, "")
}

fn rates(report: &Report) -> Result<String, String> {
    let (stable, canary) = (report.lines(Arm::Stable), report.lines(Arm::Canary));
    let lines = vec![(STABLE, &stable.rate), (CANARY, &canary.rate)];
    let bands = vec![(STABLE, &stable.band), (CANARY, &canary.band)];
    let plot = Plot { bands, ..plot(report, Scale::Percent, lines) };
    let note = "Lines: each analysis interval's own rate. Shaded: the confidence sequence of the last minute's \
                rate, with users as trials; it holds at all times at once.";
    drawn("Error rate", &[("stable", STABLE), ("canary", CANARY)], &plot, note)
}

fn evidence(report: &Report) -> Result<String, String> {
    let (errors, slow) = (report.line("/evidence/errors"), report.line("/evidence/slow"));
    let limit = report.number("/summary/evidence/threshold");
    let plot = Plot { limit, ..plot(report, Scale::Log, vec![(CANARY, &errors), (OTHER, &slow)]) };
    let note = "E-values against the canary, on a logarithmic scale. From the red line on it is rolled back.";
    drawn("Evidence", &[("errors", CANARY), ("slowness", OTHER), ("rollback", LIMIT)], &plot, note)
}

fn latency(report: &Report) -> Result<String, String> {
    let (stable, canary) = (report.lines(Arm::Stable), report.lines(Arm::Canary));
    let plot = plot(report, Scale::Latency, vec![(STABLE, &stable.p95), (CANARY, &canary.p95)]);
    drawn("Latency, 95th percentile", &[("stable", STABLE), ("canary", CANARY)], &plot, "")
}

fn scores(report: &Report) -> Result<String, String> {
    let (stable, canary) = (report.lines(Arm::Stable).slo, report.lines(Arm::Canary).slo);
    let none = Line::new();
    let names: std::collections::BTreeSet<&String> = stable.keys().chain(canary.keys()).collect();
    let mut out = String::new();
    for name in names {
        let line = |lines: &'_ std::collections::BTreeMap<String, Line>| lines.get(name).cloned();
        let (stable, canary) = (line(&stable).unwrap_or_default(), line(&canary).unwrap_or(none.clone()));
        let plot = plot(report, Scale::Score, vec![(STABLE, &stable), (CANARY, &canary)]);
        let title = format!("SLO {}", escape(name));
        out.push_str(&drawn(
            &title,
            &[("stable", STABLE), ("canary", CANARY)],
            &plot,
            "Score, 100 is best.",
        )?);
    }
    Ok(out)
}

fn plot<'a>(report: &Report, scale: Scale, lines: Vec<(RGBColor, &'a Line)>) -> Plot<'a> {
    Plot { length: report.length(), scale, lines, bands: Vec::new(), stepped: false, limit: None }
}

fn drawn(title: &str, key: &[(&str, RGBColor)], plot: &Plot<'_>, note: &str) -> Result<String, String> {
    if plot.is_empty() {
        return Ok(section(title, "<p class=\"note\">There are no numbers of it.</p>\n"));
    }
    let entry = |(name, RGBColor(red, green, blue)): &(&str, RGBColor)| {
        format!("<i style=\"background:rgb({red},{green},{blue})\"></i>{name}")
    };
    let key: String = key.iter().map(entry).collect();
    let note = if note.is_empty() { String::new() } else { format!("<p class=\"note\">{note}</p>\n") };
    Ok(section(title, &format!("<p class=\"key\">{key}</p>\n{}{note}", plot.draw()?)))
}

fn anomalies(report: &Report) -> String {
    let anomalies = report.anomalies();
    if anomalies.is_empty() {
        return section("Anomalies", "<p class=\"note\">None in the samples of this report.</p>\n");
    }
    let rows = anomalies.iter().map(|seen| {
        format!(
            "<tr><td>{}</td><td class=\"{}\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"text\">{}</td></tr>\n",
            escape(&seen.what),
            if seen.severity == "high" { "high" } else { "" },
            escape(&seen.severity),
            length(seen.first),
            seen.samples,
            escape(&seen.text)
        )
    });
    let heads = "<tr><th>what</th><th>severity</th><th class=\"number\">first after</th>\
                 <th class=\"number\">samples</th><th></th></tr>\n";
    section(
        "Anomalies",
        &format!("<div class=\"scroll\"><table>\n{heads}{}</table></div>\n", rows.collect::<String>()),
    )
}

fn limits(report: &Report) -> String {
    let metrics = report.canary.get("metrics").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if metrics.is_empty() {
        return String::new();
    }
    let rows = metrics.iter().map(|metric| {
        let text = |field: &str| escape(metric.get(field).and_then(Value::as_str).unwrap_or(""));
        let number = |field: &str| metric.get(field).and_then(Value::as_f64).map_or("–".into(), wide);
        format!(
            "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"{}\">{}</td><td class=\"text\">{}</td></tr>\n",
            text("name"),
            number("stable"),
            number("canary"),
            text("state"),
            text("state"),
            text("reason")
        )
    });
    let heads = "<tr><th>metric</th><th class=\"number\">stable</th><th class=\"number\">canary</th>\
                 <th>stands</th><th></th></tr>\n";
    let rows: String = rows.collect();
    section("Metrics with limits", &format!("<div class=\"scroll\"><table>\n{heads}{rows}</table></div>\n"))
}

fn history(report: &Report) -> String {
    let rows = report.steps().map(|(time, line)| {
        let text = |field: &str| escape(line.get(field).and_then(Value::as_str).unwrap_or(""));
        let weight = line.get("weight").and_then(Value::as_f64).unwrap_or(0.0);
        let by = text("by");
        let by = if by.is_empty() { by } else { format!(" <span class=\"note\">by {by}</span>") };
        format!(
            "<tr><td class=\"number\">{}</td><td>{}</td><td class=\"number\">{weight} %</td>\
             <td class=\"text\">{}{by}</td></tr>\n",
            length(time),
            text("phase"),
            text("reason")
        )
    });
    let heads = "<tr><th class=\"number\">after</th><th>phase</th><th class=\"number\">weight</th><th>why</th></tr>\n";
    let rows: String = rows.collect();
    section("What happened", &format!("<div class=\"scroll\"><table>\n{heads}{rows}</table></div>\n"))
}

fn footer(report: &Report) -> String {
    format!(
        "<footer>Serin {}, written {}. {} of {} samples are shown.</footer>\n",
        env!("CARGO_PKG_VERSION"),
        moment(report.time),
        report.samples.len(),
        report.samples_taken
    )
}

fn section(title: &str, body: &str) -> String {
    format!("<section>\n<h2>{title}</h2>\n{body}</section>\n")
}
