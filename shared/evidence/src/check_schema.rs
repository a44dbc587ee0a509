//! The form of check files as JSON Schema, for editors: made of the same types that read them.
//!
//! An editor that knows it (`#:schema check.schema.json` as a comment in the first line, for taplo and what is built on it)
//! completes members, outcomes and reasons, and shows what each means. Expressions are checked by the programs alone.

use serde_json::{Value, json};

use crate::check::Check;

/// The JSON Schema (draft 2020-12) of a check file.
#[must_use]
pub fn check_file_schema() -> Value {
    let mut schema = schemars::schema_for!(Check).to_value();
    set(&mut schema, "/title", json!("Check file"));
    set(
        &mut schema,
        "/properties/id",
        json!({
            "type": "string",
            "description": "The check's id, which is also the file's name without `.toml`.",
            "pattern": "^[a-z][a-z0-9_]*(\\.[a-z0-9_]+)+$",
        }),
    );
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.insert(0, json!("id"));
    }
    for (pointer, keyword, value) in [
        ("/properties/probes", "minItems", json!(1)),
        (
            "/properties/probes/items",
            "pattern",
            json!("^[a-z][a-z0-9_]*$"),
        ),
        ("/properties/cadence", "pattern", json!("^\\S+( \\S+){4}$")),
        (
            "/properties/observed",
            "maxLength",
            json!(crate::expression::MAX_SOURCE_BYTES),
        ),
        (
            "/$defs/Rule/properties/if",
            "maxLength",
            json!(crate::expression::MAX_SOURCE_BYTES),
        ),
    ] {
        set(&mut schema, &format!("{pointer}/{keyword}"), value);
    }
    // A reason is there exactly when the outcome is no pass.
    for verdict in ["Rule", "Verdict"] {
        for (keyword, value) in [
            ("if", json!({"properties": {"then": {"const": "pass"}}})),
            ("then", json!({"not": {"required": ["reason"]}})),
            ("else", json!({"required": ["reason"]})),
        ] {
            set(&mut schema, &format!("/$defs/{verdict}/{keyword}"), value);
        }
    }
    schema
}

/// Sets a member; its parent is there by the types above, as a test sees to.
fn set(schema: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(members) = schema.pointer_mut(parent).and_then(Value::as_object_mut) {
        members.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::baseline::CHECKS;

    /// `ASSAY_UPDATE=1 cargo test -p evidence check_schema` writes the file anew.
    #[test]
    fn the_published_schema_is_that_of_the_types() {
        let published =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/check.schema.json");
        let made = serde_json::to_string_pretty(&check_file_schema()).unwrap() + "\n";
        if std::env::var_os("ASSAY_UPDATE").is_some() {
            std::fs::write(&published, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&published).unwrap_or_default();
        assert!(
            made == kept,
            "configs/check.schema.json is out of date: run with ASSAY_UPDATE=1"
        );
    }

    #[test]
    fn every_check_file_has_the_members_that_it_asks_for_and_no_others() {
        let schema = check_file_schema();
        let known = schema["properties"].as_object().unwrap();
        let required = schema["required"].as_array().unwrap();
        assert_eq!(schema["additionalProperties"], false);
        for (file, text) in CHECKS {
            let check: toml::Table = toml::from_str(text).unwrap();
            for member in check.keys() {
                assert!(known.contains_key(member), "{file}: {member}");
            }
            for member in required {
                assert!(
                    check.contains_key(member.as_str().unwrap()),
                    "{file}: {member}"
                );
            }
        }
    }

    #[test]
    fn what_is_added_to_the_types_is_there() {
        let schema = check_file_schema();
        for pointer in [
            "/properties/id/pattern",
            "/properties/probes/items/pattern",
            "/properties/cadence/pattern",
            "/properties/learns/description",
            "/$defs/Rule/properties/if/maxLength",
            "/$defs/Rule/else",
            "/$defs/Verdict/then",
        ] {
            assert!(schema.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
