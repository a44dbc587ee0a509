//! The files of rpm's packages, from the headers in its database.

use std::collections::BTreeSet;

use evidence::time::Timestamp;

use super::digest::Expected;
use super::listing::{Item, Listing, is_program};
use crate::host::Host;
use crate::probe::packages::rpm::header::{Header, tag};
use crate::probe::packages::rpm::{self, Location};
use crate::probe::{Observation, Unobservable};

/// Bits of a file's flags (rpmfi.h): configuration, may be missing, not part of the package's content.
const CONFIG: u32 = 1 << 0;
const MISSING_OK: u32 = 1 << 3;
const GHOST: u32 = 1 << 6;
/// Bits of what is to be verified (rpmvf.h).
const VERIFY_DIGEST: u32 = 1 << 0;
const VERIFY_TIME: u32 = 1 << 5;
const VERIFY_MODE: u32 = 1 << 6;
/// Type of a regular file in a mode.
const REGULAR: u16 = 0o100_000;
const TYPE: u16 = 0o170_000;
/// The state of a file that was installed; the others were left out, or belong to another package now.
const NORMAL: u8 = 0;

/// The database of a host.
pub(super) struct Database(Location);

impl Database {
    pub(super) fn open(
        observation: &mut Observation<'_>,
    ) -> Result<Option<Database>, Unobservable> {
        Ok(rpm::locate(observation)?.map(Database))
    }

    pub(super) fn visit(
        &self,
        host: &dyn Host,
        wanted: Option<&BTreeSet<String>>,
        each: &mut dyn FnMut(Listing) -> Result<(), Unobservable>,
    ) -> Result<(), Unobservable> {
        rpm::visit(host, &self.0, &mut |header| {
            let name = name(&header)
                .ok_or_else(|| self.0.unparsable("a package without name or version"))?;
            if wanted.is_some_and(|wanted| !wanted.contains(&name)) {
                return Ok(());
            }
            let listing = listing(&header, name).ok_or_else(|| {
                self.0
                    .unparsable("a package whose files do not fit together")
            })?;
            each(listing)
        })
    }
}

fn name(header: &Header<'_>) -> Option<String> {
    Some(format!(
        "{}-{}-{}.{}",
        header.string(tag::NAME)?,
        header.string(tag::VERSION)?,
        header.string(tag::RELEASE)?,
        header.string(tag::ARCH).unwrap_or_default()
    ))
}

fn listing(header: &Header<'_>, package: String) -> Option<Listing> {
    let installed = header.number(tag::INSTALL_TIME);
    let mut listing = Listing {
        package,
        version: installed.unwrap_or_default().to_string(),
        unpacked: installed.map(|seconds| Timestamp::from_unix_seconds(seconds.into())),
        ..Listing::default()
    };
    let Some(names) = header.strings(tag::BASE_NAMES) else {
        return Some(listing);
    };
    let directories = header.strings(tag::DIR_NAMES)?;
    let indexes = header.numbers(tag::DIR_INDEXES)?;
    let digests = header.strings(tag::FILE_DIGESTS)?;
    let modes = header.shorts(tag::FILE_MODES)?;
    let flags = header.numbers(tag::FILE_FLAGS)?;
    let verify = header.numbers(tag::FILE_VERIFY_FLAGS);
    let times = header.numbers(tag::FILE_TIMES)?;
    let states = header.bytes(tag::FILE_STATES).unwrap_or_default();
    for (at, name) in names.iter().enumerate() {
        let directory = directories.get(usize::try_from(*indexes.get(at)?).ok()?)?;
        let path = format!("{directory}{name}");
        let (mode, flags) = (*modes.get(at)?, *flags.get(at)?);
        let verify = verify
            .as_ref()
            .map_or(Some(u32::MAX), |all| all.get(at).copied())?;
        let present = states.get(at).is_none_or(|state| *state == NORMAL);
        if mode & TYPE != REGULAR
            || flags & (CONFIG | GHOST) != 0
            || verify & VERIFY_DIGEST == 0
            || !present
            || !is_program(&path)
        {
            continue;
        }
        listing.items.push(Item {
            path,
            digest: Expected::parse(digests.get(at)?)?,
            mode: (verify & VERIFY_MODE != 0).then_some(u32::from(mode)),
            mtime: (verify & VERIFY_TIME != 0)
                .then(|| times.get(at).map(|seconds| i64::from(*seconds)))
                .flatten(),
            diverted: false,
            may_be_missing: flags & MISSING_OK != 0,
            may_be_link: false,
        });
    }
    Some(listing)
}
