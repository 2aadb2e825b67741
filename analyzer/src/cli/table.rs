//! Releases as a table: aligned columns, a bar for the weight, the verdict wrapped to the width.

use serde_json::Value;

/// How many characters the bar of a weight has.
const BAR: usize = 20;
/// The verdict has at least this width, even where the terminal is narrower than the table.
const NARROWEST: usize = 24;
const HEADINGS: [&str; 6] = ["CANARY", "VERSIONS", "PHASE", "STEP", "WEIGHT", "VERDICT"];

/// The table's lines, for a terminal of `width` columns.
pub(super) fn lines(canaries: &[Value], width: usize) -> Vec<String> {
    let rows: Vec<[String; 6]> = canaries.iter().map(cells).collect();
    let mut widths = HEADINGS.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let [name, versions, phase, step, weight, _] = widths;
    let before = name + versions + phase + step + weight + 2 * 5;
    widths[5] = width.saturating_sub(before).max(NARROWEST);
    let headings = HEADINGS.map(str::to_owned);
    std::iter::once(&headings).chain(&rows).flat_map(|row| laid_out(row, &widths)).collect()
}

/// One row: the last cell wraps below itself.
fn laid_out(row: &[String; 6], widths: &[usize; 6]) -> Vec<String> {
    let (last, cells) = match row {
        [cells @ .., last] => (last, cells),
    };
    let first: String = cells.iter().zip(widths).map(|(cell, &width)| format!("{cell:<width$}  ")).collect();
    let indent = " ".repeat(first.chars().count());
    wrapped(last, widths[5])
        .into_iter()
        .enumerate()
        .map(|(number, text)| {
            let before = if number == 0 { &first } else { &indent };
            format!("{before}{text}").trim_end().to_owned()
        })
        .collect()
}

fn cells(canary: &Value) -> [String; 6] {
    // What others wrote must not steer the terminal.
    let text = |path: &str| -> String {
        let text = canary.pointer(path).and_then(Value::as_str).unwrap_or("?");
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    let weight = canary.pointer("/weight").and_then(Value::as_f64).unwrap_or(0.0);
    let step = canary.pointer("/step").and_then(Value::as_u64);
    let router = canary.pointer("/router/error").and_then(Value::as_str);
    let mut verdict = format!("{}: {}", text("/verdict/outcome"), text("/verdict/reason"));
    if router.is_some() {
        verdict.push_str(&format!("; the router: {}", text("/router/error")));
    }
    [
        format!("{}/{}", text("/namespace"), text("/name")),
        format!("{} -> {}", text("/stableVersion"), text("/canaryVersion")),
        text("/phase"),
        step.map_or_else(|| "?".to_owned(), |step| step.to_string()),
        format!("{} {weight:>6.2} %", bar(weight)),
        verdict,
    ]
}

/// `[#####...............]`; some weight is never an empty bar, and only all of it a full one.
fn bar(weight: f64) -> String {
    let filled = (weight / 100.0 * BAR as f64).floor().clamp(0.0, BAR as f64) as usize;
    let filled = if weight > 0.0 { filled.max(1) } else { filled };
    format!("[{}{}]", "#".repeat(filled), ".".repeat(BAR - filled))
}

/// Breaks at spaces; a word that is longer than a line is cut.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(String::new());
            used = 0;
        }
        while word.len() > width {
            let rest = word.split_off(width);
            if let Some(line) = lines.last_mut() {
                line.extend(word);
            }
            lines.push(String::new());
            word = rest;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            used += word.len();
            line.extend(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn canary(name: &str, weight: f64, reason: &str) -> Value {
        json!({"namespace": "default", "name": name, "stableVersion": "v1", "canaryVersion": "v2",
            "phase": "Progressing", "step": 2, "weight": weight, "router": {"weight": weight, "error": null},
            "verdict": {"outcome": "hold", "rule": "data", "reason": reason}})
    }

    #[test]
    fn columns_are_aligned_and_the_verdict_wraps_below_itself() {
        let canaries = [canary("shop", 25.0, "no data: no filter reports"), canary("a-long-name", 0.5, "ok")];
        let lines = lines(&canaries, 108);
        let expected = [
            "CANARY               VERSIONS  PHASE        STEP  WEIGHT                           VERDICT",
            "default/shop         v1 -> v2  Progressing  2     [#####...............]  25.00 %  hold: no data: no filter",
            "                                                                                   reports",
            "default/a-long-name  v1 -> v2  Progressing  2     [#...................]   0.50 %  hold: ok",
        ];
        assert_eq!(lines, expected);
        assert!(lines.iter().all(|line| line.chars().count() <= 108), "{lines:#?}");
    }

    #[test]
    fn a_bar_is_full_only_at_everything() {
        assert_eq!(bar(0.0), "[....................]");
        assert_eq!(bar(99.99), "[###################.]");
        assert_eq!(bar(100.0), "[####################]");
    }

    #[test]
    fn a_word_longer_than_the_line_is_cut_and_nothing_is_lost() {
        assert_eq!(wrapped("ab abcdefgh c", 4), ["ab", "abcd", "efgh", "c"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let lines = lines(&[canary("shop", 5.0, "\u{1b}[2Jgone")], 120);
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')), "{lines:?}");
    }
}
