//! Strict JSON: what is signed has one reading, what must be re-created has one form.
//!
//! Readers refuse duplicate members, floats, integers beyond ±(2^53−1), lone surrogates, a byte order mark, nesting
//! beyond 32 and anything after the value. Writers produce JCS (RFC 8785) without a final newline.

use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, de};
use serde_json::{Map, Number, Value};

/// Deepest nesting of arrays and objects that a reader accepts.
pub const MAX_DEPTH: usize = 32;
/// Largest absolute integer: 2^53 − 1, beyond which readers of other languages lose digits.
pub const MAX_INTEGER: i64 = 9_007_199_254_740_991;

/// Why a text is not the JSON we accept.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or JSON of a form that is refused.
    #[error("not acceptable JSON")]
    Syntax(#[source] serde_json::Error),
    /// JSON, but not of the expected type.
    #[error("not the expected members")]
    Shape(#[source] serde_json::Error),
    /// The bytes differ from the canonical form of what they say.
    #[error("not in canonical form (RFC 8785)")]
    NotCanonical,
}

/// Reads one strict JSON value.
///
/// # Errors
/// [`JsonError::Syntax`] for anything the module's rules refuse.
pub fn parse_value(bytes: &[u8]) -> Result<Value, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }
        .deserialize(&mut reader)
        .map_err(JsonError::Syntax)?;
    reader.end().map_err(JsonError::Syntax)?;
    Ok(value)
}

/// Reads a strict JSON value into a type. Unknown members are for `T` to refuse.
///
/// # Errors
/// [`JsonError`] if the text is not strict JSON or not a `T`.
pub fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, JsonError> {
    serde_json::from_value(parse_value(bytes)?).map_err(JsonError::Shape)
}

/// As [`parse`], and the bytes must be the canonical form of what they say.
///
/// # Errors
/// [`JsonError::NotCanonical`] beside those of [`parse`].
pub fn parse_canonical<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, JsonError> {
    let value = parse_value(bytes)?;
    if canonical(&value)? != bytes {
        return Err(JsonError::NotCanonical);
    }
    serde_json::from_value(value).map_err(JsonError::Shape)
}

/// The canonical form (JCS, RFC 8785) of a value, without a final newline.
///
/// # Errors
/// [`JsonError::Shape`] if `value` cannot be written as JSON (a map with keys that are no strings).
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, JsonError> {
    serde_json_canonicalizer::to_vec(value).map_err(JsonError::Shape)
}

struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: de::Error>(&self) -> Result<Strict, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom("nested deeper than 32 levels"));
        }
        Ok(Strict {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("strict JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        if (-MAX_INTEGER..=MAX_INTEGER).contains(&value) {
            return Ok(Value::Number(value.into()));
        }
        Err(E::custom("an integer beyond 2^53 - 1"))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        self.visit_i64(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Value, E> {
        Err(E::custom("a number that is no integer"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.deeper()?)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self.deeper()?)?;
            if members.contains_key(&name) {
                return Err(de::Error::custom(format_args!("member {name:?} twice")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// Whether a value built in memory keeps the rules that readers enforce; `path` in the error names the offender.
///
/// # Errors
/// The path of the first float, over-large integer or over-deep member.
pub fn check_signable(value: &Value) -> Result<(), String> {
    fn walk(value: &Value, path: &str, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("{path}: nested deeper than {MAX_DEPTH}"));
        }
        match value {
            Value::Number(number) if !is_safe_integer(number) => {
                Err(format!("{path}: {number} is no integer within 2^53 - 1"))
            }
            Value::Array(items) => items
                .iter()
                .enumerate()
                .try_for_each(|(i, item)| walk(item, &format!("{path}[{i}]"), depth + 1)),
            Value::Object(members) => members
                .iter()
                .try_for_each(|(name, item)| walk(item, &format!("{path}.{name}"), depth + 1)),
            _ => Ok(()),
        }
    }
    walk(value, "$", 0)
}

fn is_safe_integer(number: &Number) -> bool {
    number
        .as_i64()
        .is_some_and(|n| (-MAX_INTEGER..=MAX_INTEGER).contains(&n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_two_readings_is_refused() {
        for bad in [
            r#"{"a":1,"a":2}"#,
            "1.5",
            "1e3",
            "9007199254740992",
            "-9007199254740992",
            r#""\ud800""#,
            "\u{feff}1",
            "1 1",
            "[1,]",
            "",
            "nul",
        ] {
            assert!(parse_value(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse_value(b"\"\xff\"").is_err(), "UTF-8 only");
        for good in [
            "9007199254740991",
            "null",
            r#"{"a":[1,{"b":"\ud83d\ude00"}]}"#,
            " 1 ",
        ] {
            assert!(parse_value(good.as_bytes()).is_ok(), "{good}");
        }
    }

    #[test]
    fn nesting_stops_at_32() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse_value(nested(32).as_bytes()).is_ok());
        assert!(parse_value(nested(33).as_bytes()).is_err());
    }

    #[test]
    fn canonical_means_byte_for_byte() {
        assert!(parse_canonical::<Value>(br#"{"a":1,"b":2}"#).is_ok());
        assert!(parse_canonical::<Value>(br#"{"b":2,"a":1}"#).is_err());
        assert!(parse_canonical::<Value>(br#"{"a": 1}"#).is_err());
    }
}
