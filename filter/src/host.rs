//! What the logic needs from the proxy around it: two small traits, so that it runs without one.

use crate::config::Analyzer;
use std::time::Duration;

/// A counter in Envoy's statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterId(pub u32);

/// A report on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallId(pub u32);

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Something does not work as it should.
    Warn,
}

/// The proxy, as the agent of one VM needs it.
pub trait Host {
    /// The wall clock in nanoseconds since 1970. It may jump.
    fn now_ns(&self) -> u64;
    /// The proxy's node id; empty when there is none.
    fn node(&self) -> String;
    /// A number that no other VM of this process gets.
    fn unique_number(&self) -> u64;
    /// From now on a tick every `period`.
    fn set_tick_period(&self, period: Duration);
    /// Sends a report. None when it could not even be sent.
    fn post(&self, analyzer: &Analyzer, body: &[u8]) -> Option<CallId>;
    /// Defines a counter, or finds the one of that name.
    fn define_counter(&self, name: &str) -> Option<CounterId>;
    /// Adds to a counter.
    fn add(&self, counter: CounterId, by: u64);
    /// Writes a log line of fields.
    fn log(&self, level: Level, line: &str);
    /// The agent has sent what it had; the VM may go down.
    fn done(&self);
}

/// The proxy, as one request needs it. Values are bytes: they need not be UTF-8.
pub trait StreamHost {
    /// See [`Host::now_ns`].
    fn now_ns(&self) -> u64;
    /// One request header. Only while request headers are handled.
    fn request_header(&self, name: &str) -> Option<Vec<u8>>;
    /// All request headers, names in lower case. Only while request headers are handled.
    fn request_headers(&self) -> Vec<(String, Vec<u8>)>;
    /// Sets a request header, in place of all of that name.
    fn set_request_header(&self, name: &str, value: &[u8]);
    /// Removes all request headers of a name.
    fn remove_request_header(&self, name: &str);
    /// One response header; none when empty, or when there was no response. Several of the name come
    /// joined by commas.
    fn response_header(&self, name: &str) -> Option<Vec<u8>>;
    /// All response headers, names in lower case. Only while response headers are handled.
    fn response_headers(&self) -> Vec<(String, Vec<u8>)>;
    /// Adds a response header beside those of its name. Only while response headers are handled.
    fn add_response_header(&self, name: &str, value: &str);
    /// Removes all response headers of a name. Only while response headers are handled.
    fn remove_response_header(&self, name: &str);
    /// One response trailer; none when empty. Only when the request has ended.
    fn response_trailer(&self, name: &str) -> Option<Vec<u8>>;
    /// The cluster that the request was routed to. Only when the request has ended.
    fn cluster(&self) -> Option<Vec<u8>>;
    /// Envoy's response flags. Only when the request has ended.
    fn response_flags(&self) -> u64;
}
