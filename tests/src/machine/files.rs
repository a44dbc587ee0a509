//! Files inside a running host, opened from outside with the host's own idea of where a link leads (openat2(2)).

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::error::MachineError;

/// The longest file that is read from a host.
const READ_LIMIT_BYTES: u64 = 64 << 20;

pub(super) fn write(
    leader: u32,
    path: &str,
    contents: &[u8],
    mode: u32,
) -> Result<(), MachineError> {
    let mut file = create(leader, path)?;
    file.write_all(contents)
        .map_err(MachineError::io("write", path))?;
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(MachineError::io("set the mode of", path))
}

pub(super) fn copy_in(leader: u32, from: &Path, path: &str) -> Result<(), MachineError> {
    let mut source = File::open(from).map_err(MachineError::io("open", from))?;
    let permissions = source
        .metadata()
        .map_err(MachineError::io("read the mode of", from))?
        .permissions();
    let mut file = create(leader, path)?;
    io::copy(&mut source, &mut file).map_err(MachineError::io("write", path))?;
    file.set_permissions(permissions)
        .map_err(MachineError::io("set the mode of", path))
}

pub(super) fn read(leader: u32, path: &str) -> Result<Vec<u8>, MachineError> {
    let file = open(leader, path, OFlags::RDONLY)?;
    let mut contents = Vec::new();
    let read = io::copy(&mut file.take(READ_LIMIT_BYTES + 1), &mut contents);
    if read.map_err(MachineError::io("read", path))? > READ_LIMIT_BYTES {
        return Err(MachineError::io("read", path)(
            io::ErrorKind::FileTooLarge.into(),
        ));
    }
    Ok(contents)
}

fn create(leader: u32, path: &str) -> Result<File, MachineError> {
    open(
        leader,
        path,
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC,
    )
}

fn open(leader: u32, path: &str, flags: OFlags) -> Result<File, MachineError> {
    let root = format!("/proc/{leader}/root");
    let root = fs::File::open(&root).map_err(MachineError::io("open", root))?;
    // The kernel refuses a mode for a file that is not created (openat2(2)).
    let mode = if flags.contains(OFlags::CREATE) {
        Mode::RUSR | Mode::WUSR
    } else {
        Mode::empty()
    };
    let file = openat2(
        &root,
        path,
        flags | OFlags::CLOEXEC,
        mode,
        ResolveFlags::IN_ROOT,
    )
    .map_err(|errno| MachineError::io("open on the host", path)(errno.into()))?;
    Ok(File::from(file))
}
