//! The program's own checks with the lists that people approved for one group.

use evidence::bundle::Bundle;
use evidence::check::{APPROVED, Check};
use serde_json::Value;

/// Name of the bundle of the program's own checks.
pub const BUILT_IN: &str = "baseline";
/// Name of the bundle of these checks with approved lists.
pub const WITH_LISTS: &str = "baseline with approved lists";

/// Whether the program keeps a bundle up to date with its own checks; any other is a person's and stays as it is.
#[must_use]
pub fn is_kept_up(bundle: &Bundle) -> bool {
    matches!(bundle.name.as_deref(), Some(BUILT_IN | WITH_LISTS))
}

/// The program's own checks with the lists that `current` holds. Version and signature are the caller's business.
///
/// Only what a check learns is carried over, and whether it was approved: other parameters are the program's.
#[must_use]
pub fn with_lists_of(built_in: &Bundle, current: &Bundle) -> Bundle {
    let mut derived = built_in.clone();
    let mut carried = false;
    for (id, check) in &mut derived.checks {
        if let Some(before) = current.checks.get(id) {
            carried |= carry(check, before);
        }
    }
    if carried {
        derived.name = Some(WITH_LISTS.to_owned());
    }
    derived
}

/// Takes over what people approved in `before`; whether there was something.
fn carry(check: &mut Check, before: &Check) -> bool {
    if check.learns.is_empty() || before.params.get(APPROVED) != Some(&Value::Bool(true)) {
        return false;
    }
    for name in check.learns.keys().map(String::as_str).chain([APPROVED]) {
        if let (Some(value), Some(old)) = (check.params.get_mut(name), before.params.get(name)) {
            value.clone_from(old);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use evidence::baseline;
    use evidence::id::CheckId;
    use serde_json::json;

    use super::*;

    #[test]
    fn approved_lists_survive_new_checks_and_nothing_else_does() {
        let built_in = baseline::bundle().unwrap();
        let id: CheckId = "account.local.approved".parse().unwrap();
        let other: CheckId = "ssh.keys.authorized".parse().unwrap();
        let mut old = built_in.clone();
        let check = old.checks.get_mut(&id).unwrap();
        check.params.insert("approved".to_owned(), json!(["alice"]));
        check.params.insert("baseline".to_owned(), json!(true));
        check.title = "an old text".to_owned();
        let keys = old.checks.get_mut(&other).unwrap();
        keys.params
            .insert("approved".to_owned(), json!(["never approved"]));
        keys.params.insert("min_rsa_bits".to_owned(), json!(1));
        old.checks.remove(&"sshd.root".parse().unwrap());

        let derived = with_lists_of(&built_in, &old);
        assert_eq!(derived.checks[&id].params["approved"], json!(["alice"]));
        assert_eq!(derived.checks[&id].params["baseline"], json!(true));
        assert_eq!(derived.checks[&id].title, built_in.checks[&id].title);
        assert_eq!(derived.checks[&other], built_in.checks[&other]);
        assert_eq!(derived.checks.len(), built_in.checks.len());
        assert_eq!(derived.name.as_deref(), Some(WITH_LISTS));
        assert!(is_kept_up(&derived));

        assert_eq!(with_lists_of(&built_in, &built_in), built_in);
        assert_eq!(built_in.name.as_deref(), Some(BUILT_IN));
        let own = Bundle {
            name: Some("own".to_owned()),
            ..built_in
        };
        assert!(!is_kept_up(&own));
    }
}
