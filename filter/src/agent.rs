//! One VM's agent: follows the plan, watches the clock, and keeps the analyzer informed.

use crate::clock::Instant;
use crate::config::{Analyzer, Config};
use crate::counters::{Counters, Event};
use crate::host::{CallId, Host, Level};
use crate::outbox::{Outbox, Sender};
use crate::recorder::Recorder;
use crate::stream::Shared;
use serde_json::value::RawValue;
use serin_contract::parse::from_json;
use serin_contract::report::Instance;
use serin_contract::unit::md5;
use serin_contract::{Plan, Reply, Revision};
use std::rc::Rc;
use std::time::Duration;

/// How often a VM reports that has no canary to watch.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);
/// How often a VM reports that has not heard from the analyzer yet: it has just started, and until it
/// knows the plan the users of this proxy have no version of their own.
const FIRST_INTERVAL: Duration = Duration::from_millis(500);
/// The largest reply that is read, in bytes.
pub const MAX_REPLY: usize = 4 << 20;

/// The agent.
#[derive(Debug)]
pub struct Agent {
    shared: Rc<Shared>,
    sender: Sender,
    recorder: Recorder,
    outbox: Outbox,
    counters: Counters,
    analyzer: Option<Analyzer>,
    link: Link,
    tick_period: Option<Duration>,
    /// Digest of the plan that was refused last, so that it is logged once.
    refused: Option<u128>,
    closing: bool,
}

/// How the analyzer was last heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Not at all yet.
    New,
    /// It acknowledged a report.
    Up,
    /// It did not; ever before or not.
    Down { heard_before: bool },
}

impl Agent {
    /// An agent that has no configuration yet. Its instance is the digest of node, start time and a
    /// number that no other VM of the process has: the sandbox has no randomness.
    pub fn new(host: &dyn Host) -> Self {
        let (node, start, number) = (host.node(), host.now_ns(), host.unique_number());
        let digest = md5(&[node.as_bytes(), &start.to_be_bytes(), &number.to_be_bytes()]);
        let instance = (digest >> 64) as u64;
        Self {
            shared: Rc::new(Shared::new(start, instance)),
            sender: Sender::new(Instance(instance), &node),
            // The other half of the digest stays here.
            recorder: Recorder::new(digest as u64),
            outbox: Outbox::default(),
            counters: Counters::default(),
            analyzer: None,
            link: Link::New,
            tick_period: None,
            refused: None,
            closing: false,
        }
    }

    /// What the requests share with this agent.
    pub fn shared(&self) -> Rc<Shared> {
        Rc::clone(&self.shared)
    }

    /// Takes a configuration; false, and a log line, when it is wrong.
    pub fn configure(&mut self, host: &dyn Host, text: &[u8]) -> bool {
        let config = match Config::from_json(text) {
            Ok(config) => config,
            Err(error) => {
                host.log(
                    Level::Warn,
                    &format!("event=configuration_refused field={} error={:?}", error.path, error.message),
                );
                return false;
            }
        };
        self.shared.edge.set(config.edge);
        self.analyzer = config.analyzer;
        self.counters.define(host);
        if let Some(plan) = config.plan {
            self.adopt(host, plan);
        }
        self.keep_time(host);
        true
    }

    /// The time for what is to be done regularly.
    pub fn tick(&mut self, host: &dyn Host) {
        let now = self.shared.clock.read(host.now_ns());
        for period in self.recorder.periods() {
            period.clear_overdue();
        }
        self.shared.in_flight.borrow_mut().sweep(now);
        self.counters.flush(host, self.recorder.periods());
        let lost = self.recorder.tidy();
        if lost > 0 {
            host.log(Level::Warn, &format!("event=strata_lost count={lost}"));
        }
        match &self.analyzer {
            None => self.recorder.discard(),
            Some(analyzer) => {
                // The proxy answers every call, a timeout included. Should it ever not, a second of grace
                // later the report is sent again.
                let patience = analyzer.timeout + Duration::from_secs(1);
                match self.outbox.under_way() {
                    Some(since) if u128::from(now.micros_since(since)) < patience.as_micros() => {}
                    Some(_) => {
                        self.outbox.give_up();
                        self.failed(host, "silence");
                        self.send(host, now);
                    }
                    None => {
                        self.send(host, now);
                    }
                }
            }
        }
    }

    /// A call has ended: with the reply's status and body, or without any.
    pub fn replied(&mut self, host: &dyn Host, call: CallId, reply: Option<(u16, Vec<u8>)>) {
        if !self.outbox.answered(call) {
            return;
        }
        let acknowledged = match reply {
            None => {
                self.failed(host, "no reply");
                false
            }
            Some((200, body)) => self.read_reply(host, &body),
            Some((status, _)) => {
                self.failed(host, &format!("status {status}"));
                false
            }
        };
        self.keep_time(host);
        // What did not fit need not wait for a tick, nor can it once the VM goes down.
        if acknowledged && (self.outbox.has_more() || self.closing && !self.recorder.is_empty()) {
            let now = self.shared.clock.read(host.now_ns());
            if self.send(host, now) {
                return;
            }
        }
        if self.closing {
            host.done();
        }
    }

    /// The VM goes down: sends what there is. False when that is under way; then [`Host::done`] follows.
    pub fn close(&mut self, host: &dyn Host) -> bool {
        self.counters.flush(host, self.recorder.periods());
        for period in self.recorder.periods() {
            period.clear_overdue();
        }
        self.closing = true;
        if self.analyzer.is_none() {
            return true;
        }
        if self.outbox.under_way().is_some() {
            return false;
        }
        let now = self.shared.clock.read(host.now_ns());
        let something = self.outbox.is_waiting() || !self.recorder.is_empty();
        !(something && self.send(host, now))
    }

    fn read_reply(&mut self, host: &dyn Host, body: &[u8]) -> bool {
        let reply: Reply<Box<RawValue>> = match from_json(body) {
            Ok(reply) => reply,
            Err(error) => {
                self.failed(host, &format!("reply: {error}"));
                return false;
            }
        };
        let acknowledged = self.outbox.acknowledge(reply.acknowledged);
        if acknowledged {
            self.counters.count(host, Event::Acknowledged);
        }
        if self.link != Link::Up {
            host.log(Level::Info, "event=analyzer_up");
            self.link = Link::Up;
        }
        if let Some(plan) = reply.plan {
            self.take_plan(host, plan.get().as_bytes());
        }
        acknowledged
    }

    /// A plan that is wrong anywhere is refused as a whole; the last one stays.
    fn take_plan(&mut self, host: &dyn Host, text: &[u8]) {
        match Plan::from_json(text) {
            Ok(plan) => {
                self.refused = None;
                self.adopt(host, plan);
            }
            Err(error) => {
                self.counters.count(host, Event::PlanRefused);
                let digest = md5(&[text]);
                if self.refused.replace(digest) != Some(digest) {
                    host.log(
                        Level::Warn,
                        &format!("event=plan_refused field={} error={:?}", error.path, error.message),
                    );
                }
            }
        }
    }

    fn adopt(&mut self, host: &dyn Host, plan: Plan) {
        self.counters.define_plan(host, &plan);
        let active = self.recorder.adopt(plan);
        host.log(
            Level::Info,
            &format!("event=plan revision={} canaries={}", active.revision(), active.plan().canaries().len()),
        );
        *self.shared.plan.borrow_mut() = Some(Rc::new(active));
    }

    /// Sends the report that waits, or a new one. False when it could not be sent.
    fn send(&mut self, host: &dyn Host, now: Instant) -> bool {
        let interval = u64::try_from(self.interval().as_millis()).unwrap_or(u64::MAX);
        let revision = self.shared.plan.borrow().as_ref().map_or(Revision(0), |plan| plan.revision());
        let Some(analyzer) = &self.analyzer else { return false };
        let body = self.outbox.report(&mut self.recorder, &self.sender, revision, interval);
        match host.post(analyzer, body) {
            Some(call) => {
                self.outbox.sent(call, now);
                true
            }
            None => {
                self.failed(host, "not sent");
                false
            }
        }
    }

    fn failed(&mut self, host: &dyn Host, why: &str) {
        self.counters.count(host, Event::Failed);
        let heard_before = match self.link {
            Link::New => false,
            Link::Up => true,
            Link::Down { .. } => return,
        };
        host.log(Level::Warn, &format!("event=analyzer_down reason={why:?}"));
        self.link = Link::Down { heard_before };
    }

    fn interval(&self) -> Duration {
        let plan = self.shared.plan.borrow();
        match (plan.as_ref(), self.link) {
            (Some(plan), _) if plan.plan().has_work() => plan.plan().report_interval,
            (_, Link::New | Link::Down { heard_before: false }) if self.analyzer.is_some() => FIRST_INTERVAL,
            (_, Link::New | Link::Up | Link::Down { .. }) => IDLE_INTERVAL,
        }
    }

    fn keep_time(&mut self, host: &dyn Host) {
        let period = self.interval();
        if self.tick_period.replace(period) != Some(period) {
            self.shared.clock.allow_gaps(period);
            host.set_tick_period(period);
        }
    }
}
