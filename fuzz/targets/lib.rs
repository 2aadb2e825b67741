//! A request for the targets: one header with the fuzzer's bytes.

use serin_contract::RequestHeaders;
use serin_contract::attributes::Source;
use std::borrow::Cow;

/// A request of one header.
pub struct Request<'d> {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: &'d [u8],
}

impl RequestHeaders for Request<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        (name == self.name).then_some(Cow::Borrowed(self.value))
    }
}

/// Reads an attribute of a request with these bytes in one header. What is read is never longer than
/// what was sent, but for bytes that are replaced because they are no UTF-8: three for one.
pub fn read(source: Source, name: &'static str, value: &[u8]) {
    let source = source.checked().expect("a good name");
    if let Some(read) = source.read(&Request { name, value }) {
        assert!(!read.is_empty() && read.len() <= 3 * value.len());
    }
}
