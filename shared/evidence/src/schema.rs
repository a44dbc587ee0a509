//! The types of facts, by which a bundle's expressions are checked before it is used.
//!
//! A probe's facts are a Rust type; `schemars` describes it and [`FactType::from_json_schema`] turns that into the small
//! language of types that the checker understands. A type it does not understand is a bug of the probe, not a guess.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::id::ProbeId;

/// The type of a fact or of an expression over facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactType {
    /// true or false.
    Bool,
    /// An integer within ±(2^53−1).
    Int,
    /// A number with a fraction; only inside expressions, never in facts.
    Double,
    /// Text. With words: one of a closed list, and a comparison with any other word is refused.
    String(Option<Vec<String>>),
    /// A moment (in facts: text for `timestamp()`).
    Timestamp,
    /// A span of time.
    Duration,
    /// `null`.
    Null,
    /// A list of one type.
    List(Box<FactType>),
    /// A map from text to one type, with keys unknown beforehand.
    Map(Box<FactType>),
    /// An object with named fields, shared: the types of large facts are handed from expression to expression.
    Object(Arc<BTreeMap<String, Field>>),
    /// Anything: an empty list literal's element.
    Unknown,
}

/// A field of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The field's type.
    pub kind: FactType,
    /// Whether it is always there; an optional one is tested with `has()` first.
    pub required: bool,
}

/// The fact types of all probes known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactSchemas(BTreeMap<ProbeId, FactType>);

/// A JSON Schema that this module does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fact schema at {path}: {problem}")]
pub struct SchemaError {
    path: String,
    problem: String,
}

impl FactSchemas {
    /// Schemas by probe.
    #[must_use]
    pub fn new(schemas: BTreeMap<ProbeId, FactType>) -> FactSchemas {
        FactSchemas(schemas)
    }

    /// Reads `{"<probe>": <JSON Schema>, …}`, the published form.
    ///
    /// # Errors
    /// [`SchemaError`] for a probe id or a schema that is not understood.
    pub fn from_json(schemas: &Value) -> Result<FactSchemas, SchemaError> {
        let probes = schemas.as_object().ok_or_else(|| SchemaError {
            path: "$".into(),
            problem: "no object".into(),
        })?;
        let mut known = BTreeMap::new();
        for (probe, schema) in probes {
            let id = probe.parse::<ProbeId>().map_err(|error| SchemaError {
                path: probe.clone(),
                problem: error.to_string(),
            })?;
            known.insert(id, FactType::from_json_schema(schema)?);
        }
        Ok(FactSchemas(known))
    }

    /// The type of a probe's facts.
    #[must_use]
    pub fn get(&self, probe: &ProbeId) -> Option<&FactType> {
        self.0.get(probe)
    }

    /// The probes known.
    pub fn probes(&self) -> impl Iterator<Item = &ProbeId> {
        self.0.keys()
    }
}

impl FactType {
    /// The type that a JSON Schema (as schemars writes it, draft 2020-12) describes.
    ///
    /// # Errors
    /// [`SchemaError`] with the path of the first construct that has no [`FactType`]: numbers with fractions, untyped
    /// values, unions.
    pub fn from_json_schema(schema: &Value) -> Result<FactType, SchemaError> {
        Reader { root: schema }.read(schema, "$", 0)
    }

    /// The type of a JSON value, for parameters.
    #[must_use]
    pub fn of_value(value: &Value) -> FactType {
        match value {
            Value::Null => FactType::Null,
            Value::Bool(_) => FactType::Bool,
            Value::Number(_) => FactType::Int,
            Value::String(_) => FactType::String(None),
            Value::Array(items) => {
                let kind = items
                    .iter()
                    .map(FactType::of_value)
                    .fold(FactType::Unknown, |kind, item| kind.join(&item));
                FactType::List(Box::new(kind))
            }
            Value::Object(members) => {
                let field = |(name, value): (&String, &Value)| {
                    let kind = FactType::of_value(value);
                    let required = true;
                    (name.clone(), Field { kind, required })
                };
                FactType::Object(Arc::new(members.iter().map(field).collect()))
            }
        }
    }

    /// The smallest type that holds values of both.
    #[must_use]
    pub fn join(&self, other: &FactType) -> FactType {
        match (self, other) {
            (FactType::Unknown, kind) | (kind, FactType::Unknown) => kind.clone(),
            (FactType::String(a), FactType::String(b)) => {
                FactType::String(if a == b { a.clone() } else { None })
            }
            (FactType::List(a), FactType::List(b)) => FactType::List(Box::new(a.join(b))),
            (FactType::Map(a), FactType::Map(b)) => FactType::Map(Box::new(a.join(b))),
            (a, b) if a == b => a.clone(),
            _ => FactType::Unknown,
        }
    }

    /// Whether values of the two can be compared with `==`.
    #[must_use]
    pub fn comparable(&self, other: &FactType) -> bool {
        match (self, other) {
            (FactType::Unknown, _)
            | (_, FactType::Unknown)
            | (FactType::Null, _)
            | (_, FactType::Null) => true,
            (FactType::String(_), FactType::String(_)) => true,
            (FactType::List(a), FactType::List(b)) | (FactType::Map(a), FactType::Map(b)) => {
                a.comparable(b)
            }
            (FactType::Object(_), FactType::Object(_)) => true,
            (a, b) => a == b,
        }
    }
}

impl fmt::Display for FactType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FactType::Bool => f.write_str("bool"),
            FactType::Int => f.write_str("int"),
            FactType::Double => f.write_str("double"),
            FactType::String(None) => f.write_str("string"),
            FactType::String(Some(words)) => write!(f, "one of {}", words.join(", ")),
            FactType::Timestamp => f.write_str("timestamp"),
            FactType::Duration => f.write_str("duration"),
            FactType::Null => f.write_str("null"),
            FactType::List(kind) => write!(f, "list of {kind}"),
            FactType::Map(kind) => write!(f, "map of {kind}"),
            FactType::Object(_) => f.write_str("object"),
            FactType::Unknown => f.write_str("anything"),
        }
    }
}

struct Reader<'s> {
    root: &'s Value,
}

impl Reader<'_> {
    fn read(&self, schema: &Value, path: &str, depth: usize) -> Result<FactType, SchemaError> {
        let wrong = |problem: &str| SchemaError {
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        if depth > 16 {
            return Err(wrong("nested deeper than 16, or recursive"));
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = self
                .root
                .pointer(reference.trim_start_matches('#'))
                .ok_or_else(|| wrong("reference to nothing"))?;
            return self.read(target, path, depth + 1);
        }
        if let Some(choices) = schema
            .get("anyOf")
            .or_else(|| schema.get("oneOf"))
            .and_then(Value::as_array)
        {
            return self.choice(choices, path, depth);
        }
        if let Some(word) = schema.get("const").and_then(Value::as_str) {
            return Ok(FactType::String(Some(vec![word.to_owned()])));
        }
        match type_name(schema) {
            Some("boolean") => Ok(FactType::Bool),
            Some("integer") => Ok(FactType::Int),
            Some("null") => Ok(FactType::Null),
            Some("string") => Ok(FactType::String(words(schema))),
            Some("array") => {
                let items = schema
                    .get("items")
                    .ok_or_else(|| wrong("a list of nothing said"))?;
                Ok(FactType::List(Box::new(self.read(
                    items,
                    &format!("{path}[]"),
                    depth + 1,
                )?)))
            }
            Some("object") => self.object(schema, path, depth),
            Some(other) => Err(wrong(&format!("type {other:?} has no place in facts"))),
            None => Err(wrong("no type")),
        }
    }

    /// `Option<T>` is T or null and counts as T; an enum is a choice of words.
    fn choice(&self, choices: &[Value], path: &str, depth: usize) -> Result<FactType, SchemaError> {
        let mut kinds = Vec::new();
        for choice in choices {
            match self.read(choice, path, depth + 1)? {
                FactType::Null => {}
                kind => kinds.push(kind),
            }
        }
        let mut words = Vec::new();
        for kind in &kinds {
            match kind {
                FactType::String(Some(some)) => words.extend(some.iter().cloned()),
                other if kinds.len() == 1 => return Ok(other.clone()),
                _ => {
                    return Err(SchemaError {
                        path: path.to_owned(),
                        problem: "a union of types".to_owned(),
                    });
                }
            }
        }
        Ok(FactType::String(Some(words)))
    }

    fn object(&self, schema: &Value, path: &str, depth: usize) -> Result<FactType, SchemaError> {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            let required: Vec<&str> = schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let mut fields = BTreeMap::new();
            for (name, property) in properties {
                let kind = self.read(property, &format!("{path}.{name}"), depth + 1)?;
                fields.insert(
                    name.clone(),
                    Field {
                        kind,
                        required: required.contains(&name.as_str()),
                    },
                );
            }
            return Ok(FactType::Object(Arc::new(fields)));
        }
        match schema.get("additionalProperties") {
            Some(values @ Value::Object(_)) => Ok(FactType::Map(Box::new(self.read(
                values,
                &format!("{path}.*"),
                depth + 1,
            )?))),
            _ => Ok(FactType::Object(Arc::default())),
        }
    }
}

fn type_name(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .find(|name| *name != "null"),
        _ => None,
    }
}

fn words(schema: &Value) -> Option<Vec<String>> {
    let words = schema.get("enum")?.as_array()?;
    Some(
        words
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    )
}
