//! Where everything is kept: a file, or Redis for several analyzers.

use super::document::{RedisSpec, StoreSpec};
use crate::kinds::Seconds;
use crate::store::RedisSettings;
use redis::IntoConnectionInfo;
use serin_contract::FieldError;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What all keys begin with, where nothing else is asked for.
const PREFIX: &str = "serin";
/// How long a call of Redis may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long a silent leader stays the leader.
const LEASE: Duration = Duration::from_secs(5);

/// A store, and how it is reached.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreAt {
    /// A file of the embedded store.
    Redb(PathBuf),
    /// Redis.
    Redis(Box<RedisSettings>),
}

impl std::fmt::Display for StoreAt {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Redb(path) => write!(out, "{}", path.display()),
            Self::Redis(settings) => write!(out, "{} {{{}}}", settings.shown, settings.prefix),
        }
    }
}

impl StoreAt {
    pub(super) fn compile(raw: StoreSpec, base: &Path) -> Result<Self, FieldError> {
        match (raw.redb, raw.redis) {
            (Some(file), None) => Ok(Self::Redb(base.join(file))),
            (None, Some(redis)) => {
                let settings = compile_redis(redis, base).map_err(|error| error.under("redis"))?;
                Ok(Self::Redis(Box::new(settings)))
            }
            (None, None) => {
                Err(FieldError::new("redb", "is missing: allowed are `redb: FILE` or `redis: {url}`"))
            }
            (Some(_), Some(_)) => {
                Err(FieldError::new("redis", "cannot stand beside redb: allowed is one of them"))
            }
        }
    }

    /// The same store, elsewhere: a `redis://` or `rediss://` URL keeps everything else that is said of Redis, any
    /// other text is a file's name.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn moved_to(&self, place: &str) -> Result<Self, FieldError> {
        if !place.contains("://") {
            return Ok(Self::Redb(PathBuf::from(place)));
        }
        let (info, shown) = parse(place)?;
        let settings = match self {
            Self::Redis(settings) => RedisSettings { info, shown, ..(**settings).clone() },
            Self::Redb(_) => {
                compile_redis(RedisSpec { url: place.to_owned(), ..RedisSpec::default() }, Path::new("."))?
            }
        };
        Ok(Self::Redis(Box::new(settings)))
    }
}

fn compile_redis(raw: RedisSpec, base: &Path) -> Result<RedisSettings, FieldError> {
    let (info, shown) = parse(&raw.url)?;
    let is_safe = matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. });
    let file = |field: &str, file: Option<PathBuf>| match file.map(|file| base.join(file)) {
        Some(path) if !path.is_file() => {
            Err(FieldError::new(field, format!("{} is no file", path.display())))
        }
        path => Ok(path),
    };
    let ca_file = file("caFile", raw.ca_file)?;
    if ca_file.is_some() && !is_safe {
        return Err(FieldError::new("caFile", "is for rediss:// only: allowed with TLS"));
    }
    let prefix = raw.prefix.unwrap_or_else(|| PREFIX.to_owned());
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if prefix.is_empty() || prefix.len() > 64 || !prefix.chars().all(fits) {
        let allowed = "allowed are 1 to 64 letters, digits, `-`, `_`, `.` and `/`";
        return Err(FieldError::new("prefix", format!("`{prefix}` does not fit: {allowed}")));
    }
    Ok(RedisSettings {
        info,
        shown,
        password_file: file("passwordFile", raw.password_file)?,
        ca_file,
        prefix,
        timeout: within("timeout", raw.timeout, TIMEOUT, (50, 10_000))?,
        lease: within("lease", raw.lease, LEASE, (1000, 600_000))?,
        replicas: raw.replicas.unwrap_or(0),
    })
}

fn within(
    field: &str,
    asked: Option<Seconds>,
    usual: Duration,
    (least, most): (u64, u64),
) -> Result<Duration, FieldError> {
    let value = asked.map_or(usual, |asked| asked.0);
    let fits = (u128::from(least)..=u128::from(most)).contains(&value.as_millis());
    let allowed = format!("must be {least} to {most} ms: is {} ms", value.as_millis());
    if fits { Ok(value) } else { Err(FieldError::new(field, allowed)) }
}

/// The URL, and what may be shown of it. A password in it would stand in configurations and process lists.
fn parse(url: &str) -> Result<(redis::ConnectionInfo, String), FieldError> {
    let wrong = |what: &str| {
        let allowed = "allowed is redis://[user@]host[:port][/database], or rediss:// for TLS";
        FieldError::new("url", format!("{what}: {allowed}"))
    };
    if !(url.starts_with("redis://") || url.starts_with("rediss://")) {
        return Err(wrong("is no URL of Redis"));
    }
    if url.contains('#') {
        return Err(wrong("asks for TLS without a check of the certificate"));
    }
    let info = url.into_connection_info().map_err(|error| wrong(&error.to_string()))?;
    if info.redis_settings().password().is_some() {
        return Err(FieldError::new(
            "url",
            "holds a password: put it into a file and name it in passwordFile",
        ));
    }
    Ok((info, url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: &str) -> Result<StoreAt, String> {
        let raw: StoreSpec = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        StoreAt::compile(raw, Path::new("/etc")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_or_redis_and_whatever_is_wrong_says_what_is_allowed() {
        assert_eq!(spec("redb: a.redb"), Ok(StoreAt::Redb("/etc/a.redb".into())));
        let StoreAt::Redis(redis) =
            spec("redis: {url: \"rediss://me@db:7000/2\", timeout: 2s}").expect("good")
        else {
            panic!("no Redis");
        };
        assert_eq!(
            (redis.prefix.as_str(), redis.timeout, redis.lease),
            ("serin", Duration::from_secs(2), LEASE)
        );
        for (yaml, told) in [
            ("{}", "redb: is missing"),
            ("{redb: a, redis: {url: \"redis://a\"}}", "redis: cannot stand beside redb"),
            ("redis: {url: \"http://a\"}", "redis.url: is no URL"),
            ("redis: {url: \"redis://:secret@a\"}", "redis.url: holds a password"),
            ("redis: {url: \"rediss://a#insecure\"}", "redis.url: asks for TLS without"),
            ("redis: {url: \"redis://a\", prefix: \"a{b}\"}", "redis.prefix: `a{b}` does not fit"),
            ("redis: {url: \"redis://a\", timeout: 1ms}", "redis.timeout: must be 50 to 10000 ms"),
            ("redis: {url: \"redis://a\", caFile: passwd}", "redis.caFile: is for rediss:// only"),
            (
                "redis: {url: \"redis://a\", passwordFile: no-such-file}",
                "redis.passwordFile: /etc/no-such-file is no file",
            ),
        ] {
            let error = spec(yaml).expect_err(yaml);
            assert!(error.starts_with(told), "{yaml}: {error}");
        }
    }

    #[test]
    fn a_store_on_the_command_line_keeps_what_the_file_says_of_redis() {
        let from_file = spec("redis: {url: \"redis://a\", prefix: mine}").expect("good");
        let moved = from_file.moved_to("redis://b:7").expect("good");
        assert_eq!(moved.to_string(), "redis://b:7 {mine}");
        assert_eq!(moved.moved_to("x.redb"), Ok(StoreAt::Redb("x.redb".into())));
    }
}
