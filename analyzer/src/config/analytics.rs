//! Where records of experiments go, checked.

use super::sources::{timeout, url};
use super::token::one_token;
use crate::analytics::{BUFFER, Place, Target};
use crate::kinds::Seconds;
use serde::Deserialize;
use serin_contract::FieldError;
use std::path::{Path, PathBuf};

/// How many records may wait.
const BUFFERS: std::ops::RangeInclusive<usize> = 100..=1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AnalyticsSpec {
    file: Option<PathBuf>,
    url: Option<String>,
    token_file: Option<PathBuf>,
    timeout: Option<Seconds>,
    buffer: Option<usize>,
}

pub(super) fn compile(raw: AnalyticsSpec, base: &Path) -> Result<Target, FieldError> {
    let buffer = raw.buffer.unwrap_or(BUFFER);
    if !BUFFERS.contains(&buffer) {
        let message = format!("{buffer} is not allowed: {} to {} records", BUFFERS.start(), BUFFERS.end());
        return Err(FieldError::new("buffer", message));
    }
    let place = match (raw.file, raw.url) {
        (Some(file), None) => {
            for (field, given) in
                [("tokenFile", raw.token_file.is_some()), ("timeout", raw.timeout.is_some())]
            {
                if given {
                    return Err(FieldError::new(field, "is for url alone"));
                }
            }
            let path = base.join(file);
            // A bare name's folder is the one that the program runs in.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            if !folder.unwrap_or(Path::new(".")).is_dir() || path.is_dir() {
                let message = format!("{} cannot be a file: make its folder first", path.display());
                return Err(FieldError::new("file", message));
            }
            Place::File(path)
        }
        (None, Some(address)) => Place::Http {
            url: url("url", &address)?,
            timeout: timeout(raw.timeout)?,
            token: raw.token_file.map(|file| one_token("tokenFile", &base.join(file))).transpose()?,
        },
        (Some(_), Some(_)) | (None, None) => {
            return Err(FieldError::new("file", "or url: give exactly one"));
        }
    };
    Ok(Target { place, buffer })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(yaml: &str) -> Result<Target, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let raw = serde_saphyr::from_str(yaml).expect("a spec");
        compile(raw, folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_or_an_endpoint_and_what_belongs_to_it() {
        let file = compiled("file: events.ndjson").expect("good");
        assert!(matches!(file.place, Place::File(path) if path.ends_with("events.ndjson")));
        assert_eq!(file.buffer, BUFFER);
        assert!(compiled("{url: 'https://collector.example/in', timeout: 2s, buffer: 100}").is_ok());
        for (wrong, told) in [
            ("{}", "file: or url: give exactly one"),
            ("{file: a, url: 'http://x/'}", "file: or url: give exactly one"),
            ("{file: nowhere/a}", "file: "),
            ("{file: a, timeout: 1s}", "timeout: is for url alone"),
            ("{url: 'ftp://x'}", "url: `ftp://x` is not allowed"),
            ("{url: 'http://x/', tokenFile: none}", "tokenFile: "),
            ("{file: a, buffer: 10}", "buffer: 10 is not allowed: 100 to 1000000 records"),
        ] {
            let error = compiled(wrong).expect_err(wrong);
            assert!(error.starts_with(told), "{wrong}: {error}");
        }
    }
}
