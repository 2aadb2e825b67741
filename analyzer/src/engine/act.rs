//! What people may do to a release by hand.

/// A person's deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Keep the weight.
    Pause,
    /// Go on.
    Resume,
    /// All to the canary.
    Promote,
    /// All to stable.
    Rollback,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pause, Self::Resume, Self::Promote, Self::Rollback];

    /// As in the API's paths and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote => "promote",
            Self::Rollback => "rollback",
        }
    }
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no such canary.
    Unknown,
    /// The canary's phase does not allow it; says what would be.
    NotNow(String),
    /// The program is ending.
    Stopping,
}

/// A deed with its whom, who and why.
pub(super) struct Order {
    pub(super) canary: String,
    pub(super) deed: Deed,
    pub(super) by: String,
    pub(super) reason: String,
    pub(super) attempt: super::Attempt,
}
