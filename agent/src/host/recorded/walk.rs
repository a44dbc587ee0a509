//! The walk over a recorded host: whatever the recording holds, in place of all there is.

use std::collections::BTreeMap;

use super::recording::Node;
use crate::host::FileKind;
use crate::host::walk::{Looked, Sieve, Surroundings, WalkPlan, Walked};

/// Looks at every file of the recording that lies on a mount that is walked. A file whose mode or owner the walk does not
/// find remarkable tells nothing, so a recording need not hold it.
pub(super) fn walk(files: &BTreeMap<String, Node>, plan: &WalkPlan, before: Walked) -> Walked {
    let mut sieve = Sieve::new(plan, before);
    let mut around: BTreeMap<&str, Surroundings> = BTreeMap::new();
    for (path, node) in files {
        let looked = Looked {
            kind: node.stat.kind,
            character_device: node.stat.kind == FileKind::Other && node.rdev.is_some(),
            mode: node.stat.mode,
            uid: node.stat.uid,
            gid: node.stat.gid,
            rdev: node.rdev.unwrap_or_default(),
        };
        let root = plan.roots.iter().find(|root| root.path == path.as_bytes());
        let above = match path.rsplit_once('/') {
            Some(("", _)) => "/",
            Some((above, _)) => above,
            None => continue,
        };
        let surroundings = match root {
            Some(root) => Some(sieve.mounted(root, &looked)),
            None if plan.mount_points.contains(path.as_bytes()) => None,
            None => around.get(above).copied(),
        };
        let Some(surroundings) = surroundings else {
            continue;
        };
        if node.denied && node.stat.kind == FileKind::Directory {
            sieve.denied(path.as_bytes());
            continue;
        }
        let capability = || Ok(node.xattrs.get("security.capability").cloned());
        if node.stat.kind == FileKind::Directory {
            let inside = if root.is_some() {
                surroundings
            } else {
                sieve.inside(&surroundings, path.as_bytes(), &looked)
            };
            around.insert(path, inside);
            sieve.look(&inside, path.as_bytes(), b"", &looked, capability);
        } else {
            let name = path.strip_prefix(above).unwrap_or(path);
            let name = name.trim_start_matches('/').as_bytes();
            sieve.look(&surroundings, above.as_bytes(), name, &looked, capability);
        }
    }
    sieve.walked
}
