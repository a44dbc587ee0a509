//! Answers of fwupd: arrays of dictionaries, in the JSON of busctl(1).

use evidence::time::Timestamp;
use serde_json::Value;

use super::Urgency;

/// FWUPD_DEVICE_FLAG_SUPPORTED: the device is found in the metadata.
const SUPPORTED: u64 = 1 << 5;
/// FWUPD_RELEASE_FLAG_IS_UPGRADE: newer than what is installed.
const IS_UPGRADE: u64 = 1 << 2;

/// A device.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: String,
    /// Metadata know its firmware.
    pub(super) known: bool,
}

/// A release of a device's firmware.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) version: String,
    pub(super) urgency: Urgency,
    pub(super) published: Option<Timestamp>,
    pub(super) upgrade: bool,
}

pub(super) fn devices(text: &str) -> Result<Vec<Device>, String> {
    dictionaries(text)?
        .iter()
        .map(|device| {
            Ok(Device {
                id: word(device, "DeviceId").ok_or("a device without an id")?,
                name: word(device, "Name").unwrap_or_else(|| "a device".to_owned()),
                version: word(device, "Version").unwrap_or_default(),
                known: number(device, "Flags").is_some_and(|flags| flags & SUPPORTED != 0),
            })
        })
        .collect()
}

pub(super) fn releases(text: &str) -> Result<Vec<Release>, String> {
    dictionaries(text)?
        .iter()
        .map(|release| {
            Ok(Release {
                version: word(release, "Version").ok_or("a release without a version")?,
                urgency: match number(release, "Urgency") {
                    Some(1) => Urgency::Low,
                    Some(2) => Urgency::Medium,
                    Some(3) => Urgency::High,
                    Some(4) => Urgency::Critical,
                    _ => Urgency::Unknown,
                },
                published: number(release, "Created")
                    .and_then(|seconds| i64::try_from(seconds).ok())
                    .filter(|seconds| *seconds > 0)
                    .map(Timestamp::from_unix_seconds),
                // The flags have been called by both names; without any nothing can be said.
                upgrade: number(release, "TrustFlags")
                    .or_else(|| number(release, "Flags"))
                    .ok_or("a release without flags")?
                    & IS_UPGRADE
                    != 0,
            })
        })
        .collect()
}

fn dictionaries(text: &str) -> Result<Vec<Value>, String> {
    let mut answer: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match answer.pointer_mut("/data/0").map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err("no list in the answer".to_owned()),
    }
}

fn number(dictionary: &Value, key: &str) -> Option<u64> {
    dictionary.get(key)?.get("data")?.as_u64()
}

fn word(dictionary: &Value, key: &str) -> Option<String> {
    Some(dictionary.get(key)?.get("data")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_flags_says_nothing() {
        let text = r#"{"type":"aa{sv}","data":[[{"Version":{"type":"s","data":"2"},"TrustFlags":{"type":"t","data":7},"Urgency":{"type":"u","data":4}},{"Version":{"type":"s","data":"1"},"TrustFlags":{"type":"t","data":11}}]]}"#;
        let found = releases(text).unwrap();
        assert!(found[0].upgrade && !found[1].upgrade);
        assert_eq!(found[0].urgency, Urgency::Critical);
        assert!(releases(r#"{"data":[[{"Version":{"data":"1"}}]]}"#).is_err());
        for text in ["", "{}", r#"{"data":[]}"#, r#"{"data":[{}]}"#] {
            assert!(releases(text).is_err() && devices(text).is_err(), "{text}");
        }
        assert_eq!(devices(r#"{"data":[[]]}"#).unwrap(), []);
    }
}
