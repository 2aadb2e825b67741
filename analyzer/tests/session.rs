//! Signing in: a token for a cookie, what the cookie opens, and what ends it.

mod common;

use common::web::{Answer, Watcher, send};
use common::{Running, edit, folder};
use std::net::SocketAddr;

const OPERATOR: &str = "an-operator-token-0123";
const VIEWER: &str = "a-viewer-token-0123456";
const ROLLBACK: &str = "/v1/canaries/default/shop/rollback";
const RESUME: &str = "/v1/canaries/default/shop/resume";
const WHY: &str = r#"{"reason":"it is a test","by":"somebody else"}"#;

fn guarded() -> (tempfile::TempDir, SocketAddr) {
    let (folder, address) = folder(
        ", reportTokenFile: report, viewerTokenFile: viewer, operatorTokenFile: operator, \
         origins: [\"https://ops.example\"]",
    );
    for (file, token) in [("report", "a-report-token-0123456"), ("viewer", VIEWER), ("operator", OPERATOR)] {
        std::fs::write(folder.path().join(file), token).expect("written");
    }
    (folder, address)
}

fn sign_in(address: SocketAddr, body: &str) -> Answer {
    send(address, "POST", "/v1/session", &[], body)
}

/// The cookie as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").expect("a cookie");
    set.split(';').next().expect("a pair").to_owned()
}

fn session(address: SocketAddr, token: &str, name: &str) -> String {
    let answer = sign_in(address, &format!(r#"{{"token":"{token}","name":"{name}"}}"#));
    assert_eq!(answer.code, 200);
    cookie(&answer)
}

#[test]
fn a_token_is_exchanged_for_a_cookie_that_scripts_and_foreign_pages_cannot_use() {
    let (folder, address) = guarded();
    let _running = Running::start(folder.path(), address);
    let before = send(address, "GET", "/v1/session", &[], "").json();
    assert_eq!((&before["role"], &before["signInNeeded"]), (&"none".into(), &true.into()));
    let answer = sign_in(address, &format!(r#"{{"token":"{OPERATOR}","name":" kim "}}"#));
    let set = answer.header("set-cookie").expect("a cookie").to_owned();
    let parts: Vec<&str> = set.split("; ").collect();
    assert_eq!(parts[1..], ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"]);
    assert_eq!(parts[0].len(), "serin-session=".len() + 64, "{set}");
    assert!(!answer.head.contains(OPERATOR) && !String::from_utf8_lossy(&answer.body).contains(OPERATOR));
    assert_eq!((&answer.json()["role"], &answer.json()["name"]), (&"operator".into(), &"kim".into()));
    let own = format!("http://{address}");
    let kim = cookie(&answer);
    let shown = send(address, "GET", "/v1/session", &[("cookie", &format!("a=b; {kim}"))], "").json();
    assert_eq!((&shown["role"], &shown["canSignIn"]), (&"operator".into(), &true.into()));
    assert!(shown["expires"].as_u64().is_some(), "{shown}");
    let read = |headers: &[(&str, &str)]| send(address, "GET", "/v1/canaries", headers, "").code;
    assert_eq!(
        (read(&[]), read(&[("cookie", &kim)]), read(&[("cookie", "serin-session=0")])),
        (401, 200, 401)
    );
    let act = |headers: &[(&str, &str)]| send(address, "POST", RESUME, headers, WHY).code;
    assert_eq!(act(&[("cookie", &kim)]), 403, "a browser names the page's origin");
    assert_eq!(act(&[("cookie", &kim), ("origin", "https://evil.example")]), 403);
    assert_eq!(act(&[("cookie", &kim), ("origin", &own)]), 409, "admitted; nothing runs yet");
    assert_eq!(act(&[("cookie", &kim), ("origin", "https://ops.example")]), 409, "as configured");
    let bearer = format!("Bearer {OPERATOR}");
    assert_eq!(
        act(&[("authorization", &bearer), ("origin", "https://evil.example")]),
        409,
        "it has the token"
    );
    // Over TLS in front of us the cookie stays on TLS.
    let body = format!(r#"{{"token":"{VIEWER}"}}"#);
    let answer = send(address, "POST", "/v1/session", &[("origin", "https://ops.example")], &body);
    assert!(answer.header("set-cookie").is_some_and(|set| set.ends_with("; Secure")), "{}", answer.head);
    let foreign = send(address, "POST", "/v1/session", &[("origin", "https://evil.example")], &body);
    assert_eq!(foreign.code, 403);
    // Signed out, the cookie opens nothing.
    let answer = send(address, "DELETE", "/v1/session", &[("cookie", &kim), ("origin", &own)], "");
    assert_eq!((answer.code, &answer.json()["role"]), (200, &"none".into()));
    assert!(answer.header("set-cookie").is_some_and(|set| set.contains("Max-Age=0")), "{}", answer.head);
    assert_eq!(read(&[("cookie", &kim)]), 401);
}

#[test]
fn who_acts_is_who_signed_in_and_a_viewer_only_reads() {
    let (folder, address) = guarded();
    let running = Running::start(folder.path(), address);
    let own = format!("http://{address}");
    let lee = session(address, VIEWER, "lee");
    assert_eq!(send(address, "GET", "/v1/canaries/default/shop", &[("cookie", &lee)], "").code, 200);
    let refused = send(address, "POST", ROLLBACK, &[("cookie", &lee), ("origin", &own)], WHY);
    assert_eq!((refused.code, &refused.json()["title"]), (403, &"Forbidden".into()));
    running.report(1, "a-report-token-0123456", 0, 0, "");
    let kim = session(address, OPERATOR, "kim \\\"q\\\" <b>");
    running.until("it is rolled back", || {
        send(address, "POST", ROLLBACK, &[("cookie", &kim), ("origin", &own)], WHY).code == 200
    });
    let view = send(address, "GET", "/v1/canaries/default/shop", &[("cookie", &kim)], "").json();
    let last = view["history"].as_array().and_then(|lines| lines.last()).expect("a line").clone();
    assert_eq!((&last["by"], &last["phase"]), (&"kim \"q\" <b>".into(), &"Failed".into()));
    let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    let audit: Vec<&str> = log.lines().filter(|line| line.contains("audit: action")).collect();
    assert!(
        audit.iter().any(|line| line.contains("deed=\"sign in\" by=\"lee\" role=\"viewer\"")),
        "{audit:#?}"
    );
    let done = audit.iter().find(|line| line.contains("done") && line.contains("rollback")).expect("a line");
    assert!(done.contains(r#"by="kim \"q\" <b>" role="operator""#), "{done}");
    assert!(!log.contains(OPERATOR) && !log.contains(VIEWER), "no token in the log");
    assert_eq!(
        send(address, "GET", "/v1/audit", &[("cookie", &lee)], "").code,
        403,
        "a viewer does not read it"
    );
    let lines = send(address, "GET", "/v1/audit", &[("cookie", &kim)], "").json();
    let told = |place: usize| ["deed", "by", "role", "outcome"].map(|field| lines[place][field].clone());
    assert_eq!(told(0), ["rollback", "kim \"q\" <b>", "operator", "done"]);
    let lee_came = lines.as_array().and_then(|lines| lines.last()).expect("a line");
    assert_eq!([&lee_came["deed"], &lee_came["by"], &lee_came["role"]], ["sign in", "lee", "viewer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_token_and_its_live_view_with_it() {
    let (folder, address) = guarded();
    let running = Running::start(folder.path(), address);
    let own = format!("http://{address}");
    let (lee, kim) = (session(address, VIEWER, "lee"), session(address, OPERATOR, "kim"));
    assert_eq!(
        Watcher::join(address, &[("cookie", &lee)]).await.err(),
        Some(403),
        "no page says that it asks"
    );
    assert_eq!(Watcher::join(address, &[("origin", &own)]).await.err(), Some(401));
    let bearer = format!("Bearer {VIEWER}");
    assert!(Watcher::join(address, &[("authorization", &bearer)]).await.is_ok());
    let mut watcher = Watcher::join(address, &[("cookie", &lee), ("origin", &own)]).await.expect("joins");
    assert_eq!(watcher.next().await.expect("a frame")["type"], "snapshot");
    std::fs::write(folder.path().join("viewer"), "another-viewer-token-01").expect("written");
    running.signal("-HUP");
    let read = |cookie: &str| send(address, "GET", "/v1/canaries", &[("cookie", cookie)], "").code;
    running.until("the viewer's session has ended", || read(&lee) == 401);
    assert_eq!(read(&kim), 200);
    let code = loop {
        if let Err(code) = watcher.next().await {
            break code;
        }
    };
    assert_eq!(code, 1008);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_after_its_length_and_its_live_view_with_it() {
    let (folder, address) = guarded();
    edit(folder.path(), ", origins:", ", sessionLength: 12h, origins:");
    let running = Running::start(folder.path(), address);
    let own = format!("http://{address}");
    let body = format!(r#"{{"token":"{VIEWER}"}}"#);
    let mut joined = None;
    // On a busy machine the shortest may be over before its view begins.
    for (before, length) in [("12h", "1"), ("1s", "5"), ("5s", "25"), ("25s", "50")] {
        edit(folder.path(), &format!("sessionLength: {before}"), &format!("sessionLength: {length}s"));
        running.signal("-HUP");
        let age = format!("Max-Age={length};");
        let signed_in = || send(address, "POST", "/v1/session", &[], &body);
        running
            .until("it is read", || signed_in().header("set-cookie").is_some_and(|set| set.contains(&age)));
        let lee = cookie(&signed_in());
        if let Ok(watcher) = Watcher::join(address, &[("cookie", &lee), ("origin", &own)]).await {
            joined = Some((lee, watcher));
            break;
        }
    }
    let (lee, mut watcher) = joined.expect("a view that begins within a session");
    let code = loop {
        if let Err(code) = watcher.next().await {
            break code;
        }
    };
    assert_eq!(code, 1008, "the server closes it");
    assert_eq!(send(address, "GET", "/v1/canaries", &[("cookie", &lee)], "").code, 401);
    let role = send(address, "GET", "/v1/session", &[("cookie", &lee)], "").json()["role"].clone();
    assert_eq!(role, "none");
    assert_eq!(Watcher::join(address, &[("cookie", &lee), ("origin", &own)]).await.err(), Some(401));
}

#[test]
fn failed_sign_ins_are_limited_and_bad_ones_are_explained() {
    let (folder, address) = guarded();
    let _running = Running::start(folder.path(), address);
    let field = |body: &str| {
        let answer = sign_in(address, body);
        assert_eq!(answer.code, 422, "{body}");
        answer.json()["field"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(field(&format!(r#"{{"token":"{OPERATOR}","name":" "}}"#)), "name");
    assert_eq!(field(&format!(r#"{{"token":"{OPERATOR}","name":"{}"}}"#, "x".repeat(101))), "name");
    assert_eq!(field(r#"{"token":7}"#), "token");
    for _ in 0..10 {
        assert_eq!(sign_in(address, r#"{"token":"a-guess-of-a-token"}"#).code, 401);
    }
    // From here on the right one is refused as well, or guessing would go on.
    let answer = sign_in(address, &format!(r#"{{"token":"{OPERATOR}"}}"#));
    assert_eq!(answer.code, 429);
    let wait: u64 = answer.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((1..=61).contains(&wait), "{wait}");
    let bearer = format!("Bearer {OPERATOR}");
    assert_eq!(send(address, "GET", "/v1/canaries", &[("authorization", &bearer)], "").code, 200);
}

#[test]
fn without_tokens_everybody_acts_but_no_foreign_page() {
    let (folder, address) = folder("");
    let _running = Running::start(folder.path(), address);
    let shown = send(address, "GET", "/v1/session", &[], "").json();
    assert_eq!(
        (&shown["role"], &shown["signInNeeded"], &shown["canSignIn"]),
        (&"operator".into(), &false.into(), &false.into())
    );
    let own = format!("http://{address}");
    let act = |headers: &[(&str, &str)]| send(address, "POST", RESUME, headers, WHY).code;
    assert_eq!((act(&[]), act(&[("origin", &own)])), (409, 409));
    assert_eq!(act(&[("origin", "http://evil.example")]), 403);
    let rebound = format!("evil.example:{}", address.port());
    assert_eq!(act(&[("origin", &format!("http://{rebound}")), ("host", &rebound)]), 403);
}
