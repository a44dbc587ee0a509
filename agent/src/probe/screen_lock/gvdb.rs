//! GVDB, the file format of dconf databases: a header, then hash tables of items whose keys are parts of a path.
//!
//! ```text
//! header   "GVariant", version and options (u32 each), the root table's start and end
//! table    words of the bloom filter (low 27 bits), buckets (u32 each), filter and buckets, items to the end
//! item     hash, parent, key's start (u32 each), key's length (u16), type, unused, value's start and end (u32 each)
//! ```
//!
//! Numbers are little-endian here; a database of the other order is refused. An item of type `v` holds a serialised
//! variant: its bytes, a zero, its type string. Items are looked through one by one, since they are few.

use std::collections::{BTreeMap, BTreeSet};

const SIGNATURE: &[u8] = b"GVariant";
const ITEM_BYTES: usize = 24;
/// Deepest path.
const MAX_DEPTH: usize = 64;
/// Most items of a table.
const MAX_ITEMS: usize = 100_000;
/// An item without a parent.
const NO_PARENT: u32 = u32::MAX;

/// A value of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// A switch.
    Bool(bool),
    /// A number.
    Number(i64),
}

impl Value {
    /// As key files write it: `uint32 300`, `300`, `true`.
    pub(super) fn of_text(text: &str) -> Option<Value> {
        let text = text.trim();
        match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => {
                let number = text.rsplit(' ').next().unwrap_or_default();
                number.parse().ok().map(Value::Number)
            }
        }
    }

    /// A serialised variant of a type that these settings have.
    fn of_variant(bytes: &[u8]) -> Option<Value> {
        match bytes {
            [flag, 0, b'b'] => Some(Value::Bool(*flag != 0)),
            [a, b, c, d, 0, b'u'] => {
                Some(Value::Number(u32::from_le_bytes([*a, *b, *c, *d]).into()))
            }
            [a, b, c, d, 0, b'i'] => {
                Some(Value::Number(i32::from_le_bytes([*a, *b, *c, *d]).into()))
            }
            _ => None,
        }
    }
}

/// The settings of a database that are switches or numbers, and the paths it locks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) values: BTreeMap<String, Value>,
    pub(super) locks: BTreeSet<String>,
}

struct Item {
    key: String,
    kind: u8,
    start: usize,
    end: usize,
}

/// `None` if it is no such file.
pub(super) fn parse(bytes: &[u8]) -> Option<Database> {
    if !bytes.starts_with(SIGNATURE) {
        return None;
    }
    let mut database = Database::default();
    for item in table(bytes, number(bytes, 16)?, number(bytes, 20)?)? {
        match item.kind {
            b'v' => {
                let value = Value::of_variant(bytes.get(item.start..item.end)?);
                database.values.extend(value.map(|value| (item.key, value)));
            }
            b'H' if item.key == ".locks" => {
                let locks = table(bytes, item.start, item.end)?;
                database
                    .locks
                    .extend(locks.into_iter().map(|lock| lock.key));
            }
            _ => {}
        }
    }
    Some(database)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(four.try_into().ok()?)).ok()
}

fn table(bytes: &[u8], start: usize, end: usize) -> Option<Vec<Item>> {
    let table = bytes.get(start..end)?;
    if table.is_empty() {
        return Some(Vec::new());
    }
    let filter = number(table, 0)? & 0x07ff_ffff;
    let buckets = number(table, 4)?;
    let words = filter.checked_add(buckets)?;
    let items = table.get(words.checked_mul(4)?.checked_add(8)?..)?;
    let items: Vec<&[u8]> = items.chunks_exact(ITEM_BYTES).collect();
    if items.len() > MAX_ITEMS {
        return None;
    }
    items
        .iter()
        .map(|item| {
            Some(Item {
                key: key(bytes, &items, item)?,
                kind: *item.get(14)?,
                start: number(item, 16)?,
                end: number(item, 20)?,
            })
        })
        .collect()
}

/// A key is what its parents' keys and its own make together.
fn key(bytes: &[u8], items: &[&[u8]], item: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut item = item;
    for _ in 0..MAX_DEPTH {
        let start = number(item, 8)?;
        let length = usize::from(u16::from_le_bytes(item.get(12..14)?.try_into().ok()?));
        parts.push(bytes.get(start..start.checked_add(length)?)?);
        let parent = number(item, 4)?;
        if u32::try_from(parent).ok()? == NO_PARENT {
            parts.reverse();
            return Some(String::from_utf8_lossy(&parts.concat()).into_owned());
        }
        item = items.get(parent)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    /// Made by `dconf compile` 0.40 of Debian 12.
    const COMPILED: &str = "R1ZhcmlhbnQAAAAAAAAAABgAAAA4AQAAAAAAKAoAAAAAAAAAAQAAAAIAAAADAAAAAwAAAAQAAAAFAAAABQAAAAYAAAAJAAAA1LUCAP////84AQAAAQBMADwBAABAAQAAjzkNe/////9AAQAABgBIAEgBAACkAQAAzuJdcAkAAAArAgAACgB2ADgCAAA+AgAA5skZ1QgAAAA+AgAACgB2AEgCAABOAgAAS1CQCwAAAABOAgAABABMAFQCAABYAgAAuYj92gcAAABYAgAACABMAGACAABoAgAAqs2TYAkAAABoAgAADAB2AHgCAAB7AgAAsLckMAQAAAB7AgAABgBMAIQCAACIAgAAjIfdZgUAAACIAgAACABMAJACAACUAgAAKbkPxgUAAACUAgAADABMAKACAACoAgAALwAAAAQAAAAubG9ja3MAAAAAACgDAAAAAAAAAAIAAAADAAAAqs2TYP////+kAQAAKwB2ANABAADTAQAA5skZ1f/////TAQAAJQB2APgBAAD7AQAAzuJdcP/////7AQAAKQB2ACgCAAArAgAAL29yZy9nbm9tZS9kZXNrdG9wL3NjcmVlbnNhdmVyL2xvY2stZW5hYmxlZAAAAHMvb3JnL2dub21lL2Rlc2t0b3Avc2Vzc2lvbi9pZGxlLWRlbGF5AABzL29yZy9nbm9tZS9kZXNrdG9wL3NjcmVlbnNhdmVyL2xvY2stZGVsYXkAAAAAAABzbG9jay1kZWxheQAAAAAAAAAAdWlkbGUtZGVsYXlYAgAAAHVvcmcvAAAHAAAAZGVza3RvcC8JAAAACAAAAGxvY2stZW5hYmxlZAAAAAABAGJnbm9tZS8AAAAFAAAAc2Vzc2lvbi8DAAAAc2NyZWVuc2F2ZXIvAgAAAAYAAAA=";

    fn compiled() -> Vec<u8> {
        STANDARD.decode(COMPILED).unwrap()
    }

    #[test]
    fn a_compiled_database_is_read() {
        let database = parse(&compiled()).unwrap();
        let value = |key: &str| database.values.get(key).copied();
        assert_eq!(
            value("/org/gnome/desktop/session/idle-delay"),
            Some(Value::Number(600))
        );
        assert_eq!(
            value("/org/gnome/desktop/screensaver/lock-enabled"),
            Some(Value::Bool(true))
        );
        assert_eq!(database.locks.len(), 3);
        assert!(
            database
                .locks
                .contains("/org/gnome/desktop/screensaver/lock-delay")
        );
    }

    #[test]
    fn a_cut_database_is_no_database() {
        let bytes = compiled();
        for length in 0..bytes.len() {
            let _ = parse(&bytes[..length]);
        }
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"GVariant"), None);
        let mut circle = compiled();
        // The first item becomes its own parent.
        circle[0x4c..0x50].copy_from_slice(&0_u32.to_le_bytes());
        let _ = parse(&circle);
    }

    #[test]
    fn values_are_read_as_key_files_write_them() {
        assert_eq!(Value::of_text(" uint32 300"), Some(Value::Number(300)));
        assert_eq!(Value::of_text("true"), Some(Value::Bool(true)));
        assert_eq!(Value::of_text("'x'"), None);
    }

    proptest! {
        #[test]
        fn any_change_of_a_database_ends(at in 0_usize..680, byte in any::<u8>(), more in 0_usize..680, other in any::<u8>()) {
            let mut bytes = compiled();
            bytes[at] = byte;
            bytes[more] = other;
            let _ = parse(&bytes);
        }
    }
}
