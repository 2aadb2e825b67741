//! What may stand in a plan: names, hosts, units, keys.

use super::{
    COOKIE_AGES_S, CanaryDocument, CanaryPlan, Exclude, IssuedCookie, Manual, UnitSource, experiment,
};
use crate::attributes;
use crate::hosts::without_port;
use crate::parse::FieldError;
use crate::segment::Segment;

/// Why a host pattern is none, as a sentence.
///
/// # Errors
/// When it is empty, has a port or path, or a star elsewhere than in front.
pub fn check_host(host: &str) -> Result<(), String> {
    let rest = host.strip_prefix("*.").unwrap_or(if host == "*" { "" } else { host });
    let empty = rest.is_empty() && host != "*";
    if empty
        || rest.contains('*')
        || rest.contains('/')
        || rest.contains(char::is_whitespace)
        || without_port(rest) != rest
    {
        return Err(format!(
            "`{host}` is no host: allowed are `shop.example`, `*.example` and `*`, without a port"
        ));
    }
    Ok(())
}

pub(super) fn canary(raw: CanaryDocument) -> Result<CanaryPlan, FieldError> {
    check_name(&raw.name).map_err(|message| FieldError::new("name", message))?;
    if raw.hosts.is_empty() {
        return Err(FieldError::new("hosts", "there is none: name at least one host"));
    }
    if !raw.path_prefix.starts_with('/') {
        return Err(FieldError::new("path_prefix", format!("`{}` must begin with `/`", raw.path_prefix)));
    }
    if raw.slow_edge_us == 0 {
        return Err(FieldError::new("slow_edge_us", "0 is not allowed: at least one microsecond"));
    }
    let units = check_units(raw.units)?;
    let exclude = Exclude {
        path_prefixes: raw.exclude.path_prefixes,
        user_agents: raw.exclude.user_agents.iter().map(|agent| agent.to_ascii_lowercase()).collect(),
    };
    for (field, list) in [("path_prefixes", &exclude.path_prefixes), ("user_agents", &exclude.user_agents)] {
        if let Some(place) = list.iter().position(String::is_empty) {
            return Err(FieldError::new(
                format!("exclude.{field}[{place}]"),
                "is empty: it would exclude everything",
            ));
        }
    }
    check_manual(&raw.manual)?;
    let segment = raw.segment.map(Segment::compile).transpose().map_err(|error| error.under("segment"))?;
    if let Some(both) = raw.served_by.stable.iter().find(|name| raw.served_by.canary.contains(name)) {
        return Err(FieldError::new("served_by", format!("`{both}` cannot serve both versions")));
    }
    Ok(CanaryPlan {
        name: raw.name,
        step: raw.step,
        stratum: raw.stratum,
        salt: raw.salt,
        units,
        canary_share: raw.canary_share,
        manual: raw.manual,
        exclude,
        segment,
        slow_edge_us: raw.slow_edge_us,
        seen_sample: raw.seen_sample,
        event_sample: raw.event_sample,
        goals: experiment::check_goals(raw.goals)?,
        served_by: raw.served_by,
    })
}

/// A canary's name is `<namespace>/<name>`: two DNS labels, so that it can stand in a header.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn check_name(name: &str) -> Result<(), String> {
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= 253
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
    };
    match name.split_once('/') {
        Some((namespace, rest)) if label(namespace) && label(rest) => Ok(()),
        Some(_) | None => Err(format!(
            "`{name}` is not allowed: `<namespace>/<name>`, each of lower-case letters, digits and, inside, `-` and `.`"
        )),
    }
}

fn check_manual(manual: &Manual) -> Result<(), FieldError> {
    let Manual::WithKey(keys) = manual else { return Ok(()) };
    let digest = |text: &String| {
        text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    if keys.sha256.is_empty() {
        return Err(FieldError::new(
            "manual.WithKey.sha256",
            "is empty: give the sha256 of at least one key",
        ));
    }
    match keys.sha256.iter().position(|text| !digest(text)) {
        None => Ok(()),
        Some(index) => Err(FieldError::new(
            format!("manual.WithKey.sha256[{index}]"),
            "must be 64 lower-case hexadecimal digits: the sha256 of a key, never the key",
        )),
    }
}

pub(super) fn check_units(units: Vec<UnitSource>) -> Result<Vec<UnitSource>, FieldError> {
    let last = units.len().saturating_sub(1);
    let checked = units.into_iter().enumerate().map(|(index, source)| {
        let path = format!("units[{index}]");
        if index < last && matches!(source, UnitSource::IssuedCookie(_)) {
            let message = "must be the last: whoever comes so far is given one, so nothing after it is asked";
            return Err(FieldError::new(format!("{path}.issued_cookie"), message));
        }
        check_unit(source).map_err(|message| FieldError::new(path, message))
    });
    checked.collect()
}

fn check_unit(source: UnitSource) -> Result<UnitSource, String> {
    match source {
        UnitSource::Header(name) => attributes::header_name(&name).map(UnitSource::Header),
        UnitSource::Cookie(name) => attributes::cookie_name(name).map(UnitSource::Cookie),
        UnitSource::Jwt(claim) => claim.checked().map(UnitSource::Jwt),
        UnitSource::IssuedCookie(IssuedCookie { max_age_s, .. }) if !COOKIE_AGES_S.contains(&max_age_s) => {
            Err(format!("a cookie of {max_age_s} s is not allowed: 60 s to 400 days"))
        }
        UnitSource::IssuedCookie(IssuedCookie { name, max_age_s }) => attributes::cookie_name(name)
            .map(|name| UnitSource::IssuedCookie(IssuedCookie { name, max_age_s })),
    }
}
