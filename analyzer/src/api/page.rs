//! The dashboard: one page and its assets, built into the program where they were there at build time. Nothing of
//! it comes from, or goes to, any other host.

use super::problem::Problem;
use super::schema;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A file of the page.
struct File {
    /// As it is asked for.
    path: &'static str,
    plain: &'static [u8],
    /// By gzip.
    packed: &'static [u8],
}

static FILES: &[File] = &include!(concat!(env!("OUT_DIR"), "/page.rs"));

static PAGE: LazyLock<Page> = LazyLock::new(|| Page::of(FILES));

/// A page that is built in, or none.
struct Page {
    files: &'static [File],
    /// The files' digests, in the files' order.
    tags: Vec<String>,
}

/// The page's scripts and styles are files of its own, and it talks to its own host only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
/// Other pages of this host, the reports, run nothing and fetch nothing; their styles stand in them.
const REPORTS: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; \
     form-action 'none'";

/// What `/` says where the page was not built in.
const MISSING: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Serin</title></head>\
<body><h1>Serin</h1><p>The analyzer runs, but this program was built without its dashboard. To get it, with Node \
20.19 or newer and npm:</p><pre>scripts/build-dashboard\ncargo build --release -p serin</pre>\
<p>The API works without it: <a href=\"/v1/canaries\">/v1/canaries</a>, described at \
<a href=\"/v1/openapi.json\">/v1/openapi.json</a>. So does <code>serin status</code>.</p></body></html>\n";

/// The dashboard
#[utoipa::path(get, path = "/", tag = "dashboard",
    responses((status = 200, description = "The page", body = String, content_type = "text/html")))]
pub(super) async fn index(headers: HeaderMap) -> Response {
    PAGE.index(&headers)
}

/// The dashboard's scripts and styles, to be cached for ever
#[utoipa::path(get, path = "/assets/{file}", tag = "dashboard",
    params(("file" = String, Path, description = "As the page names it")),
    responses((status = 200, description = "The file", body = Vec<u8>, content_type = "text/javascript"),
        (status = 404, description = "There is no such file", body = schema::Problem,
            content_type = "application/problem+json")))]
pub(super) async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    PAGE.asset(&file, &headers)
}

impl Page {
    fn of(files: &'static [File]) -> Self {
        Self { files, tags: files.iter().map(|file| tag(file.plain)).collect() }
    }

    fn index(&self, headers: &HeaderMap) -> Response {
        match self.found("/") {
            Some(place) => answer(place, headers, "no-cache"),
            None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], MISSING).into_response(),
        }
    }

    fn asset(&self, file: &str, headers: &HeaderMap) -> Response {
        let path = format!("/assets/{file}");
        match self.found(&path) {
            Some(place) => answer(place, headers, "public, max-age=31536000, immutable"),
            None => {
                Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}")).into_response()
            }
        }
    }

    fn found(&self, path: &str) -> Option<(&'static File, &str)> {
        let mut files = self.files.iter().zip(self.tags.iter().map(String::as_str));
        files.find(|(file, _)| file.path == path)
    }
}

fn answer((file, tag): (&'static File, &str), headers: &HeaderMap, cache: &'static str) -> Response {
    let has = |name: HeaderName, part: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().split(';').next() == Some(part))
    };
    let cached = [(header::CACHE_CONTROL, cache), (header::ETAG, tag), (header::VARY, "accept-encoding")];
    if has(header::IF_NONE_MATCH, tag) {
        return (StatusCode::NOT_MODIFIED, cached).into_response();
    }
    let kind = [(header::CONTENT_TYPE, kind(file.path))];
    match has(header::ACCEPT_ENCODING, "gzip") {
        true => (cached, kind, [(header::CONTENT_ENCODING, "gzip")], file.packed).into_response(),
        false => (cached, kind, file.plain).into_response(),
    }
}

/// The media type, by the name's end.
fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or("") {
        "/" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn tag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// Tells browsers what they may do with an answer.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let is_page = request.uri().path() == "/";
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let html =
        headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if html {
        let policy = if is_page { POLICY } else { REPORTS };
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    static FILE: File = File { path: "/assets/index-1a2b.js", plain: b"plain", packed: b"packed" };

    async fn asked(pairs: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
        }
        let response = answer((&FILE, "\"tag\""), &headers, "no-cache");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1024).await.expect("a body");
        (parts.status, parts.headers, body.to_vec())
    }

    #[tokio::test]
    async fn a_file_comes_packed_to_who_can_unpack_it_and_not_again_to_who_has_it() {
        let (code, headers, body) = asked(&[("accept-encoding", "br;q=1.0, gzip;q=0.8")]).await;
        assert_eq!((code, body.as_slice()), (StatusCode::OK, b"packed".as_slice()));
        assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
        assert_eq!(headers[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        let (_, headers, body) = asked(&[("accept-encoding", "br")]).await;
        assert_eq!((headers.get(header::CONTENT_ENCODING), body.as_slice()), (None, b"plain".as_slice()));
        let (code, headers, body) = asked(&[("if-none-match", "\"old\", \"tag\"")]).await;
        assert_eq!((code, body.len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!(headers[header::ETAG], "\"tag\"");
    }

    /// What the build script puts in where scripts/build-dashboard has not run.
    static NOTHING: &[File] = &include!(concat!(env!("OUT_DIR"), "/no-page.rs"));

    #[tokio::test]
    async fn without_the_page_the_program_says_how_to_get_it() {
        let page = Page::of(NOTHING);
        let response = page.index(&HeaderMap::new());
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        let body = axum::body::to_bytes(response.into_body(), 4096).await.expect("a body");
        let text = String::from_utf8(body.to_vec()).expect("text");
        let script = "scripts/build-dashboard";
        assert!(text.contains(script) && text.contains("cargo build --release -p serin"), "{text}");
        assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(script).is_file());
        assert_eq!(page.asset("index.js", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn every_file_that_is_built_in_has_a_known_kind() {
        for file in FILES {
            assert_ne!(kind(file.path), "application/octet-stream", "{}", file.path);
        }
    }
}
