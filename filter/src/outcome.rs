//! What a request came to: failed or not, how long it took, who served it.

use serin_contract::{Arm, CanaryPlan};

/// `response.flags` when the client closed its connection (DC, Envoy's `DownstreamConnectionTermination`,
/// the 15th of its `CoreResponseFlag`s).
const CLIENT_CLOSED: u64 = 1 << 14;
/// `response.flags` when the client reset its stream (DR, `DownstreamRemoteReset`): how a client of
/// HTTP/2 goes away without closing the connection that other requests use.
const CLIENT_RESET: u64 = 1 << 28;

/// A gRPC answer that goes on for longer than this after its headers is taken for a stream.
pub const GRPC_UNARY_TAIL_US: u64 = 1_000_000;

/// Whether the flags say that the client went away.
pub fn client_left(flags: u64) -> bool {
    flags & (CLIENT_CLOSED | CLIENT_RESET) != 0
}

/// A request's method. Clients may invent methods; all of those are `OTHER` in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `CONNECT`: a tunnel, without latency.
    Connect,
    /// Another of HTTP's methods, by its name.
    Known(&'static str),
    /// None that HTTP knows.
    Other,
}

impl Method {
    /// From the `:method` header.
    pub fn parse(text: &[u8]) -> Self {
        const KNOWN: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"];
        if text == b"CONNECT" {
            return Self::Connect;
        }
        KNOWN.into_iter().find(|name| name.as_bytes() == text).map_or(Self::Other, Self::Known)
    }

    /// As in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Known(name) => name,
            Self::Other => "OTHER",
        }
    }
}

/// What an answer's content type means for its judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Media {
    /// `application/grpc*`: failure is told by grpc-status.
    Grpc,
    /// `text/event-stream`: lasts as long as the client wants.
    EventStream,
    /// Anything else.
    #[default]
    Plain,
}

impl Media {
    /// From the `content-type` header.
    pub fn parse(content_type: &[u8]) -> Self {
        let begins = |prefix: &[u8]| {
            content_type.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        if begins(b"application/grpc") {
            Self::Grpc
        } else if begins(b"text/event-stream") {
            Self::EventStream
        } else {
            Self::Plain
        }
    }
}

/// What an answer's headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answer {
    /// The status; 0 when there was no answer.
    pub status: u16,
    /// See [`Media`].
    pub media: Media,
}

impl Answer {
    /// From `:status` and `content-type`.
    pub fn parse(status: Option<&[u8]>, content_type: Option<&[u8]>) -> Self {
        let status = status.and_then(number).and_then(|n| u16::try_from(n).ok()).filter(|n| *n <= 999);
        Self { status: status.unwrap_or(0), media: content_type.map_or(Media::Plain, Media::parse) }
    }

    /// Whether the answer lasts as long as its users want, so that its duration says nothing.
    pub fn is_open_ended(self) -> bool {
        self.status == 101 || self.media == Media::EventStream
    }

    /// Whether the request failed: 5xx, or in gRPC one of the statuses that are the server's fault:
    /// unknown 2, deadline exceeded 4, resource exhausted 8, internal 13, unavailable 14, data loss 15.
    /// A client that goes away before the answer leaves no status and is no error.
    pub fn failed(self, grpc_status: Option<&[u8]>) -> bool {
        let grpc = self.media == Media::Grpc
            && matches!(grpc_status.and_then(number), Some(2 | 4 | 8 | 13 | 14 | 15));
        grpc || (500..600).contains(&self.status)
    }
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// How a request went by, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    /// From the request's headers to its end.
    pub whole_us: u64,
    /// From the answer's headers to its end; 0 without an answer.
    pub tail_us: u64,
    /// Whether the client went away.
    pub client_left: bool,
}

/// A request's latency in microseconds; none for what has none:
/// - tunnels, upgrades and event streams;
/// - gRPC streams. Nothing in the headers tells them from unary calls, so an answer that went on for
///   more than [`GRPC_UNARY_TAIL_US`] after its headers is taken for a stream: servers send a unary
///   call's headers along with its message;
/// - what the client cut short before the slow edge: how long it would have taken is unknown. After the
///   edge it was slow whatever would have come.
pub fn latency(method: Method, answer: Answer, course: Course, slow_edge_us: u64) -> Option<u64> {
    let stream = answer.media == Media::Grpc && course.tail_us > GRPC_UNARY_TAIL_US;
    let cut_short = course.client_left && course.whole_us <= slow_edge_us;
    if method == Method::Connect || answer.is_open_ended() || stream || cut_short {
        return None;
    }
    Some(course.whole_us)
}

/// Who served a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// A cluster of that version.
    By(Arm),
    /// A cluster of neither version.
    Elsewhere,
    /// No cluster: another filter or the route itself answered.
    Nobody,
}

impl Served {
    /// From the name of the cluster that the request was routed to.
    pub fn of(canary: &CanaryPlan, cluster: Option<&[u8]>) -> Self {
        match cluster {
            None => Self::Nobody,
            Some(name) => canary.served_by(name).map_or(Self::Elsewhere, Self::By),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COURSE: Course = Course { whole_us: 2_000_000, tail_us: 0, client_left: false };

    fn answer(status: &str, content_type: &str) -> Answer {
        Answer::parse(Some(status.as_bytes()), Some(content_type.as_bytes()))
    }

    #[test]
    fn only_5xx_is_an_error_of_http() {
        let failed = |status| answer(status, "text/plain").failed(None);
        assert!(failed("500") && failed("503") && failed("599"));
        assert!(!failed("200") && !failed("404") && !failed("600") && !failed("\u{fffd}"));
        assert!(!Answer::default().failed(None));
    }

    #[test]
    fn grpc_tells_failure_by_its_status_and_only_the_servers_faults_count() {
        let grpc = answer("200", "Application/gRPC+proto");
        let errors: Vec<_> = (0..20).filter(|n| grpc.failed(Some(n.to_string().as_bytes()))).collect();
        assert_eq!(errors, [2, 4, 8, 13, 14, 15]);
        assert!(!grpc.failed(None) && !grpc.failed(Some(b"\xff")));
        assert!(answer("503", "application/grpc").failed(None));
        assert!(!answer("200", "text/html").failed(Some(b"13")));
    }

    #[test]
    fn what_lasts_as_long_as_its_user_wants_has_no_latency() {
        let plain = answer("200", "text/plain");
        let of = |method, answer| latency(method, answer, COURSE, 1_000_000);
        assert_eq!(of(Method::Known("GET"), plain), Some(2_000_000));
        assert_eq!(of(Method::Connect, plain), None);
        assert_eq!(of(Method::Known("GET"), answer("101", "")), None);
        assert_eq!(of(Method::Known("GET"), answer("200", "text/event-stream; charset=utf-8")), None);
    }

    #[test]
    fn a_grpc_call_has_a_latency_unless_its_answer_goes_on() {
        let grpc = answer("200", "application/grpc");
        let tail = |tail_us| latency(Method::Known("POST"), grpc, Course { tail_us, ..COURSE }, 1_000_000);
        assert_eq!(tail(500_000), Some(2_000_000));
        assert_eq!(tail(1_500_000), None);
    }

    #[test]
    fn a_client_that_leaves_is_slow_only_after_the_slow_edge() {
        let left = |whole_us| {
            let course = Course { whole_us, tail_us: 0, client_left: true };
            latency(Method::Known("GET"), Answer::default(), course, 1_000_000)
        };
        assert_eq!(left(900_000), None);
        assert_eq!(left(1_100_000), Some(1_100_000));
        assert!(client_left(0x4000) && client_left(0x1000_0000) && !client_left(0x10));
    }

    #[test]
    fn invented_methods_share_one_name() {
        assert_eq!(Method::parse(b"PATCH").name(), "PATCH");
        assert_eq!(Method::parse(b"get\xff").name(), "OTHER");
    }
}
