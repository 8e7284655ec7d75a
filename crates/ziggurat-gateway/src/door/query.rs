//! What stands in a query.

use http::Uri;
use ziggurat_core::Secret;

/// The first value of this name, without its escapes.
pub(super) fn value(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.filter(|(known, _)| *known == name).map(|(_, value)| value).next()?;
    Some(decoded(value))
}

/// Takes `key` out, where Google's clients put it: in questions to models and about them. Elsewhere the word means something
/// else.
pub(super) fn take_key(uri: &mut Uri) -> Option<Secret> {
    if !uri.path().contains("/models") {
        return None;
    }
    let key = value(uri, "key")?;
    let rest: Vec<&str> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.starts_with("key="))
        .collect();
    let path = match rest.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{}", uri.path(), rest.join("&")),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    *uri = Uri::from_parts(parts).ok()?;
    Some(Secret::new(key))
}

/// A value of a query, without its escapes.
fn decoded(value: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (mut bytes, mut rest) = (Vec::with_capacity(value.len()), value.as_bytes());
    while let [first, after @ ..] = rest {
        let escaped = digit(after.first()).zip(digit(after.get(1)));
        let (byte, length) = match (first, escaped) {
            (b'%', Some((high, low))) => (u8::try_from(high << 4 | low).unwrap_or(b'?'), 3),
            (b'+', _) => (b' ', 1),
            (byte, _) => (*byte, 1),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_cut_out_of_the_query_of_a_model_call() {
        let taken = |uri: &str| {
            let mut uri: Uri = uri.parse().unwrap();
            let key = take_key(&mut uri).map(|key| key.expose().to_owned());
            (key, uri.to_string())
        };
        let got = taken("http://h/v1beta/models?pageSize=3&key=a%2Bb&key=c");
        assert_eq!(got, (Some("a+b".into()), "http://h/v1beta/models?pageSize=3".into()));
        assert_eq!(taken("/v1/models?key=k"), (Some("k".into()), "/v1/models".into()));
        assert_eq!(taken("/v1/models?keys=k"), (None, "/v1/models?keys=k".into()));
        assert_eq!(taken("/key/info?key=k"), (None, "/key/info?key=k".into()));
    }
}
