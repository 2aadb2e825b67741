//! Who is assigned: from a unit's id to its bucket, and to the pseudonym that stands for it in reports.

use crate::share::Bucket;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The first 8 bytes of md5(salt + unit): what reports call a unit. A pseudonym, not anonymity: the
/// salt is no secret. Written as 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitHash(pub u64);

impl fmt::Display for UnitHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl From<UnitHash> for String {
    fn from(hash: UnitHash) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for UnitHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_hex64(&text)
            .map(Self)
            .ok_or_else(|| "a unit hash has 16 lower-case hexadecimal digits".to_owned())
    }
}

/// Exactly 16 lower-case hexadecimal digits, or nothing.
pub(crate) fn parse_hex64(text: &str) -> Option<u64> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != 16 || !text.bytes().all(lower) {
        return None;
    }
    u64::from_str_radix(text, 16).ok()
}

/// What a unit's digest says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssignedUnit {
    /// Its slot in the allocation.
    pub bucket: Bucket,
    /// Its name in reports.
    pub hash: UnitHash,
}

impl AssignedUnit {
    /// Digests salt and unit once: `bucket = md5(salt + unit)` as a 128-bit big-endian integer modulo
    /// 10,000. With an empty salt that is the reference's `int(md5(user_id).hexdigest(), 16) % 10000`.
    /// An empty unit is no unit.
    ///
    /// ```
    /// use serin_contract::AssignedUnit;
    /// // python3 -c "import hashlib; print(int(hashlib.md5(b'user123').hexdigest(), 16) % 10000)"
    /// assert_eq!(AssignedUnit::of("", b"user123").unwrap().bucket.get(), 3887);
    /// assert!(AssignedUnit::of("salt", b"").is_none());
    /// ```
    pub fn of(salt: &str, unit: &[u8]) -> Option<Self> {
        if unit.is_empty() {
            return None;
        }
        let digest = md5(&[salt.as_bytes(), unit]);
        Some(Self { bucket: Bucket::of(digest), hash: UnitHash((digest >> 64) as u64) })
    }
}

/// md5 of the parts one after another, as a 128-bit big-endian integer.
pub fn md5(parts: &[&[u8]]) -> u128 {
    let mut state = Md5::new();
    for part in parts {
        state.update(part);
    }
    u128::from_be_bytes(state.finalize().into())
}
