//! The adapter to Envoy: the only file that touches proxy-wasm. Headers are always read as bytes, since
//! the SDK's string getters end the VM at the first value that is not UTF-8.

use crate::agent::{Agent, MAX_REPLY};
use crate::config::Analyzer;
use crate::host::{CallId, CounterId, Host, Level, StreamHost};
use crate::stream::{Shared, Stream};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType, MetricType};
use serin_contract::headers::REPORT_PATH;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

// The SDK's macro exports the entry point, so that this crate needs no unsafe attribute of its own.
proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { agent: None }));
}}

/// Where the VMs of a process draw their numbers.
const NUMBER_KEY: &str = "serin.vm";
/// How often a VM tries to draw one; each failure means that another VM drew at the same moment.
const NUMBER_TRIES: u32 = 1_000;

struct Envoy;

struct Root {
    /// Made with the first configuration: before it, Envoy does not tell the node's id.
    agent: Option<Agent>,
}

struct Request {
    stream: Stream,
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _trailers: usize) {
        let Some(agent) = &mut self.agent else { return };
        // Without headers there was no reply: a timeout, a reset, no host.
        let reply = (headers > 0 && body_size <= MAX_REPLY).then(|| {
            let status = map_value(MapType::HttpCallResponseHeaders, ":status");
            let status = status.and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok());
            let body = hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body_size);
            (status.unwrap_or(0), body.ok().flatten().unwrap_or_default())
        });
        agent.replied(&Envoy, CallId(token), reply);
    }

    fn on_done(&mut self) -> bool {
        self.agent.as_mut().is_none_or(|agent| agent.close(&Envoy))
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX);
        let agent = self.agent.get_or_insert_with(|| Agent::new(&Envoy));
        agent.configure(&Envoy, &text.ok().flatten().unwrap_or_default())
    }

    fn on_tick(&mut self) {
        if let Some(agent) = &mut self.agent {
            agent.tick(&Envoy);
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        let shared = self.agent.as_ref().map_or_else(|| Rc::new(Shared::new(0, 0)), Agent::shared);
        Some(Box::new(Request { stream: Stream::new(shared) }))
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.stream.requested(&Envoy);
        Action::Continue
    }

    fn on_http_response_headers(&mut self, count: usize, _end: bool) -> Action {
        self.stream.answered(&Envoy, count);
        Action::Continue
    }

    fn on_log(&mut self) {
        self.stream.ended(&Envoy);
    }
}

impl Host for Envoy {
    fn now_ns(&self) -> u64 {
        now_ns()
    }

    fn node(&self) -> String {
        let id = hostcalls::get_property(vec!["xds", "node", "id"]).ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&id).into_owned()
    }

    fn unique_number(&self) -> u64 {
        for _ in 0..NUMBER_TRIES {
            let Ok((last, version)) = hostcalls::get_shared_data(NUMBER_KEY) else { return 0 };
            let last = last.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
            let next = last.unwrap_or(0).wrapping_add(1);
            // Envoy compares only a version other than 0, also when the key is new. Where there is none yet,
            // one that no key ever has makes sure that of two first VMs only one succeeds.
            let version = version.unwrap_or(u32::MAX);
            if hostcalls::set_shared_data(NUMBER_KEY, Some(&next.to_be_bytes()), Some(version)).is_ok() {
                return next;
            }
        }
        0
    }

    fn set_tick_period(&self, period: Duration) {
        // Nothing can be done about a proxy that has no timer.
        hostcalls::set_tick_period(period).unwrap_or_default();
    }

    fn post(&self, analyzer: &Analyzer, body: &[u8]) -> Option<CallId> {
        let mut headers = vec![
            (":method", "POST"),
            (":path", REPORT_PATH),
            (":authority", analyzer.authority.as_str()),
            ("content-type", "application/json"),
        ];
        if let Some(authorization) = &analyzer.authorization {
            headers.push(("authorization", authorization));
        }
        hostcalls::dispatch_http_call(&analyzer.cluster, headers, Some(body), vec![], analyzer.timeout)
            .ok()
            .map(CallId)
    }

    fn define_counter(&self, name: &str) -> Option<CounterId> {
        hostcalls::define_metric(MetricType::Counter, name).ok().map(CounterId)
    }

    fn add(&self, counter: CounterId, by: u64) {
        hostcalls::increment_metric(counter.0, i64::try_from(by).unwrap_or(i64::MAX)).unwrap_or_default();
    }

    fn log(&self, level: Level, line: &str) {
        let level = match level {
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
        };
        hostcalls::log(level, line).unwrap_or_default();
    }

    fn done(&self) {
        hostcalls::done().unwrap_or_default();
    }
}

impl StreamHost for Envoy {
    fn now_ns(&self) -> u64 {
        now_ns()
    }

    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        map_value(MapType::HttpRequestHeaders, name)
    }

    fn request_headers(&self) -> Vec<(String, Vec<u8>)> {
        hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default()
    }

    fn set_request_header(&self, name: &str, value: &[u8]) {
        hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, Some(value)).unwrap_or_default();
    }

    fn remove_request_header(&self, name: &str) {
        hostcalls::remove_map_value(MapType::HttpRequestHeaders, name).unwrap_or_default();
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        map_value(MapType::HttpResponseHeaders, name).filter(|value| !value.is_empty())
    }

    fn response_headers(&self) -> Vec<(String, Vec<u8>)> {
        hostcalls::get_map_bytes(MapType::HttpResponseHeaders).unwrap_or_default()
    }

    fn add_response_header(&self, name: &str, value: &str) {
        hostcalls::add_map_value(MapType::HttpResponseHeaders, name, value).unwrap_or_default();
    }

    fn remove_response_header(&self, name: &str) {
        hostcalls::remove_map_value(MapType::HttpResponseHeaders, name).unwrap_or_default();
    }

    fn response_trailer(&self, name: &str) -> Option<Vec<u8>> {
        map_value(MapType::HttpResponseTrailers, name).filter(|value| !value.is_empty())
    }

    fn cluster(&self) -> Option<Vec<u8>> {
        hostcalls::get_property(vec!["xds", "cluster_name"]).ok().flatten().filter(|name| !name.is_empty())
    }

    fn response_flags(&self) -> u64 {
        let flags = hostcalls::get_property(vec!["response", "flags"]).ok().flatten();
        flags.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?))).unwrap_or(0)
    }
}

fn now_ns() -> u64 {
    let since = hostcalls::get_current_time().ok().and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

fn map_value(map: MapType, name: &str) -> Option<Vec<u8>> {
    hostcalls::get_map_value_bytes(map, name).ok().flatten()
}
