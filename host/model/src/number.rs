//! Numbers in one spelling. A number is kept as the exact decimal it was written as, never rounded through a double:
//! `9007199254740993` stays what it is, and `1.0`, `1`, `10e-1` are one number with one spelling.
//!
//! The limits are Postgres's: `1e131071` is 8 bytes of JSON and 131 kB of `numeric`.

use crate::reason::Reason;
use crate::text::shown;

/// The longest number we read, in characters: 64-bit integers have 20, shortest doubles at most 24.
pub const MAX_NUMBER_CHARS: usize = 32;
/// The largest exponent, either way: a double's, so that every consumer can read the number.
pub const MAX_EXPONENT: i32 = 308;
/// Below this exponent a small number is written as `15e-9`. JavaScript changes at the same place.
const MIN_PLAIN_EXPONENT: i32 = -7;

/// Appends the canonical spelling of a number that has already been found to be JSON.
///
/// An integer that fits 64 bits (signed or unsigned) is written as one. Everything else is written without exponent when
/// it is at least 1e-7 and fits [`MAX_NUMBER_CHARS`], else as an integer and an exponent (`15e-9`). Both are never longer
/// than [`MAX_NUMBER_CHARS`], so what is written reads back.
pub(crate) fn canonical(text: &str, out: &mut String) -> Result<(), Reason> {
    let refuse = || Reason::Number(shown(text));
    if text.len() > MAX_NUMBER_CHARS {
        return Err(refuse());
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        if text == "-0" {
            out.push('0');
        } else if text.len() <= 18 || fits_64_bits(text) {
            out.push_str(text);
        } else {
            return Err(refuse());
        }
        return Ok(());
    }
    let decimal = Decimal::read(text).ok_or_else(refuse)?;
    decimal.write(out);
    Ok(())
}

fn fits_64_bits(text: &str) -> bool {
    text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()
}

/// `digits × 10^exponent`, without zeros at either end of the digits. No digits: zero.
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i32,
}

impl Decimal {
    /// None when the exponent is out of range or a double would be infinite.
    fn read(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (rest, 0),
        };
        if exponent.abs() > MAX_EXPONENT {
            return None;
        }
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        let significant = all.trim_end_matches('0');
        let dropped = i32::try_from(all.len() - significant.len()).ok()?;
        let exponent = exponent - i32::try_from(fraction.len()).ok()? + dropped;
        let digits = significant.trim_start_matches('0').to_owned();
        let decimal = Self { negative: negative && !digits.is_empty(), digits, exponent };
        let small_enough = text.parse::<f64>().is_ok_and(f64::is_finite);
        (decimal.digits.is_empty() || (decimal.magnitude().abs() <= MAX_EXPONENT && small_enough)).then_some(decimal)
    }

    /// The exponent when there is one digit before the point.
    fn magnitude(&self) -> i32 {
        // At most MAX_NUMBER_CHARS digits.
        self.exponent + self.digits.len() as i32 - 1
    }

    fn write(&self, out: &mut String) {
        if self.digits.is_empty() {
            out.push('0');
            return;
        }
        if self.negative {
            out.push('-');
        }
        match self.plain() {
            Some(plain) => out.push_str(&plain),
            None => {
                out.push_str(&self.digits);
                out.push('e');
                out.push_str(&self.exponent.to_string());
            }
        }
    }

    /// The spelling without exponent, if that is the one.
    fn plain(&self) -> Option<String> {
        let digits = &self.digits;
        let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or(0));
        if self.exponent >= 0 {
            // 20 digits hold every 64-bit integer.
            let fits = self.magnitude() < 20;
            let whole = fits.then(|| format!("{digits}{}", zeros(self.exponent)))?;
            let signed = if self.negative { format!("-{whole}") } else { whole.clone() };
            return fits_64_bits(&signed).then_some(whole);
        }
        let plain = if self.magnitude() >= 0 {
            let (whole, fraction) = digits.split_at(usize::try_from(self.magnitude() + 1).ok()?);
            format!("{whole}.{fraction}")
        } else {
            format!("0.{}{digits}", zeros(-self.magnitude() - 1))
        };
        let fits = plain.len() + usize::from(self.negative) <= MAX_NUMBER_CHARS;
        (fits && self.magnitude() >= MIN_PLAIN_EXPONENT).then_some(plain)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> Option<String> {
        let mut out = String::new();
        canonical(text, &mut out).ok().map(|()| out)
    }

    #[test]
    fn every_spelling_of_a_number_is_written_the_same_way() {
        let cases = [
            ("0", &["-0", "0.0", "-0.0", "0e5", "0E-308", "-0.00e+3"][..]),
            ("1", &["1.0", "10e-1", "0.1e1", "1e0", "1E+0", "1.000"]),
            ("100", &["1e2", "100.0", "1E2", "1e+02", "0.1e3", "1000e-1"]),
            ("-12.5", &["-12.50", "-125e-1", "-1.25e1", "-0.0125E3"]),
            ("9007199254740993", &["9007199254740993.0", "9.007199254740993e15"]),
            ("18446744073709551615", &["18446744073709551615.0", "1844674407370955161.5e1"]),
            ("-9223372036854775808", &["-9223372036854775808.0"]),
            ("1e20", &["100000000000000000000.0", "10e19", "0.1e21"]),
            ("-1e19", &["-10000000000000000000.0"]),
            ("0.000001", &["1e-6", "0.0000010"]),
            ("0.0000001", &["1e-7"]),
            ("15e-9", &["0.000000015", "1.5e-8", "0.15e-7"]),
            ("1e308", &["10e307", "1.0e308", "100e306"]),
        ];
        for (canonical, spellings) in cases {
            assert_eq!(written(canonical).as_deref(), Some(canonical));
            for spelling in spellings {
                assert_eq!(written(spelling).as_deref(), Some(canonical), "{spelling}");
            }
        }
    }

    #[test]
    fn refuses_what_cannot_be_kept_or_would_grow() {
        let bad = [
            "1e131071",
            "1e309",
            "1e-309",
            "0e309",
            "1.8e308",
            "-1.8e308",
            "10e308",
            "0.1e-308",
            "1e99999999999999999999",
            "18446744073709551616",
            "-9223372036854775809",
            "100000000000000000000",
            "1.00000000000000000000000000000001",
        ];
        for text in bad {
            assert_eq!(written(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_means_the_same(text in r"-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?") {
            if let Some(once) = written(&text) {
                prop_assert!(once.len() <= MAX_NUMBER_CHARS, "{} is longer than {}", once, text);
                let twice = written(&once);
                prop_assert_eq!(twice.as_deref(), Some(once.as_str()));
                prop_assert_eq!(once.parse::<f64>().unwrap().abs(), text.parse::<f64>().unwrap().abs());
            }
        }

        #[test]
        fn doubles_and_integers_as_serde_writes_them_survive(float in any::<f64>(), signed in any::<i64>(), unsigned in any::<u64>()) {
            if float.is_normal() && (1e-308..1e308).contains(&float.abs()) {
                let text = serde_json::to_string(&float).unwrap();
                prop_assert_eq!(written(&text).unwrap().parse::<f64>().unwrap(), float);
            }
            prop_assert_eq!(written(&signed.to_string()).unwrap(), signed.to_string());
            prop_assert_eq!(written(&unsigned.to_string()).unwrap(), unsigned.to_string());
        }
    }
}
