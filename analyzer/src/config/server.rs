//! The program's own settings, checked: where it listens, where it stores, who may do what.

use super::document::ServerSpec;
use serin_contract::FieldError;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the analyzer listens and stores, and the tokens that it accepts.
#[derive(Debug, Clone)]
pub struct Server {
    /// The address of the API, the metrics and the reports.
    pub listen: SocketAddr,
    /// The embedded store's file.
    pub redb: PathBuf,
    /// A wasm module to serve in the built-in one's place.
    pub wasm: Option<PathBuf>,
    /// What filters must show; empty: anybody on loopback may report.
    pub report_tokens: Vec<Token>,
    /// What readers must show.
    pub viewer_tokens: Vec<Token>,
    /// What people who act must show; they may read too.
    pub operator_tokens: Vec<Token>,
}

/// A secret. It has no way to be printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The secret itself, to compare with.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Token(..)")
    }
}

impl Server {
    pub(super) fn compile(raw: ServerSpec, base: &Path) -> Result<Self, FieldError> {
        let tokens = |field: &str, file: Option<PathBuf>| match file {
            Some(file) => read_tokens(&base.join(file)).map_err(|message| FieldError::new(field, message)),
            None => Ok(Vec::new()),
        };
        let server = Self {
            listen: raw.listen,
            redb: base.join(raw.store.redb),
            wasm: raw.wasm.map(|path| base.join(path)),
            report_tokens: tokens("reportTokenFile", raw.report_token_file)?,
            viewer_tokens: tokens("viewerTokenFile", raw.viewer_token_file)?,
            operator_tokens: tokens("operatorTokenFile", raw.operator_token_file)?,
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
                    "is not set, and {} is no loopback address: set it, or listen on 127.0.0.1",
                    self.listen
                );
                return Err(FieldError::new(field, message));
            }
        }
        Ok(())
    }
}

/// One token a line, so that a new one can be added before the old one goes.
fn read_tokens(path: &Path) -> Result<Vec<Token>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let tokens: Vec<Token> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| Token(line.to_owned()))
        .collect();
    if tokens.is_empty() {
        return Err(format!("{} holds no token: one a line is expected", path.display()));
    }
    if tokens.iter().any(|token| token.0.len() < 16) {
        return Err(format!("{} holds a token of fewer than 16 characters", path.display()));
    }
    Ok(tokens)
}
