//! Decimal numbers without floats.

/// The number `text · 10^digits`, rounded to the nearest integer; `None` when `text` is no number in JSON's or Rust's spelling, is
/// below zero, or does not fit.
pub(super) fn scaled(text: &str, digits: i32) -> Option<u64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = || whole.bytes().chain(fraction.bytes());
    if all().next().is_none() || !all().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // How many of the digits stand before the point once the number is scaled.
    let kept = i64::try_from(whole.len()).ok()? + i64::from(exponent) + i64::from(digits);
    let mut value: u64 = 0;
    let mut place = 0;
    for byte in all() {
        if place >= kept {
            let up = place == kept && byte >= b'5';
            return value.checked_add(u64::from(up));
        }
        value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
        place += 1;
    }
    while place < kept && value > 0 {
        value = value.checked_mul(10)?;
        place += 1;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_digit_by_digit() {
        for (text, value) in [
            ("0", 0),
            ("0.0", 0),
            ("1", 1_000_000_000),
            ("1.5", 1_500_000_000),
            (".5", 500_000_000),
            ("3.", 3_000_000_000),
            ("1e-9", 1),
            ("1.25E-7", 125),
            ("125e-9", 125),
            ("0.000000001", 1),
            ("1e0", 1_000_000_000),
            ("1e+1", 10_000_000_000),
            // To the nearest.
            ("0.0000000014", 1),
            ("0.0000000015", 2),
            ("4e-10", 0),
            ("5e-10", 1),
            ("1e-400", 0),
            ("0e400", 0),
        ] {
            assert_eq!(scaled(text, 9), Some(value), "{text}");
        }
        // What floats in price lists look like.
        assert_eq!(scaled("1.2500000000000001e-07", 15), Some(125_000_000));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "-1", "+1", "1e", "e5", "1.2.3", "NaN", "inf", "0x1", "1 ", "1e400"] {
            assert_eq!(scaled(text, 9), None, "{text:?}");
        }
        assert_eq!(scaled("18446744073.709551615", 9), Some(u64::MAX));
        assert_eq!(scaled("18446744073.709551616", 9), None);
        assert_eq!(scaled(&format!("1{}", "0".repeat(1 << 20)), 9), None);
        assert_eq!(scaled(&format!("1e{}", i32::MAX), 9), None);
    }
}
