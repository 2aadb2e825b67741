//! Finding the canary of a request: by authority (exact, then `*.suffix`, then `*`), then by the
//! longest path prefix.

use std::collections::HashMap;

/// What a table is built from and answers with: hosts, a path prefix, and an index of the caller's.
#[derive(Debug, Clone, Default)]
pub struct HostTable {
    exact: HashMap<String, Vec<Entry>>,
    /// Longest suffix first. Kept with its dot, as `.example.org`.
    suffixes: Vec<(String, Vec<Entry>)>,
    any: Vec<Entry>,
}

/// Longest prefix first.
#[derive(Debug, Clone)]
struct Entry {
    path_prefix: String,
    index: usize,
}

impl HostTable {
    /// Adds one host pattern, in lower case, with the path prefix under which `index` answers.
    ///
    /// # Errors
    /// The index that already owns this very host and prefix.
    pub fn insert(&mut self, host: &str, path_prefix: &str, index: usize) -> Result<(), usize> {
        let entries = if host == "*" {
            &mut self.any
        } else if let Some(suffix) = host.strip_prefix('*') {
            self.suffix_entries(suffix)
        } else {
            self.exact.entry(host.to_owned()).or_default()
        };
        if let Some(same) = entries.iter().find(|entry| entry.path_prefix == path_prefix) {
            return Err(same.index);
        }
        let place = entries.partition_point(|entry| entry.path_prefix.len() >= path_prefix.len());
        entries.insert(place, Entry { path_prefix: path_prefix.to_owned(), index });
        Ok(())
    }

    fn suffix_entries(&mut self, suffix: &str) -> &mut Vec<Entry> {
        let place = match self.suffixes.iter().position(|(known, _)| known == suffix) {
            Some(place) => place,
            None => {
                let place = self.suffixes.partition_point(|(known, _)| known.len() >= suffix.len());
                self.suffixes.insert(place, (suffix.to_owned(), Vec::new()));
                place
            }
        };
        &mut self.suffixes[place].1
    }

    /// The index for a request. `host` is lower case and without its port; `path` may carry a query.
    /// A host that matches more closely hides the looser ones only where its prefixes match too.
    pub fn find(&self, host: &str, path: &str) -> Option<usize> {
        let by_prefix = |entries: &[Entry]| {
            entries.iter().find(|entry| path.starts_with(&entry.path_prefix)).map(|entry| entry.index)
        };
        self.exact
            .get(host)
            .and_then(|entries| by_prefix(entries))
            .or_else(|| {
                self.suffixes
                    .iter()
                    .filter(|(suffix, _)| host.len() > suffix.len() && host.ends_with(suffix.as_str()))
                    .find_map(|(_, entries)| by_prefix(entries))
            })
            .or_else(|| by_prefix(&self.any))
    }
}

/// Whether a pattern (`shop.example`, `*.example`, `*`) covers a host; both in lower case.
pub fn pattern_covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => suffix.is_empty() || host.len() > suffix.len() && host.ends_with(suffix),
        None => pattern == host,
    }
}

/// An authority without its port: `shop.example:8080` is `shop.example`, `[::1]:80` is `[::1]`.
pub fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !is_bare_ipv6(host) => host,
        Some(_) | None => authority,
    }
}

/// `::1` has colons of its own and no port; `[::1]` is closed.
fn is_bare_ipv6(host: &str) -> bool {
    host.contains(':') && !host.ends_with(']')
}
