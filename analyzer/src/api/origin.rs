//! Which pages may call for their user. A browser names the page's origin on each changing call and on each
//! WebSocket; it must be the host that the call goes to, or one that the configuration names.

use super::problem::Problem;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use serin_contract::FieldError;
use std::net::IpAddr;

/// A page's origin: scheme, host and port, as browsers write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// As it stands in a configuration.
    ///
    /// # Errors
    /// When it is no origin.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let wrong = || {
            let message =
                format!("`{text}` is no origin: give scheme and host, as in https://serin.example:8443");
            FieldError::new("", message)
        };
        let (scheme, authority) = text.split_once("://").ok_or_else(wrong)?;
        let known = ["http", "https"].contains(&scheme);
        let authority: Authority = authority.parse().map_err(|_| wrong())?;
        if !known || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(wrong());
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// Refuses a call for a foreign page. `unsigned`: nobody signs in here, so a name is not enough: a foreign one
/// can be made to lead to this machine.
pub(super) fn check(headers: &HeaderMap, allowed: &[Origin], unsigned: bool) -> Result<(), Problem> {
    let origin = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok()).unwrap_or("");
    let origin = origin.to_ascii_lowercase();
    if allowed.iter().any(|Origin(known)| *known == origin) {
        return Ok(());
    }
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("");
    let own = origin.split_once("://").is_some_and(|(scheme, page)| {
        let port = if scheme == "https" { 443 } else { 80 };
        match (parts(page, port), parts(host, port)) {
            (Some(page), Some(host)) => page == host && (!unsigned || is_nobodys(&page.0)),
            (_, _) => false,
        }
    });
    if own {
        return Ok(());
    }
    let detail = match origin.as_str() {
        "" => "a session's calls need the Origin header, which browsers send".to_owned(),
        _ => format!("pages of {origin} may not call this: spec.origins can allow them"),
    };
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

/// Host and port.
fn parts(authority: &str, port: u16) -> Option<(String, u16)> {
    let authority: Authority = authority.parse().ok()?;
    Some((authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(port)))
}

/// A host that no name server answers for.
fn is_nobodys(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok() || bare == "localhost" || bare.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(origin: &str, host: &str, allowed: &[&str], unsigned: bool) -> bool {
        let mut headers = HeaderMap::new();
        if !origin.is_empty() {
            headers.insert(header::ORIGIN, origin.parse().expect("a value"));
        }
        headers.insert(header::HOST, host.parse().expect("a value"));
        let allowed: Vec<Origin> =
            allowed.iter().map(|text| Origin::parse(text).expect("an origin")).collect();
        check(&headers, &allowed, unsigned).is_ok()
    }

    #[test]
    fn a_page_of_the_same_host_may_call_and_no_other() {
        assert!(checked("http://serin.example:8080", "serin.example:8080", &[], false));
        assert!(checked("https://Serin.example", "serin.example", &[], false));
        assert!(checked("https://serin.example", "serin.example:443", &[], false));
        assert!(checked("http://[::1]:8080", "[::1]:8080", &[], true));
        for (origin, host) in [
            ("http://evil.example", "serin.example"),
            ("http://serin.example:1", "serin.example"),
            ("http://serin.example.evil", "serin.example"),
            ("null", "serin.example"),
            ("", "serin.example"),
        ] {
            assert!(!checked(origin, host, &[], false), "{origin} at {host}");
        }
    }

    #[test]
    fn a_page_that_the_configuration_names_may_call() {
        let allowed = ["https://ops.example"];
        assert!(checked("https://ops.example", "10.0.0.7:8080", &allowed, false));
        assert!(!checked("http://ops.example", "10.0.0.7:8080", &allowed, false));
        for wrong in
            ["ops.example", "ftp://ops.example", "https://", "https://ops.example/page", "https://a@b"]
        {
            assert!(Origin::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn where_nobody_signs_in_a_name_that_was_led_here_does_not_do() {
        assert!(checked("http://127.0.0.1:8080", "127.0.0.1:8080", &[], true));
        assert!(checked("http://localhost:8080", "localhost:8080", &[], true));
        assert!(!checked("http://rebound.example:8080", "rebound.example:8080", &[], true));
        assert!(checked("http://dev.example:8080", "dev.example:8080", &["http://dev.example:8080"], true));
    }
}
