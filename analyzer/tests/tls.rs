//! TLS and tokens from the environment, as an operator meets them: real certificates, real processes.

mod common;

use common::{Running, folder, serin, text};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::net::SocketAddr;
use std::path::Path;

const TLS: &str = ", tls: {certFile: tls.crt, keyFile: tls.key}";
const TOKEN: &str = "operator-token-0123456789";

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A new authority; its certificate is in `<name>.crt`.
fn authority(folder: &Path, name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let issuer = CertifiedIssuer::self_signed(params, key).expect("signed");
    std::fs::write(folder.join(format!("{name}.crt")), issuer.pem()).expect("written");
    issuer
}

/// A new pair for 127.0.0.1 in tls.crt and tls.key.
fn issue(folder: &Path, authority: &Authority) {
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("signed");
    std::fs::write(folder.join("tls.crt"), certificate.pem()).expect("written");
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).expect("written");
}

fn status(folder: &Path, address: SocketAddr, authority: &str) -> std::process::Output {
    let (server, file) = (format!("https://{address}"), format!("{authority}.crt"));
    serin(folder, &["status", "--server", &server, "--ca-file", &file])
}

fn trusts(running: &Running, folder: &Path, authority: &str) -> bool {
    status(folder, running.address, authority).status.success()
}

#[test]
fn the_command_line_talks_https_and_trusts_nobody_unknown() {
    let (folder, address) = folder(TLS);
    let folder = folder.path();
    let known = authority(folder, "known");
    authority(folder, "unknown");
    issue(folder, &known);
    let running = Running::spawn(folder, address, &[]);
    running.until("it answers over TLS", || trusts(&running, folder, "known"));

    let refused = status(folder, address, "unknown");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("the connection is not safe"), "{}", text(&refused.stderr));
    let system = serin(folder, &["status", "--server", &format!("https://{address}")]);
    assert!(text(&system.stderr).contains("is its authority in --ca-file"), "{}", text(&system.stderr));
    let name = serin(
        folder,
        &["status", "--server", &format!("https://localhost:{}", address.port()), "--ca-file", "known.crt"],
    );
    assert_eq!(name.status.code(), Some(1), "the certificate is not for localhost");
    let plain = serin(folder, &["status", "--server", &format!("http://{address}")]);
    assert_eq!(plain.status.code(), Some(1), "plain HTTP gets no answer");
    assert!(running.call("GET", "/v1/canaries", "", "").is_none(), "plain HTTP gets no answer");
}

#[test]
fn a_new_certificate_is_taken_over_and_a_wrong_one_is_not() {
    let (folder, address) = folder(TLS);
    let folder = folder.path();
    let old = authority(folder, "old");
    let new = authority(folder, "new");
    issue(folder, &old);
    let running = Running::spawn(folder, address, &[]);
    running.until("it answers over TLS", || trusts(&running, folder, "old"));
    let log = || std::fs::read_to_string(folder.join("log")).expect("a log");

    let key = std::fs::read(folder.join("tls.key")).expect("read");
    issue(folder, &new);
    let new_key = std::fs::read(folder.join("tls.key")).expect("read");
    std::fs::write(folder.join("tls.key"), key).expect("written");
    running.until("the log says so", || log().contains("new certificate refused; the old one stays"));
    assert!(log().contains("spec.tls.keyFile"), "{}", log());
    assert!(trusts(&running, folder, "old"), "the old one stays");

    std::fs::write(folder.join("tls.key"), new_key).expect("written");
    running.until("the new one is shown", || trusts(&running, folder, "new"));
    assert!(!trusts(&running, folder, "old"));

    issue(folder, &old);
    running.signal("-HUP");
    running.until("the old authority is back", || trusts(&running, folder, "old"));
}

#[test]
fn a_wrong_pair_is_refused_with_the_fields_path() {
    let (folder, _) = folder(TLS);
    let folder = folder.path();
    let check = || text(&serin(folder, &["check", "serin.yaml"]).stdout);
    assert!(check().contains("spec.tls.certFile: "), "{}", check());
    issue(folder, &authority(folder, "known"));
    assert_eq!(check(), "nothing found\n");
    std::fs::write(folder.join("tls.key"), "no key").expect("written");
    assert!(check().contains("spec.tls.keyFile: "), "{}", check());
    std::fs::write(folder.join("tls.key"), KeyPair::generate().expect("a key").serialize_pem())
        .expect("written");
    assert!(check().contains("does not go with the certificate"), "{}", check());
    std::fs::write(folder.join("tls.crt"), "").expect("written");
    assert!(check().contains("holds no certificate"), "{}", check());
}

#[test]
fn tokens_come_from_the_environment_too_several_at_once() {
    let (folder, address) = folder(", operatorTokenEnv: OPERATORS");
    let folder = folder.path();
    let missing = serin(folder, &["check", "serin.yaml"]);
    let told = text(&missing.stdout);
    assert!(told.contains("spec.operatorTokenEnv: the environment variable OPERATORS"), "{told}");

    let tokens = format!("another-token-0123456789 {TOKEN}");
    let running = Running::spawn(folder, address, &[("OPERATORS", &tokens)]);
    running
        .until("it is ready", || running.call("GET", "/readyz", "", "").is_some_and(|(code, _)| code == 200));
    let act = |token: &str| {
        let body = r#"{"reason":"a test"}"#;
        running.code("POST", "/v1/canaries/default/shop/pause", token, body)
    };
    assert_eq!(act(TOKEN), 409, "known, and not now");
    assert_eq!(act("another-token-0123456789"), 409);
    assert_eq!(act(&tokens), 401, "both together are neither");
    assert_eq!(act(""), 401);
}

#[test]
fn a_gate_on_https_is_asked_only_with_a_certificate_that_is_trusted() {
    // The gate is another analyzer: it answers any POST there with 405.
    let (gate_folder, gate_address) = folder(TLS);
    let known = authority(gate_folder.path(), "known");
    issue(gate_folder.path(), &known);
    let gate = Running::spawn(gate_folder.path(), gate_address, &[]);
    gate.until("the gate answers", || trusts(&gate, gate_folder.path(), "known"));
    let trusted = gate_folder.path().join("known.crt").display().to_string();

    for (environment, said) in
        [(vec![("SSL_CERT_FILE", trusted.as_str())], "answered 405"), (vec![], "cannot be reached: ")]
    {
        let (folder, address) = folder("");
        let url = format!("https://{gate_address}/healthz");
        let gates = format!("  gates: [{{name: load, when: BeforeRollout, url: '{url}'}}]\n  ramp:");
        common::edit(folder.path(), "  ramp:", &gates);
        let running = Running::spawn(folder.path(), address, &environment);
        running.until("the filter has reported", || {
            let report = r#"{"instance":"00000000000000aa","sequence":1,"plan_revision":0,"node":"n","interval_ms":500,"canaries":[]}"#;
            running.call("POST", "/v1/report", "", report).is_some_and(|(code, _)| code == 200)
        });
        running.until(said, || {
            let canary = running.call("GET", "/v1/canaries/default/shop", "", "");
            canary.is_some_and(|(_, body)| body.contains(&format!("gate load {said}")))
        });
    }
}
