//! How settings are written, in flags and in variables alike.

use std::net::SocketAddr;
use std::time::Duration;

/// Reads `host:port`, `:port` and `localhost:port`. A missing host is loopback.
///
/// # Errors
/// A sentence that says what an address looks like.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let loopback = match text.strip_prefix("localhost").unwrap_or(text).strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    loopback.parse().map_err(|_| {
        format!(
            "{text:?} is not an address with a port, such as 127.0.0.1:8080, [::1]:8080 or :8080"
        )
    })
}

/// Reads a number with a unit: `250ms`, `10s`, `5m`, `1h`.
///
/// # Errors
/// A sentence that says what a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let error = || format!("{text:?} is not a duration; write 250ms, 10s, 5m or 1h");
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(error()),
    };
    let number: f64 = number.parse().map_err(|_| error())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| error())
}

/// A duration that may be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold(pub Option<Duration>);

/// Reads a duration, or `off`.
///
/// # Errors
/// A sentence that says what there may be.
pub fn parse_threshold(text: &str) -> Result<Threshold, String> {
    if text == "off" {
        return Ok(Threshold(None));
    }
    let duration = parse_duration(text).map_err(|error| format!("{error}, or off"))?;
    Ok(Threshold(Some(duration)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_a_host_are_loopback() {
        for (text, expected) in [
            (":8080", "127.0.0.1:8080"),
            ("localhost:1", "127.0.0.1:1"),
            ("[::1]:0", "[::1]:0"),
            ("10.0.0.1:5", "10.0.0.1:5"),
        ] {
            assert_eq!(parse_listen(text), Ok(expected.parse().expect("an address")), "{text}");
        }
        assert!(parse_listen("8080").is_err() && parse_listen("example:80").is_err());
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        for bad in ["10", "s", "", "1d", "1e99999h", "-1s", "1.2.3s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_threshold_is_switched_off_by_a_word() {
        assert_eq!(parse_threshold("off"), Ok(Threshold(None)));
        assert_eq!(parse_threshold("90s"), Ok(Threshold(Some(Duration::from_secs(90)))));
        assert!(parse_threshold("never").is_err());
    }
}
