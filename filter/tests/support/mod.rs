//! A proxy for tests: it keeps what it is told and answers what the test says.
#![allow(dead_code)]

use serin_contract::{Reply, Report};
use serin_filter::agent::Agent;
use serin_filter::config::Analyzer;
use serin_filter::host::{CallId, CounterId, Host, Level, StreamHost};
use serin_filter::stream::Stream;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

/// The proxy around one VM.
#[derive(Default)]
pub(crate) struct Proxy {
    pub(crate) now_ms: Cell<u64>,
    pub(crate) posts: RefCell<Vec<Vec<u8>>>,
    pub(crate) unreachable: Cell<bool>,
    pub(crate) logs: RefCell<Vec<String>>,
    pub(crate) counters: RefCell<BTreeMap<String, u64>>,
    pub(crate) tick_period: Cell<Duration>,
    pub(crate) done: Cell<bool>,
}

impl Host for Proxy {
    fn now_ns(&self) -> u64 {
        self.now_ms.get() * 1_000_000
    }
    fn node(&self) -> String {
        "gw-0.default".to_owned()
    }
    fn unique_number(&self) -> u64 {
        1
    }
    fn set_tick_period(&self, period: Duration) {
        self.tick_period.set(period);
    }
    fn post(&self, _analyzer: &Analyzer, body: &[u8]) -> Option<CallId> {
        if self.unreachable.get() {
            return None;
        }
        self.posts.borrow_mut().push(body.to_vec());
        Some(CallId(self.posts.borrow().len() as u32))
    }
    fn define_counter(&self, name: &str) -> Option<CounterId> {
        let mut counters = self.counters.borrow_mut();
        assert!(counters.insert(name.to_owned(), 0).is_none(), "`{name}` was defined before");
        Some(CounterId(name.bytes().fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)))))
    }
    fn add(&self, counter: CounterId, by: u64) {
        let hash =
            |name: &str| name.bytes().fold(7u32, |sum, b| sum.wrapping_mul(31).wrapping_add(u32::from(b)));
        let mut counters = self.counters.borrow_mut();
        let (_, value) = counters.iter_mut().find(|(name, _)| hash(name) == counter.0).expect("defined");
        *value += by;
    }
    fn log(&self, _level: Level, line: &str) {
        self.logs.borrow_mut().push(line.to_owned());
    }
    fn done(&self) {
        self.done.set(true);
    }
}

impl Proxy {
    /// An agent with this configuration.
    pub(crate) fn agent(&self, configuration: &str) -> Agent {
        let mut agent = Agent::new(self);
        assert!(agent.configure(self, configuration.as_bytes()), "{:?}", self.logs.borrow());
        agent
    }

    /// Lets time pass, and the agent tick.
    pub(crate) fn tick(&self, agent: &mut Agent) {
        self.now_ms.set(self.now_ms.get() + 500);
        agent.tick(self);
    }

    /// The last report that was posted.
    pub(crate) fn last(&self) -> Report {
        let posts = self.posts.borrow();
        Report::from_json(posts.last().expect("a report was posted")).expect("it is valid")
    }

    /// Answers the last post.
    pub(crate) fn reply(&self, agent: &mut Agent, status: u16, body: &str) {
        let call = CallId(self.posts.borrow().len() as u32);
        agent.replied(self, call, Some((status, body.as_bytes().to_vec())));
    }

    /// Acknowledges the last post.
    pub(crate) fn acknowledge(&self, agent: &mut Agent) {
        let reply = Reply::<()> { acknowledged: self.last().sequence, plan: None };
        self.reply(agent, 200, &serde_json::to_string(&reply).expect("a reply"));
    }

    /// Ticks, and acknowledges the report; answers it.
    pub(crate) fn report(&self, agent: &mut Agent) -> Report {
        self.tick(agent);
        let report = self.last();
        self.acknowledge(agent);
        report
    }
}

/// One request, and how it ends.
#[derive(Debug, Default, Clone)]
pub(crate) struct Request {
    pub(crate) now_ms: Cell<u64>,
    pub(crate) headers: RefCell<Vec<(String, Vec<u8>)>>,
    pub(crate) response: Vec<(&'static str, String)>,
    pub(crate) trailers: Vec<(&'static str, String)>,
    pub(crate) cluster: Option<&'static str>,
    pub(crate) flags: u64,
    pub(crate) asked: RefCell<Vec<String>>,
    pub(crate) added: RefCell<Vec<(String, String)>>,
    pub(crate) removed: RefCell<Vec<String>>,
}

impl StreamHost for Request {
    fn now_ns(&self) -> u64 {
        self.now_ms.get() * 1_000_000
    }
    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        self.asked.borrow_mut().push(name.to_owned());
        self.headers.borrow().iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
    fn request_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.asked.borrow_mut().push("*".to_owned());
        self.headers.borrow().clone()
    }
    fn set_request_header(&self, name: &str, value: &[u8]) {
        self.remove_request_header(name);
        self.headers.borrow_mut().push((name.to_owned(), value.to_vec()));
    }
    fn remove_request_header(&self, name: &str) {
        self.headers.borrow_mut().retain(|(known, _)| known != name);
    }
    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        let values: Vec<_> = self.response.iter().filter(|(known, _)| *known == name).collect();
        (!values.is_empty())
            .then(|| values.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(",").into())
    }
    fn response_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.response.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes())).collect()
    }
    fn add_response_header(&self, name: &str, value: &str) {
        self.added.borrow_mut().push((name.to_owned(), value.to_owned()));
    }
    fn remove_response_header(&self, name: &str) {
        self.removed.borrow_mut().push(name.to_owned());
    }
    fn response_trailer(&self, name: &str) -> Option<Vec<u8>> {
        self.trailers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone().into_bytes())
    }
    fn cluster(&self) -> Option<Vec<u8>> {
        self.cluster.map(|name| name.as_bytes().to_vec())
    }
    fn response_flags(&self) -> u64 {
        self.flags
    }
}

impl Request {
    /// A GET of `http://shop.example/` that the shop's stable cluster answers with 200.
    pub(crate) fn new(headers: &[(&str, &str)]) -> Self {
        let basic = [(":method", "GET"), (":authority", "shop.example"), (":path", "/")];
        let kept = basic.into_iter().filter(|(name, _)| headers.iter().all(|(other, _)| other != name));
        let all = kept.chain(headers.iter().copied());
        let headers = all.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
        Self {
            headers: RefCell::new(headers),
            response: vec![(":status", "200".to_owned())],
            cluster: Some("shop-stable"),
            ..Self::default()
        }
    }

    /// The same of a user.
    pub(crate) fn of(user: &str) -> Self {
        Self::new(&[("x-user-id", user)])
    }

    /// Answered with a status instead.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.response = vec![(":status", status.to_string())];
        self
    }

    /// Served by another cluster, or none.
    pub(crate) fn by(mut self, cluster: Option<&'static str>) -> Self {
        self.cluster = cluster;
        self
    }

    /// The client left before an answer.
    pub(crate) fn abandoned(mut self) -> Self {
        self.response = vec![];
        self.flags = 1 << 14;
        self
    }

    /// What a request header reads now.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let headers = self.headers.borrow();
        headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| String::from_utf8_lossy(value).into())
    }

    /// The request comes in at the proxy's time.
    pub(crate) fn begin(&self, proxy: &Proxy, agent: &Agent) -> Stream {
        self.now_ms.set(proxy.now_ms.get());
        let mut stream = Stream::new(agent.shared());
        stream.requested(self);
        stream
    }

    /// It is answered and ends some milliseconds later.
    pub(crate) fn end(&self, mut stream: Stream, later_ms: u64) {
        self.now_ms.set(self.now_ms.get() + later_ms);
        if !self.response.is_empty() {
            stream.answered(self, self.response.len());
        }
        stream.ended(self);
    }

    /// Comes in and ends within 20 ms.
    pub(crate) fn run(&self, proxy: &Proxy, agent: &Agent) {
        self.end(self.begin(proxy, agent), 20);
    }
}

/// A plan of one canary at `default/shop` with an empty salt and 30 %; `more` are further fields.
pub(crate) fn plan(revision: u64, step: u32, more: &str) -> String {
    format!(
        r#"{{"revision": {revision}, "report_interval_ms": 500, "canaries": [{{"name": "default/shop", "step": {step},
        "stratum": {step}, "hosts": ["shop.example"], "salt": "", "units": [{{"header": "x-user-id"}}],
        "canary_share": 3000, "slow_edge_us": 1000000,
        "served_by": {{"stable": ["shop-stable"], "canary": ["shop-canary"]}}{more}}}]}}"#
    )
}

/// A configuration with an analyzer and a plan.
pub(crate) fn configuration(plan: &str) -> String {
    format!(r#"{{"analyzer": {{"cluster": "serin", "token": "t"}}, "plan": {plan}}}"#)
}

/// A sidecar's.
pub(crate) fn sidecar(plan: &str) -> String {
    format!(r#"{{"analyzer": {{"cluster": "serin"}}, "edge": false, "plan": {plan}}}"#)
}

/// Its bucket is 3245: `int(hashlib.md5(b"user1").hexdigest(), 16) % 10000` in Python.
pub(crate) const STABLE_USER: &str = "user1";
/// Its bucket is 8832, among the upper 30 %.
pub(crate) const CANARY_USER: &str = "user2";
