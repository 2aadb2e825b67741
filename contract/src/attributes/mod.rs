//! Reading a request: headers, cookies, JWT claims and query parameters, whatever bytes they are made of.
//! What cannot be read is not there; nothing here fails, and nothing grows beyond what it was given.

mod cookies;
mod jwt;
mod query;

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The headers of a request. Names are in lower case; `:path` is one of them.
pub trait RequestHeaders {
    /// The first value of a header.
    fn get(&self, name: &str) -> Option<Cow<'_, [u8]>>;

    /// All values of a header, one after another, until `found` says that it has what it wants.
    fn each(&self, name: &str, found: &mut dyn FnMut(&[u8]) -> bool) {
        if let Some(value) = self.get(name) {
            found(&value);
        }
    }
}

/// A place in a request that holds an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The value of a request header.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// A claim of a JWT. Verifying the token is the gateway's job.
    Jwt(Claim),
    /// A parameter of the query.
    Query(String),
}

/// Where a JWT stands, and which of its claims is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The header that carries it, with or without `Bearer`.
    pub header: String,
    /// Its name; `a.b` for the claim b within the claim a, `roles.0` for the first of a list.
    pub claim: String,
}

impl Source {
    /// The attribute's text; none when it is missing, empty or cannot be read.
    pub fn read<'r>(&self, request: &'r impl RequestHeaders) -> Option<Cow<'r, [u8]>> {
        let found: Option<Cow<'r, [u8]>> = match self {
            Self::Header(name) => request.get(name),
            Self::Cookie(name) => cookie(request, name).map(Cow::Owned),
            Self::Jwt(claim) => claim.read(request).map(|text| Cow::Owned(text.into_bytes())),
            Self::Query(name) => {
                let path = request.get(":path")?;
                query::parameter(&path, name).map(|text| Cow::Owned(text.into_bytes()))
            }
        };
        found.filter(|value| !value.is_empty())
    }

    /// Checks names and puts those of headers into lower case.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    pub fn checked(self) -> Result<Self, String> {
        match self {
            Self::Header(name) => header_name(&name).map(Self::Header),
            Self::Cookie(name) => cookie_name(name).map(Self::Cookie),
            Self::Jwt(claim) => claim.checked().map(Self::Jwt),
            Self::Query(name) if name.is_empty() => Err("a query parameter has a name".into()),
            Self::Query(name) => Ok(Self::Query(name)),
        }
    }
}

impl Claim {
    pub(crate) fn checked(self) -> Result<Self, String> {
        if self.claim.is_empty() || self.claim.len() > 256 {
            return Err("a claim has 1 to 256 characters".into());
        }
        Ok(Self { header: header_name(&self.header)?, ..self })
    }

    /// The claim as text, of the first token that has it.
    pub(crate) fn read(&self, request: &impl RequestHeaders) -> Option<String> {
        let mut read = None;
        request.each(&self.header, &mut |value| {
            read = jwt::claim(value, &self.claim);
            read.is_some()
        });
        read
    }
}

/// The value of the first cookie of that name that has one.
pub fn cookie(request: &impl RequestHeaders, name: &str) -> Option<Vec<u8>> {
    let mut read = None;
    request.each("cookie", &mut |header| {
        read = cookies::value(header, name).map(<[u8]>::to_vec);
        read.is_some()
    });
    read
}

pub(crate) fn header_name(name: &str) -> Result<String, String> {
    token(name, "header name")?;
    Ok(name.to_ascii_lowercase())
}

pub(crate) fn cookie_name(name: String) -> Result<String, String> {
    token(&name, "cookie name").map(|()| name)
}

/// RFC 9110's token.
fn token(name: &str, what: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(format!("`{name}` is no {what}"));
    }
    Ok(())
}
