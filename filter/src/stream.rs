//! One request from its headers to its end.

use crate::clock::{Clock, Instant};
use crate::decide::{Choice, Decision, Edit, decide};
use crate::experiments::{self, Assignment, Membership};
use crate::host::StreamHost;
use crate::in_flight::{InFlight, Slot, Watched};
use crate::issue::{Issuer, SetCookie};
use crate::outcome::{Answer, Course, Media, Method, Served, client_left, latency};
use crate::period::Period;
use crate::recorder::ActivePlan;
use crate::tally::Ended;
use serin_contract::headers::{CANARY, CANARY_BY, CANARY_KEY, EXPERIMENTS, FLAGS, GOAL, SERIN_PREFIX};
use serin_contract::{Arm, CanaryPlan, RequestHeaders, UnitHash};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// At the edge an answer of at most so many headers is fetched as a whole: one call out of the VM, where two headers
/// by name and the removal of a third are three. Each header costs the VM a little, so that for many it does not pay.
const FEW_HEADERS: usize = 12;

/// What the requests of a VM share with its agent. No borrow outlives a call into this crate's own code,
/// and none is held while the proxy is called.
#[derive(Debug)]
pub struct Shared {
    /// What to do; replaced when the analyzer says so.
    pub plan: RefCell<Option<Rc<ActivePlan>>>,
    /// See [`crate::config::Config::edge`].
    pub edge: Cell<bool>,
    /// The time.
    pub clock: Clock,
    /// The requests under watch.
    pub in_flight: RefCell<InFlight>,
    /// Ids for users who have none.
    pub issuer: Issuer,
}

impl Shared {
    /// Without a plan, at a wall time in nanoseconds, in the VM of this instance.
    pub fn new(wall_ns: u64, instance: u64) -> Self {
        Self {
            plan: RefCell::new(None),
            edge: Cell::new(true),
            clock: Clock::starting_at(wall_ns),
            in_flight: RefCell::new(InFlight::default()),
            issuer: Issuer::new(instance),
        }
    }
}

/// One request.
#[derive(Debug)]
pub struct Stream {
    shared: Rc<Shared>,
    pending: Option<Pending>,
    set_cookies: Vec<SetCookie>,
    experiments: Option<(Rc<ActivePlan>, Vec<Membership>)>,
}

/// What was decided, until the request has ended: under the plan that decided it.
#[derive(Debug)]
struct Pending {
    plan: Rc<ActivePlan>,
    canary: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Assigned(Assigned),
    Forced(Arm),
    Unassigned,
    Excluded,
    Ineligible,
}

#[derive(Debug)]
struct Assigned {
    arm: Arm,
    unit: UnitHash,
    since: Instant,
    method: Method,
    slot: Option<Slot>,
    /// Which of the canary's goals the answer can be, by the request's method and path.
    goals: u32,
    answer: Option<(Answer, Option<Instant>)>,
}

impl Pending {
    /// An assigned request of a canary that has goals.
    fn with_goals(&self) -> Option<(&CanaryPlan, &Rc<Period>, &Assigned)> {
        let State::Assigned(assigned) = &self.state else { return None };
        let (canary, period) = self.plan.canary(self.canary)?;
        (!canary.goals.is_empty()).then_some((canary, period, assigned))
    }
}

impl Stream {
    /// A request of which nothing is known yet.
    pub fn new(shared: Rc<Shared>) -> Self {
        Self { shared, pending: None, set_cookies: Vec::new(), experiments: None }
    }

    /// The request's headers are here: removes what is not the client's to say, decides, and writes the
    /// decision into the headers.
    pub fn requested(&mut self, host: &impl StreamHost) {
        if self.shared.edge.get() {
            // To find `x-serin-*` all headers have to be fetched; that done, no other is asked for.
            let mut headers = host.request_headers();
            headers.retain(|(name, _)| {
                let foreign = name == CANARY_BY || name.starts_with(SERIN_PREFIX);
                if foreign {
                    host.remove_request_header(name);
                }
                !foreign
            });
            self.decide(host, &Fetched(&headers));
        } else {
            self.decide(host, &Asked(host));
        }
    }

    fn decide(&mut self, host: &impl StreamHost, headers: &impl RequestHeaders) {
        let Some(plan) = self.shared.plan.borrow().as_ref().map(Rc::clone) else { return };
        let decision = decide(plan.plan(), headers, &self.shared.issuer);
        if let Some(assignment) = experiments::assign(plan.plan(), decision.as_ref(), headers) {
            self.experiment(host, &plan, assignment);
        }
        let Some(decision) = decision else { return };
        edit(host, CANARY, decision.version);
        edit(host, CANARY_BY, decision.by);
        if decision.has_key {
            host.remove_request_header(CANARY_KEY);
        }
        if let Some(issued) = decision.issued {
            host.set_request_header("cookie", &issued.request_cookies(headers));
            self.set_cookies.push(issued.set_cookie());
        }
        let Decision { canary, choice, .. } = decision;
        let state = match choice {
            Choice::Forced(arm) => State::Forced(arm),
            Choice::Unassigned => State::Unassigned,
            Choice::Excluded => State::Excluded,
            Choice::Ineligible => State::Ineligible,
            Choice::Assigned { arm, unit } => {
                let Some((_, period)) = plan.canary(canary) else { return };
                let method = headers.get(":method").map_or(Method::Other, |text| Method::parse(&text));
                let since = self.shared.clock.read(host.now_ns());
                period.assigned(arm, unit);
                let slot = if method == Method::Connect {
                    None
                } else {
                    let watched = Watched { since, period: Rc::clone(period), arm, unit };
                    self.shared.in_flight.borrow_mut().watch(watched)
                };
                let goals = plan.canary(canary).map_or(0, |(canary, _)| possible_goals(canary, headers));
                State::Assigned(Assigned { arm, unit, since, method, slot, goals, answer: None })
            }
        };
        self.pending = Some(Pending { plan, canary, state });
    }

    fn experiment(&mut self, host: &impl StreamHost, plan: &Rc<ActivePlan>, assignment: Assignment) {
        host.set_request_header(EXPERIMENTS, assignment.arms.as_bytes());
        if !assignment.flags.is_empty() {
            host.set_request_header(FLAGS, assignment.flags.as_bytes());
        }
        assignment.expose(plan);
        self.set_cookies.extend(assignment.cookies);
        self.experiments = Some((Rc::clone(plan), assignment.memberships));
    }

    /// Counts the goals that an answer reaches; `said` is what the service says about them.
    fn count_goals(&mut self, host: &impl StreamHost, status: u16, said: Option<&[u8]>) {
        let experiments = self.experiments.take();
        if let Some((canary, period, assigned)) = self.pending.as_ref().and_then(Pending::with_goals)
            // What no version answered says nothing of the version.
            && let Served::By(_) = Served::of(canary, host.cluster().as_deref())
        {
            for goal in experiments::reached(&canary.goals, assigned.goals, status, said) {
                period.reached(assigned.arm, assigned.unit, goal.goal, goal.value);
            }
        }
        for (plan, member) in
            experiments.iter().flat_map(|(plan, members)| members.iter().map(move |m| (plan, m)))
        {
            let experiment = plan.plan().experiments().get(member.experiment);
            let Some((experiment, book)) = experiment.zip(plan.experiment(member.experiment)) else {
                continue;
            };
            for goal in experiments::reached(&experiment.goals, member.goals, status, said) {
                book.reached(member.step, member.arm, member.unit, goal.goal, goal.value);
            }
        }
    }

    /// The answer's headers are here, `count` of them. What may go on for as long as it likes from now on is
    /// not watched any longer; an answer that hangs before its headers has been.
    pub fn answered(&mut self, host: &impl StreamHost, count: usize) {
        let edge = self.shared.edge.get();
        let is_assigned = matches!(self.pending, Some(Pending { state: State::Assigned(_), .. }));
        let has_goals =
            self.experiments.is_some() || self.pending.as_ref().and_then(Pending::with_goals).is_some();
        let read = (is_assigned || has_goals).then(|| read_headers(host, edge, count));
        let may_name_goals = read.is_none_or(|(_, may_name_goals)| may_name_goals);
        if has_goals && let Some((answer, _)) = read {
            let said = may_name_goals.then(|| host.response_header(GOAL)).flatten();
            self.count_goals(host, answer.status, said.as_deref());
        }
        // What services say about goals is kept from clients.
        if edge && may_name_goals {
            host.remove_response_header(GOAL);
        }
        for cookie in std::mem::take(&mut self.set_cookies) {
            if !host.response_header("set-cookie").is_some_and(|present| cookie.is_in(&present)) {
                host.add_response_header("set-cookie", cookie.text());
            }
        }
        let Some(Pending { state: State::Assigned(assigned), .. }) = &mut self.pending else { return };
        let Some((answer, _)) = read else { return };
        let mut at = None;
        if answer.media == Media::Grpc || answer.is_open_ended() {
            at = Some(self.shared.clock.read(host.now_ns()));
            if let Some(slot) = assigned.slot.take() {
                self.shared.in_flight.borrow_mut().forget(slot);
            }
        }
        assigned.answer = Some((answer, at));
    }

    /// The request has ended, whatever became of it: counts it, once.
    pub fn ended(&mut self, host: &impl StreamHost) {
        let Some(mut pending) = self.pending.take() else { return };
        self.unwatch(&mut pending.state);
        let plan = Rc::clone(&pending.plan);
        let Some((canary, period)) = plan.canary(pending.canary) else { return };
        match pending.state {
            State::Excluded => period.excluded(),
            State::Ineligible => period.ineligible(),
            State::Forced(arm) => period.forced(arm, failed(host, read_answer(host))),
            State::Unassigned => {
                let served = Served::of(canary, host.cluster().as_deref());
                period.unassigned(served, failed(host, read_answer(host)));
            }
            State::Assigned(assigned) => {
                let served = Served::of(canary, host.cluster().as_deref());
                let now = self.shared.clock.read(host.now_ns());
                let ended = judge(host, period.slow_edge_us(), &assigned, now);
                period.ended(assigned.arm, assigned.unit, served, ended);
            }
        }
    }

    fn unwatch(&self, state: &mut State) {
        match state {
            State::Assigned(assigned) => {
                if let Some(slot) = assigned.slot.take() {
                    self.shared.in_flight.borrow_mut().forget(slot);
                }
            }
            State::Forced(_) | State::Unassigned | State::Excluded | State::Ineligible => {}
        }
    }
}

impl Drop for Stream {
    /// A request that goes without having ended must not stay under watch.
    fn drop(&mut self) {
        if let Some(mut pending) = self.pending.take() {
            self.unwatch(&mut pending.state);
        }
    }
}

fn judge(host: &impl StreamHost, slow_edge_us: u64, assigned: &Assigned, now: Instant) -> Ended {
    let (answer, at) = assigned.answer.unwrap_or_else(|| (read_answer(host), None));
    let course = Course {
        whole_us: now.micros_since(assigned.since),
        tail_us: at.map_or(0, |at| now.micros_since(at)),
        client_left: client_left(host.response_flags()),
    };
    Ended {
        method: assigned.method,
        status: answer.status,
        failed: failed(host, answer),
        latency_us: latency(assigned.method, answer, course, slow_edge_us),
    }
}

/// Which of a canary's goals an answer to this request can be.
fn possible_goals(canary: &CanaryPlan, headers: &impl RequestHeaders) -> u32 {
    if canary.goals.is_empty() {
        return 0;
    }
    let path = headers.get(":path").unwrap_or(Cow::Borrowed(b"/"));
    let method = headers.get(":method").unwrap_or_default();
    experiments::possible(&canary.goals, &path, &method)
}

fn read_answer(host: &impl StreamHost) -> Answer {
    let status = host.response_header(":status");
    Answer::parse(status.as_deref(), host.response_header("content-type").as_deref())
}

/// What an answer's headers, `count` of them, say, and whether [`GOAL`] may be among them.
fn read_headers(host: &impl StreamHost, edge: bool, count: usize) -> (Answer, bool) {
    if !edge || count > FEW_HEADERS {
        return (read_answer(host), true);
    }
    let headers = host.response_headers();
    // An answer has headers: none are a call that failed.
    let (mut status, mut content_type, mut names_goals) = (None, None, headers.is_empty());
    for (name, value) in &headers {
        match name.as_str() {
            ":status" => status = Some(value.as_slice()),
            "content-type" => content_type = content_type.or(Some(value.as_slice())),
            GOAL => names_goals = true,
            _ => {}
        }
    }
    (Answer::parse(status, content_type), names_goals)
}

fn failed(host: &impl StreamHost, answer: Answer) -> bool {
    let grpc_status = match answer.media {
        Media::Grpc => host.response_trailer("grpc-status").or_else(|| host.response_header("grpc-status")),
        Media::EventStream | Media::Plain => None,
    };
    answer.failed(grpc_status.as_deref())
}

fn edit(host: &impl StreamHost, name: &str, edit: Edit<'_>) {
    match edit {
        Edit::Keep => {}
        Edit::Set(value) => host.set_request_header(name, value.as_bytes()),
        Edit::Remove => host.remove_request_header(name),
    }
}

/// Headers that were fetched all at once.
struct Fetched<'h>(&'h [(String, Vec<u8>)]);

impl RequestHeaders for Fetched<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| Cow::Borrowed(value.as_slice()))
    }

    fn each(&self, name: &str, found: &mut dyn FnMut(&[u8]) -> bool) {
        for (_, value) in self.0.iter().filter(|(known, _)| known == name) {
            if found(value) {
                return;
            }
        }
    }
}

/// Headers that are asked for one by one.
struct Asked<'h, H>(&'h H);

impl<H: StreamHost> RequestHeaders for Asked<'_, H> {
    fn get(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.0.request_header(name).map(Cow::Owned)
    }
}
