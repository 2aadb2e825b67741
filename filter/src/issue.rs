//! Ids for users who have none, in a cookie: made by the filter, kept by the browser.
//!
//! The cookie also goes to the request itself, so that the services and filters behind this one know the
//! user by the same id, and only one of them gives it out.

use serin_contract::RequestHeaders;
use serin_contract::plan::{IssuedCookie, UnitSource};
use serin_contract::unit::md5;
use std::cell::Cell;

/// Makes ids. The sandbox has no randomness; what nobody else has is the VM's instance, its count, and
/// the proxy's own id of the request.
#[derive(Debug)]
pub struct Issuer {
    instance: u64,
    count: Cell<u64>,
}

/// An id for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued<'p> {
    cookie: &'p IssuedCookie,
    id: String,
    secure: bool,
}

impl Issuer {
    /// That of the VM with this instance number.
    pub fn new(instance: u64) -> Self {
        Self { instance, count: Cell::new(0) }
    }

    /// An id that no other request gets.
    pub fn issue<'p>(&self, cookie: &'p IssuedCookie, request: &impl RequestHeaders) -> Issued<'p> {
        self.count.set(self.count.get().wrapping_add(1));
        let request_id = request.get("x-request-id").unwrap_or_default();
        let digest = md5(&[&request_id, &self.instance.to_be_bytes(), &self.count.get().to_be_bytes()]);
        Issued { cookie, id: format!("{digest:032x}"), secure: came_over_tls(request) }
    }
}

/// Whether the client spoke TLS, to this proxy or to one in front of it that this one trusts.
pub(crate) fn came_over_tls(request: &impl RequestHeaders) -> bool {
    let scheme = request.get("x-forwarded-proto").or_else(|| request.get(":scheme"));
    scheme.is_some_and(|scheme| scheme.trim_ascii().eq_ignore_ascii_case(b"https"))
}

impl Issued<'_> {
    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id, if this is the source that it will be read from.
    pub fn value_for(&self, source: &UnitSource) -> Option<&str> {
        match source {
            UnitSource::Cookie(name) => (*name == self.cookie.name).then_some(&self.id),
            UnitSource::IssuedCookie(cookie) => (cookie.name == self.cookie.name).then_some(&self.id),
            UnitSource::Header(_) | UnitSource::Jwt(_) => None,
        }
    }

    /// The request's `cookie` header with this one at its end.
    pub fn request_cookies(&self, request: &impl RequestHeaders) -> Vec<u8> {
        let mut cookies = Vec::new();
        request.each("cookie", &mut |sent| {
            cookies.extend_from_slice(sent);
            cookies.extend_from_slice(b"; ");
            false
        });
        cookies.extend_from_slice(format!("{}={}", self.cookie.name, self.id).as_bytes());
        cookies
    }

    /// What the response is to set.
    pub fn set_cookie(&self) -> SetCookie {
        let IssuedCookie { name, max_age_s } = self.cookie;
        SetCookie::new(name, &self.id, *max_age_s, self.secure)
    }
}

/// The value of a `set-cookie` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetCookie {
    text: String,
    name_length: usize,
}

impl SetCookie {
    /// A cookie that no script reads and that goes to the whole site, for so many seconds.
    pub fn new(name: &str, value: &str, max_age_s: u64, secure: bool) -> Self {
        let secure = if secure { "; Secure" } else { "" };
        Self {
            name_length: name.len(),
            text: format!("{name}={value}; Max-Age={max_age_s}; Path=/; HttpOnly; SameSite=Lax{secure}"),
        }
    }

    /// The whole value.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a response sets a cookie of this name already. Several of its headers may stand in
    /// `present`, joined by commas, as Envoy hands them out.
    pub fn is_in(&self, present: &[u8]) -> bool {
        let name = self.text.as_bytes().get(..=self.name_length).unwrap_or_default();
        present.split(|byte| *byte == b',').any(|one| one.trim_ascii_start().starts_with(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str) -> SetCookie {
        let cookie = IssuedCookie { name: name.to_owned(), max_age_s: 60 };
        Issued { cookie: &cookie, id: "7".to_owned(), secure: false }.set_cookie()
    }

    #[test]
    fn a_cookie_of_another_name_is_another_cookie() {
        let cookie = set("id");
        assert!(cookie.is_in(b"id=; Max-Age=0") && cookie.is_in(b"a=b; Expires=Fri, 1 Jan, id=5"));
        assert!(!cookie.is_in(b"idea=1") && !cookie.is_in(b"a=id=5") && !cookie.is_in(b""));
    }
}
