//! The program's own settings, checked: where it listens, where it stores, who may do what.

use super::document::{ServerSpec, TlsSpec};
use super::store::StoreAt;
use super::token::{Token, accepted};
use super::{alerts, analytics, sources};
use crate::alerts::Receiver;
use crate::analytics::Target;
use crate::api::Origin;
use crate::kinds::Seconds;
use crate::sources::Server as Prometheus;
use crate::tls::{Pair, PairFiles};
use serin_contract::FieldError;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a session lasts where nothing is said: somebody's working day.
const SESSION: Duration = Duration::from_secs(12 * 3600);
/// Shorter ones end while somebody signs in, longer ones outlive whoever forgot to sign out.
const SESSIONS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(7 * 24 * 3600));

/// Where the analyzer listens and stores, and the tokens that it accepts.
#[derive(Debug, Clone)]
pub struct Server {
    /// The address of the API, the metrics and the reports.
    pub listen: SocketAddr,
    /// Where everything is kept.
    pub store: StoreAt,
    /// A wasm module to serve in the built-in one's place.
    pub wasm: Option<PathBuf>,
    /// Where the listener's certificate and key stand; none: plain HTTP.
    pub tls: Option<PairFiles>,
    /// What filters must show; empty: anybody on loopback may report.
    pub report_tokens: Vec<Token>,
    /// What readers must show.
    pub viewer_tokens: Vec<Token>,
    /// What people who act must show; they may read too.
    pub operator_tokens: Vec<Token>,
    /// Pages of other hosts that may call for people who have signed in.
    pub origins: Vec<Origin>,
    /// How long who has signed in stays so.
    pub session_length: Duration,
    /// The Prometheus of canaries that name none of their own.
    pub prometheus: Option<Prometheus>,
    /// Who is told of alerts.
    pub alerts: Vec<Receiver>,
    /// Where records of experiments go.
    pub analytics: Option<Target>,
}

impl Server {
    pub(super) fn compile(raw: ServerSpec, base: &Path) -> Result<Self, FieldError> {
        let server = Self {
            listen: raw.listen,
            store: StoreAt::compile(raw.store, base).map_err(|error| error.under("store"))?,
            wasm: raw.wasm.map(|path| base.join(path)),
            tls: raw.tls.map(|tls| compile_tls(&tls, base)).transpose()?,
            report_tokens: accepted("report", base, raw.report_token_file, raw.report_token_env)?,
            viewer_tokens: accepted("viewer", base, raw.viewer_token_file, raw.viewer_token_env)?,
            operator_tokens: accepted("operator", base, raw.operator_token_file, raw.operator_token_env)?,
            origins: compile_origins(&raw.origins)?,
            session_length: compile_session(raw.session_length)?,
            prometheus: raw
                .prometheus
                .map(|prometheus| sources::compile_server(prometheus, base))
                .transpose()
                .map_err(|error| error.under("prometheus"))?,
            alerts: alerts::compile(raw.alerts, base)?,
            analytics: raw
                .analytics
                .map(|analytics| analytics::compile(analytics, base))
                .transpose()
                .map_err(|error| error.under("analytics"))?,
        };
        if let Some(wasm) = server.wasm.as_ref().filter(|path| !path.is_file()) {
            return Err(FieldError::new("wasm", format!("{} is no file", wasm.display())));
        }
        server.check_open_doors()?;
        Ok(server)
    }

    /// Without tokens everybody who reaches the port may act, so only this machine may reach it.
    fn check_open_doors(&self) -> Result<(), FieldError> {
        if self.listen.ip().is_loopback() {
            return Ok(());
        }
        for (field, tokens) in [
            ("reportTokenFile", &self.report_tokens),
            ("viewerTokenFile", &self.viewer_tokens),
            ("operatorTokenFile", &self.operator_tokens),
        ] {
            if tokens.is_empty() {
                let message = format!(
                    "is not set, and {} is no loopback address: set it or the like-named Env, or listen on 127.0.0.1",
                    self.listen
                );
                return Err(FieldError::new(field, message));
            }
        }
        Ok(())
    }
}

fn compile_origins(raw: &[String]) -> Result<Vec<Origin>, FieldError> {
    let one = |(place, text): (usize, &String)| {
        Origin::parse(text).map_err(|error| FieldError::new(format!("origins[{place}]"), error.message))
    };
    raw.iter().enumerate().map(one).collect()
}

fn compile_session(asked: Option<Seconds>) -> Result<Duration, FieldError> {
    let length = asked.map_or(SESSION, |asked| asked.0);
    if length < SESSIONS.0 || length > SESSIONS.1 {
        let asked = String::from(Seconds(length));
        return Err(FieldError::new("sessionLength", format!("{asked} is not allowed: 1s to 7d")));
    }
    Ok(length)
}

/// The pair is loaded once here, so that a wrong one is found before anything starts.
fn compile_tls(raw: &TlsSpec, base: &Path) -> Result<PairFiles, FieldError> {
    let files = PairFiles { cert_file: base.join(&raw.cert_file), key_file: base.join(&raw.key_file) };
    Pair::load(&files).map_err(|error| FieldError::new(error.field(), error.to_string()).under("tls"))?;
    Ok(files)
}
