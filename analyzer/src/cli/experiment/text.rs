//! Experiments for people at a terminal.

use serde_json::Value;

/// All of them.
pub(super) fn list(answer: &Value) -> String {
    let experiments = answer.as_array().map_or(&[][..], Vec::as_slice);
    if experiments.is_empty() {
        return "there are no experiments\n".to_owned();
    }
    let head = ["EXPERIMENT", "STATUS", "STEP", "SHARES", "FROM"].map(str::to_owned).to_vec();
    let rows = experiments.iter().map(|one| {
        let field = |name: &str| word(&one[name]);
        vec![field("id"), field("status"), field("step"), shares(one), field("source")]
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// One of them.
pub(super) fn one(experiment: &Value) -> String {
    let field = |name: &str| word(&experiment[name]);
    let mut text = format!(
        "{} ({}), {} at step {}, created {}\n",
        field("id"),
        field("name"),
        field("status"),
        field("step"),
        field("created")
    );
    if let Some(ended) = experiment["ended"].as_str() {
        text.push_str(&format!("ended {ended}\n"));
    }
    text.push_str(&format!("shares: {}\n", shares(experiment)));
    for field in ["hypothesis", "owner"] {
        if let Some(said) = experiment["spec"][field].as_str() {
            text.push_str(&format!("{field}: {said}\n"));
        }
    }
    for line in experiment["history"].as_array().into_iter().flatten() {
        let why = line["reason"].as_str().map_or_else(String::new, |reason| format!(": {reason}"));
        let (time, deed, step, by) =
            (word(&line["time"]), word(&line["deed"]), word(&line["step"]), word(&line["by"]));
        text.push_str(&format!("{time} {deed} by {by}, step {step}{why}\n"));
    }
    text
}

/// What a change of shares came to.
pub(super) fn changed(answer: &Value) -> String {
    format!("{}{}\n", one(&answer["experiment"]), word(&answer["persistence"]["text"]))
}

/// The results' few numbers; the report has all.
pub(super) fn results(results: &Value) -> String {
    let mut rows = vec![["ARM", "EXPOSURES", "CONVERSIONS", "RATE"].map(str::to_owned).to_vec()];
    for (arm, variant) in results["variants"].as_object().into_iter().flatten() {
        let rate = number(&variant["conversion_rate"], 2, " %");
        rows.push(vec![arm.clone(), word(&variant["exposures"]), word(&variant["conversions"]), rate]);
    }
    let mut text = table(&rows);
    let head = ["GOAL", "ARM", "LIFT", "P AT ANY TIME", "P, ONE LOOK"].map(str::to_owned).to_vec();
    let comparisons = results["comparisons"].as_array().into_iter().flatten().map(|one| {
        let lift = number(&one["lift"], 1, " %");
        let (any, once) =
            (number(&one["always_valid_p_value_holm"], 4, ""), number(&one["p_value_holm"], 4, ""));
        vec![word(&one["goal"]), word(&one["arm"]), lift, any, once]
    });
    text.push('\n');
    text.push_str(&table(&std::iter::once(head).chain(comparisons).collect::<Vec<_>>()));
    for guard in
        results["guardrails"].as_array().into_iter().flatten().filter(|guard| guard["harmed"] == true)
    {
        text.push_str(&format!("{} harms {}\n", word(&guard["arm"]), word(&guard["goal"])));
    }
    if results["sample_ratio"]["mismatch"] == true {
        text.push_str(
            "sample ratio mismatch: the arms do not have the sizes of their shares; trust no number\n",
        );
    }
    text
}

/// Each arm's way through the steps.
pub(super) fn funnel(funnel: &Value) -> String {
    let head = ["ARM", "STEP", "USERS", "DROP-OFF", "MEDIAN"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    for (arm, steps) in funnel["arms"].as_object().into_iter().flatten() {
        for step in steps.as_array().into_iter().flatten() {
            let (lost, median) = (number(&step["dropOff"], 1, " %"), number(&step["medianSeconds"], 1, " s"));
            rows.push(vec![arm.clone(), word(&step["step"]), word(&step["users"]), lost, median]);
        }
    }
    table(&rows)
}

fn shares(experiment: &Value) -> String {
    let arms = experiment["spec"]["arms"].as_array().into_iter().flatten();
    let named = arms.filter_map(|arm| arm["name"].as_str());
    let share = |arm: &str| format!("{arm} {} %", word(&experiment["shares"][arm]));
    named.map(share).collect::<Vec<_>>().join(", ")
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn number(value: &Value, decimals: usize, unit: &str) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}{unit}"))
}

/// Columns as wide as their widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_says_where_each_stands() {
        let one = json!({"id": "button", "status": "running", "step": 2, "source": "api",
            "spec": {"arms": [{"name": "control"}, {"name": "treatment"}]},
            "shares": {"control": 10.0, "treatment": 90.0}});
        let text = list(&json!([one]));
        assert_eq!(
            text,
            "EXPERIMENT  STATUS   STEP  SHARES                            FROM\n\
             button      running  2     control 10.0 %, treatment 90.0 %  api\n"
        );
        assert_eq!(list(&json!([])), "there are no experiments\n");
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let text =
            results(&json!({"variants": {"a": {"exposures": 3, "conversions": 0, "conversion_rate": 0.0}},
            "comparisons": [{"goal": "buy", "arm": "b", "lift": null, "always_valid_p_value_holm": 1.0,
                "p_value_holm": null}], "guardrails": [], "sample_ratio": {"mismatch": true}}));
        assert!(text.contains("a    3          0            0.00 %"), "{text}");
        assert!(text.contains("buy   b    -     1.0000         -"), "{text}");
        assert!(text.ends_with("trust no number\n"), "{text}");
    }
}
