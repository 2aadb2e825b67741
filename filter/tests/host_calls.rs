//! What a request asks of the proxy: each call leaves the VM and costs more than the decision itself.

mod support;

use serin_filter::host::StreamHost;
use serin_filter::stream::Stream;
use std::cell::RefCell;
use support::{CANARY_USER, Proxy, Request, configuration, plan, sidecar};

/// A request whose calls are written down.
struct Watched {
    request: Request,
    calls: RefCell<Vec<String>>,
}

impl Watched {
    fn note(&self, call: &str, name: &str) -> &Request {
        self.calls.borrow_mut().push(format!("{call} {name}").trim_end().to_owned());
        &self.request
    }
}

impl StreamHost for Watched {
    fn now_ns(&self) -> u64 {
        self.note("time", "").now_ns()
    }
    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        self.note("get", name).request_header(name)
    }
    fn request_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.note("get", "all").request_headers()
    }
    fn set_request_header(&self, name: &str, value: &[u8]) {
        self.note("set", name).set_request_header(name, value);
    }
    fn remove_request_header(&self, name: &str) {
        self.note("remove", name).remove_request_header(name);
    }
    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        self.note("get", name).response_header(name)
    }
    fn response_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.note("get", "all").response_headers()
    }
    fn add_response_header(&self, name: &str, value: &str) {
        self.note("add", name).add_response_header(name, value);
    }
    fn remove_response_header(&self, name: &str) {
        self.note("remove", name).remove_response_header(name);
    }
    fn response_trailer(&self, name: &str) -> Option<Vec<u8>> {
        self.note("get", name).response_trailer(name)
    }
    fn cluster(&self) -> Option<Vec<u8>> {
        self.note("cluster", "").cluster()
    }
    fn response_flags(&self) -> u64 {
        self.note("flags", "").response_flags()
    }
}

/// The calls at the request's headers, at the answer's, and at the end.
fn calls(configuration: &str, request: Request) -> [Vec<String>; 3] {
    let proxy = Proxy::default();
    let agent = proxy.agent(configuration);
    let watched = Watched { request, calls: RefCell::default() };
    let mut stream = Stream::new(agent.shared());
    stream.requested(&watched);
    let request = watched.calls.take();
    stream.answered(&watched, watched.request.response.len());
    let answer = watched.calls.take();
    stream.ended(&watched);
    [request, answer, watched.calls.take()]
}

fn with(mut request: Request, headers: &[&'static str]) -> Request {
    request.response.extend(headers.iter().map(|name| (*name, "purchase".to_owned())));
    request
}

#[test]
fn at_the_edge_a_request_costs_eight_calls() {
    let [request, answer, end] = calls(&configuration(&plan(1, 1, "")), Request::of(CANARY_USER));
    assert_eq!(request, ["get all", "set x-canary", "set x-canary-by", "time"]);
    assert_eq!(answer, ["get all"]);
    assert_eq!(end, ["cluster", "time", "flags"]);
}

#[test]
fn an_answer_of_many_headers_is_asked_for_those_that_matter() {
    let request = with(Request::of(CANARY_USER), &["x-more"; 16]);
    let [_, answer, _] = calls(&configuration(&plan(1, 1, "")), request);
    assert_eq!(answer, ["get :status", "get content-type", "remove x-serin-goal"]);
}

#[test]
fn what_a_service_says_about_goals_never_leaves_the_edge() {
    let configuration = configuration(&plan(1, 1, r#", "goals": [{"name": "signup"}]"#));
    let requests = [
        Request::of(CANARY_USER),
        Request::new(&[]),
        Request::new(&[("x-canary", "true")]),
        Request::new(&[(":authority", "elsewhere.example")]),
    ];
    for request in requests {
        for more in [0, 16] {
            let headers = [&["x-serin-goal", "x-serin-goal"][..], &vec!["x-more"; more]].concat();
            let [_, answer, _] = calls(&configuration, with(request.clone(), &headers));
            assert_eq!(answer.last().map(String::as_str), Some("remove x-serin-goal"), "{request:?}");
        }
    }
}

#[test]
fn a_sidecar_asks_for_the_headers_that_it_needs_one_by_one() {
    let [request, answer, end] = calls(&sidecar(&plan(1, 1, "")), Request::of(CANARY_USER));
    let asked = ["get :authority", "get :path", "get x-canary-by", "get x-canary", "get x-user-id"];
    let written = ["set x-canary", "set x-canary-by", "get :method", "time"];
    assert_eq!(request, [&asked[..], &written].concat());
    assert_eq!(answer, ["get :status", "get content-type"]);
    assert_eq!(end, ["cluster", "time", "flags"]);
}
