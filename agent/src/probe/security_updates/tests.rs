//! First sight is remembered, an unchanged host is not read again, and a damaged list is no list.

use std::io::Write as _;
use std::path::Path;

use super::*;
use crate::host::FileSystemHost;
use crate::probe::VolatileMemory;

const LISTS: &str = "var/lib/apt/lists";
const PREFIX: &str = "security.debian.org_debian-security_dists_bookworm-security";
const PACKAGES: &str = "Package: openssl\nArchitecture: amd64\nVersion: 3.0.17-1~deb12u2\n\nPackage: openssl\nArchitecture: amd64\nVersion: 3.0.17-1~deb12u3\n";

fn write(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn status(version: &str) -> String {
    format!(
        "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21.22\n\nPackage: openssl\nStatus: hold ok installed\nArchitecture: amd64\nVersion: {version}\n\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 0\n"
    )
}

/// A root of Debian 12 with one pending update; the list is stored by `store`.
fn root(store: impl Fn(&Path)) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = root.path();
    write(
        path,
        "etc/os-release",
        b"ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\n",
    );
    write(
        path,
        "var/lib/dpkg/status",
        status("3.0.17-1~deb12u1").as_bytes(),
    );
    write(
        path,
        "etc/apt/sources.list",
        b"deb http://security.debian.org/debian-security bookworm-security main\n",
    );
    let release = format!(
        "Origin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nCodename: bookworm-security\nDate: Fri, 20 Nov 2026 00:00:00 UTC\nSHA256:\n 00 {} main/binary-amd64/Packages\n",
        PACKAGES.len()
    );
    write(
        path,
        &format!("{LISTS}/{PREFIX}_InRelease"),
        release.as_bytes(),
    );
    store(path);
    root
}

fn plain(root: &Path) {
    write(
        root,
        &format!("{LISTS}/{PREFIX}_main_binary-amd64_Packages"),
        PACKAGES.as_bytes(),
    );
}

fn observe(
    root: &Path,
    memory: &mut VolatileMemory,
    now: &str,
) -> Result<SecurityUpdatesFacts, Unobservable> {
    let host = FileSystemHost::offline(root).unwrap();
    let mut observation = Observation::new(&host, memory, "security_updates", now.parse().unwrap());
    SecurityUpdates::observe(&mut observation)
}

#[test]
fn first_sight_is_kept_over_rounds_and_over_newer_fixes() {
    let root = root(plain);
    let mut memory = VolatileMemory::default();
    let first = observe(root.path(), &mut memory, "2026-11-19T07:00:00.000Z").unwrap();
    assert_eq!(first.pending.len(), 1);
    assert_eq!(first.pending[0].available, "3.0.17-1~deb12u3");
    assert!(first.pending[0].held && first.complete);
    assert_eq!(
        first.pending[0].first_seen.to_string(),
        "2026-11-19T07:00:00.000Z"
    );
    // dpkg's database changes, the update stays.
    write(
        root.path(),
        "var/lib/dpkg/status",
        status("3.0.17-1~deb12u2").as_bytes(),
    );
    let later = observe(root.path(), &mut memory, "2026-11-24T07:00:00.000Z").unwrap();
    assert_eq!(later.pending[0].installed, "3.0.17-1~deb12u2");
    assert_eq!(later.pending[0].first_seen, first.pending[0].first_seen);
    write(
        root.path(),
        "var/lib/dpkg/status",
        status("3.0.17-1~deb12u3").as_bytes(),
    );
    let done = observe(root.path(), &mut memory, "2026-11-25T07:00:00.000Z").unwrap();
    assert!(done.pending.is_empty() && done.complete);
    let without_memory = root_published();
    assert_eq!(without_memory, "2026-11-20T00:00:00.000Z");
}

fn root_published() -> String {
    let root = root(plain);
    let facts = observe(
        root.path(),
        &mut VolatileMemory::default(),
        "2099-11-24T07:00:00.000Z",
    )
    .unwrap();
    facts.pending[0].first_seen.to_string()
}

#[test]
fn a_point_release_that_has_the_fix_dates_it() {
    for (main, expected) in [
        ("3.0.17-1~deb12u2", "2026-07-11T10:16:37.000Z"),
        ("3.0.17-1~deb12u1", "2026-11-20T00:00:00.000Z"),
    ] {
        let root = root(plain);
        let path = root.path();
        write(
            path,
            "etc/apt/sources.list.d/main.list",
            b"deb http://deb.debian.org/debian bookworm main\n",
        );
        let list = format!("Package: openssl\nArchitecture: amd64\nVersion: {main}\n");
        let release = "Origin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nSHA256:\n 00 1 main/binary-amd64/Packages\n";
        let prefix = format!("{LISTS}/deb.debian.org_debian_dists_bookworm");
        write(path, &format!("{prefix}_InRelease"), release.as_bytes());
        write(
            path,
            &format!("{prefix}_main_binary-amd64_Packages"),
            list.as_bytes(),
        );
        let mut memory = VolatileMemory::default();
        for _ in 0..2 {
            let facts = observe(path, &mut memory, "2026-11-24T07:00:00.000Z").unwrap();
            assert_eq!(facts.pending[0].first_seen.to_string(), expected, "{main}");
            write(
                path,
                "var/lib/dpkg/status",
                (status("3.0.17-1~deb12u1") + "\n").as_bytes(),
            );
        }
    }
}

#[test]
fn every_compression_that_apt_uses_is_read_or_named() {
    let lz4 = |root: &Path| {
        // One frame with one stored block: what `lz4 -0` may write.
        let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
        frame.extend((0x8000_0000 | u32::try_from(PACKAGES.len()).unwrap()).to_le_bytes());
        frame.extend(PACKAGES.as_bytes());
        frame.extend([0; 4]);
        write(
            root,
            &format!("{LISTS}/{PREFIX}_main_binary-amd64_Packages.lz4"),
            &frame,
        );
    };
    let gzip = |root: &Path| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(PACKAGES.as_bytes()).unwrap();
        write(
            root,
            &format!("{LISTS}/{PREFIX}_main_binary-amd64_Packages.gz"),
            &encoder.finish().unwrap(),
        );
    };
    let zstd = |root: &Path| {
        let bytes = zstd::encode_all(PACKAGES.as_bytes(), 1).unwrap();
        write(
            root,
            &format!("{LISTS}/{PREFIX}_main_binary-amd64_Packages.zst"),
            &bytes,
        );
    };
    let stores: [&dyn Fn(&Path); 3] = [&lz4, &gzip, &zstd];
    for store in stores {
        let root = root(store);
        let facts = observe(
            root.path(),
            &mut VolatileMemory::default(),
            "2026-11-24T07:00:00.000Z",
        )
        .unwrap();
        assert_eq!(facts.pending.len(), 1);
    }
    let root = root(|root| {
        write(
            root,
            &format!("{LISTS}/{PREFIX}_main_binary-amd64_Packages.xz"),
            b"\xfd7zXZ",
        )
    });
    let error = observe(
        root.path(),
        &mut VolatileMemory::default(),
        "2026-11-24T07:00:00.000Z",
    )
    .unwrap_err();
    assert!(error.detail.contains("Packages.xz"), "{error}");
}

#[test]
fn a_damaged_or_absent_list_is_never_nothing_pending() {
    let now = "2026-11-24T07:00:00.000Z";
    let cut = root(|root| {
        write(
            root,
            &format!("{LISTS}/{PREFIX}_main_binary-amd64_Packages"),
            &PACKAGES.as_bytes()[..60],
        )
    });
    assert!(observe(cut.path(), &mut VolatileMemory::default(), now).is_err());
    let absent = root(|_| ());
    assert!(
        !observe(absent.path(), &mut VolatileMemory::default(), now)
            .unwrap()
            .complete
    );
    let noise = root(|root| {
        write(
            root,
            &format!("{LISTS}/{PREFIX}_main_binary-amd64_Packages.lz4"),
            b"\x04\x22\x4d\x18junkjunkjunk",
        )
    });
    assert!(observe(noise.path(), &mut VolatileMemory::default(), now).is_err());
}
