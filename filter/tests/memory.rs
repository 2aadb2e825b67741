//! What requests cost in memory: nothing each, and a bounded sum however many users there are.

mod support;

use allocation_counter::{measure, opt_out};
use serin_filter::agent::Agent;
use serin_filter::host::StreamHost;
use serin_filter::stream::Stream;
use support::{Proxy, configuration, plan, sidecar};

/// A request of which nothing is kept.
struct Lean {
    user: String,
    status: &'static str,
    /// Whether the values that the proxy hands out are left out of the count: they are its own cost.
    uncounted: bool,
}

impl Lean {
    fn of(number: u32, uncounted: bool) -> Self {
        let status = if number.is_multiple_of(2) { "500" } else { "200" };
        Self { user: format!("user{number}"), status, uncounted }
    }

    fn proxys<T>(&self, value: impl FnOnce() -> T) -> T {
        if !self.uncounted {
            return value();
        }
        let mut made = None;
        opt_out(|| made = Some(value()));
        made.expect("made")
    }

    fn headers(&self) -> [(&str, &str); 5] {
        [
            (":method", "GET"),
            (":authority", "shop.example"),
            (":path", "/cart?item=7"),
            ("user-agent", "curl/8"),
            ("x-user-id", &self.user),
        ]
    }

    fn run(&self, agent: &Agent) {
        let mut stream = Stream::new(agent.shared());
        stream.requested(self);
        stream.answered(self, 1);
        stream.ended(self);
    }
}

impl StreamHost for Lean {
    fn now_ns(&self) -> u64 {
        1_000_000
    }
    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        let value = self.headers().into_iter().find(|(known, _)| *known == name)?.1;
        Some(self.proxys(|| value.as_bytes().to_vec()))
    }
    fn request_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.proxys(|| self.headers().map(|(name, value)| (name.to_owned(), value.into())).into())
    }
    fn set_request_header(&self, _name: &str, _value: &[u8]) {}
    fn remove_request_header(&self, _name: &str) {}
    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        (name == ":status").then(|| self.proxys(|| self.status.into()))
    }
    fn response_headers(&self) -> Vec<(String, Vec<u8>)> {
        self.proxys(|| vec![(":status".to_owned(), self.status.into())])
    }
    fn add_response_header(&self, _name: &str, _value: &str) {}
    fn remove_response_header(&self, _name: &str) {}
    fn response_trailer(&self, _name: &str) -> Option<Vec<u8>> {
        None
    }
    fn cluster(&self) -> Option<Vec<u8>> {
        Some(self.proxys(|| b"shop-stable".to_vec()))
    }
    fn response_flags(&self) -> u64 {
        0
    }
}

#[test]
fn a_request_of_a_known_user_allocates_nothing() {
    for configuration in [configuration(&plan(1, 1, "")), sidecar(&plan(1, 1, ""))] {
        let proxy = Proxy::default();
        let agent = proxy.agent(&configuration);
        let requests: Vec<Lean> = (0..200).map(|user| Lean::of(user, true)).collect();
        requests.iter().for_each(|request| request.run(&agent));
        let cost = measure(|| requests.iter().for_each(|request| request.run(&agent)));
        assert_eq!(cost.count_total, 0, "{cost:?} for {} requests", requests.len());
    }
}

/// A million users in one stratum, half of them with an error; answers the most memory that they took.
fn a_million_users(analyzer_answers: bool) -> u64 {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, "")));
    let cost = measure(|| {
        for number in 0..1_000_000 {
            Lean::of(number, false).run(&agent);
            if number % 2_000 == 0 && analyzer_answers {
                proxy.report(&mut agent);
                proxy.posts.borrow_mut().clear();
            }
        }
    });
    cost.bytes_max
}

#[test]
fn a_million_users_in_one_stratum_take_a_bounded_memory() {
    let (heard, unheard) = (a_million_users(true), a_million_users(false));
    println!("a million users, half with an error: {} kB at most", heard / 1024);
    println!("and while the analyzer is silent:    {} kB at most", unheard / 1024);
    assert!(heard < 16 << 20 && unheard < 16 << 20, "{heard} {unheard}");
    // The sets are full: as many users again would take no more.
    assert!(heard > 1 << 20, "{heard}: nothing was counted");
}
