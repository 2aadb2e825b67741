//! Errors: all are `application/problem+json`.

use utoipa::{IntoResponses, ToSchema};

/// An error (RFC 9457) that says what is wrong and what is allowed.
#[derive(ToSchema)]
pub struct Problem {
    /// The status in words.
    #[schema(example = "Unprocessable Entity")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// What is wrong and what to do.
    #[schema(example = "must have 1 to 1000 characters")]
    pub detail: String,
    /// The path of the body's field that is wrong.
    #[schema(example = "reason", required = false, nullable = false)]
    pub field: Option<String>,
}

/// How reading can fail.
#[derive(IntoResponses)]
pub enum ReadErrors {
    /// No valid token of a viewer or operator
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// There is no such thing
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The analyzer is stopping, or its store fails: try again
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// How reading a report can fail.
#[derive(IntoResponses)]
pub enum ReportReadErrors {
    /// The query cannot be read
    #[response(status = 400, content_type = "application/problem+json")]
    Unreadable(Problem),
    /// No valid token of a viewer or operator
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// There is no such canary, or nothing has happened to it yet
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// There is no such format
    #[response(status = 422, content_type = "application/problem+json")]
    Wrong(Problem),
    /// The report cannot be written
    #[response(status = 500, content_type = "application/problem+json")]
    Broken(Problem),
    /// The analyzer is stopping, or its store fails: try again
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// How an action can fail.
#[derive(IntoResponses)]
pub enum ActionErrors {
    /// The body ended before its end
    #[response(status = 400, content_type = "application/problem+json")]
    Cut(Problem),
    /// No valid token of an operator
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// A viewer's session, or a foreign page
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such canary or deed
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The body did not come in time
    #[response(status = 408, content_type = "application/problem+json")]
    Late(Problem),
    /// The canary's phase does not allow it; `detail` says what would be
    #[response(status = 409, content_type = "application/problem+json")]
    NotNow(Problem),
    /// The body is larger than 8 KiB
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not what is expected; `field` says where
    #[response(status = 422, content_type = "application/problem+json")]
    Wrong(Problem),
    /// The analyzer is stopping: try again
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// How a report can fail. Nothing of it was counted then.
#[derive(IntoResponses)]
pub enum ReportErrors {
    /// The body ended before its end
    #[response(status = 400, content_type = "application/problem+json")]
    Cut(Problem),
    /// No valid report token
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// The body did not come in time
    #[response(status = 408, content_type = "application/problem+json")]
    Late(Problem),
    /// The body is larger than 256 KiB
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The report cannot be; `field` says where
    #[response(status = 422, content_type = "application/problem+json")]
    Wrong(Problem),
    /// It could not be stored: send it again
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// The analyzer is stopping.
#[derive(IntoResponses)]
#[response(status = 503, description = "The analyzer is stopping", content_type = "application/problem+json")]
pub struct Stopping(pub Problem);
