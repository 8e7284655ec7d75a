//! Durations and sizes as people write them.

use std::time::Duration;

/// The longest duration that is taken: beyond any use, and far from where clocks overflow.
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// The largest size that is taken, in bytes.
pub(super) const LARGEST: u64 = 1 << 50;

/// Reads a duration with its unit: `500ms`, `1.5s`, `5m`, `1h`, `2d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    };
    seconds(number * unit)
}

/// A duration out of a number of seconds; nothing below zero, or longer than [`LONGEST`].
pub(super) fn seconds(number: f64) -> Option<Duration> {
    // `+ 0.0` because minus zero is refused, and somebody may have written it.
    let duration = Duration::try_from_secs_f64(number + 0.0).ok()?;
    (duration <= LONGEST).then_some(duration)
}

/// Reads a size with its unit: `64KiB`, `1.5MiB`, `10MB`. Units of a thousand have no `i`.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let unit: u32 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    bytes(number * f64::from(unit))
}

/// A size out of a number of bytes, rounded; nothing below zero, or larger than [`LARGEST`].
pub(super) fn bytes(number: f64) -> Option<u64> {
    #[expect(clippy::cast_precision_loss, reason = "a power of two is exact")]
    let fits = (0.0..=LARGEST as f64).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the range just checked, where every whole number is exact"
    )]
    fits.then_some(number.round() as u64)
}

/// A number and the unit behind it, with or without a space between them.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in [
            ("500ms", Some(500)),
            ("2s", Some(2000)),
            ("1.5s", Some(1500)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("1d", Some(86_400_000)),
            (" 2 s ", Some(2000)),
            ("0s", Some(0)),
            ("2", None),
            ("s", None),
            ("-2s", None),
            ("2 seconds", None),
            ("1.2.3s", None),
            ("366d", None),
            ("1m30s", None),
            ("", None),
        ] {
            assert_eq!(duration(text), milliseconds.map(Duration::from_millis), "{text:?}");
        }
        assert_eq!(seconds(-0.0), Some(Duration::ZERO));
        assert_eq!(seconds(f64::NAN), None);
        assert_eq!(seconds(f64::INFINITY), None);
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("64KiB", Some(64 << 10)),
            ("1.5MiB", Some(3 << 19)),
            ("10MB", Some(10_000_000)),
            ("10 mb", Some(10_000_000)),
            ("1GiB", Some(1 << 30)),
            ("7B", Some(7)),
            ("7", None),
            ("7K", None),
            ("-7B", None),
            ("9999999GiB", None),
        ] {
            assert_eq!(size(text), bytes, "{text:?}");
        }
        assert_eq!(bytes(f64::NAN), None);
    }
}
