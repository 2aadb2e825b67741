//! Reading requests, as browsers, gateways and attackers send them.

use proptest::prelude::*;
use serin_contract::attributes::{Claim, RequestHeaders, Source};
use std::borrow::Cow;

struct Request(Vec<(&'static str, Vec<u8>)>);

impl RequestHeaders for Request {
    fn get(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| Cow::Borrowed(value.as_slice()))
    }

    fn each(&self, name: &str, found: &mut dyn FnMut(&[u8]) -> bool) {
        let _ = self.0.iter().filter(|(known, _)| *known == name).any(|(_, value)| found(value));
    }
}

fn read(source: &Source, headers: &[(&'static str, &str)]) -> Option<String> {
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect();
    source.read(&Request(headers)).map(|value| String::from_utf8_lossy(&value).into_owned())
}

fn cookie(header: &str) -> Option<String> {
    read(&Source::Cookie("uid".into()), &[("cookie", header)])
}

#[test]
fn a_cookie_is_found_among_others_and_broken_pairs_are_passed_over() {
    for (header, expected) in [
        ("uid=ann", Some("ann")),
        ("a=1; uid=ann ;b=2", Some("ann")),
        ("uid=\"ann\"", Some("ann")),
        ("uid=a=b", Some("a=b")),
        (";;=;uid; uid=; uid=ann", Some("ann")),
        ("xuid=bob; UID=bob", None),
        ("uid", None),
        ("", None),
    ] {
        assert_eq!(cookie(header).as_deref(), expected, "{header}");
    }
    let twice = [("cookie", "a=1"), ("cookie", "uid=ann")];
    assert_eq!(read(&Source::Cookie("uid".into()), &twice).as_deref(), Some("ann"));
}

// python3 -c 'import base64, json; print(base64.urlsafe_b64encode(json.dumps({"sub": "ann", "n": 7, "ok": True,
//   "realm": {"id": "r-1"}, "roles": ["admin", "dev"], "https://x.y/z": "dots", "e": ""}).encode()).decode().rstrip("="))'
const PAYLOAD: &str = "eyJzdWIiOiAiYW5uIiwgIm4iOiA3LCAib2siOiB0cnVlLCAicmVhbG0iOiB7ImlkIjogInItMSJ9LCAicm9sZXMiOiBbImFkbWluIiwgImRldiJdLCAiaHR0cHM6Ly94LnkveiI6ICJkb3RzIiwgImUiOiAiIn0";

fn claim(value: &str, claim: &str) -> Option<String> {
    let source = Source::Jwt(Claim { header: "authorization".into(), claim: claim.into() });
    read(&source, &[("authorization", value)])
}

#[test]
fn a_claim_is_read_however_it_is_nested() {
    let token = format!("Bearer eyJhbGciOiJub25lIn0.{PAYLOAD}.c2ln");
    for (path, expected) in [
        ("sub", Some("ann")),
        ("n", Some("7")),
        ("ok", Some("true")),
        ("realm.id", Some("r-1")),
        ("roles", Some("admin")),
        ("roles.1", Some("dev")),
        ("https://x.y/z", Some("dots")),
        ("e", None),
        ("realm", None),
        ("roles.9", None),
        ("nope", None),
    ] {
        assert_eq!(claim(&token, path).as_deref(), expected, "{path}");
    }
    assert_eq!(claim(&format!("x.{PAYLOAD}"), "sub").as_deref(), Some("ann"), "no scheme, no signature");
    assert_eq!(claim(&format!("x.{PAYLOAD}=.y"), "sub").as_deref(), Some("ann"), "padded");
    assert_eq!(
        claim(&format!("bearer broken, Bearer x.{PAYLOAD}.y"), "sub").as_deref(),
        Some("ann"),
        "the second"
    );
}

#[test]
fn a_broken_token_has_no_claims() {
    for token in
        ["", "Bearer", "Bearer ", "a.b.c", "Bearer ..", "x.e30.y", "x.W10.y", "x.bnVsbA.y", "x.!!!.y"]
    {
        assert_eq!(claim(token, "sub"), None, "{token}");
    }
    let deep = "eyJhIjp7ImEiOg".repeat(10_000);
    assert_eq!(claim(&format!("x.{deep}.y"), "a"), None);
}

#[test]
fn a_query_parameter_is_decoded() {
    let query = |path: &str| read(&Source::Query("beta".into()), &[(":path", path)]);
    assert_eq!(query("/x?a=1&beta=yes+%26%20no#top").as_deref(), Some("yes & no"));
    assert_eq!(query("/x?beta=%FF%zz").as_deref(), Some("\u{fffd}%zz"));
    assert_eq!(query("/x?beta=&beta=2"), None, "the first counts, and it is empty");
    assert_eq!(query("/beta=1"), None);
}

#[test]
fn wrong_names_are_refused_in_words() {
    let error = |source: Source| source.checked().expect_err("refused");
    assert_eq!(error(Source::Header("x user".into())), "`x user` is no header name");
    assert_eq!(error(Source::Cookie(String::new())), "`` is no cookie name");
    assert_eq!(error(Source::Query(String::new())), "a query parameter has a name");
    let claim = Claim { header: "authorization".into(), claim: String::new() };
    assert_eq!(error(Source::Jwt(claim)), "a claim has 1 to 256 characters");
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic_or_grow(value: Vec<u8>, name in "[a-z.0-9]{0,8}") {
        let length = value.len();
        let headers = ["h", "cookie", ":path", "authorization"].map(|header| (header, value.clone()));
        let request = Request(headers.to_vec());
        let claim = Claim { header: "authorization".into(), claim: name.clone() };
        for source in [Source::Header("h".into()), Source::Cookie(name.clone()), Source::Query(name), Source::Jwt(claim)] {
            // Undecodable bytes become a replacement character of three.
            prop_assert!(source.read(&request).is_none_or(|text| text.len() <= 3 * length));
        }
    }

    #[test]
    fn a_cookie_that_was_set_is_read_back(value in "[!#-+\\--:<-\\[\\]-~]{1,40}", before in "[a-z=;, ]{0,30}") {
        let expected = value.trim_matches('"').to_owned();
        prop_assume!(!expected.is_empty() && expected == value);
        prop_assert_eq!(cookie(&format!("{before};uid={value}; z=1")), Some(expected));
    }
}
