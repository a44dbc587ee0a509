//! Parameters that people have approved, as a file: one table a check, one line a parameter.
//!
//! ```toml
//! ["account.local.approved"]
//! approved = ["alice", "bob"]
//! baseline = true
//! ```
//!
//! The agent writes such a file as a proposal ([`review`]); a person goes through it, and from then on it is policy
//! ([`Approved`]). It sets known parameters to values of their type and can do nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use serde_json::Value;
use toml::Spanned;

use crate::bundle::{Bundle, check_types_of};
use crate::check::{CheckFileError, line_of};
use crate::expression::on_big_stack;
use crate::id::CheckId;
use crate::learn::{Learnt, NotLearnt};
use crate::outcome::Judgement;
use crate::schema::{FactSchemas, FactType};
use crate::typing::stands_for;

type Parameters = BTreeMap<Spanned<String>, Spanned<toml::Value>>;

/// A file of approved parameters, with the lines for messages.
#[derive(Debug, Clone)]
pub struct Approved {
    file: String,
    text: String,
    checks: BTreeMap<Spanned<String>, Parameters>,
}

impl Approved {
    /// Reads the text of such a file; `file` is its path for messages.
    ///
    /// # Errors
    /// [`CheckFileError`] with file and line if it is not tables of parameters.
    pub fn parse(file: &str, text: &str) -> Result<Approved, CheckFileError> {
        let checks = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, span.start));
            let hint = if error.message().contains("expected") {
                "; expected a table [\"<check id>\"], the id in quotes, with lines of parameters"
            } else {
                ""
            };
            CheckFileError::new(file, line, format!("{}{hint}", error.message()))
        })?;
        Ok(Approved {
            file: file.to_owned(),
            text: text.to_owned(),
            checks,
        })
    }

    /// Sets the parameters in `bundle`, and sees that its expressions still fit the facts.
    ///
    /// # Errors
    /// [`CheckFileError`] with file and line of the first check or parameter that the bundle does not have, or whose value
    /// has another type.
    pub fn apply(&self, bundle: &mut Bundle, schemas: &FactSchemas) -> Result<(), CheckFileError> {
        on_big_stack(|| {
            self.checks
                .iter()
                .try_for_each(|(id, params)| self.apply_to(bundle, id, params, schemas))
        })
        .map_err(|problem| CheckFileError::new(&self.file, None, problem))?
    }

    fn apply_to(
        &self,
        bundle: &mut Bundle,
        id: &Spanned<String>,
        params: &Parameters,
        schemas: &FactSchemas,
    ) -> Result<(), CheckFileError> {
        let name = id.get_ref();
        let check = name
            .parse::<CheckId>()
            .ok()
            .and_then(|id| bundle.checks.get_mut(&id))
            .ok_or_else(|| {
                self.at(
                    &id.span(),
                    format!("no check is called {name:?}; the id stands in quotes, as in [\"sshd.root\"]"),
                )
            })?;
        for (param, value) in params {
            let known = check.params.keys().cloned().collect::<Vec<_>>().join(", ");
            let Some(default) = check.params.get_mut(param.get_ref()) else {
                return Err(self.at(
                    &param.span(),
                    format!(
                        "{name} has no parameter {:?}; it has {known}",
                        param.get_ref()
                    ),
                ));
            };
            let wrong = |problem: String| {
                self.at(
                    &value.span(),
                    format!("{name}, {}: {problem}", param.get_ref()),
                )
            };
            let value = json_of(value.get_ref()).map_err(wrong)?;
            fits(&value, default).map_err(wrong)?;
            *default = value;
            check_types_of(check, schemas).map_err(|error| wrong(error.to_string()))?;
        }
        Ok(())
    }

    fn at(&self, span: &Range<usize>, problem: String) -> CheckFileError {
        CheckFileError::new(&self.file, Some(line_of(&self.text, span.start)), problem)
    }
}

/// A TOML value as parameter: what signed data cannot hold is refused.
fn json_of(value: &toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text.clone()),
        toml::Value::Boolean(value) => Value::Bool(*value),
        toml::Value::Integer(number) => {
            let value = Value::from(*number);
            crate::json::check_signable(&value)?;
            value
        }
        toml::Value::Float(number) => {
            return Err(format!(
                "{number} is a fraction; write a whole number or a text"
            ));
        }
        toml::Value::Datetime(time) => {
            return Err(format!("{time} is a date; write it as text in quotes"));
        }
        toml::Value::Array(items) => {
            Value::Array(items.iter().map(json_of).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| Ok((name.clone(), json_of(value)?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}

/// Whether a value may stand where `default` stands.
fn fits(value: &Value, default: &Value) -> Result<(), String> {
    let wanted = FactType::of_value(default);
    if let (Value::Array(items), FactType::List(kind)) = (value, &wanted) {
        let kind = match (&**kind, items.first()) {
            (FactType::Unknown, Some(first)) => FactType::of_value(first),
            (kind, _) => kind.clone(),
        };
        return match items
            .iter()
            .find(|item| !stands_for(&FactType::of_value(item), &kind))
        {
            Some(item) => Err(format!(
                "{item} is no {kind}, as the list's other items are"
            )),
            None => Ok(()),
        };
    }
    let found = FactType::of_value(value);
    if stands_for(&found, &wanted) {
        Ok(())
    } else {
        Err(format!("expected {wanted}, found {found}"))
    }
}

/// The file that puts what was learnt before a person: sorted, with what each check says now and would say then.
///
/// `about` is prose for its head, such as the host's name and the time.
#[must_use]
pub fn review(
    about: &[String],
    bundle: &Bundle,
    learnt: &BTreeMap<CheckId, Result<Learnt, NotLearnt>>,
) -> String {
    let mut text = String::new();
    for line in about {
        let line = format!("# {}", printable(line, false));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for (id, learnt) in learnt {
        if let (Ok(learnt), Some(check)) = (learnt, bundle.checks.get(id)) {
            let _ = writeln!(
                text,
                "\n# {}\n# Now: {}. With these values: {}.\n[\"{id}\"]",
                printable(&check.title, false),
                words(learnt.current),
                words(learnt.judgement)
            );
            for (name, value) in &learnt.params {
                let before = check.params.get(name).unwrap_or(&Value::Null);
                let _ = writeln!(text, "{} = {}", key(name), written(value, before));
            }
        }
    }
    let mut nothing = learnt
        .iter()
        .filter_map(|(id, learnt)| Some((id, learnt.as_ref().err()?)))
        .peekable();
    if nothing.peek().is_some() {
        text.push_str("\n# Nothing is proposed for:\n");
    }
    for (id, why) in nothing {
        let _ = writeln!(text, "#   {id}: {}", printable(&why.to_string(), false));
    }
    text
}

fn words(judgement: Judgement) -> String {
    match judgement.reason {
        Some(reason) => format!("{} ({reason})", judgement.outcome),
        None => judgement.outcome.to_string(),
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare {
        name.to_owned()
    } else {
        printable(name, true)
    }
}

/// A value as TOML; of a longer list each item on a line of its own, those that are not approved yet marked.
fn written(value: &Value, before: &Value) -> String {
    let Value::Array(items) = value else {
        return inline(value);
    };
    if items.is_empty() {
        return "[]".to_owned();
    }
    let known = before.as_array().map_or(&[][..], Vec::as_slice);
    let mut text = "[\n".to_owned();
    for item in items {
        let mark = if known.is_empty() || known.contains(item) {
            ""
        } else {
            "  # not approved before"
        };
        let _ = writeln!(text, "  {},{mark}", inline(item));
    }
    text.push(']');
    text
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text, true),
        Value::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(inline).collect::<Vec<_>>().join(", ")
            )
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{} = {}", key(name), inline(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Null => "\"\"".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Text of a host in a file that people read: what would steer a terminal, hide or reorder is written as an escape; with
/// quotes it is a basic string of TOML.
fn printable(text: &str, quotes: bool) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' if quotes => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() || hides(c) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    if quotes { format!("\"{out}\"") } else { out }
}

/// Marks of direction and width that show nothing themselves; all are below U+10000.
const fn hides(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
