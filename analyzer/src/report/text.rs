//! Numbers, times and foreign words as the pages write them.

use serin_judge::time::Time;
use std::time::{Duration, UNIX_EPOCH};

/// `1 h 2 min`, `3 min 5 s`, `12 s`.
pub(super) fn length(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// As in RFC 3339, in UTC, to the second.
pub(super) fn moment(time: Time) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(time.0)).to_string()
}

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole in percent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "–".into() } else { format!("{:.2} %", 100.0 * part as f64 / whole as f64) }
}

/// A number that may be very large, as evidence is, or very small.
pub(super) fn wide(number: f64) -> String {
    let plain = number == 0.0 || (0.01..1e4).contains(&number.abs());
    if plain { format!("{number:.2}") } else { format!("{number:.2e}") }
}

/// Text that stands in HTML, in an attribute too.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Text that stands in a cell of a Markdown table.
pub(super) fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_counts_read_as_people_write_them() {
        assert_eq!(
            [0.4, 65.0, 120.0, 3600.0, 3725.0].map(length),
            ["0 s", "1 min 5 s", "2 min", "1 h", "1 h 2 min"]
        );
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 1.5, 123_456.0, -0.0025].map(wide), ["0.00", "1.50", "1.23e5", "-2.50e-3"]);
    }

    #[test]
    fn foreign_words_cannot_leave_their_place() {
        assert_eq!(escape(r#"<b a="1">&'"#), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;");
        assert_eq!(cell("a|b\n*c*"), r"a\|b \*c\*");
    }
}
