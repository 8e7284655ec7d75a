//! What a plain scalar means.
//!
//! LiteLLM reads its files with PyYAML, whose plain scalars follow YAML 1.1: `yes` and `off` are
//! booleans, `1_000` and `0x10` integers, `010` is eight. The same file means the same here, with
//! two differences. `1e-6` is a number, as every author of a price means it to be. Dates and
//! base-60 numbers (`2024-10-21`, `1:30`) stay text.

/// What a scalar stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text,
}

/// Reads a plain scalar.
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Plain::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Plain::Bool(false);
        }
        _ => {}
    }
    // Longer than any number that somebody writes, so that long text costs nothing.
    if text.len() > 64 {
        return Plain::Text;
    }
    let (sign, digits) = match text.as_bytes() {
        [b'-', ..] => (-1, &text[1..]),
        [b'+', ..] => (1, &text[1..]),
        _ => (1, text),
    };
    if let Some(integer) = integer(digits) {
        return Plain::Integer(sign * integer);
    }
    float(digits).map_or(Plain::Text, |float| Plain::Float(if sign < 0 { -float } else { float }))
}

/// Reads the digits of an integer; at most `i128::MAX`, beyond that it is a float.
fn integer(digits: &str) -> Option<i128> {
    let (radix, rest) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', b'o', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // `from_str_radix` would take a second sign, and PyYAML takes no leading underscore.
    if !rest.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    i128::from_str_radix(&rest.replace('_', ""), radix).ok()
}

fn float(digits: &str) -> Option<f64> {
    match digits {
        ".inf" | ".Inf" | ".INF" => return Some(f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let first = digits.trim_start_matches('.');
    if digits.len() - first.len() > 1 || !first.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '.' | '_' | 'e' | 'E' | '+' | '-');
    if !digits.chars().all(allowed) {
        return None;
    }
    digits.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_they_mean_to_pyyaml() {
        for (text, meaning) in [
            ("", Plain::Null),
            ("~", Plain::Null),
            ("null", Plain::Null),
            ("nULL", Plain::Text),
            ("true", Plain::Bool(true)),
            ("True", Plain::Bool(true)),
            ("yes", Plain::Bool(true)),
            ("off", Plain::Bool(false)),
            ("y", Plain::Text),
            ("tRUE", Plain::Text),
            ("0", Plain::Integer(0)),
            ("-12", Plain::Integer(-12)),
            ("+12", Plain::Integer(12)),
            ("1_000", Plain::Integer(1000)),
            ("_1", Plain::Text),
            ("010", Plain::Integer(8)),
            ("0o10", Plain::Integer(8)),
            ("0x1F", Plain::Integer(31)),
            ("0b101", Plain::Integer(5)),
            ("0x", Plain::Text),
            ("0x-1", Plain::Text),
            ("--1", Plain::Text),
            ("1.5", Plain::Float(1.5)),
            ("-.5", Plain::Float(-0.5)),
            ("1.", Plain::Float(1.0)),
            ("09.5", Plain::Float(9.5)),
            (".", Plain::Text),
            ("..5", Plain::Text),
            (".inf", Plain::Float(f64::INFINITY)),
            ("-.inf", Plain::Float(f64::NEG_INFINITY)),
            ("1e-6", Plain::Float(1e-6)),
            ("1.25e-06", Plain::Float(1.25e-6)),
            ("inf", Plain::Text),
            ("nan", Plain::Text),
            ("2024-10-21", Plain::Text),
            ("1:30", Plain::Text),
            ("1.2.3", Plain::Text),
            ("gpt-4o", Plain::Text),
            ("e5", Plain::Text),
            ("-", Plain::Text),
        ] {
            assert_eq!(resolve(text), meaning, "{text:?}");
        }
        assert!(matches!(resolve(".nan"), Plain::Float(value) if value.is_nan()));
    }

    #[test]
    fn an_integer_too_large_to_hold_is_a_float() {
        assert_eq!(resolve(&"9".repeat(40)), Plain::Float(1e40));
        assert_eq!(resolve(&"9".repeat(65)), Plain::Text);
    }
}
