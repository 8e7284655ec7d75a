//! `GET /health`: how the deployments are, in LiteLLM's form.
//!
//! ```json
//! {
//!   "healthy_endpoints": [{"model": "openai/gpt-4o", "model_name": "gpt", "model_id": "a", "state": "well", "in_flight": 3}],
//!   "unhealthy_endpoints": [{"model": "openai/gpt-4o", "model_name": "gpt", "model_id": "b", "state": "cooling",
//!     "reason": "rate_limit", "cool_down_until": 1764107284.5, "cool_down_remaining": 4.5}],
//!   "healthy_count": 1,
//!   "unhealthy_count": 1
//! }
//! ```
//!
//! Nobody is asked for it: it is what calls have shown, and what the last [check](crate::checks) found, where there are any.
//! `?model=…` leaves only the deployments of one model, or the one of this id.

use axum::body::Body;
use http::{Response, StatusCode, Uri};
use serde_json::{Map, Value, json};
use ziggurat_core::{Ambient, Instant, System};
use ziggurat_layers::route::{Condition, HealthState};

use super::aside::json_response;
use super::query;
use crate::config::{Config, DeploymentConfig};
use crate::registries::Registries;

/// The path.
pub(super) const PATH: &str = "/health";

/// The answer.
pub(super) fn answer(config: &Config, registries: &Registries, uri: &Uri) -> Response<Body> {
    let wanted = wanted(uri);
    let (mut well, mut ill) = (Vec::new(), Vec::new());
    for entry in &config.deployments {
        let is_wanted = |wanted: &String| *wanted == entry.model_name || *wanted == entry.id;
        if !wanted.as_ref().is_none_or(is_wanted) {
            continue;
        }
        let (is_well, described) = describe(config, entry, registries);
        if is_well { well.push(described) } else { ill.push(described) }
    }
    let body = json!({
        "healthy_count": well.len(),
        "unhealthy_count": ill.len(),
        "healthy_endpoints": well,
        "unhealthy_endpoints": ill,
    });
    json_response(StatusCode::OK, &body)
}

/// The model in the query.
fn wanted(uri: &Uri) -> Option<String> {
    query::value(uri, "model")
}

/// Whether a deployment is well, and all there is to say of it. No address is in it, and no secret.
fn describe(config: &Config, entry: &DeploymentConfig, registries: &Registries) -> (bool, Value) {
    let mut told = Map::new();
    let mut tell = |name: &str, value: Value| drop(told.insert(name.to_owned(), value));
    tell("model", json!(entry.model));
    tell("model_name", json!(entry.model_name));
    tell("model_id", json!(entry.id));
    let state = registries.health.state(&entry.id);
    let condition = state.as_ref().map_or(Condition::Well, |state| state.condition);
    tell("state", json!(name(condition)));
    if let Some(state) = &state {
        tell("in_flight", json!(state.in_flight));
        tell("requests_last_minute", json!(state.requests));
        tell("tokens_last_minute", json!(state.tokens));
        tell("failures_last_minute", json!(state.failures));
        for (name, time) in [("latency", state.latency), ("first_content", state.first_content)] {
            if let Some(time) = time {
                tell(name, json!(time.as_secs_f64()));
            }
        }
        if let Some((until, left)) = cool_down(state) {
            tell("cool_down_until", json!(until));
            tell("cool_down_remaining", json!(left));
        }
        if let Some(cause) = state.cause {
            tell("reason", json!(cause.name()));
        }
    }
    let checked = registries.checks.of(&entry.id);
    let checked = checked.filter(|_| config.general.background_health_checks);
    let mut failed = false;
    if let Some(checked) = checked {
        tell("checked_at", json!(checked.at.as_secs_f64()));
        if let Some(error) = checked.error {
            failed = true;
            tell("error", json!(error.message()));
        }
    }
    let is_well = matches!(condition, Condition::Well | Condition::HalfOpen) && !failed;
    (is_well, Value::Object(told))
}

fn name(condition: Condition) -> &'static str {
    match condition {
        Condition::Cooling => "cooling",
        Condition::HalfOpen => "half_open",
        Condition::Ill => "ill",
        _ => "well",
    }
}

/// Until when a deployment cools down, in seconds since 1970, and how many seconds that is from now.
fn cool_down(state: &HealthState) -> Option<(f64, f64)> {
    let left = state.cool_until?.checked_duration_since(Instant::now())?;
    let until = System.unix_time().saturating_add(left);
    Some((until.as_secs_f64(), left.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_read_out_of_the_query() {
        for (query, expected) in [
            ("", None),
            ("?other=x", None),
            ("?model=gpt", Some("gpt")),
            ("?a=b&model=openai%2Fgpt+4o", Some("openai/gpt 4o")),
            ("?model=100%", Some("100%")),
            ("?model=%e9", Some("\u{fffd}")),
            ("?model=%C3%A9&model=x", Some("é")),
        ] {
            let uri: Uri = format!("/health{query}").parse().unwrap();
            assert_eq!(wanted(&uri).as_deref(), expected, "{query}");
        }
    }
}
