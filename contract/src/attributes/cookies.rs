//! Cookie headers as browsers and tools really send them: pairs between semicolons, blanks around them,
//! sometimes quotes. Pairs that are none are passed over.

/// The first value of a cookie that is not empty.
pub(super) fn value<'h>(header: &'h [u8], name: &str) -> Option<&'h [u8]> {
    header.split(|byte| *byte == b';').find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at_checked(equals)?;
        let value = unquoted(value.get(1..)?.trim_ascii());
        (key.trim_ascii() == name.as_bytes() && !value.is_empty()).then_some(value)
    })
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}
