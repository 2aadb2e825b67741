//! So many requests through the filter's core, without a proxy: `requests COUNT [edge|sidecar]`. For
//! `scripts/bench instructions`, which counts what it executes.

use serin_filter::agent::Agent;
use serin_filter::config::Analyzer;
use serin_filter::host::{CallId, CounterId, Host, Level, StreamHost};
use serin_filter::stream::Stream;
use std::time::Duration;

/// A proxy that does nothing.
struct Nowhere;

impl Host for Nowhere {
    fn now_ns(&self) -> u64 {
        0
    }
    fn node(&self) -> String {
        "gateway".to_owned()
    }
    fn unique_number(&self) -> u64 {
        1
    }
    fn set_tick_period(&self, _period: Duration) {}
    fn post(&self, _analyzer: &Analyzer, _body: &[u8]) -> Option<CallId> {
        None
    }
    fn define_counter(&self, _name: &str) -> Option<CounterId> {
        None
    }
    fn add(&self, _counter: CounterId, _by: u64) {}
    fn log(&self, _level: Level, _line: &str) {}
    fn done(&self) {}
}

/// One user's request; each of a thousand users comes again and again.
struct Request {
    user: String,
}

impl Request {
    fn headers(&self) -> [(&str, &str); 8] {
        [
            (":authority", "shop.example"),
            (":path", "/cart?item=7"),
            (":method", "GET"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("accept-language", "en-GB,en;q=0.5"),
            ("cookie", "theme=dark; consent=yes"),
            ("x-user-id", &self.user),
        ]
    }
}

impl StreamHost for Request {
    fn now_ns(&self) -> u64 {
        1_000_000
    }
    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        self.headers().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    }
    fn request_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.headers().map(|(name, value)| (name.to_owned(), value.into())).into()
    }
    fn set_request_header(&self, _name: &str, _value: &[u8]) {}
    fn remove_request_header(&self, _name: &str) {}
    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        (name == ":status").then(|| "200".into())
    }
    fn response_headers(&self) -> Vec<(String, Vec<u8>)> {
        vec![(":status".to_owned(), "200".into())]
    }
    fn add_response_header(&self, _name: &str, _value: &str) {}
    fn remove_response_header(&self, _name: &str) {}
    fn response_trailer(&self, _name: &str) -> Option<Vec<u8>> {
        None
    }
    fn cluster(&self) -> Option<Vec<u8>> {
        Some("shop-stable".into())
    }
    fn response_flags(&self) -> u64 {
        0
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let edge = arguments.next().is_none_or(|place| place == "edge");
    let configuration = format!(
        r#"{{"edge": {edge}, "plan": {{"revision": 1, "report_interval_ms": 500, "canaries": [{{
            "name": "default/shop", "step": 3, "stratum": 5, "hosts": ["shop.example"],
            "salt": "default/shop/v2:", "units": [{{"header": "x-user-id"}}], "canary_share": 1000,
            "slow_edge_us": 1000000, "served_by": {{"stable": ["shop-stable"], "canary": ["shop-canary"]}}}}]}}}}"#
    );
    let mut agent = Agent::new(&Nowhere);
    if !agent.configure(&Nowhere, configuration.as_bytes()) {
        eprintln!("the configuration is refused");
        std::process::exit(1);
    }
    let requests: Vec<_> = (0..1_000).map(|user| Request { user: format!("user{user}") }).collect();
    for request in requests.iter().cycle().take(count) {
        let mut stream = Stream::new(agent.shared());
        stream.requested(request);
        stream.answered(request, 1);
        stream.ended(request);
    }
}
