//! Records of experiments out of the running program: into a file that logrotate moves away, to an endpoint, and
//! to one that is down or slow, which keeps nobody waiting.

mod common;

use common::{Running, edit, folder};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

struct World {
    folder: tempfile::TempDir,
    running: Running,
}

impl World {
    fn start(analytics: &str) -> Self {
        let (folder, address) = folder(&format!(", analytics: {analytics}"));
        std::fs::write(folder.path().join("token"), "a-collectors-token\n").expect("written");
        let running = Running::start(folder.path(), address);
        let world = Self { folder, running };
        world.post(
            "/v1/experiments",
            &json!({"id": "button", "goals": [{"name": "purchase"}],
                "arms": [{"name": "control", "share": 0}, {"name": "treatment", "share": 100}]}),
        );
        world
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let (code, text) = self.running.call("POST", path, "", &body.to_string()).expect("an answer");
        assert_eq!(code, 200, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// So many custom events of one user, in calls of a thousand at most.
    fn events(&self, count: usize) {
        let event = json!({"experiment": "button", "user": "kim", "type": "custom", "name": "view"});
        let all = vec![event; count];
        for some in all.chunks(1_000) {
            self.post("/v1/events", &json!({"events": some}));
        }
    }

    fn counted(&self, result: &str) -> u64 {
        let (_, text) = self.running.call("GET", "/metrics", "", "").expect("an answer");
        let name = format!("serin_analytics_records_total{{result=\"{result}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |number| number.parse().expect("a number"))
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn everything_that_users_do_stands_in_the_file_once_and_rotation_loses_nothing() {
    let world = World::start("{file: events.ndjson}");
    let file = world.folder.path().join("events.ndjson");
    let unit = serin_contract::AssignedUnit::of("button", b"kim").expect("a unit").hash.to_string();
    for _ in 0..2 {
        world.post("/v1/experiments/button/assign", &json!({"user": "kim"}));
    }
    world.post(
        "/v1/events",
        &json!({"events": [
            {"experiment": "button", "user": "kim", "type": "exposure"},
            {"experiment": "button", "user": "kim", "type": "custom", "name": "cart", "properties": {"items": 2}},
            {"experiment": "button", "user": "kim", "type": "conversion", "value": 12.5},
            {"experiment": "button", "user": "zoe", "type": "conversion"}]}),
    );
    // A call that is refused as a whole tells of nothing.
    let wrong = json!({"events": [{"experiment": "button", "user": "kim", "type": "custom", "name": "no"},
        {"experiment": "button", "user": "", "type": "exposure"}]});
    assert_eq!(world.running.code("POST", "/v1/events", "", &wrong.to_string()), 422);
    let report = json!({"instance": "00000000000000ab", "sequence": 1, "plan_revision": 0, "node": "gw",
        "interval_ms": 500, "experiments": [{"id": "button", "step": 1, "arms": {"treatment": {
            "seen": [unit, "00000000000000aa"], "goals": {"purchase": [["00000000000000bb", 3, 30.0]]}}}}]});
    for _ in 0..2 {
        // The second is the first again: an answer that was lost.
        world.post("/v1/report", &report);
    }
    world.running.until("all records", || lines(&file).len() >= 8);
    let records = lines(&file);
    let told: Vec<String> = records
        .iter()
        .map(|record| {
            let detail = ["first", "name", "goal"].iter().find_map(|field| record.get(*field));
            let (kind, from) =
                (record["type"].as_str().expect("text"), record["from"].as_str().expect("text"));
            format!("{kind} {} {} {from}", detail.expect("a detail"), record["arm"])
        })
        .collect();
    let treated = |what: &str, from: &str| format!("{what} \"treatment\" {from}");
    let expected = [
        treated("exposure true", "api"),
        treated("exposure false", "api"),
        treated("custom \"cart\"", "api"),
        treated("conversion \"purchase\"", "api"),
        "conversion \"purchase\" null api".to_owned(),
        treated("exposure true", "filter"),
        treated("exposure true", "filter"),
        treated("conversion \"purchase\"", "filter"),
    ];
    assert_eq!(told, expected);
    assert!(records[..4].iter().all(|record| record["unit"] == unit && record["step"] == 1), "{records:?}");
    assert_eq!((&records[2]["properties"]["items"], &records[3]["value"]), (&json!(2), &json!(12.5)));
    assert_eq!((&records[7]["events"], &records[7]["value"]), (&json!(3), &json!(30.0)));

    let moved = world.folder.path().join("events.1");
    std::fs::rename(&file, &moved).expect("moved");
    world.running.signal("-HUP");
    world.running.until("the new file", || file.exists());
    world.events(3);
    world.running.until("the new lines", || lines(&file).len() == 3);
    assert_eq!(lines(&moved).len(), 8);
    assert_eq!((world.counted("written"), world.counted("dropped"), world.counted("failed")), (11, 0, 0));
}

/// A collector on a port of its own: answers each request with the next status, and the last one for ever; none:
/// it never answers.
struct Collector {
    url: String,
    got: Arc<Mutex<Vec<(String, String)>>>,
}

impl Collector {
    fn start(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/in", listener.local_addr().expect("an address"));
        let got = Arc::<Mutex<Vec<(String, String)>>>::default();
        let seen = Arc::clone(&got);
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for (place, stream) in listener.incoming().enumerate() {
                let Ok(mut stream) = stream else { return };
                let Some(request) = request(&mut stream) else { continue };
                seen.lock().expect("held").push(request);
                match statuses.get(place).or(statuses.last()) {
                    Some(status) => drop(write!(
                        stream,
                        "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                    )),
                    None => kept.push(stream),
                }
            }
        });
        Self { url, got }
    }

    fn got(&self) -> Vec<(String, String)> {
        self.got.lock().expect("held").clone()
    }
}

/// Head and body.
fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut some = [0; 65_536];
    loop {
        let count = stream.read(&mut some).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(some.get(..count)?);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        if body.len() >= length.parse().ok()? {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

#[test]
fn an_endpoint_gets_batches_with_the_token_and_a_busy_one_gets_them_again() {
    let collector = Collector::start(&[503, 429, 200]);
    let world = World::start(&format!("{{url: \"{}\", tokenFile: token}}", collector.url));
    world.post("/v1/experiments/button/assign", &json!({"user": "kim"}));
    world.running.until("it is taken", || world.counted("written") == 1);
    let got = collector.got();
    assert_eq!(got.len(), 3);
    let (head, body) = &got[2];
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /in "), "{head}");
    assert!(head.contains("content-type: application/x-ndjson"), "{head}");
    assert!(head.contains("authorization: bearer a-collectors-token"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(body).expect("one line")["type"], "exposure");
    assert!(got.iter().all(|(_, again)| again == body));
    assert_eq!(world.counted("failed"), 0);
}

#[test]
fn an_endpoint_that_refuses_or_is_silent_loses_a_batch_and_is_not_told_twice() {
    let collector = Collector::start(&[500, 200]);
    let world = World::start(&format!("{{url: \"{}\"}}", collector.url));
    world.post("/v1/experiments/button/assign", &json!({"user": "kim"}));
    world.running.until("it is given up", || world.counted("failed") == 1);
    world.post("/v1/experiments/button/assign", &json!({"user": "lee"}));
    world.running.until("the next is taken", || world.counted("written") == 1);
    assert_eq!(collector.got().len(), 2);

    let silent = Collector::start(&[]);
    edit(world.folder.path(), &collector.url, &format!("{}\", timeout: \"200ms", silent.url));
    world.running.signal("-HUP");
    world.running.until("the new configuration", || {
        let (_, text) = world.running.call("GET", "/metrics", "", "").expect("an answer");
        text.contains("serin_configuration_reloads_total{result=\"applied\"} 1")
    });
    world.post("/v1/experiments/button/assign", &json!({"user": "pat"}));
    world.running.until("it is given up", || world.counted("failed") == 2);
    assert_eq!(silent.got().len(), 1);
}

#[test]
fn a_dead_endpoint_fills_the_buffer_and_keeps_nobody_waiting() {
    // Nobody listens on a port that was just given back.
    let dead = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let mut world = World::start(&format!("{{url: \"http://{dead}/\", buffer: 100}}"));
    world.events(3_000);
    // A hundred wait in the buffer, at most a batch is on its way, all others are counted as dropped.
    world.running.until("the overflow", || world.counted("dropped") >= 3_000 - 100 - 1_024);
    assert_eq!((world.counted("written"), world.counted("failed")), (0, 0));
    let report = json!({"instance": "00000000000000ab", "sequence": 1, "plan_revision": 0, "node": "gw",
        "interval_ms": 500, "experiments": [{"id": "button", "step": 1, "arms": {"treatment": {
            "seen": ["00000000000000aa"]}}}]});
    assert_eq!(world.post("/v1/report", &report)["acknowledged"], 1);
    let (_, results) =
        world.running.call("GET", "/v1/experiments/button/results", "", "").expect("an answer");
    assert!(results.contains("\"exposures\":1"), "{results}");
    // It ends in order all the same.
    world.running.signal("-TERM");
    assert!(world.running.child.wait().expect("ends").success());
}
