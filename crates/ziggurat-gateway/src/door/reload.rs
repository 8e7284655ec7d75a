//! `POST /config/reload`: reads the configuration again.
//!
//! The answer is JSON:
//!
//! | | status | body |
//! | --- | --- | --- |
//! | it was good | 200 | `status: "reloaded"`, `deployments` (ids `added`, `removed`, `changed`; how many were `kept`), `restart` (keys whose change takes a restart), `warnings` |
//! | it was bad, and nothing has changed | 400 | `error` as OpenAI writes errors, with the code `invalid_configuration`; `errors`, `warnings` |
//!
//! Each warning and each error has `file`, `line` and `column` (from 1; 0 for the file as a whole), `key`, `message`.

use std::sync::Weak;

use axum::body::Body;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use serde_json::{Value, json};
use ziggurat_core::{Error, ErrorKind};
use ziggurat_http::refuse;

use super::aside::{self, json_response};
use crate::config::{Problem, Report};
use crate::reload::{Reload, Reloaded};

pub(super) const PATH: &str = "/config/reload";

/// Has the configuration read again.
pub(super) async fn reload(
    reload: Option<Weak<Reload>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let Some(reload) = reload.and_then(|reload| reload.upgrade()) else {
        let error =
            Error::new(ErrorKind::NotFound, "this gateway has no configuration to read again");
        return refuse(&uri, &headers, &error).map(Body::new);
    };
    match reload.now("POST /config/reload").await {
        Ok(reloaded) => json_response(StatusCode::OK, &good(&reloaded)),
        Err(report) => json_response(StatusCode::BAD_REQUEST, &bad(&report)),
    }
}

pub(super) async fn only_post(method: Method, uri: Uri, headers: HeaderMap) -> Response<Body> {
    aside::wrong_method(&method, &uri, &headers, "POST")
}

fn good(reloaded: &Reloaded) -> Value {
    let changes = &reloaded.changes;
    json!({
        "status": "reloaded",
        "deployments": {
            "added": changes.added,
            "removed": changes.removed,
            "changed": changes.changed,
            "kept": changes.kept,
        },
        "restart": changes.restart,
        "warnings": problems(&reloaded.warnings),
    })
}

fn bad(report: &Report) -> Value {
    let first = report
        .errors
        .first()
        .map_or_else(|| "the configuration could not be read".to_owned(), ToString::to_string);
    let more = report.errors.len().saturating_sub(1);
    let message = if more == 0 { first } else { format!("{first} (and {more} more)") };
    json!({
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": null,
            "code": "invalid_configuration",
        },
        "errors": problems(&report.errors),
        "warnings": problems(&report.warnings),
    })
}

fn problems(problems: &[Problem]) -> Vec<Value> {
    let value = |problem: &Problem| {
        json!({
            "file": &*problem.file,
            "line": problem.line,
            "column": problem.column,
            "key": problem.path,
            "message": problem.message,
        })
    };
    problems.iter().map(value).collect()
}
