//! Query parameters, decoded as HTML forms encode them.

/// The first value of a parameter in a path with a query.
pub(super) fn parameter(path: &[u8], name: &str) -> Option<String> {
    let question = path.iter().position(|byte| *byte == b'?')?;
    let query = path.get(question + 1..)?;
    let query = query.split(|byte| *byte == b'#').next()?;
    form_urlencoded::parse(query).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
