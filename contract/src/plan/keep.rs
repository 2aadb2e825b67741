//! The cookie that keeps a user's arm: `<step>.<arm>.<tag>`. The tag is a digest over salt, user, step and
//! arm, so that another user of the same browser is assigned anew and a hand-made arm is none. It is no
//! signature: who knows the plan's salt can make one, and gains nothing but the arm.

use crate::share::Step;
use crate::unit::{md5, parse_hex64};

/// Whose arm is kept.
pub(super) struct Keep<'u> {
    pub(super) salt: &'u str,
    pub(super) unit: &'u [u8],
}

/// What a cookie says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept<'c> {
    pub(super) step: Step,
    pub(super) arm: &'c [u8],
}

impl Keep<'_> {
    pub(super) fn write(&self, step: Step, arm: &str) -> String {
        format!("{step}.{arm}.{:016x}", self.tag(step, arm.as_bytes()))
    }

    pub(super) fn read<'c>(&self, cookie: &'c [u8]) -> Option<Kept<'c>> {
        let dot = cookie.iter().position(|byte| *byte == b'.')?;
        let (step, rest) = cookie.split_at_checked(dot)?;
        let step = Step(std::str::from_utf8(step).ok()?.parse().ok()?);
        let (arm, tag) = rest.get(1..)?.split_at_checked(rest.len().checked_sub(18)?)?;
        let tag = parse_hex64(std::str::from_utf8(tag.strip_prefix(b".")?).ok()?)?;
        (tag == self.tag(step, arm)).then_some(Kept { step, arm })
    }

    fn tag(&self, step: Step, arm: &[u8]) -> u64 {
        let step = step.0.to_be_bytes();
        (md5(&[b"keep\0", self.salt.as_bytes(), b"\0", self.unit, b"\0", &step, arm]) >> 64) as u64
    }
}
