//! Queries with places to fill in: `{{version}}`, `{{namespace}}` and so on.

use std::fmt;

/// The names that may stand between `{{` and `}}`.
const NAMES: [&str; 7] = ["version", "arm", "namespace", "name", "canary", "cluster", "interval"];

/// A query, checked: it names nothing that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(&'static str),
}

/// What comes into the places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// `{{version}}`: `stableVersion` or `canaryVersion`.
    pub version: String,
    /// `{{arm}}`: `stable` or `canary`.
    pub arm: &'static str,
    /// `{{namespace}}`: the canary's.
    pub namespace: String,
    /// `{{name}}`: the canary's.
    pub name: String,
    /// `{{cluster}}`: Envoy's cluster of the version.
    pub cluster: String,
    /// `{{interval}}`: the window of rates, as `60s`.
    pub interval: String,
}

/// A place that nothing can fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName(String);

impl fmt::Display for UnknownName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = NAMES.map(|name| format!("{{{{{name}}}}}")).join(", ");
        write!(out, "`{}` is not known: allowed are {names}", self.0)
    }
}

impl Template {
    /// Finds the places.
    ///
    /// # Errors
    /// When one of them has an unknown name, or no end.
    pub fn parse(text: &str) -> Result<Self, UnknownName> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let unknown = |name: &str| UnknownName(format!("{{{{{name}"));
            let (inside, behind) = after.split_once("}}").ok_or_else(|| unknown(after))?;
            let name = NAMES.into_iter().find(|name| *name == inside.trim());
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Name(name.ok_or_else(|| unknown(&format!("{inside}}}}}")))?));
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Whether each version has a value of its own.
    pub fn is_by_version(&self) -> bool {
        let by_version = ["version", "arm", "cluster"];
        self.0.iter().any(|part| matches!(part, Part::Name(name) if by_version.contains(name)))
    }

    /// The query with everything filled in. What is filled in is quoted as PromQL's strings ask for.
    pub fn fill(&self, values: &Values) -> String {
        let quoted = |text: &str| text.replace('\\', r"\\").replace('"', "\\\"");
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Name("version") => quoted(&values.version),
            Part::Name("arm") => values.arm.to_owned(),
            Part::Name("namespace") => quoted(&values.namespace),
            Part::Name("name") => quoted(&values.name),
            Part::Name("canary") => plain(&format!("{}/{}", values.namespace, values.name)),
            Part::Name("cluster") => quoted(&values.cluster),
            Part::Name(_) => values.interval.clone(),
        };
        self.0.iter().map(part).collect()
    }
}

/// A canary's name as the filter writes it into Envoy's statistics.
fn plain(canary: &str) -> String {
    canary.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values {
            version: "v2\"".into(),
            arm: "canary",
            namespace: "web".into(),
            name: "shop.a".into(),
            cluster: "shop-canary".into(),
            interval: "60s".into(),
        }
    }

    #[test]
    fn places_are_filled_and_quoted() {
        let query = r#"rate(a{v="{{version}}",c="{{canary}}",n="{{ name }}"}[{{interval}}])"#;
        let filled = Template::parse(query).expect("known").fill(&values());
        assert_eq!(filled, r#"rate(a{v="v2\"",c="web_shop_a",n="shop.a"}[60s])"#);
    }

    #[test]
    fn an_unknown_place_is_refused_with_what_is_allowed() {
        let error = Template::parse("up{pod=\"{{pod}}\"}").expect_err("unknown").to_string();
        assert!(error.starts_with("`{{pod}}` is not known: allowed are {{version}}, {{arm}}"), "{error}");
        assert!(Template::parse("up{{version").is_err());
    }

    #[test]
    fn a_query_is_by_version_when_it_names_one() {
        assert!(Template::parse("up{v=\"{{arm}}\"}").expect("known").is_by_version());
        assert!(!Template::parse("up{n=\"{{namespace}}\"}").expect("known").is_by_version());
    }
}
