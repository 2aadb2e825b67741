//! Who is assigned: from a unit's id to its bucket, and to the pseudonym that stands for it in reports.

use crate::share::Bucket;
use md5::{Digest, Md5};
use serde::de::{Error, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The first 8 bytes of md5(salt + unit): what reports call a unit. A pseudonym, not anonymity: the
/// salt is no secret. Written as 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitHash(pub u64);

impl fmt::Display for UnitHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl Serialize for UnitHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_hex64(self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for UnitHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_hex64(deserializer, "a unit hash").map(Self)
    }
}

/// Exactly 16 lower-case hexadecimal digits, or nothing.
pub(crate) fn parse_hex64(text: &str) -> Option<u64> {
    let digits: &[u8; 16] = text.as_bytes().try_into().ok()?;
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

/// Reads 16 digits without a string of their own: a report may hold thousands.
pub(crate) fn read_hex64<'de, D: Deserializer<'de>>(
    deserializer: D,
    what: &'static str,
) -> Result<u64, D::Error> {
    struct Digits(&'static str);

    impl Visitor<'_> for Digits {
        type Value = u64;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a string")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            let Self(what) = self;
            parse_hex64(text)
                .ok_or_else(|| E::custom(format_args!("{what} has 16 lower-case hexadecimal digits")))
        }
    }

    deserializer.deserialize_str(Digits(what))
}

/// Writes 16 digits without a string of their own.
pub(crate) fn write_hex64<S: Serializer>(number: u64, serializer: S) -> Result<S::Ok, S::Error> {
    let digit = |place: usize| match (number >> (60 - 4 * place) & 15) as u8 {
        value @ 0..=9 => b'0' + value,
        value => b'a' + value - 10,
    };
    let digits: [u8; 16] = std::array::from_fn(digit);
    serializer.serialize_str(std::str::from_utf8(&digits).map_err(S::Error::custom)?)
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
