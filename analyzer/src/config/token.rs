//! Tokens: secrets from a file or from the environment, several at once, so that a new one can be
//! added before the old one goes.

use serin_contract::FieldError;
use std::path::{Path, PathBuf};

/// A shorter token can be guessed.
const SHORTEST: usize = 16;

/// A secret. It has no way to be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A secret that somebody has shown.
    pub(crate) fn of_bytes(shown: &[u8]) -> Self {
        Self(String::from_utf8_lossy(shown).into_owned())
    }

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

/// The tokens of a role: from `<role>TokenFile`, one a line, or from the environment variable that
/// `<role>TokenEnv` names, separated by spaces or line ends.
pub(super) fn accepted(
    role: &str,
    base: &Path,
    file: Option<PathBuf>,
    variable: Option<String>,
) -> Result<Vec<Token>, FieldError> {
    let (from_file, from_env) = (format!("{role}TokenFile"), format!("{role}TokenEnv"));
    let (field, place, text) = match (file, variable) {
        (None, None) => return Ok(Vec::new()),
        (Some(_), Some(_)) => {
            let message = format!("cannot stand beside {from_file}: allowed is one of them");
            return Err(FieldError::new(from_env, message));
        }
        (Some(file), None) => {
            let path = base.join(file);
            let place = path.display().to_string();
            let text = std::fs::read_to_string(&path).map_err(|error| {
                FieldError::new(from_file.as_str(), format!("{place} cannot be read: {error}"))
            })?;
            (from_file, place, text)
        }
        (None, Some(name)) => {
            let place = format!("the environment variable {name}");
            let text = std::env::var(&name)
                .map_err(|error| FieldError::new(from_env.as_str(), format!("{place}: {error}")))?;
            (from_env, place, text)
        }
    };
    parse(&text).map_err(|problem| FieldError::new(field, format!("{place} {problem}")))
}

/// The one token of a file, to show to somebody else.
pub(super) fn one_token(field: &str, path: &Path) -> Result<Token, FieldError> {
    let told = |problem: String| FieldError::new(field, format!("{} {problem}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| told(format!("cannot be read: {error}")))?;
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(token), None) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Token(token.to_owned()))
        }
        (_, _) => Err(told("must hold exactly one token of printable ASCII".into())),
    }
}

/// A token goes into a header, where spaces would end it; so they part tokens here.
fn parse(text: &str) -> Result<Vec<Token>, String> {
    let tokens: Vec<Token> = text.split_whitespace().map(|token| Token(token.to_owned())).collect();
    if tokens.is_empty() {
        return Err("holds no token: one a line is expected".into());
    }
    if tokens.iter().any(|token| token.0.len() < SHORTEST) {
        return Err(format!("holds a token of fewer than {SHORTEST} characters"));
    }
    if tokens.iter().any(|token| !token.0.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(
            "holds a token with characters that no header can carry: printable ASCII is allowed".into()
        );
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_parted_by_lines_or_spaces_and_short_or_strange_ones_are_refused() {
        let two = parse("0123456789abcdef\n\n  fedcba9876543210 ").expect("two");
        assert_eq!(
            two.iter().map(Token::as_bytes).collect::<Vec<_>>(),
            [b"0123456789abcdef", b"fedcba9876543210"]
        );
        for (text, told) in
            [(" \n", "no token"), ("short", "fewer than 16"), ("0123456789abcdé0123", "printable ASCII")]
        {
            assert!(parse(text).expect_err(text).contains(told), "{text}");
        }
    }

    #[test]
    fn a_role_has_its_tokens_from_one_place() {
        let error = accepted("viewer", Path::new("."), Some("a".into()), Some("B".into())).expect_err("two");
        assert_eq!(
            (error.path.as_str(), error.message.contains("viewerTokenFile")),
            ("viewerTokenEnv", true)
        );
        let error =
            accepted("viewer", Path::new("."), None, Some("SERIN_NOT_SET".into())).expect_err("unset");
        assert!(error.message.contains("the environment variable SERIN_NOT_SET"), "{}", error.message);
    }
}
