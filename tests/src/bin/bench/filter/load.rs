//! The requests: wrk for processor time, h2load for latency at a fixed rate.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Requests a second where latency is measured.
pub(crate) const FIXED_RATE: usize = 1_000;
const CONNECTIONS: usize = 8;
const USERS: usize = 1_000;

/// What browsers send beside who the user is.
const COMMON: [(&str, &str); 5] = [
    // As wrk writes it: under another spelling there would be two.
    ("Host", "shop.example"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br"),
];

/// A user in every way that a plan may ask for.
fn identity(user: usize) -> [(&'static str, String); 3] {
    const ENGINE: GeneralPurpose =
        GeneralPurpose::new(&URL_SAFE, GeneralPurposeConfig::new().with_encode_padding(false));
    let claims =
        format!(r#"{{"iss":"https://login.example","sub":"user{user}","iat":1790000000,"scope":"shop"}}"#);
    let parts = [r#"{"alg":"RS256","typ":"JWT","kid":"1"}"#, &claims, &"s".repeat(192)];
    let token = parts.map(|part| ENGINE.encode(part)).join(".");
    [
        ("x-user-id", format!("user{user}")),
        ("cookie", format!("theme=dark; uid=user{user}; consent=yes")),
        ("authorization", format!("Bearer {token}")),
    ]
}

/// wrk with a thousand users who take turns.
pub(crate) struct Wrk {
    script: PathBuf,
}

impl Wrk {
    /// Writes the users into a script.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let mut text = String::from("local users = {}\n");
        for user in 0..USERS {
            write!(text, "users[{}] = {{", user + 1)?;
            for (name, value) in identity(user) {
                write!(text, "[{name:?}] = {value:?}, ")?;
            }
            text.push_str("}\n");
        }
        text.push_str("local common = {");
        for (name, value) in COMMON {
            write!(text, "[{name:?}] = {value:?}, ")?;
        }
        text.push_str(
            "}\nlocal requests, at = {}, 0\n\
             init = function(args)\n  for place, user in ipairs(users) do\n\
             \u{20}   for name, value in pairs(common) do user[name] = value end\n\
             \u{20}   requests[place] = wrk.format('GET', '/cart?item=7', user)\n  end\nend\n\
             request = function()\n  at = at % #requests + 1\n  return requests[at]\nend\n",
        );
        let script = folder.join("users.lua");
        std::fs::write(&script, text)?;
        Ok(Self { script })
    }

    /// Sends as fast as answers come; answers how many were answered.
    pub(crate) fn run(&self, target: SocketAddr, time: Duration) -> Result<u64> {
        ensure!(target.ip().is_loopback(), "only this machine is loaded");
        let mut command = Command::new("wrk");
        command
            .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{}s", time.as_secs()), "-s"])
            .arg(&self.script)
            .arg(format!("http://{target}"));
        let text = output(command, "wrk")?;
        ensure!(!text.contains("Non-2xx"), "requests failed:\n{text}");
        let line = text.lines().find(|line| line.contains(" requests in ")).context("wrk counts nothing")?;
        line.split_whitespace().next().context("wrk counts nothing")?.parse().context("wrk's count")
    }
}

/// Five seconds at [`FIXED_RATE`]; answers p50 and p99 in microseconds.
pub(crate) async fn at_fixed_rate(target: SocketAddr) -> Result<(f64, f64)> {
    ensure!(target.ip().is_loopback(), "only this machine is loaded");
    let log = tempfile::NamedTempFile::new()?;
    let mut command = Command::new("h2load");
    command
        .args(["--h1", "-t1", &format!("-c{CONNECTIONS}"), &format!("--rps={}", FIXED_RATE / CONNECTIONS)])
        .arg(format!("-n{}", FIXED_RATE * 5))
        .arg(format!("--log-file={}", log.path().display()));
    for (name, value) in COMMON.map(|(name, value)| (name, value.to_owned())).into_iter().chain(identity(7)) {
        // h2load takes the authority from `:authority`.
        let name = if name == "Host" { ":authority" } else { name };
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    command.arg(format!("http://{target}/cart?item=7"));
    let text = tokio::task::spawn_blocking(move || output(command, "h2load")).await??;
    let rows = std::fs::read_to_string(log.path())?;
    let mut micros = Vec::new();
    for row in rows.lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        let [_, status, time] = fields[..] else { continue };
        ensure!(status == "200", "an answer with status {status}");
        micros.push(time.parse::<f64>()?);
    }
    ensure!(micros.len() >= FIXED_RATE, "h2load wrote {} rows:\n{text}", micros.len());
    micros.sort_by(f64::total_cmp);
    let quantile = |q: f64| micros[((micros.len() - 1) as f64 * q) as usize];
    Ok((quantile(0.5), quantile(0.99)))
}

fn output(mut command: Command, name: &str) -> Result<String> {
    let done =
        command.output().with_context(|| format!("{name} does not run: scripts/get-load-tools brings it"))?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    ensure!(done.status.success(), "{name} failed:\n{text}{}", String::from_utf8_lossy(&done.stderr));
    Ok(text)
}
