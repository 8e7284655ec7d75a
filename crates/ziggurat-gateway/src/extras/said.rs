//! What callers say to the layers, out of JSON and out of headers.
//!
//! Every reader gives a value, or the error of a caller who is told which of their fields is wrong.

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Map, Value};
use ziggurat_core::{CacheControls, Controls, Error, FallbackTarget, RawJson, Str};

use super::{Extra, refused};

/// The longest time a caller may ask for: anything beyond is meant as "for ever".
pub(super) const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many other models a caller may name.
const MOST_FALLBACKS: usize = 20;
/// How many tags a caller may name, and how long one may be, in bytes.
const MOST_TAGS: usize = 64;
const LONGEST_NAME: usize = 256;

/// A field of the wrong type or out of range.
pub(super) fn wrong(name: &str, expected: &str) -> Error {
    Error::invalid(format!("`{name}` must be {expected}")).with_param(name.to_owned())
}

pub(super) fn boolean(name: &str, json: &str) -> Result<bool, Error> {
    match json {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong(name, "true or false")),
    }
}

/// A number of seconds, above zero.
pub(super) fn seconds(name: &str, number: Option<f64>) -> Result<Duration, Error> {
    let seconds = number.filter(|seconds| *seconds > 0.0).map(|seconds| {
        Duration::try_from_secs_f64(seconds).map_or(LONGEST, |duration| duration.min(LONGEST))
    });
    seconds.ok_or_else(|| wrong(name, "a number of seconds above 0"))
}

/// How often to try again.
pub(super) fn retries(name: &str, text: &str) -> Result<u32, Error> {
    text.trim().parse().map_err(|_| wrong(name, "a whole number, 0 or above"))
}

pub(super) fn text(name: &str, json: &str) -> Result<Str, Error> {
    match serde_json::from_str(json) {
        Ok(Value::String(text)) => Ok(text.into()),
        _ => Err(wrong(name, "a string")),
    }
}

/// A text that is not empty, and not without end.
pub(super) fn name(name: &str, json: &str) -> Result<Str, Error> {
    match text(name, json)? {
        text if text.is_empty() || text.len() > LONGEST_NAME => {
            Err(wrong(name, &format!("a string of 1 to {LONGEST_NAME} bytes")))
        }
        text => Ok(text),
    }
}

/// A list of tags.
pub(super) fn tags(controls: &mut Controls, json: &str) -> Result<(), Error> {
    const WHAT: &str = "a list of strings";
    let Ok(Value::Array(items)) = serde_json::from_str(json) else {
        return Err(wrong("tags", WHAT));
    };
    for item in items {
        let Value::String(tag) = item else { return Err(wrong("tags", WHAT)) };
        add_tag(controls, "tags", &tag)?;
    }
    Ok(())
}

/// Tags in a header, with commas between them.
pub(super) fn header_tags(controls: &mut Controls, name: &str, value: &str) -> Result<(), Error> {
    value.split(',').try_for_each(|tag| add_tag(controls, name, tag))
}

fn add_tag(controls: &mut Controls, name: &str, tag: &str) -> Result<(), Error> {
    let tag = tag.trim();
    if tag.is_empty() || controls.tags.iter().any(|known| known == tag) {
        return Ok(());
    }
    if controls.tags.len() >= MOST_TAGS || tag.len() > LONGEST_NAME {
        let what = format!("at most {MOST_TAGS} tags of at most {LONGEST_NAME} bytes");
        return Err(wrong(name, &what));
    }
    controls.tags.push(tag.into());
    Ok(())
}

/// What keeps the calls of a conversation together.
pub(super) fn session(controls: &mut Controls, name: &str, value: &str) -> Result<(), Error> {
    let session = value.trim();
    if session.len() > LONGEST_NAME {
        return Err(wrong(name, &format!("at most {LONGEST_NAME} bytes")));
    }
    if !session.is_empty() {
        controls.session = Some(session.into());
    }
    Ok(())
}

/// What LiteLLM's clients put into `metadata`, which is the dialect's: it stays, and what is of another type is not for us. Only a
/// list of tags goes, since no provider takes lists there; what is left is given back then.
pub(super) fn metadata(
    controls: &mut Controls,
    json: &str,
) -> Result<Option<Map<String, Value>>, Error> {
    // Nothing is parsed for the metadata that everybody sends.
    if !json.contains("tags") && !json.contains("session_id") {
        return Ok(None);
    }
    let Ok(Value::Object(mut metadata)) = serde_json::from_str(json) else { return Ok(None) };
    if let Some(Value::String(id)) = metadata.get("session_id")
        && controls.session.is_none()
    {
        session(controls, "metadata.session_id", id)?;
    }
    let Some(Value::Array(tags)) = metadata.get("tags") else { return Ok(None) };
    tags.iter()
        .filter_map(Value::as_str)
        .try_for_each(|tag| add_tag(controls, "metadata.tags", tag))?;
    metadata.remove("tags");
    Ok(Some(metadata))
}

/// Other models: names, or mappings with a `model` and parameters to set for it.
pub(super) fn fallbacks(json: &str) -> Result<Vec<FallbackTarget>, Error> {
    const WHAT: &str = "a list of models, each a string or an object with a `model`";
    let Ok(Value::Array(items)) = serde_json::from_str(json) else {
        return Err(wrong("fallbacks", WHAT));
    };
    if items.len() > MOST_FALLBACKS {
        return Err(wrong("fallbacks", &format!("at most {MOST_FALLBACKS} models")));
    }
    let target = |item| match item {
        Value::String(model) if !model.is_empty() => Ok(FallbackTarget::new(model)),
        Value::Object(mut members) => match members.remove("model") {
            Some(Value::String(model)) if !model.is_empty() => {
                params(FallbackTarget::new(model), members)
            }
            _ => Err(wrong("fallbacks", WHAT)),
        },
        _ => Err(wrong("fallbacks", WHAT)),
    };
    items.into_iter().map(target).collect()
}

fn params(
    mut target: FallbackTarget,
    members: Map<String, Value>,
) -> Result<FallbackTarget, Error> {
    for (name, value) in members {
        match Extra::named(&name) {
            None => {}
            Some(Extra::Refused) => return Err(refused(&name)),
            // Settings of the call are settings of the whole call.
            Some(_) => {
                let message = format!(
                    "`{name}` cannot be set for a single fallback: it stands beside `fallbacks`"
                );
                return Err(Error::invalid(message).with_param("fallbacks"));
            }
        }
        let value = RawJson::of(&value).map_err(|_| wrong("fallbacks", "JSON"))?;
        target = target.param(name, value);
    }
    Ok(target)
}

/// LiteLLM's `cache`.
pub(super) fn cache(controls: &mut CacheControls, json: &str) -> Result<(), Error> {
    let Ok(Value::Object(members)) = serde_json::from_str(json) else {
        return Err(wrong("cache", "an object"));
    };
    for (name, value) in &members {
        let field = || format!("cache.{name}");
        let flag = || value.as_bool().ok_or_else(|| wrong(&field(), "true or false"));
        let time = || {
            let number = value.as_f64().filter(|number| *number >= 0.0);
            let number =
                number.ok_or_else(|| wrong(&field(), "a number of seconds, 0 or above"))?;
            Ok::<_, Error>(Duration::try_from_secs_f64(number).unwrap_or(LONGEST).min(LONGEST))
        };
        match name.as_str() {
            _ if value.is_null() => {}
            "no-cache" => controls.no_cache = flag()?,
            "no-store" => controls.no_store = flag()?,
            "use-cache" => controls.use_cache = Some(flag()?),
            "ttl" => controls.ttl = Some(time()?),
            "s-maxage" | "s-max-age" | "max-age" => controls.max_age = Some(time()?),
            "namespace" => {
                let namespace = value.as_str().filter(|name| name.len() <= LONGEST_NAME);
                let what = format!("a string of at most {LONGEST_NAME} bytes");
                let namespace = namespace.ok_or_else(|| wrong(&field(), &what))?;
                controls.namespace = Some(namespace.into());
            }
            _ => {
                let known = "`cache` may hold `no-cache`, `no-store`, `ttl`, `s-maxage`, \
                             `namespace` and `use-cache`, and nothing else";
                return Err(Error::invalid(known).with_param("cache"));
            }
        }
    }
    Ok(())
}

/// `Cache-Control` of HTTP (RFC 9111, section 5.2.1). What is not understood is passed over, as it says.
pub(super) fn cache_control(controls: &mut CacheControls, value: &str) {
    for directive in value.split(',') {
        let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
        let seconds = || argument.trim().trim_matches('"').parse().ok().map(Duration::from_secs);
        match name.trim().to_ascii_lowercase().as_str() {
            "no-cache" => controls.no_cache = true,
            "no-store" => controls.no_store = true,
            "max-age" | "s-maxage" => {
                if let Some(age) = seconds() {
                    let age = controls.max_age.map_or(age, |other: Duration| other.min(age));
                    controls.max_age = Some(age);
                }
            }
            _ => {}
        }
    }
}

/// Whether a header is of those that tell something to the layers; cheap for all others.
pub(super) fn headers(
    headers: &HeaderMap,
    mut each: impl FnMut(&'static str, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    for (name, value) in headers {
        let name = match name.as_str() {
            "x-litellm-timeout" => "x-litellm-timeout",
            "x-litellm-stream-timeout" => "x-litellm-stream-timeout",
            "x-litellm-num-retries" => "x-litellm-num-retries",
            "x-litellm-tags" => "x-litellm-tags",
            "x-litellm-session-id" => "x-litellm-session-id",
            "cache-control" => "cache-control",
            _ => continue,
        };
        match value.to_str() {
            Ok(value) => each(name, value)?,
            // What HTTP says of it: what is not understood is passed over.
            Err(_) if name == "cache-control" => {}
            Err(_) => return Err(wrong(name, "visible ASCII")),
        }
    }
    Ok(())
}
