//! Several analyzers side by side: one leads, the others pass on to it what they cannot answer. In a cluster the
//! Lease elects ([`crate::kubernetes`]), elsewhere a lock in Redis ([`election`]); with Redis every one takes
//! reports ([`intake`]) and events ([`events`]).

mod election;
mod events;
mod front;
mod hold;
mod intake;

pub use election::Election;
pub use front::{Front, front};
pub use hold::Hold;
pub use intake::Intake;

/// Who leads, as far as this analyzer knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// Nobody, or nobody knows.
    Nobody,
    /// Another one, which is reached at this address.
    Other(String),
    /// This one.
    Mine,
    /// Another one after this one: this program must end.
    Lost(String),
}
