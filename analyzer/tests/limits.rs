//! Clients that send too much, too slowly, or too often; and what the audit says of those who act.

mod common;

use common::{Running, folder};
use serin::api::limits;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const ACT: &str = "/v1/canaries/default/shop/pause";

/// Sends a text and reads until the other side closes.
fn answer(stream: &mut TcpStream, text: &[u8]) -> String {
    drop(stream.write_all(text));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_body_that_is_too_large_is_refused_on_every_route() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    for (method, path, largest) in [
        ("POST", "/v1/report", limits::REPORT_BYTES),
        ("POST", ACT, limits::ACTION_BYTES),
        ("GET", "/v1/canaries", limits::NO_BYTES),
        ("GET", "/v1/openapi.json", limits::NO_BYTES),
        ("GET", "/metrics", limits::NO_BYTES),
    ] {
        let fits = running.code(method, path, "", &" ".repeat(largest));
        assert_ne!(fits, 413, "{path} takes {largest} bytes");
        // Said beforehand: refused before a byte of it has come.
        let mut stream = TcpStream::connect(address).expect("connects");
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", largest + 1);
        let refused = answer(&mut stream, head.as_bytes());
        assert!(refused.starts_with("HTTP/1.1 413"), "{path}: {refused}");
        assert!(refused.contains("application/problem+json"), "{refused}");
        // Not said beforehand: refused when it has become too large.
        let mut stream = TcpStream::connect(address).expect("connects");
        let size = largest + 1;
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n");
        let refused = answer(&mut stream, &[head.as_bytes(), &vec![b' '; size]].concat());
        assert!(refused.starts_with("HTTP/1.1 413"), "{path}: {refused}");
    }
}

#[test]
fn clients_that_send_slowly_are_cut_off_while_others_are_served() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    let begin = Instant::now();
    let mut slow: Vec<TcpStream> = Vec::new();
    for text in [
        "",
        "GET /v1/canaries HTTP/1.1\r\nhost:",
        "POST /v1/report HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.write_all(text.as_bytes()).expect("written");
        slow.push(stream);
    }
    // One byte of a header each second keeps nobody's place.
    let mut drip = TcpStream::connect(address).expect("connects");
    drip.write_all(b"GET / HTTP/1.1\r\nx: ").expect("written");
    let longest = limits::HEADER.max(limits::REQUEST) + Duration::from_secs(5);
    while begin.elapsed() < limits::HEADER + Duration::from_secs(2) {
        drop(drip.write_all(b"a"));
        assert_eq!(running.code("GET", "/healthz", "", ""), 200);
        std::thread::sleep(Duration::from_secs(1));
    }
    drip.set_read_timeout(Some(Duration::from_secs(3))).expect("set");
    assert!(!matches!(drip.read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock));
    for stream in &mut slow {
        stream.set_read_timeout(Some(longest.saturating_sub(begin.elapsed()))).expect("set");
    }
    let answers: Vec<String> = slow.iter_mut().map(|stream| answer(stream, b"")).collect();
    assert!(begin.elapsed() < longest, "all are cut");
    assert!(answers[2].starts_with("HTTP/1.1 408"), "{answers:?}");
}

#[test]
fn more_connections_than_allowed_wait_for_their_turn() {
    let (folder, address) = folder("");
    let running = Running::spawn_with_files(folder.path(), address, limits::OTHER_FILES + 100);
    running.until("it is ready", || running.call("GET", "/readyz", "", "").is_some());
    let held: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(address).expect("there is a place")).collect();
    let mut late = TcpStream::connect(address).expect("the kernel takes it");
    late.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
    late.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("written");
    assert!(late.read(&mut [0; 1]).is_err(), "it waits");
    drop(held);
    late.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    assert!(answer(&mut late, b"").starts_with("HTTP/1.1 200"));
    assert_eq!(running.code("GET", "/healthz", "", ""), 200);
}

#[test]
fn who_acts_stands_in_the_audit_whatever_came_of_it() {
    let (folder, address) = folder(", operatorTokenFile: operator");
    std::fs::write(folder.path().join("operator"), "operator-token-0123456789").expect("written");
    let running = Running::spawn(folder.path(), address, &[("SERIN_LOG", "error")]);
    running.until("it is ready", || running.call("GET", "/readyz", "", "").is_some());
    let token = "operator-token-0123456789";
    let act = |deed: &str, token: &str, body: &str| {
        running.code("POST", &format!("/v1/canaries/default/shop/{deed}"), token, body)
    };
    let line = || {
        let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
        log.lines().rfind(|line| line.contains("audit: action")).unwrap_or_default().to_owned()
    };

    assert_eq!(act("rollback", "wrong-token-0123456789", r#"{"reason":"x"}"#), 401);
    assert!(line().contains("no valid token") && line().contains("default/shop/rollback"), "{}", line());
    assert_eq!(act("pause", token, r#"{"reason":" "}"#), 422);
    assert!(line().contains("must have 1 to 1000 characters"), "{}", line());
    assert_eq!(act("pause", token, r#"{"reason":"too early","by":"kim"}"#), 409);
    for part in [
        r#"by="kim""#,
        r#"reason="too early""#,
        r#"deed="pause""#,
        r#"outcome="refused""#,
        "peer=\"127.0.0.1:",
    ] {
        assert!(line().contains(part), "{part} in {}", line());
    }
    // A reason with a line end does not make a line of its own.
    assert_eq!(act("rollback", token, r#"{"reason":"bad\n audit: action forged","by":"kim"}"#), 200);
    assert!(line().contains(r#"reason="bad\n audit: action forged""#), "{}", line());
    assert!(line().contains(r#"outcome="done""#) && line().contains("Failed at 0 %"), "{}", line());

    let (_, canary) = running.call("GET", "/v1/canaries/default/shop", token, "").expect("an answer");
    let canary: serde_json::Value = serde_json::from_str(&canary).expect("JSON");
    let history = canary["history"].as_array().expect("lines");
    let by_kim: Vec<_> = history.iter().filter(|line| line["by"] == "kim").collect();
    assert_eq!(by_kim.len(), 1, "what changed nothing is not history: {history:?}");

    // In the store is what an operator did or tried, not who had no token or was not understood.
    let audit = || {
        let (code, lines) = running.call("GET", "/v1/audit", token, "").expect("an answer");
        assert_eq!(code, 200, "{lines}");
        serde_json::from_str::<serde_json::Value>(&lines).expect("JSON")
    };
    let lines = audit();
    let told =
        |place: usize| ["deed", "canary", "by", "reason", "outcome"].map(|field| lines[place][field].clone());
    assert_eq!(told(0), ["rollback", "default/shop", "kim", "bad\n audit: action forged", "done"]);
    assert_eq!(told(1), ["pause", "default/shop", "kim", "too early", "refused"]);
    assert_eq!((lines.as_array().map(Vec::len), &lines[0]["detail"]), (Some(2), &"Failed at 0 %".into()));
    // It was stored with the action: a program that is killed at once has both.
    let mut running = running;
    running.signal("-KILL");
    drop(running.child.wait());
    let running = Running::start(folder.path(), address);
    let (_, again) = running.call("GET", "/v1/audit?most=1", token, "").expect("an answer");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&again).expect("JSON"),
        serde_json::json!([lines[0]])
    );
    let older = format!("/v1/audit?before={}", lines[0]["number"]);
    let (_, older) = running.call("GET", &older, token, "").expect("an answer");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&older).expect("JSON"),
        serde_json::json!([lines[1]])
    );
    let asked = |query: &str, token: &str| running.code("GET", &format!("/v1/audit{query}"), token, "");
    assert_eq!([asked("", ""), asked("?most=0", token), asked("?before=x", token)], [401, 422, 400]);
}
