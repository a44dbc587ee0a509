//! What smartctl says about a disk, as JSON (smartctl(8), `--json`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bits of the exit code that mean no full answer: wrong call, not opened or asleep, a command failed.
const NO_ANSWER: i32 = 0b111;
/// Attributes of ATA disks that count sectors: given another place, waiting for it, not readable.
const REALLOCATED: u64 = 5;
const PENDING: u64 = 197;
const UNCORRECTABLE: u64 = 198;

/// What a disk says about itself.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// The disk's own verdict: it does not expect to fail soon.
    passed: bool,
    /// What it warns of: attributes below their threshold now, spare blocks running out, a critical warning.
    warnings: Vec<String>,
    /// Hundredths of its expected life that are used; may be above 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    percentage_used: Option<u64>,
    /// Sectors replaced by spare ones, or grown defects.
    #[serde(skip_serializing_if = "Option::is_none")]
    reallocated: Option<u64>,
    /// Sectors that wait to be replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<u64>,
    /// Errors of the medium that could not be corrected.
    #[serde(skip_serializing_if = "Option::is_none")]
    media_errors: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Document {
    smartctl: Option<Smartctl>,
    smart_status: Option<Status>,
    ata_smart_attributes: Option<Attributes>,
    nvme_smart_health_information_log: Option<Nvme>,
    scsi_grown_defect_list: Option<u64>,
    scsi_percentage_used_endurance_indicator: Option<u64>,
    endurance_used: Option<Endurance>,
}

#[derive(Debug, Deserialize)]
struct Smartctl {
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
struct Message {
    string: String,
}

#[derive(Debug, Deserialize)]
struct Status {
    passed: bool,
}

#[derive(Debug, Deserialize)]
struct Attributes {
    #[serde(default)]
    table: Vec<Attribute>,
}

#[derive(Debug, Deserialize)]
struct Attribute {
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    when_failed: String,
    raw: Option<Raw>,
}

#[derive(Debug, Deserialize)]
struct Raw {
    value: u64,
}

#[derive(Debug, Deserialize)]
struct Nvme {
    #[serde(default)]
    critical_warning: u64,
    available_spare: Option<u64>,
    available_spare_threshold: Option<u64>,
    percentage_used: Option<u64>,
    media_errors: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Endurance {
    current_percent: Option<u64>,
}

impl Report {
    /// The report of one call, or why there is none.
    pub(super) fn parse(stdout: &[u8], exit: i32) -> Result<Report, String> {
        let document: Document =
            serde_json::from_slice(stdout).map_err(|error| format!("smartctl: {error}"))?;
        let status = document.smart_status.as_ref().map(|status| status.passed);
        // A disk that says it fails is believed whatever else it did not answer.
        if status != Some(false) && (exit & NO_ANSWER != 0 || status.is_none()) {
            let messages = document.smartctl.map(|smartctl| smartctl.messages);
            let said = messages
                .unwrap_or_default()
                .into_iter()
                .next()
                .map(|message| message.string);
            return Err(said.unwrap_or_else(|| format!("no health in the answer (exit {exit})")));
        }
        let table = document
            .ata_smart_attributes
            .map(|attributes| attributes.table)
            .unwrap_or_default();
        let raw = |id: u64| {
            let attribute = table.iter().find(|attribute| attribute.id == id)?;
            Some(attribute.raw.as_ref()?.value)
        };
        let nvme = document.nvme_smart_health_information_log;
        let mut warnings: Vec<String> = table
            .iter()
            .filter(|attribute| attribute.when_failed == "now")
            .map(|attribute| attribute.name.clone())
            .collect();
        warnings.extend(nvme.iter().flat_map(Nvme::warnings));
        Ok(Report {
            passed: status == Some(true),
            warnings,
            percentage_used: nvme
                .as_ref()
                .and_then(|nvme| nvme.percentage_used)
                .or(document.scsi_percentage_used_endurance_indicator)
                .or(document
                    .endurance_used
                    .and_then(|used| used.current_percent)),
            reallocated: raw(REALLOCATED).or(document.scsi_grown_defect_list),
            pending: raw(PENDING),
            media_errors: nvme
                .as_ref()
                .and_then(|nvme| nvme.media_errors)
                .or(raw(UNCORRECTABLE)),
        })
    }

    /// The report of an eMMC by its two registers.
    pub(super) fn of_emmc(end: u8, tenths: Option<u8>) -> Report {
        Report {
            passed: end == 1,
            warnings: if end == 1 {
                Vec::new()
            } else {
                vec!["reserved blocks run out".to_owned()]
            },
            // 1 is up to a tenth of its life, 11 more than all of it; 0 is not told.
            percentage_used: tenths
                .filter(|tenths| *tenths > 0)
                .map(|tenths| (u64::from(tenths) - 1) * 10),
            reallocated: None,
            pending: None,
            media_errors: None,
        }
    }
}

impl Nvme {
    fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.critical_warning != 0 {
            found.push(format!("critical warning {}", self.critical_warning));
        }
        if let (Some(spare), Some(threshold)) =
            (self.available_spare, self.available_spare_threshold)
            && spare < threshold
        {
            found.push(format!("spare blocks {spare} %"));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_verdict_is_no_pass() {
        let text = r#"{"smartctl":{"exit_status":4,"messages":[{"string":"Read SMART Data failed","severity":"error"}]},"device":{"name":"/dev/sda"}}"#;
        assert_eq!(
            Report::parse(text.as_bytes(), 4).unwrap_err(),
            "Read SMART Data failed"
        );
        let passed = br#"{"smart_status":{"passed":true}}"#;
        assert!(Report::parse(passed, 0).unwrap().passed);
        assert!(
            Report::parse(passed, 64).unwrap().passed,
            "an old error log"
        );
        assert!(Report::parse(passed, 2).is_err());
        assert!(Report::parse(b"{}", 0).is_err());
        assert!(Report::parse(b"", 1).is_err());
        let failing = br#"{"smart_status":{"passed":false}}"#;
        assert!(!Report::parse(failing, 12).unwrap().passed);
    }

    #[test]
    fn wear_and_warnings_of_nvme() {
        let text = br#"{"smart_status":{"passed":true,"nvme":{"value":0}},"nvme_smart_health_information_log":{"critical_warning":1,"available_spare":5,"available_spare_threshold":10,"percentage_used":93,"media_errors":2}}"#;
        let report = Report::parse(text, 0).unwrap();
        assert_eq!(report.percentage_used, Some(93));
        assert_eq!(report.warnings, ["critical warning 1", "spare blocks 5 %"]);
        assert_eq!(report.media_errors, Some(2));
        assert_eq!(Report::of_emmc(2, Some(10)).percentage_used, Some(90));
        assert!(!Report::of_emmc(3, None).passed);
    }
}
