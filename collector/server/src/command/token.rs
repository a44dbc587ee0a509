//! `assay-collector token`: who may enrol agents.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use crypto::{Digest, Random as _, SystemRandom};
use evidence::id::GroupId;
use evidence::time::{Clock as _, SystemClock, Timestamp};
use store::Store;
use store::people::EnrolmentToken;

use super::Place;

/// Most uses of one token.
const MAX_USES: u32 = 100_000;

/// Subcommands about enrolment tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it once.
    Create {
        /// Which collector.
        #[command(flatten)]
        place: Place,
        /// The group that agents enter.
        #[arg(long, default_value = crate::service::DEFAULT_GROUP)]
        group: GroupId,
        /// How many agents may enrol with it.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_USES)))]
        uses: u32,
        /// How long it works, such as 30m, 12h or 7d.
        #[arg(long, default_value = "7d", value_parser = parse_span)]
        expires: i64,
    },
    /// List tokens, without their secrets.
    List {
        /// Which collector.
        #[command(flatten)]
        place: Place,
    },
    /// Make a token useless.
    Revoke {
        /// Which collector.
        #[command(flatten)]
        place: Place,
        /// The token's id.
        id: String,
    },
}

/// Runs a subcommand.
///
/// # Errors
/// What the database says.
pub async fn run(command: TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create {
            place,
            group,
            uses,
            expires,
        } => {
            let store = Store::open(&place.folder()?).await?;
            let (secret, token) = create(&store, group, uses, expires, "cli").await?;
            eprintln!(
                "token {} for group {}: {} uses, until {}. It is shown this once:",
                token.id, token.group, token.uses, token.expires
            );
            println!("{secret}");
            Ok(())
        }
        TokenCommand::List { place } => {
            let store = Store::open(&place.folder()?).await?;
            for token in store.enrolment_tokens().await? {
                let state = state(&token, SystemClock::new().now());
                println!(
                    "{}  {}  {} uses left  until {}  {state}",
                    token.id, token.group, token.uses, token.expires
                );
            }
            Ok(())
        }
        TokenCommand::Revoke { place, id } => {
            let store = Store::open(&place.folder()?).await?;
            anyhow::ensure!(
                store
                    .revoke_enrolment_token(&id, SystemClock::new().now())
                    .await?,
                "no valid token has the id {id}; `token list` shows them"
            );
            println!("revoked {id}");
            Ok(())
        }
    }
}

/// Whether an agent can still enrol with a token, and if not, why.
fn state(token: &EnrolmentToken, now: Timestamp) -> &'static str {
    match token {
        token if token.revoked => "revoked",
        token if token.expires <= now => "expired",
        token if token.uses == 0 => "used up",
        _ => "valid",
    }
}

/// Makes a token; the secret is returned and only its digest kept.
///
/// # Errors
/// What the database says.
pub async fn create(
    store: &Store,
    group: GroupId,
    uses: u32,
    lasts_ms: i64,
    by: &str,
) -> anyhow::Result<(String, EnrolmentToken)> {
    let mut random = SystemRandom;
    let now: Timestamp = SystemClock::new().now();
    let secret = format!("assay-{}", URL_SAFE_NO_PAD.encode(random.bytes32()));
    let id = uuid::Builder::from_random_bytes(random.bytes16())
        .into_uuid()
        .to_string();
    let token = EnrolmentToken {
        id,
        digest: Digest::of(secret.as_bytes()),
        group,
        uses,
        expires: now.plus_ms(lasts_ms),
        created: now,
        by: by.to_owned(),
        revoked: false,
    };
    store.add_enrolment_token(&token).await?;
    Ok((secret, token))
}

/// A span such as `30m`, `12h` or `7d`, in milliseconds.
fn parse_span(text: &str) -> anyhow::Result<i64> {
    let expected = || format!("expected a number and m, h or d, such as 7d, found {text:?}");
    let unit = match text.chars().last() {
        Some('m') => 60_000,
        Some('h') => 3_600_000,
        Some('d') => 86_400_000,
        _ => anyhow::bail!(expected()),
    };
    let number: i64 = text[..text.len() - 1].parse().with_context(expected)?;
    anyhow::ensure!((1..=3650).contains(&number), "{}", expected());
    Ok(number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_lets_nobody_in_is_not_called_valid() {
        let now: Timestamp = "2026-11-24T07:00:00.000Z".parse().unwrap();
        let good = EnrolmentToken {
            id: "a".to_owned(),
            digest: Digest::ZERO,
            group: "web".parse().unwrap(),
            uses: 1,
            expires: now.plus_ms(1),
            created: now,
            by: "test".to_owned(),
            revoked: false,
        };
        assert_eq!(state(&good, now), "valid");
        assert_eq!(state(&good, good.expires), "expired");
        let used = EnrolmentToken {
            uses: 0,
            ..good.clone()
        };
        assert_eq!(state(&used, now), "used up");
        let revoked = EnrolmentToken {
            revoked: true,
            ..good
        };
        assert_eq!(state(&revoked, now), "revoked");
    }

    #[test]
    fn spans_have_a_unit() {
        assert_eq!(parse_span("7d").unwrap(), 604_800_000);
        assert_eq!(parse_span("30m").unwrap(), 1_800_000);
        for bad in ["7", "d", "", "-1d", "0h", "7w", "99999d", "7é"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }
}
