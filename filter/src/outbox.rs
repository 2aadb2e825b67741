//! The report on its way: frozen under its number until it is acknowledged, and sent again as it was.
//! So the analyzer can drop what it has already, and nothing counts twice or is lost between the two.

use crate::clock::Instant;
use crate::host::CallId;
use crate::recorder::Recorder;
use serin_contract::Revision;
use serin_contract::report::{Instance, MAX_BYTES, Report};

/// Bytes kept for everything in a report but its entries: the node's name is the only long part.
const HEAD_BYTES: usize = 1_024;
/// The longest node name that is sent, in bytes.
const MAX_NODE: usize = 512;

/// What is the same in every report of a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Which VM.
    pub instance: Instance,
    /// The proxy's node id.
    pub node: String,
}

impl Sender {
    /// `node` is shortened, and stripped of what JSON would have to escape.
    pub fn new(instance: Instance, node: &str) -> Self {
        let plain = |c: &char| c.is_ascii_graphic() && *c != '"' && *c != '\\';
        Self { instance, node: node.chars().filter(plain).take(MAX_NODE).collect() }
    }
}

/// The one report that waits for its acknowledgement.
#[derive(Debug, Default)]
pub struct Outbox {
    sequence: u64,
    frozen: Option<Vec<u8>>,
    more: bool,
    call: Option<(CallId, Instant)>,
}

impl Outbox {
    /// Whether something did not fit into the report that waits.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// Whether a report waits to be sent or acknowledged.
    pub fn is_waiting(&self) -> bool {
        self.frozen.is_some()
    }

    /// Since when a call is under way.
    pub fn under_way(&self) -> Option<Instant> {
        self.call.map(|(_, since)| since)
    }

    /// The report to send: the one that waits, else a new one with what the recorder has.
    pub fn report(
        &mut self,
        recorder: &mut Recorder,
        sender: &Sender,
        plan_revision: Revision,
        interval_ms: u64,
    ) -> &[u8] {
        let (sequence, more) = (&mut self.sequence, &mut self.more);
        self.frozen.get_or_insert_with(|| {
            let portion = recorder.take(MAX_BYTES - HEAD_BYTES);
            *sequence += 1;
            *more = portion.more;
            let report = Report {
                instance: sender.instance,
                sequence: *sequence,
                plan_revision,
                node: sender.node.clone(),
                interval_ms,
                canaries: portion.canaries,
                experiments: portion.experiments,
            };
            // Numbers, strings and lists: nothing here that JSON could not hold.
            serde_json::to_vec(&report).unwrap_or_default()
        })
    }

    /// A call is under way.
    pub fn sent(&mut self, call: CallId, now: Instant) {
        self.call = Some((call, now));
    }

    /// Ends the call, if it is this one; an answer to a call that was given up is none.
    pub fn answered(&mut self, call: CallId) -> bool {
        self.call.take_if(|(ours, _)| *ours == call).is_some()
    }

    /// Gives the call up; the report waits on.
    pub fn give_up(&mut self) {
        self.call = None;
    }

    /// The analyzer has committed all reports up to this number. True when ours is among them.
    pub fn acknowledge(&mut self, up_to: u64) -> bool {
        up_to >= self.sequence && self.frozen.take().is_some()
    }
}
