//! Test networks: a bridge each, `10.231.N.0/24`, with the outer machine at `.1` and hosts from `.2` on.
//!
//! Tests of several processes share the outer machine's one network namespace, so the number N is taken by locking a file;
//! the kernel drops the lock with the process. Whoever creates a network also clears what killed tests left under free numbers.

use std::fs::{self, File, TryLockError};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::error::MachineError;
use super::program;
use super::remains::Remains;

/// Locks and records of what exists, outside any build folder because the numbers belong to the whole machine.
const REGISTER: &str = "/run/lock/assay-acceptance";

/// The outer machine's part of every test network's address.
const OUTER_HOST: u8 = 1;

/// The highest N and the highest host number.
const LAST: u8 = 254;

/// A network on which hosts see each other and the outer machine, and nothing else. Gone when the last host on it and the
/// last clone of it are dropped.
#[derive(Debug, Clone)]
pub struct Network(Arc<Bridge>);

#[derive(Debug)]
struct Bridge {
    number: u8,
    next_host: AtomicU8,
    records: PathBuf,
    /// Holding it open holds the number.
    _lock: File,
}

/// A host's place on a network.
#[derive(Debug)]
pub(super) struct Seat {
    /// The host's name on the outer side, unique among all that run now.
    pub machine: String,
    /// The host's address.
    pub address: Ipv4Addr,
    /// Where its record belongs.
    pub record: PathBuf,
}

impl Network {
    /// Sets up a network with a number that no running test uses.
    ///
    /// # Errors
    /// No privilege, no `ip`, no bridge support in the kernel, or every number taken.
    pub fn create() -> Result<Network, MachineError> {
        if !rustix::process::geteuid().is_root() {
            return Err(MachineError::NotRoot);
        }
        fs::create_dir_all(REGISTER).map_err(MachineError::io("create", REGISTER))?;
        let mut taken = None;
        for number in 1..=LAST {
            let records = Path::new(REGISTER).join(number.to_string());
            if taken.is_some() && !records.exists() {
                continue;
            }
            let Some(lock) = try_lock(number)? else {
                continue;
            };
            clear(number, &records)?;
            taken.get_or_insert((number, records, lock));
        }
        let (number, records, lock) =
            taken.ok_or(MachineError::NoFreeNetwork { networks: LAST })?;
        fs::create_dir_all(&records).map_err(MachineError::io("create", &records))?;
        let bridge = Bridge {
            number,
            next_host: AtomicU8::new(OUTER_HOST + 1),
            records,
            _lock: lock,
        };
        bridge.set_up()?;
        Ok(Network(Arc::new(bridge)))
    }

    /// The outer machine's address on this network: where a collector listens.
    #[must_use]
    pub fn outer_address(&self) -> Ipv4Addr {
        self.0.address(OUTER_HOST)
    }

    /// The network device to which hosts are bridged.
    pub(super) fn device(&self) -> String {
        device(self.0.number)
    }

    pub(super) fn take_seat(&self) -> Result<Seat, MachineError> {
        let full = MachineError::NetworkFull {
            hosts: LAST - OUTER_HOST,
        };
        let next = |host: u8| (host <= LAST).then(|| host + 1);
        let host = self
            .0
            .next_host
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .map_err(|_| full)?;
        let machine = format!("assay-{}-{host}", self.0.number);
        let record = self.0.records.join(&machine);
        Ok(Seat {
            machine,
            address: self.0.address(host),
            record,
        })
    }
}

impl Bridge {
    fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 231, self.number, host)
    }

    fn set_up(&self) -> Result<(), MachineError> {
        let device = device(self.number);
        let address = format!("{}/24", self.address(OUTER_HOST));
        program::run("ip", &["link", "add", &device, "type", "bridge"])?;
        program::run("ip", &["address", "add", &address, "dev", &device])?;
        program::run("ip", &["link", "set", &device, "up"])?;
        Ok(())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Err(error) = clear(self.number, &self.records) {
            eprintln!("cannot clear test network {}: {error}", self.number);
        }
    }
}

fn device(number: u8) -> String {
    format!("assaybr{number}")
}

fn try_lock(number: u8) -> Result<Option<File>, MachineError> {
    let path = Path::new(REGISTER).join(format!("{number}.lock"));
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(MachineError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(MachineError::io("lock", path)(error)),
    }
}

/// Clears the hosts on record under a number and then its bridge. The number's lock must be held.
fn clear(number: u8, records: &Path) -> Result<(), MachineError> {
    if !records.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(records).map_err(MachineError::io("list", records))? {
        let record = entry.map_err(MachineError::io("list", records))?.path();
        // Beside the records lie only sockets, which vanish with the folder.
        if record.extension().is_some() {
            continue;
        }
        if let Some(mut remains) = Remains::abandoned(record)? {
            remains.clear()?;
        }
    }
    let device = device(number);
    if Path::new("/sys/class/net").join(&device).exists() {
        program::run("ip", &["link", "delete", &device])?;
    }
    super::image::remove_tree(records)
}
