//! Facts as people read them: nested keys and values, uniform lists as tables, long lists folded.

use std::collections::BTreeSet;

use askama::Template;
use serde_json::{Map, Value};

/// A list longer than this is folded, with its length on the fold.
const FOLD_AFTER: usize = 6;
/// A uniform list of objects becomes a table up to this many columns.
const COLUMNS_MAX: usize = 6;
/// Deeper values are shown as one line of JSON.
const DEPTH_MAX: usize = 8;
/// A page shows this many values of one probe; the export has them all.
const VALUES_MAX: usize = 600;

/// The facts of one probe.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/facts.html")]
pub struct Facts {
    /// The top level, in the order of the document.
    pub facts: Vec<Fact>,
    /// Values that are not shown, since there are too many.
    pub cut: usize,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/fact.html")]
pub struct Fact {
    /// The key, or the place in a list.
    pub key: String,
    /// The value.
    pub value: FactValue,
}

/// The value of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactValue {
    /// One value as text.
    Text(String),
    /// Single values in a row.
    Row(Vec<String>),
    /// Objects with the same keys.
    Table {
        /// Their keys.
        columns: Vec<String>,
        /// Their values, in the order of `columns`.
        rows: Vec<Vec<String>>,
    },
    /// Keys and values below this one.
    Group(Vec<Fact>),
}

/// What a check observed, as its definition puts it: a text, or named values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// One text.
    Text(String),
    /// Values by name.
    Named(Facts),
}

impl Observed {
    /// Lays out the observed value of an outcome.
    pub fn of(value: &Value) -> Self {
        match said(value) {
            Value::Object(map) if !map.is_empty() => Self::Named(Facts::of(&Value::Object(map))),
            other => Self::Text(words(&other)),
        }
    }

    /// The observed value as one line of a table, cut to `most` characters.
    pub fn line(value: &Value, most: usize) -> String {
        let whole = match &said(value) {
            Value::Object(map) if !map.is_empty() => {
                let parts: Vec<String> = map
                    .iter()
                    .map(|(name, value)| format!("{name}: {}", words(value)))
                    .collect();
                parts.join("; ")
            }
            other => words(other),
        };
        match whole.char_indices().nth(most) {
            Some((cut, _)) => format!("{}…", whole.split_at(cut).0),
            None => whole,
        }
    }
}

/// An observed value in which a list without items says what was seen: that there are none.
fn said(observed: &Value) -> Value {
    let none = |value: &Value, word: &str| match value {
        Value::Array(items) if items.is_empty() => Value::String(word.to_owned()),
        other => other.clone(),
    };
    match observed {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| (name.clone(), none(value, "none")))
                .collect(),
        ),
        other => none(other, "none found"),
    }
}

/// A value as people write it: members as `name value`, one object after the other. Facts keep their own layout.
fn words(value: &Value) -> String {
    match value {
        Value::Array(values) if !values.iter().all(is_single) => {
            let each: Vec<String> = values.iter().map(words).collect();
            each.join("; ")
        }
        Value::Object(map) if !map.is_empty() => {
            let members: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{name} {}", words(value)))
                .collect();
            members.join(", ")
        }
        other => text(other),
    }
}

impl Facts {
    /// Lays out the facts of one probe for reading.
    pub fn of(value: &Value) -> Self {
        let mut left = VALUES_MAX;
        let mut cut = 0;
        let facts = match value {
            Value::Object(map) => group(map, 0, &mut left, &mut cut),
            Value::Null => Vec::new(),
            other => vec![Fact {
                key: "value".to_owned(),
                value: lay_out(other, 0, &mut left, &mut cut),
            }],
        };
        Self { facts, cut }
    }

    fn cut_count(&self) -> u64 {
        u64::try_from(self.cut).unwrap_or(u64::MAX)
    }
}

impl FactValue {
    /// How many entries are folded away, if it is long enough to fold.
    fn folded(&self) -> Option<usize> {
        let length = match self {
            Self::Text(_) => return None,
            Self::Row(values) => values.len(),
            Self::Table { rows, .. } => rows.len(),
            Self::Group(facts) => facts.len(),
        };
        (length > FOLD_AFTER).then_some(length)
    }
}

fn group(map: &Map<String, Value>, depth: usize, left: &mut usize, cut: &mut usize) -> Vec<Fact> {
    let mut facts = Vec::new();
    for (key, value) in map {
        if *left == 0 {
            *cut += 1;
            continue;
        }
        facts.push(Fact {
            key: key.clone(),
            value: lay_out(value, depth + 1, left, cut),
        });
    }
    facts
}

fn lay_out(value: &Value, depth: usize, left: &mut usize, cut: &mut usize) -> FactValue {
    *left = left.saturating_sub(1);
    match value {
        Value::Object(map) if depth < DEPTH_MAX && !map.is_empty() => {
            FactValue::Group(group(map, depth, left, cut))
        }
        Value::Array(values) if depth < DEPTH_MAX && !values.is_empty() => {
            let shown = bounded(values, left, cut);
            list(shown, depth, left, cut)
        }
        other => FactValue::Text(text(other)),
    }
}

/// The start of a list that still fits, counting the rest as cut.
fn bounded<'a>(values: &'a [Value], left: &mut usize, cut: &mut usize) -> &'a [Value] {
    let shown = values.len().min((*left).max(1));
    *cut += values.len() - shown;
    values.split_at(shown).0
}

fn list(values: &[Value], depth: usize, left: &mut usize, cut: &mut usize) -> FactValue {
    if values.iter().all(is_single) {
        *left = left.saturating_sub(values.len());
        return FactValue::Row(values.iter().map(text).collect());
    }
    if let Some(columns) = shared_columns(values) {
        let rows: Vec<Vec<String>> = values
            .iter()
            .map(|row| {
                columns
                    .iter()
                    .map(|column| row.get(column).map(text).unwrap_or_default())
                    .collect()
            })
            .collect();
        *left = left.saturating_sub(rows.len() * columns.len());
        return FactValue::Table { columns, rows };
    }
    let mut facts = Vec::new();
    for (place, value) in values.iter().enumerate() {
        if *left == 0 {
            *cut += 1;
            continue;
        }
        facts.push(Fact {
            key: (place + 1).to_string(),
            value: lay_out(value, depth + 1, left, cut),
        });
    }
    FactValue::Group(facts)
}

/// The keys of a list of flat objects, if there are few enough of them for a table.
fn shared_columns(values: &[Value]) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut columns = Vec::new();
    for value in values {
        let row = value.as_object()?;
        for (key, cell) in row {
            if !is_single(cell)
                && !cell
                    .as_array()
                    .is_some_and(|list| list.len() <= FOLD_AFTER && list.iter().all(is_single))
            {
                return None;
            }
            if seen.insert(key) {
                columns.push(key.clone());
            }
        }
    }
    (!columns.is_empty() && columns.len() <= COLUMNS_MAX).then_some(columns)
}

fn is_single(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "empty text".to_owned(),
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(values) if values.is_empty() => "empty list".to_owned(),
        Value::Array(values) if values.iter().all(is_single) => {
            values.iter().map(text).collect::<Vec<_>>().join(", ")
        }
        Value::Object(map) if map.is_empty() => "nothing".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{FactValue, Facts, Observed, VALUES_MAX};

    #[test]
    fn an_observed_value_is_one_line_in_a_table() {
        let value = json!({"audit": "off", "consumer": "none", "at boot": false});
        assert_eq!(
            Observed::line(&value, 99),
            "at boot: no; audit: off; consumer: none"
        );
        assert_eq!(Observed::line(&json!("añb"), 2), "añ…");
        assert!(matches!(Observed::of(&value), Observed::Named(facts) if facts.facts.len() == 3));
        assert_eq!(Observed::of(&json!({})), Observed::Text("nothing".into()));
    }

    #[test]
    fn a_uniform_list_of_objects_is_a_table_and_an_uneven_one_is_not() {
        let facts = Facts::of(&json!({
            "mounts": [{"target": "/", "options": ["rw"]}, {"target": "/srv", "fs": "xfs"}],
            "odd": [{"a": {"b": 1}}, 2],
        }));
        assert_eq!(
            facts.facts[0].value,
            FactValue::Table {
                columns: vec!["options".into(), "target".into(), "fs".into()],
                rows: vec![
                    vec!["rw".into(), "/".into(), String::new()],
                    vec![String::new(), "/srv".into(), "xfs".into()],
                ],
            }
        );
        assert!(matches!(&facts.facts[1].value, FactValue::Group(list) if list.len() == 2));
    }

    #[test]
    fn to_have_found_none_is_an_observation() {
        assert_eq!(Observed::line(&json!([]), 80), "none found");
        assert_eq!(
            Observed::of(&json!([])),
            Observed::Text("none found".to_owned())
        );
        let named = json!({"not approved": [], "approved": ["a"]});
        assert_eq!(
            Observed::line(&named, 80),
            "approved: a; not approved: none"
        );
    }

    #[test]
    fn empty_values_are_said_not_left_blank() {
        let facts = Facts::of(&json!({"a": "", "b": null, "c": [], "d": {}, "e": false}));
        let words: Vec<&FactValue> = facts.facts.iter().map(|fact| &fact.value).collect();
        for (value, word) in words
            .iter()
            .zip(["empty text", "none", "empty list", "nothing", "no"])
        {
            assert_eq!(**value, FactValue::Text(word.to_owned()));
        }
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let many: Vec<Value> = (0..VALUES_MAX * 2).map(Value::from).collect();
        let facts = Facts::of(&json!({"many": many, "more": 1}));
        assert!(facts.cut > VALUES_MAX, "{} cut", facts.cut);
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!({ "in": deep });
        }
        assert_eq!(Facts::of(&deep).facts.len(), 1);
    }
}
