//! `assay-collector user`: accounts for people.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use crypto::{Random as _, SystemRandom};
use evidence::time::{Clock as _, SystemClock};
use store::Store;
use store::people::Account;
use zeroize::Zeroizing;

use super::Place;
use crate::auth::password;

/// Longest password read, in bytes.
const MAX_PASSWORD_BYTES: u64 = 1024;

/// Most characters of a name to sign in with.
const MAX_NAME_CHARS: usize = 200;

/// Subcommands about accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account; the password is read from a file or standard input, never from the command line.
    Create {
        /// Which collector.
        #[command(flatten)]
        place: Place,
        /// The name to sign in with.
        #[arg(long)]
        name: String,
        /// File with the password, or - for standard input.
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
    },
}

/// Runs a subcommand.
///
/// # Errors
/// If the name is taken, the password too short, or the database fails.
pub async fn run(command: UserCommand) -> anyhow::Result<()> {
    let UserCommand::Create {
        place,
        name,
        password_file,
    } = command;
    anyhow::ensure!(
        is_name(&name),
        "{name:?} cannot be a name: 1 to {MAX_NAME_CHARS} characters, no control character, no space at either end"
    );
    let store = Store::open(&place.folder()?).await?;
    anyhow::ensure!(
        store.account_by_name(&name).await?.is_none(),
        "there is an account named {name}"
    );
    let secret = read_password(&password_file)?;
    let hash = password::hash(&secret, SystemRandom.bytes16())?;
    let account = account(&name, Some(hash));
    store
        .add_account(&account, SystemClock::new().now())
        .await?;
    println!("made the account {name}");
    Ok(())
}

/// Whether a name can be shown in a line, a log and a page without hiding anything.
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(char::is_control)
}

/// A new account of a person.
#[must_use]
pub fn account(name: &str, password: Option<String>) -> Account {
    let id = uuid::Builder::from_random_bytes(SystemRandom.bytes16())
        .into_uuid()
        .to_string();
    Account {
        id,
        name: name.to_owned(),
        password,
        role: "admin".to_owned(),
        disabled: false,
    }
}

fn read_password(path: &std::path::Path) -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let source: Box<dyn std::io::Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(
            std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?,
        )
    };
    source.take(MAX_PASSWORD_BYTES).read_to_string(&mut text)?;
    Ok(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_name_is_one_visible_line() {
        for name in ["alice", "Ada Lovelace", "ümit@example.org"] {
            assert!(is_name(name), "{name:?}");
        }
        let long = "a".repeat(201);
        for name in ["", " ", "a ", "a\nb", "a\u{1b}[2J", &long] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
