//! Markdown's tables as JSON, so that every part's figures can be had as both.

use serde_json::{Map, Value};

/// Each table of the text as a list of its rows, each row by its columns' names. Everything else is left out.
pub(crate) fn read(text: &str) -> Vec<Vec<Map<String, Value>>> {
    let mut tables = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_head = is_row(line) && lines.peek().is_some_and(|next| is_rule(next));
        if !is_head {
            continue;
        }
        let names = cells(line);
        lines.next();
        let mut rows = Vec::new();
        while let Some(row) = lines.next_if(|line| is_row(line)) {
            rows.push(names.iter().cloned().zip(cells(row).into_iter().map(value)).collect());
        }
        tables.push(rows);
    }
    tables
}

fn is_row(line: &str) -> bool {
    line.starts_with('|') && line.trim_end().ends_with('|')
}

fn is_rule(line: &str) -> bool {
    is_row(line) && line.contains('-') && line.chars().all(|character| "|-: ".contains(character))
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// A number where it is one.
fn value(cell: String) -> Value {
    match cell.parse::<serde_json::Number>() {
        Ok(number) => Value::Number(number),
        Err(_) => Value::String(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_become_rows_by_name_and_the_rest_is_left_out() {
        let text = "Two of them.\n\n| a | b |\n|---|---|\n| x | 1.5 |\n| y | 2 of 3 |\n\n| c |\n|---:|\n| 7 |\nend | of it |\n";
        let wanted = json!([
            [{ "a": "x", "b": 1.5 }, { "a": "y", "b": "2 of 3" }],
            [{ "c": 7 }],
        ]);
        assert_eq!(json!(read(text)), wanted);
    }
}
