//! `/proc/PID/mountinfo` and `/proc/swaps`, proc(5).

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) struct Mount {
    /// Its number in this mount namespace.
    pub id: u64,
    /// `st_dev` of its files, `major:minor`.
    pub device: (u32, u32),
    /// The directory of the file system that is mounted.
    pub root: String,
    /// Where.
    pub point: String,
    /// File system type.
    pub kind: String,
    /// Source, as the file system gives it.
    pub source: String,
    /// The superblock is read-only. The options of the mount alone would say so in any sandbox too.
    pub read_only: bool,
    /// Options of the superblock.
    pub options: Vec<String>,
    /// Options of this mount alone (`nosuid`, `nodev`, `noexec`, `ro`, …).
    pub flags: Vec<String>,
}

/// Types whose data lie on a server, or with the host of a virtual machine.
const NETWORK: [&str; 14] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "ceph",
    "afs",
    "9p",
    "virtiofs",
    "glusterfs",
    "lustre",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.ceph",
    "beegfs",
];
/// Types whose data are in memory alone.
const MEMORY: [&str; 4] = ["tmpfs", "ramfs", "rootfs", "devtmpfs"];
/// Types of read-only images.
const IMAGES: [&str; 5] = ["squashfs", "iso9660", "erofs", "cramfs", "udf"];
/// Types on devices that have no device number of their own.
const DEVICES: [&str; 5] = ["btrfs", "zfs", "bcachefs", "ubifs", "jffs2"];

impl Mount {
    pub(in crate::probe) fn is_network(&self) -> bool {
        NETWORK.contains(&self.kind.as_str())
    }

    pub(in crate::probe) fn is_memory(&self) -> bool {
        MEMORY.contains(&self.kind.as_str())
    }

    pub(in crate::probe) fn is_image(&self) -> bool {
        self.read_only && IMAGES.contains(&self.kind.as_str())
    }

    /// Keeps data on a device or a server of its own; overlays and FUSE keep theirs on other mounts or elsewhere.
    pub(in crate::probe) fn keeps_data(&self) -> bool {
        self.device.0 != 0 || self.is_network() || DEVICES.contains(&self.kind.as_str())
    }

    /// The value of an option of the superblock.
    pub(in crate::probe) fn option(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }
}

/// The mounts in order: later ones lie over earlier ones.
pub(in crate::probe) fn parse_mountinfo(text: &str) -> Result<Vec<Mount>, String> {
    let mounts: Vec<Mount> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| parse_mount(line).ok_or_else(|| format!("no mount: {:.200}", line)))
        .collect::<Result<_, _>>()?;
    if mounts.is_empty() {
        return Err("no mounts".to_owned());
    }
    Ok(mounts)
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse_mount(line: &str) -> Option<Mount> {
    let (place, source) = line.split_once(" - ")?;
    let mut place = place.split(' ');
    let id = place.next()?.parse().ok()?;
    let mut place = place.skip(1);
    let device = numbers(place.next()?)?;
    let root = unescape(place.next()?);
    let point = unescape(place.next()?);
    let flags = place.next().unwrap_or_default();
    let mut source = source.split(' ');
    let kind = source.next().filter(|kind| !kind.is_empty())?.to_owned();
    let from = unescape(source.next().unwrap_or_default());
    let options: Vec<String> = source
        .next()
        .unwrap_or_default()
        .split(',')
        .map(unescape)
        .collect();
    Some(Mount {
        id,
        flags: flags.split(',').map(str::to_owned).collect(),
        device,
        root,
        point,
        kind,
        source: from,
        read_only: options.iter().any(|option| option == "ro"),
        options,
    })
}

/// Device numbers, `major:minor`.
pub(in crate::probe) fn numbers(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// One line of `/proc/swaps`.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::probe) struct SwapArea {
    pub path: String,
    /// A file rather than a device.
    pub file: bool,
}

/// The active swap areas.
pub(in crate::probe) fn parse_swaps(text: &str) -> Result<Vec<SwapArea>, String> {
    text.lines()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let mut fields = line.split_whitespace();
            let path = fields.next().map(unescape);
            let file = match fields.next() {
                Some("partition") => false,
                Some("file") => true,
                other => return Err(format!("swap type {other:?}")),
            };
            let path = path.filter(|path| path.starts_with('/'));
            Ok(SwapArea {
                path: path.ok_or_else(|| format!("no swap area: {line:.200}"))?,
                file,
            })
        })
        .collect()
}

fn unescape(text: &str) -> String {
    String::from_utf8_lossy(&unescaped(text.as_bytes())).into_owned()
}

/// Octal escapes of blanks and backslashes, as the kernel writes them.
pub(in crate::probe) fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let code = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_as_the_kernel_writes_them() {
        let text = "22 27 0:21 / /proc rw,relatime - proc proc rw\n27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard\n30 27 8:17 /sub /media/my\\040stick ro - vfat /dev/sdb1 ro,uid=1000\n31 27 0:50 / /m rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/c\n";
        let mounts = parse_mountinfo(text).unwrap();
        assert_eq!(mounts[1].device, (254, 0));
        assert!(!mounts[1].read_only && mounts[1].keeps_data() && !mounts[0].keeps_data());
        assert_eq!(mounts[2].point, "/media/my stick");
        assert_eq!(
            (mounts[2].root.as_str(), mounts[2].read_only),
            ("/sub", true)
        );
        assert_eq!(mounts[3].option("lowerdir"), Some("/a:/b"));
        assert_eq!(mounts[3].option("lower"), None);
    }

    #[test]
    fn what_is_no_mount_is_refused() {
        for text in [
            "",
            "\n",
            "27 1 254:0 / / rw",
            "27 1 x / / rw - ext4 /dev/vda rw",
            "27 1 254:0 - ext4",
            " - ",
            "27 1 99999999999:0 / / rw - ext4 a rw",
        ] {
            assert!(parse_mountinfo(text).is_err(), "{text:?}");
        }
        assert_eq!(unescape("a\\"), "a\\");
        assert_eq!(unescape("a\\04"), "a\\04");
        assert_eq!(unescape("a\\777\\134"), "a\\777\\");
    }

    #[test]
    fn swap_areas_are_devices_or_files() {
        let text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/dm-1                               partition\t999420\t\t0\t\t-2\n/swap\\040file                           file\t\t1048572\t\t0\t\t-3\n";
        let areas = parse_swaps(text).unwrap();
        assert_eq!(
            areas[0],
            SwapArea {
                path: "/dev/dm-1".to_owned(),
                file: false
            }
        );
        assert_eq!(
            areas[1],
            SwapArea {
                path: "/swap file".to_owned(),
                file: true
            }
        );
        assert!(parse_swaps("").unwrap().is_empty());
        assert!(parse_swaps("x\n/dev/sda2 tape 1 2 3\n").is_err());
        assert!(parse_swaps("x\nsda2 file 1 2 3\n").is_err());
    }
}
