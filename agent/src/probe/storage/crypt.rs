//! Volumes of dm-crypt: what their live mapping does, and what their header says.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::device::{self, Devices};
use super::luks::{self, Header};
use super::stack::Obstacle;
use crate::host::{Host, Program, ProgramOutput};
use crate::probe::{Observation, Unobservable};

/// Target types of the live segments, by device-mapper name.
pub(super) type Targets = BTreeMap<String, BTreeSet<String>>;

/// One open volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Volume {
    /// Device-mapper name.
    name: String,
    /// Format, by its device-mapper UUID.
    format: Format,
    /// Target types of its live segments; absent if nothing could tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<Vec<String>>,
    /// Live cipher, for example `aes-xts-plain64`; absent if nothing could tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    cipher: Option<String>,
    /// Live key size in bits; both halves of an XTS key count.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_bits: Option<i64>,
    /// Gets a new random key at each boot, by crypttab(5).
    random_key: bool,
    /// The LUKS header on its device.
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    /// Why there is no header to see, for a format that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    header_problem: Option<String>,
}

/// Format of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// LUKS version 1.
    Luks1,
    /// LUKS version 2.
    Luks2,
    /// No header: key and cipher come from outside.
    Plain,
    /// BitLocker.
    Bitlk,
    /// TrueCrypt or VeraCrypt.
    Tcrypt,
    /// FileVault 2.
    Fvault2,
    /// A crypt mapping that no format names.
    Other,
}

impl Format {
    /// Verity, integrity and helper nodes have `CRYPT-` names too, but do not encrypt.
    fn of(uuid: &str) -> Option<Format> {
        const PREFIXES: [(&str, Format); 6] = [
            ("CRYPT-LUKS1-", Format::Luks1),
            ("CRYPT-LUKS2-", Format::Luks2),
            ("CRYPT-PLAIN-", Format::Plain),
            ("CRYPT-BITLK-", Format::Bitlk),
            ("CRYPT-TCRYPT-", Format::Tcrypt),
            ("CRYPT-FVAULT2-", Format::Fvault2),
        ];
        PREFIXES
            .iter()
            .find(|(prefix, _)| uuid.starts_with(prefix))
            .map(|(_, format)| *format)
    }

    const fn word(self) -> &'static str {
        match self {
            Format::Luks1 => "LUKS1",
            Format::Luks2 => "LUKS2",
            Format::Plain => "plain dm-crypt",
            Format::Bitlk => "BitLocker",
            Format::Tcrypt => "TrueCrypt",
            Format::Fvault2 => "FileVault 2",
            Format::Other => "crypt",
        }
    }
}

impl Volume {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn summary(&self) -> String {
        match &self.cipher {
            Some(cipher) => format!("{}, {cipher}", self.format.word()),
            None => self.format.word().to_owned(),
        }
    }
}

/// What a volume does to the data that pass it.
pub(super) enum Verdict {
    /// Encrypts them.
    Encrypts,
    /// Leaves them, or a part, in clear.
    Clear(String),
    /// Cannot be told.
    Unknown(String, Obstacle),
}

/// The live segments decide; the name alone says nothing.
pub(super) fn verdict(volume: &Volume) -> Verdict {
    let name = &volume.name;
    let header = volume.header.as_ref();
    let null = |cipher: &str| cipher.contains("cipher_null");
    let header_ciphers = header.map(Header::ciphers).unwrap_or_default();
    if volume.cipher.as_deref().is_some_and(null)
        || header_ciphers.iter().any(|cipher| null(cipher))
    {
        return Verdict::Clear("cipher_null does not encrypt".to_owned());
    }
    let Some(targets) = &volume.targets else {
        return Verdict::Unknown(
            format!("segments of {name}: install dmsetup"),
            Obstacle::Tool,
        );
    };
    if let Some(other) = targets.iter().find(|target| *target != "crypt") {
        // While the key of an encrypted volume is changed online, its segments may pass a helper node.
        return if header.is_some_and(Header::is_changing_key) {
            Verdict::Unknown(
                format!("{name}: re-encryption in progress, segments of type {other}"),
                Obstacle::Incomplete,
            )
        } else {
            Verdict::Clear(format!("segments of type {other}, not crypt"))
        };
    }
    if targets.is_empty() {
        return Verdict::Unknown(format!("segments of {name}"), Obstacle::Incomplete);
    }
    if volume.cipher.is_none() && header_ciphers.is_empty() {
        return Verdict::Unknown(
            format!("cipher of {name}: install cryptsetup"),
            Obstacle::Tool,
        );
    }
    Verdict::Encrypts
}

/// Target types of all live mappings; `None` if there are mappings but no program that tells.
pub(super) fn targets(
    observation: &mut Observation<'_>,
    devices: &Devices,
) -> Result<Option<Targets>, Unobservable> {
    if devices.mapped().is_empty() {
        return Ok(Some(Targets::new()));
    }
    let found = first(
        observation,
        ["/usr/sbin/dmsetup", "/sbin/dmsetup"],
        &["status"],
    )?;
    Ok(found
        .filter(|output| output.exit == 0)
        .map(|output| parse_targets(&output.text())))
}

/// `cryptroot: 0 41910272 crypt` a segment, dmsetup(8).
fn parse_targets(text: &str) -> Targets {
    let mut targets = Targets::new();
    for line in text.lines() {
        let Some((name, segment)) = line.split_once(": ") else {
            continue;
        };
        if let Some(kind) = segment.split_whitespace().nth(2) {
            targets
                .entry(name.to_owned())
                .or_default()
                .insert(kind.to_owned());
        }
    }
    targets
}

/// Every open volume, in the order of names.
pub(super) fn volumes(
    observation: &mut Observation<'_>,
    devices: &Devices,
    targets: Option<&Targets>,
) -> Result<Vec<Volume>, Unobservable> {
    let host = observation.host();
    let mut volumes = Vec::new();
    let mut random_keys = None;
    for (name, device) in devices.mapped() {
        let own = targets.and_then(|targets| targets.get(name));
        let uuid = device::attribute(host, device, "dm/uuid")?.unwrap_or_default();
        let by_uuid = Format::of(&uuid);
        // Helper nodes of one LUKS volume (integrity, re-encryption) are part of that volume's judgement.
        let by_target =
            own.is_some_and(|kinds| kinds.contains("crypt")) && !uuid.starts_with("CRYPT-");
        let Some(format) = by_uuid.or(by_target.then_some(Format::Other)) else {
            continue;
        };
        let status = Status::ask(observation, name)?;
        let (header, header_problem) = match format {
            Format::Luks1 | Format::Luks2 => match header(host, device) {
                Ok(header) => (Some(header), None),
                Err(problem) => (None, Some(problem)),
            },
            _ => (None, None),
        };
        if random_keys.is_none() {
            random_keys = Some(random_key_names(observation)?);
        }
        volumes.push(Volume {
            name: name.clone(),
            format,
            targets: targets.map(|_| own.into_iter().flatten().cloned().collect()),
            cipher: status.cipher,
            key_bits: status.key_bits,
            random_key: random_keys
                .as_ref()
                .is_some_and(|names| names.contains(name)),
            header,
            header_problem,
        });
    }
    Ok(volumes)
}

/// What cryptsetup(8) says about an open volume.
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    cipher: Option<String>,
    key_bits: Option<i64>,
}

impl Status {
    fn ask(observation: &mut Observation<'_>, name: &str) -> Result<Status, Unobservable> {
        // A name must not be taken for an option.
        if name.starts_with('-') {
            return Ok(Status::default());
        }
        let paths = ["/usr/sbin/cryptsetup", "/sbin/cryptsetup"];
        let found = first(observation, paths, &["status", name])?;
        Ok(found
            .filter(|output| output.exit == 0)
            .map(|output| Status::parse(&output.text()))
            .unwrap_or_default())
    }

    fn parse(text: &str) -> Status {
        let mut status = Status::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            match (name.trim(), value.trim()) {
                ("cipher", cipher) if !cipher.is_empty() => status.cipher = Some(cipher.to_owned()),
                ("keysize", size) => {
                    status.key_bits = size.split(' ').next().and_then(|bits| bits.parse().ok());
                }
                _ => {}
            }
        }
        status
    }
}

/// The first of two paths that is installed; distributions without merged `/usr` have only the second.
fn first(
    observation: &mut Observation<'_>,
    paths: [&'static str; 2],
    args: &[&str],
) -> Result<Option<ProgramOutput>, Unobservable> {
    for path in paths {
        if let Some(output) = observation.run(&Program::new(path, args))? {
            return Ok(Some(output));
        }
    }
    Ok(None)
}

/// The header on the device under a volume, looking through the helper nodes of authenticated encryption.
fn header(host: &dyn Host, volume: &str) -> Result<Header, String> {
    let mut below = device::slaves(host, volume).map_err(|error| error.to_string())?;
    let mut problem = format!("nothing under {}", device::file(volume));
    for _ in 0..4 {
        let mut deeper = Vec::new();
        for device in &below {
            let uuid = device::attribute(host, device, "dm/uuid").unwrap_or_default();
            if uuid.is_some_and(|uuid| {
                uuid.starts_with("CRYPT-SUBDEV") || uuid.starts_with("CRYPT-INTEGRITY")
            }) {
                deeper.extend(device::slaves(host, device).map_err(|error| error.to_string())?);
                continue;
            }
            match luks::read(host, &device::file(device)) {
                Ok(header) => return Ok(header),
                Err(error) => problem = error.to_string(),
            }
        }
        below = deeper;
    }
    Err(problem)
}

/// Volumes whose key crypttab(5) takes from the random source: `swap UUID=… /dev/urandom swap,cipher=…`.
fn random_key_names(observation: &mut Observation<'_>) -> Result<BTreeSet<String>, Unobservable> {
    let text = observation.text("/etc/crypttab")?.unwrap_or_default();
    Ok(text
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let name = fields.next().filter(|name| !name.starts_with('#'))?;
            let key = fields.nth(1)?;
            matches!(key, "/dev/urandom" | "/dev/random" | "/dev/hw_random")
                .then(|| name.to_owned())
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_told_apart_by_type() {
        let targets = parse_targets(
            "cryptroot: 0 1000 crypt \ncryptroot: 1000 500 linear \nvg-root: 0 9 linear \nNo devices found\nbroken: 1\n",
        );
        assert_eq!(targets["cryptroot"].len(), 2);
        assert!(targets["vg-root"].contains("linear"));
        assert_eq!(targets.len(), 2);
    }

    #[test]
    fn status_names_the_live_cipher() {
        let status = Status::parse(
            "/dev/mapper/root is active and is in use.\n  type:    LUKS2\n  cipher:  aes-xts-plain64\n  keysize: 512 bits\n  key location: keyring\n",
        );
        assert_eq!(status.cipher.as_deref(), Some("aes-xts-plain64"));
        assert_eq!(status.key_bits, Some(512));
        assert_eq!(
            Status::parse("\0:\ncipher:\nkeysize: many"),
            Status::default()
        );
    }

    #[test]
    fn verity_integrity_and_helpers_do_not_encrypt() {
        for uuid in [
            "CRYPT-VERITY-x-usr",
            "CRYPT-INTEGRITY-x",
            "CRYPT-SUBDEV-x",
            "LVM-x",
            "",
            "XCRYPT-LUKS2-x",
        ] {
            assert_eq!(Format::of(uuid), None, "{uuid}");
        }
        assert_eq!(Format::of("CRYPT-LUKS2-0123-root"), Some(Format::Luks2));
    }
}
