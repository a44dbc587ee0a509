//! The tree of settings: names ignore case, an item without a name is an element of a list.

/// Most items of one configuration; a usual one has some hundreds. Each is looked for among its siblings.
const MAX_ITEMS: usize = 5000;
/// Deepest scope.
const MAX_DEPTH: usize = 64;

/// Settings as apt holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    root: Item,
    items: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Item {
    tag: String,
    value: String,
    children: Vec<Item>,
}

/// A configuration that grows beyond its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more settings than any configuration has")]
pub struct TooLarge;

impl Configuration {
    /// The value of a setting; `None` if there is none of that name. A scope has an empty value.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.find(name).map(|item| item.value.as_str())
    }

    /// The values below a setting, in order: a list.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.find(name).map_or_else(Vec::new, |item| {
            item.children
                .iter()
                .map(|child| child.value.as_str())
                .collect()
        })
    }

    /// Whether a setting is switched on, in the words that apt knows; `default` for another word or none.
    #[must_use]
    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.value(name).and_then(truth).unwrap_or(default)
    }

    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), TooLarge> {
        let tags = tags(name);
        if tags.len() > MAX_DEPTH || self.items + tags.len() > MAX_ITEMS {
            return Err(TooLarge);
        }
        let mut item = &mut self.root;
        for tag in tags {
            let known = item.children.iter().position(|child| child.is(tag));
            let at = known.unwrap_or_else(|| {
                item.children.push(Item {
                    tag: tag.to_owned(),
                    ..Item::default()
                });
                self.items += 1;
                item.children.len() - 1
            });
            item = &mut item.children[at];
        }
        item.value = value;
        Ok(())
    }

    pub(super) fn clear(&mut self, name: &str) {
        let mut item = &mut self.root;
        for tag in tags(name) {
            match item.children.iter_mut().find(|child| child.is(tag)) {
                Some(child) => item = child,
                None => return,
            }
        }
        item.value.clear();
        item.children.clear();
    }

    fn find(&self, name: &str) -> Option<&Item> {
        tags(name).into_iter().try_fold(&self.root, |item, tag| {
            item.children.iter().find(|child| child.is(tag))
        })
    }

    /// Every item as `apt-config dump` prints it: with odd characters of names as `%xx`.
    #[cfg(test)]
    pub(super) fn dump(&self) -> Vec<String> {
        fn quoted(name: &str) -> String {
            let mut text = String::new();
            for byte in name.bytes() {
                if byte <= b' ' || byte >= 0x7f || b"%=\"".contains(&byte) {
                    text.push_str(&format!("%{byte:02x}"));
                } else {
                    text.push(char::from(byte));
                }
            }
            text
        }
        fn walk(item: &Item, above: Option<&str>, lines: &mut Vec<String>) {
            for child in &item.children {
                let name = match above {
                    Some(above) => format!("{above}::{}", child.tag),
                    None => child.tag.clone(),
                };
                lines.push(format!("{} \"{}\";", quoted(&name), child.value));
                walk(child, Some(&name), lines);
            }
        }
        let mut lines = Vec::new();
        walk(&self.root, None, &mut lines);
        lines
    }
}

impl Item {
    /// Items without a name are never the same one: each is a new element.
    fn is(&self, tag: &str) -> bool {
        !tag.is_empty() && self.tag.eq_ignore_ascii_case(tag)
    }
}

/// The tags of a name. After each `::` apt takes at least one character, whatever it is.
fn tags(name: &str) -> Vec<&str> {
    let mut tags = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at + 2 <= name.len() {
        if name.as_bytes().get(at..at + 2) == Some(b"::") {
            tags.push(name.get(start..at).unwrap_or_default());
            at += 2;
            start = at;
        }
        at += 1;
    }
    tags.push(name.get(start..).unwrap_or_default());
    tags
}

/// The words that apt takes for yes and no.
#[must_use]
pub fn truth(word: &str) -> Option<bool> {
    let word = word.trim().to_ascii_lowercase();
    match word.as_str() {
        "no" | "false" | "without" | "off" | "disable" => Some(false),
        "yes" | "true" | "with" | "on" | "enable" => Some(true),
        number => match number.parse::<i64>() {
            Ok(0) => Some(false),
            Ok(1) => Some(true),
            _ => None,
        },
    }
}
