//! Experiments as people handle them: at a terminal, with who and why in history and audit, in metrics; and as
//! OpenFeature's clients poll them.

mod common;

use common::{Running, folder, serin, text};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Output;

const FILE: &str = "apiVersion: serin.dev/v1alpha1\nkind: Experiment\nmetadata: {name: button}\nspec:\n  \
    hypothesis: A green button sells more\n  hosts: [shop.example]\n  units: [{header: x-user-id}]\n  \
    arms: [{name: control, share: 50}, {name: treatment, share: 50, flags: {button: green}}]\n";

struct World {
    folder: tempfile::TempDir,
    running: Running,
}

impl World {
    fn start() -> Self {
        let (folder, address) = folder("");
        std::fs::write(folder.path().join("button.yaml"), FILE).expect("written");
        let running = Running::start(folder.path(), address);
        Self { folder, running }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let server = format!("http://{}", self.running.address);
        let mut all = vec!["experiment"];
        all.extend(arguments);
        all.extend(["--server", &server]);
        serin(self.folder.path(), &all)
    }

    fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stderr)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["--output", "json"]);
        serde_json::from_str(&self.says(&all)).expect("JSON")
    }
}

#[test]
fn an_experiments_whole_life_at_a_terminal_stands_in_history_and_audit() {
    let world = World::start();
    assert_eq!(world.says(&["list"]), "there are no experiments\n");
    let told = world.says(&["create", "button.yaml", "--by", "kim", "--reason", "the new checkout"]);
    assert!(told.starts_with("button (button), running at step 1"), "{told}");
    assert!(
        world.says(&["list"]).contains("button      running  1     control 50.0 %, treatment 50.0 %  api")
    );
    let again = world.fails(1, &["create", "button.yaml"]);
    assert!(again.contains("409 Conflict: there is an experiment button already"), "{again}");
    let moves = ["shares", "button", "control=10", "treatment=90", "--by", "lee"];
    assert!(world.fails(1, &moves).contains("40 % of units"));
    let told = world.says(&[&moves[..], &["--accept-moves"]].concat());
    assert!(told.contains("running at step 2") && told.contains("treatment 90.0 %"), "{told}");
    let assigned = json!({"user": "kim"}).to_string();
    assert_eq!(world.running.code("POST", "/v1/experiments/button/assign", "", &assigned), 200);

    let results = world.json(&["results", "button"]);
    assert_eq!(results["variants"]["treatment"]["exposures"].as_u64().map(|count| count < 2), Some(true));
    assert!(world.says(&["results", "button"]).starts_with("ARM        EXPOSURES  CONVERSIONS  RATE\n"));
    assert!(world.says(&["report", "button"]).starts_with("# button"));
    assert!(world.says(&["report", "button", "--output", "html"]).contains("<svg"));
    let funnel = world.says(&["funnel", "button", "--steps", "exposure,conversion"]);
    assert!(funnel.starts_with("ARM        STEP        USERS  DROP-OFF  MEDIAN\n"), "{funnel}");
    world.says(&["end", "button", "--by", "kim", "--reason", "enough"]);
    let ended = world.json(&["show", "button"]);
    assert_eq!(ended["status"], "ended");
    let line = |place: usize, field: &str| ended["history"][place][field].clone();
    let history: Vec<_> =
        (0..3).map(|place| ["deed", "by", "reason", "step"].map(|field| line(place, field))).collect();
    let expected = [
        [json!("created"), json!("kim"), json!("the new checkout"), json!(1)],
        [json!("changed"), json!("lee"), Value::Null, json!(2)],
        [json!("ended"), json!("kim"), json!("enough"), json!(2)],
    ];
    assert_eq!(history, expected);
    assert!(world.says(&["show", "button"]).contains(" ended by kim, step 2: enough\n"));

    let log = std::fs::read_to_string(world.folder.path().join("log")).expect("a log");
    let audit: Vec<&str> = log.lines().filter(|line| line.contains(" audit: ")).collect();
    for (line, words) in audit.iter().zip([
        ["deed=\"create\"", "by=\"kim\"", "reason=\"the new checkout\"", "outcome=\"done\""],
        ["deed=\"create\"", "experiment=\"button\"", "outcome=\"refused\"", "already"],
        ["deed=\"shares\"", "by=\"lee\"", "outcome=\"refused\"", "40 % of units"],
        ["deed=\"shares\"", "by=\"lee\"", "outcome=\"done\"", "step 2"],
        ["deed=\"end\"", "by=\"kim\"", "reason=\"enough\"", "outcome=\"done\""],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{line}\nshould have {words:?}");
    }
    assert_eq!(audit.len(), 5, "{audit:#?}");

    let server = format!("http://{}", world.running.address);
    let shown = |more: &[&str]| {
        let output = serin(world.folder.path(), &[&["audit", "--server", &server], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let lines: Vec<Value> = serde_json::from_str(&shown(&["--output", "json"])).expect("JSON");
    let deeds: Vec<_> =
        lines.iter().rev().map(|line| ["deed", "by", "outcome"].map(|field| line[field].clone())).collect();
    assert_eq!(deeds[0], ["create", "kim", "done"]);
    assert_eq!([&deeds[1][0], &deeds[1][2]], ["create", "refused"]);
    assert_eq!(deeds[2..], [["shares", "lee", "refused"], ["shares", "lee", "done"], ["end", "kim", "done"]]);
    let last = shown(&["--most", "1"]);
    assert!(last.contains("  end button  done (step 2)  by kim (operator) from 127.0.0.1:"), "{last}");
    assert!(last.ends_with(": enough\n") && last.lines().count() == 1, "{last}");
}

#[test]
fn what_is_wrong_at_the_terminal_is_said_with_the_code_for_it() {
    let world = World::start();
    std::fs::write(world.folder.path().join("bad.yaml"), FILE.replacen("share: 50", "share: 49", 1))
        .expect("written");
    let bad = world.fails(2, &["create", "bad.yaml"]);
    assert!(bad.contains("bad.yaml: spec.arms: the shares sum to 99 %"), "{bad}");
    assert!(world.fails(2, &["create", "none.yaml"]).contains("none.yaml: cannot be read"));
    assert!(world.fails(2, &["show", "a/b"]).contains("ID: `a/b` is not allowed"));
    assert!(world.fails(2, &["shares", "button", "control"]).contains("as treatment=12.5"));
    assert!(world.fails(2, &["shares", "button", "a=1", "a=2"]).contains("the arm a is there twice"));
    assert!(world.fails(1, &["show", "button"]).contains("404 Not Found: there is no experiment button"));
    let body = json!({"id": "x", "by": "", "arms": []}).to_string();
    let (code, told) = world.running.call("POST", "/v1/experiments", "", &body).expect("an answer");
    assert!(code == 422 && told.contains("\"field\":\"by\""), "{told}");
}

#[test]
fn experiments_have_numbers_in_the_metrics_until_they_end() {
    let world = World::start();
    world.says(&["create", "button.yaml"]);
    for user in 0..10 {
        let events = json!({"events": [{"experiment": "button", "user": format!("u{user}"), "type": "exposure"},
            {"experiment": "button", "user": format!("u{user}"), "type": "conversion", "value": 2}]});
        assert_eq!(world.running.code("POST", "/v1/events", "", &events.to_string()), 200);
    }
    let metrics = || world.running.call("GET", "/metrics", "", "").expect("an answer").1;
    let sum = |name: &str| -> f64 {
        let page = metrics();
        let lines = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    world.running.until("ten exposures", || (sum("serin_experiment_exposures_total") - 10.0).abs() < 1e-9);
    assert!((sum("serin_experiment_conversions_total") - 10.0).abs() < 1e-9);
    assert!((sum("serin_experiment_goal_value") - 20.0).abs() < 1e-9);
    let page = metrics();
    for line in [
        "serin_experiments{status=\"running\"} 1",
        "serin_experiment_step{experiment=\"button\"} 1",
        "serin_experiment_share_percent{experiment=\"button\",arm=\"treatment\"} 50",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    world.says(&["end", "button"]);
    world.running.until("no series", || !metrics().contains("experiment=\"button\""));
    assert!(metrics().contains("serin_experiments{status=\"ended\"} 1"));
}

/// Status, ETag and body.
fn flags(address: SocketAddr, context: &Value, known: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).expect("connects");
    let body = json!({"context": context}).to_string();
    let head = "POST /ofrep/v1/evaluate/flags HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    write!(stream, "{head}{known}content-length: {}\r\n\r\n{body}", body.len()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap_or_default();
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (code, tag.to_owned(), body.to_owned())
}

#[test]
fn a_client_that_has_the_flags_already_is_told_so_and_counted_all_the_same() {
    let world = World::start();
    world.says(&["create", "button.yaml"]);
    world.says(&["shares", "button", "control=0", "treatment=100", "--accept-moves"]);
    let address = world.running.address;
    let kim = json!({"targetingKey": "kim"});
    let (code, tag, body) = flags(address, &kim, "");
    assert!(code == 200 && body.contains("green") && tag.len() == 34, "{code} {tag} {body}");
    let known = format!("if-none-match: \"other\", W/{tag}\r\n");
    assert_eq!(flags(address, &kim, &known), (304, tag.clone(), String::new()));
    // Another user with the same flags: the same answer, and an exposure of its own.
    assert_eq!(flags(address, &json!({"targetingKey": "lee"}), &known).0, 304);
    let exposures = world.json(&["results", "button"])["variants"]["treatment"]["exposures"].clone();
    assert_eq!(exposures, 2);
    world.says(&["end", "button"]);
    let (code, other, body) = flags(address, &kim, &known);
    assert!(code == 200 && other != tag && body == "{\"flags\":[]}", "{code} {other} {body}");
}
