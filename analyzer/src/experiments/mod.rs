//! Experiments: what people ask for ([`spec`]), who is in which arm and what they did ([`desk`], counted in
//! [`book`]), and what it amounts to ([`report`], [`funnel`]). The engine's task owns all of it; what is
//! counted is in the store before anybody is told so.
//!
//! # What is bounded, and where the rest is
//! | what | bound | beyond it |
//! |---|---|---|
//! | an experiment in memory | its sums: steps x arms x goals | units, assignments and actions are in the store |
//! | experiments that have ended | none: ids are never used again | the live view has the last ones, `engine/live.rs` |
//! | experiments that run at one time | [`serin_contract::plan::experiment::MAX_EXPERIMENTS`] | another is refused |
//! | steps of an experiment | [`book::MAX_STEPS`] | another change of shares is refused |
//! | lines of an experiment's history | [`history::MAX_LINES`] | those after the first go |
//! | events of one call | [`events::MAX_EVENTS`] | the call is refused |
//! | how late an event may come | [`events::LATEST`] | the call is refused with the event's place |
//! | an assignment's life | [`book::ASSIGNMENT_LIFE`] | the unit is assigned anew |
//! | what an idempotency key is remembered | [`desk::KEY_LIFE`] | the call counts again |

pub mod book;
pub mod desk;
pub mod events;
pub mod funnel;
pub mod history;
pub mod release;
mod release_report;
pub mod report;
pub mod spec;
mod unit;

pub use book::{Book, Origin, Record, Source, Status};
pub use desk::{Desk, Draft, Refused};
pub use events::{Event, EventDocument, UnitEvent};
pub use spec::{Experiment, ExperimentSpec};
pub use unit::{Entry, Unit};
