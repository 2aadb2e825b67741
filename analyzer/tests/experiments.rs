//! Experiments in the running program: created, assigned, counted, changed, ended; over restarts.

mod common;

use common::{Running, edit, folder};
use serde_json::{Value, json};
use serin_contract::AssignedUnit;
use std::collections::BTreeMap;

struct World {
    folder: tempfile::TempDir,
    address: std::net::SocketAddr,
    running: Running,
}

impl World {
    fn start() -> Self {
        let (folder, address) = folder("");
        let running = Running::start(folder.path(), address);
        Self { folder, address, running }
    }

    fn restart(&mut self) {
        self.running.signal("-KILL");
        drop(self.running.child.wait());
        self.running = Running::start(self.folder.path(), self.address);
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (code, text) = self.running.call(method, path, "", &body).expect("an answer");
        (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn get(&self, path: &str) -> Value {
        let (code, value) = self.call("GET", path, &Value::Null);
        assert_eq!(code, 200, "{path}: {value}");
        value
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let (code, value) = self.call("POST", path, body);
        assert_eq!(code, 200, "{path}: {value}");
        value
    }

    fn create(&self, more: &Value) {
        let mut spec = json!({"id": "button", "arms": [
            {"name": "control", "share": 50}, {"name": "treatment", "share": 50, "flags": {"button": "green"}}]});
        spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.post("/v1/experiments", &spec);
    }

    fn assign(&self, user: &str) -> Value {
        self.post("/v1/experiments/button/assign", &json!({"user": user}))
    }

    fn events(&self, events: &Value) -> Value {
        self.post("/v1/events", &json!({"events": events}))
    }

    fn results(&self) -> Value {
        self.get("/v1/experiments/button/results")
    }

    fn report(&self, sequence: u64, experiments: &Value) {
        let report = json!({"instance": "00000000000000ab", "sequence": sequence, "plan_revision": 0, "node": "gw",
            "interval_ms": 500, "experiments": experiments});
        assert_eq!(self.post("/v1/report", &report)["acknowledged"], sequence);
    }
}

fn exposures(results: &Value) -> [u64; 2] {
    ["control", "treatment"].map(|arm| results["variants"][arm]["exposures"].as_u64().expect("a count"))
}

fn hash(user: &str) -> String {
    AssignedUnit::of("button", user.as_bytes()).expect("a unit").hash.to_string()
}

#[test]
fn a_user_asked_for_ten_times_has_one_arm_and_counts_once_also_after_a_restart() {
    let mut world = World::start();
    world.create(&json!({}));
    let first = world.assign("user123");
    assert_eq!((&first["new"], &first["step"]), (&json!(true), &json!(1)));
    for _ in 0..9 {
        let again = world.assign("user123");
        assert_eq!((&again["arm"], &again["new"]), (&first["arm"], &json!(false)));
    }
    world.restart();
    assert_eq!(world.assign("user123")["new"], false);
    assert_eq!(exposures(&world.results()).iter().sum::<u64>(), 1);
}

#[test]
fn sixty_thirty_ten_over_a_thousand_users_is_within_five_points() {
    let world = World::start();
    let arms = json!([{"name": "A", "share": 60}, {"name": "B", "share": 30}, {"name": "C", "share": 10}]);
    world.create(&json!({"arms": arms, "salt": ""}));
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    for batch in 0..10 {
        let exposed: Vec<Value> = (0..100)
            .map(|user| json!({"experiment": "button", "user": format!("user{}", batch * 100 + user), "type": "exposure"}))
            .collect();
        world.events(&json!(exposed));
    }
    for (arm, variant) in world.results()["variants"].as_object().expect("arms") {
        counts.insert(arm.clone(), variant["exposures"].as_f64().expect("a count") / 10.0);
    }
    for (arm, share) in [("A", 60.0), ("B", 30.0), ("C", 10.0)] {
        assert!((counts[arm] - share).abs() < 5.0, "{counts:?}");
    }
}

#[test]
fn filter_and_api_know_a_user_by_the_same_name_and_count_it_once() {
    let world = World::start();
    world.create(&json!({"hosts": ["shop.example"], "units": [{"header": "x-user-id"}],
        "goals": [{"name": "purchase"}]}));
    let arm = world.assign("kim")["arm"].as_str().expect("an arm").to_owned();
    let seen = json!([{"id": "button", "step": 1, "arms": {arm.as_str(): {"seen": [hash("kim"), hash("lee")],
        "goals": {"purchase": [[hash("kim"), 2, 30.0], [hash("pat"), 1, 5.0]]}}}}]);
    world.report(1, &seen);
    // The same report again, as after a lost answer, and the same users from another proxy's VM.
    world.post(
        "/v1/report",
        &json!({"instance": "00000000000000ab", "sequence": 1, "plan_revision": 0,
        "node": "gw", "interval_ms": 500, "experiments": seen}),
    );
    world.report(2, &json!([{"id": "button", "step": 1, "arms": {arm.as_str(): {"seen": [hash("lee")]}}}]));
    world.events(&json!([{"experiment": "button", "user": "kim", "type": "conversion", "value": 12.5}]));
    let variant = &world.results()["variants"][arm.as_str()];
    // pat reached a goal: exposed by that alone.
    assert_eq!((&variant["exposures"], &variant["conversions"]), (&json!(3), &json!(2)));
    let goal = &variant["goals"]["purchase"];
    assert_eq!((&goal["events"], &goal["sum"]), (&json!(4), &json!(47.5)));
}

#[test]
fn a_change_of_shares_begins_a_step_and_who_was_assigned_stays_in_the_old_one() {
    let world = World::start();
    world.create(&json!({}));
    let arms: Vec<Value> = (0..50).map(|user| world.assign(&format!("u{user}"))["arm"].clone()).collect();
    let (code, changed) =
        world.call("PATCH", "/v1/experiments/button", &json!({"shares": {"control": 5, "treatment": 95}}));
    assert_eq!((code, &changed["experiment"]["step"]), (200, &json!(2)));
    assert_eq!(changed["persistence"]["movedPercent"], 45.0);
    for (user, arm) in arms.iter().enumerate() {
        assert_eq!(world.assign(&format!("u{user}"))["arm"], *arm);
    }
    for user in 50..100 {
        assert_eq!(world.assign(&format!("u{user}"))["step"], 2);
    }
    // A conversion counts in the step that assigned the user.
    world.events(&json!([{"experiment": "button", "user": "u0", "type": "conversion"}]));
    let results = world.results();
    let of = |step: usize| {
        let variants = &results["steps"][step]["variants"];
        ["exposures", "conversions"].map(|field| {
            ["control", "treatment"]
                .iter()
                .map(|arm| variants[arm][field].as_u64().expect("a count"))
                .sum::<u64>()
        })
    };
    assert_eq!((of(0), of(1)), ([50, 1], [50, 0]));
}

#[test]
fn filters_would_move_users_so_the_change_asks_for_consent() {
    let world = World::start();
    world.create(&json!({"hosts": ["shop.example"], "units": [{"header": "x-user-id"}]}));
    let shares = json!({"shares": {"control": 5, "treatment": 95}});
    let (code, refused) = world.call("PATCH", "/v1/experiments/button", &shares);
    assert_eq!(code, 409);
    assert!(refused["detail"].as_str().expect("text").contains("45 % of units"), "{refused}");
    let wrong = json!({"shares": {"control": 5, "treatment": 90}});
    let (code, refused) = world.call("PATCH", "/v1/experiments/button", &wrong);
    assert_eq!((code, &refused["field"]), (422, &json!("shares")), "{refused}");
    let (code, refused) = world.call("PATCH", "/v1/experiments/button", &json!({"shares": {"control": 100}}));
    assert_eq!((code, &refused["field"]), (422, &json!("shares.treatment")), "{refused}");
}

#[test]
fn a_batch_counts_once_by_its_key_and_as_a_whole_or_not_at_all() {
    let world = World::start();
    world.create(&json!({"goals": [{"name": "purchase"}]}));
    let call = |events: &Value| {
        let body = json!({"events": events}).to_string();
        let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\nidempotency-key: k1\r\n";
        raw(world.address, &format!("{head}content-length: {}\r\n\r\n{body}", body.len()))
    };
    let events = json!([{"experiment": "button", "user": "a", "type": "exposure"},
        {"experiment": "button", "user": "a", "type": "conversion", "goal": "purchase", "value": 2}]);
    assert_eq!(call(&events)["repeated"], false);
    assert_eq!(call(&events)["repeated"], true);
    assert_eq!(world.results()["variants"].to_string().matches("\"events\":1").count(), 1);
    let cases = [
        (
            json!({"experiment": "button", "user": "a", "type": "conversion", "goal": "sale"}),
            "events[1].goal",
        ),
        (json!({"experiment": "none", "user": "a", "type": "exposure"}), "events[1].experiment"),
        (json!({"experiment": "button", "user": "", "type": "exposure"}), "events[1].user"),
        (json!({"experiment": "button", "user": "a", "type": "custom"}), "events[1].name"),
        (
            json!({"experiment": "button", "user": "a", "type": "exposure", "time": "2020-01-01T00:00:00Z"}),
            "events[1].time",
        ),
        (json!({"experiment": "button", "user": "a", "type": "seen"}), "events[1].type"),
    ];
    for (event, field) in cases {
        let good = json!({"experiment": "button", "user": "b", "type": "exposure"});
        let (code, refused) = world.call("POST", "/v1/events", &json!({"events": [good, event]}));
        assert_eq!((code, &refused["field"]), (422, &json!(field)), "{refused}");
    }
    assert_eq!(exposures(&world.results()).iter().sum::<u64>(), 1, "nothing of a refused batch counts");
    let nobody = world.events(&json!([{"experiment": "button", "user": "zoe", "type": "conversion"}]));
    assert_eq!(nobody["unexposed"], 1);
}

/// A call with headers of its own.
fn raw(address: std::net::SocketAddr, request: &str) -> Value {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).expect("connects");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    serde_json::from_str(answer.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
}

#[test]
fn a_funnel_says_who_got_how_far() {
    let world = World::start();
    world.create(&json!({"salt": ""}));
    let at = |user: &str, name: &str, second: u32| {
        // Within the last 48 hours whatever the clock says: an hour ago, and some seconds.
        let ago = std::time::SystemTime::now() - std::time::Duration::from_secs(u64::from(3_600 - second));
        let time = serin_time(ago);
        json!({"experiment": "button", "user": user, "type": "custom", "name": name, "time": time})
    };
    let exposed = |user: &str| json!({"experiment": "button", "user": user, "type": "exposure"});
    world.events(&json!([
        exposed("user1"),
        exposed("user9"),
        at("user1", "view", 0),
        at("user1", "cart", 4),
        at("user9", "view", 0),
        at("user9", "other", 1)
    ]));
    let funnel = world.get("/v1/experiments/button/funnel?steps=view,cart");
    let users = |place: usize| {
        let arms = funnel["arms"].as_object().expect("arms");
        arms.values().map(|steps| steps[place]["users"].as_u64().expect("a count")).sum::<u64>()
    };
    assert_eq!((users(0), users(1)), (2, 1), "{funnel}");
    assert!(funnel.to_string().contains("\"medianSeconds\":4.0"), "{funnel}");
    assert_eq!(world.call("GET", "/v1/experiments/none/funnel?steps=a,b", &Value::Null).0, 404);
}

fn serin_time(time: std::time::SystemTime) -> String {
    let since = time.duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    serin::experiments::spec::written(serin_judge::time::Time(since.as_secs() * 1_000))
}

#[test]
fn a_file_declares_experiments_and_ends_them_by_leaving_them_out() {
    let world = World::start();
    let declared = "---\napiVersion: serin.dev/v1alpha1\nkind: Experiment\nmetadata: {name: button}\nspec:\n  \
        hosts: [shop.example]\n  units: [{header: x-user-id}]\n  arms: [{name: a, share: 50}, {name: b, share: 50}]\n";
    edit(
        world.folder.path(),
        "limits: {maxErrorRate: 5}\n",
        &format!("limits: {{maxErrorRate: 5}}\n{declared}"),
    );
    world.running.signal("-HUP");
    let one = "/v1/experiments/button";
    world.running.until("it is there", || world.call("GET", one, &Value::Null).0 == 200);
    let plan = world.post(
        "/v1/report",
        &json!({"instance": "00000000000000cd", "sequence": 1, "plan_revision": 0,
        "node": "gw", "interval_ms": 500}),
    );
    assert_eq!(plan["plan"]["experiments"][0]["id"], "button", "{plan}");
    let (code, refused) = world.call("PATCH", one, &json!({"shares": {"a": 10, "b": 90}}));
    assert_eq!(code, 409, "{refused}");
    edit(world.folder.path(), "share: 50}, {name: b, share: 50", "share: 40}, {name: b, share: 60");
    world.running.signal("-HUP");
    world.running.until("the shares have changed", || world.get(one)["step"] == 2);
    edit(world.folder.path(), "{name: b, share: 60", "{name: c, share: 60");
    world.running.signal("-HUP");
    world.running.until("the change was refused", || {
        std::fs::read_to_string(world.folder.path().join("log"))
            .is_ok_and(|log| log.contains("create another"))
    });
    let whole = std::fs::read_to_string(world.folder.path().join("serin.yaml")).expect("read");
    let without =
        whole.split("---\napiVersion: serin.dev/v1alpha1\nkind: Experiment").next().expect("a part");
    std::fs::write(world.folder.path().join("serin.yaml"), without).expect("written");
    world.running.signal("-HUP");
    world.running.until("it has ended", || world.get(one)["status"] == "ended");
    let plan = world.post(
        "/v1/report",
        &json!({"instance": "00000000000000cd", "sequence": 2, "plan_revision": 0,
        "node": "gw", "interval_ms": 500}),
    );
    assert_eq!(plan["plan"]["experiments"], json!([]));
}

#[test]
fn reports_are_for_people_too() {
    let world = World::start();
    world.create(&json!({"name": "A <b>button</b>", "hypothesis": "green | buys"}));
    for user in 0..40 {
        world.assign(&format!("u{user}"));
        let event =
            json!([{"experiment": "button", "user": format!("u{user}"), "type": "conversion", "value": 1}]);
        world.events(&event);
    }
    let text = |form: &str| {
        let path = format!("/v1/experiments/button/report?format={form}");
        world.running.call("GET", &path, "", "").expect("an answer")
    };
    let (code, markdown) = text("md");
    assert!(
        code == 200 && markdown.starts_with("# A &lt;b&gt;button") && markdown.contains("| treatment |"),
        "{markdown}"
    );
    let (code, page) = text("html");
    assert!(code == 200 && page.contains("<svg") && !page.contains("<b>") && !page.contains("NaN"), "{page}");
    assert_eq!(text("pdf").0, 422);
}

#[test]
fn flags_are_read_by_openfeatures_protocol() {
    let world = World::start();
    let arms = json!([{"name": "control", "share": 0, "flags": {"size": 1}},
        {"name": "treatment", "share": 100, "flags": {"button": "green", "size": 2, "new": true}}]);
    world.create(&json!({"arms": arms, "segment": {"rules": {"country": "US"}}}));
    let flag = "/ofrep/v1/evaluate/flags/size";
    let context = json!({"context": {"targetingKey": "u1", "country": "US"}});
    let found = world.post(flag, &context);
    assert_eq!(
        (&found["value"], &found["variant"], &found["reason"]),
        (&json!(2), &json!("treatment"), &json!("SPLIT"))
    );
    let all = world.post("/ofrep/v1/evaluate/flags", &context);
    assert_eq!(all["flags"].as_array().map(Vec::len), Some(3), "{all}");
    assert_eq!(exposures(&world.results()), [0, 1]);
    let cases = [
        (flag, json!({"context": {"targetingKey": "u2", "country": "UK"}}), 404, "FLAG_NOT_FOUND"),
        ("/ofrep/v1/evaluate/flags/none", context, 404, "FLAG_NOT_FOUND"),
        (flag, json!({"context": {}}), 400, "TARGETING_KEY_MISSING"),
        (flag, json!({"context": {"targetingKey": 1}}), 400, "INVALID_CONTEXT"),
        (flag, json!({"context": 1}), 400, "PARSE_ERROR"),
    ];
    for (path, body, code, error) in cases {
        let (found, told) = world.call("POST", path, &body);
        assert_eq!((found, &told["errorCode"]), (code, &json!(error)), "{told}");
    }
}
