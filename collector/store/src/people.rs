//! What is no evidence: accounts, sessions, sign-in links and enrolment tokens. Secrets are kept as digests only.

use crypto::Digest;
use evidence::id::GroupId;
use evidence::time::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::ledger_read::digest;
use crate::{Store, StoreError};

/// A person's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// UUID: what decisions name.
    pub id: String,
    /// The name to sign in with.
    pub name: String,
    /// argon2id PHC string, if a password was set.
    pub password: Option<String>,
    /// The role.
    pub role: String,
    /// Whether sign-in is off.
    pub disabled: bool,
}

/// A token that lets agents enrol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// Its id: stands in enrol entries.
    pub id: String,
    /// SHA-256 of the secret.
    pub digest: Digest,
    /// The group that agents enter.
    pub group: GroupId,
    /// Uses left.
    pub uses: u32,
    /// When it ends.
    pub expires: Timestamp,
    /// When it was made.
    pub created: Timestamp,
    /// Account id or `cli`.
    pub by: String,
    /// Whether it was revoked.
    pub revoked: bool,
}

impl Store {
    /// Adds an account.
    ///
    /// # Errors
    /// What the database says; also if the name is taken.
    pub async fn add_account(
        &self,
        account: &Account,
        created: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO account (id, name, password, role, created) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&account.id)
        .bind(&account.name)
        .bind(&account.password)
        .bind(&account.role)
        .bind(created.unix_ms())
        .execute(&self.writer)
        .await
        .map_err(StoreError::sql("add an account"))?;
        Ok(())
    }

    /// Sets the password of an account.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_password(&self, id: &str, phc: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE account SET password = $1 WHERE id = $2")
            .bind(phc)
            .bind(id)
            .execute(&self.writer)
            .await
            .map_err(StoreError::sql("set a password"))?;
        Ok(())
    }

    /// The account of that name.
    ///
    /// # Errors
    /// What the database says.
    pub async fn account_by_name(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query("SELECT * FROM account WHERE name = $1")
            .bind(name)
            .fetch_optional(self.readers())
            .await;
        Ok(row
            .map_err(StoreError::sql("find an account"))?
            .as_ref()
            .map(account))
    }

    /// Opens a session; only the digest of its cookie is kept.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open_session(
        &self,
        token: &Digest,
        account: &str,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let failed = StoreError::sql("open a session");
        sqlx::query("DELETE FROM session WHERE expires <= $1")
            .bind(now.unix_ms())
            .execute(&self.writer)
            .await
            .map_err(&failed)?;
        sqlx::query(
            "INSERT INTO session (token, account, created, expires) VALUES ($1, $2, $3, $4)",
        )
        .bind(token.as_bytes().as_slice())
        .bind(account)
        .bind(now.unix_ms())
        .bind(expires.unix_ms())
        .execute(&self.writer)
        .await
        .map_err(&failed)?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// What the database says.
    pub async fn close_session(&self, token: &Digest) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM session WHERE token = $1")
            .bind(token.as_bytes().as_slice())
            .execute(&self.writer)
            .await
            .map_err(StoreError::sql("close a session"))?;
        Ok(())
    }

    /// The account of an open session.
    ///
    /// # Errors
    /// What the database says.
    pub async fn account_of_session(
        &self,
        token: &Digest,
        now: Timestamp,
    ) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query("SELECT account.* FROM session JOIN account ON account.id = session.account WHERE session.token = $1 AND session.expires > $2 AND account.disabled IS NULL")
            .bind(token.as_bytes().as_slice())
            .bind(now.unix_ms())
            .fetch_optional(self.readers())
            .await;
        Ok(row
            .map_err(StoreError::sql("find a session"))?
            .as_ref()
            .map(account))
    }

    /// Keeps a link that signs an account in once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn add_sign_in_link(
        &self,
        secret: &Digest,
        account: &str,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO sign_in_link (token, account, expires) VALUES ($1, $2, $3)")
            .bind(secret.as_bytes().as_slice())
            .bind(account)
            .bind(expires.unix_ms())
            .execute(&self.writer)
            .await
            .map_err(StoreError::sql("keep a sign-in link"))?;
        Ok(())
    }

    /// Spends a sign-in link: it works once, before it expires.
    ///
    /// # Errors
    /// What the database says.
    pub async fn spend_sign_in_link(
        &self,
        secret: &Digest,
        now: Timestamp,
    ) -> Result<Option<Account>, StoreError> {
        let failed = StoreError::sql("spend a sign-in link");
        let spent: Option<String> = sqlx::query_scalar(
            "DELETE FROM sign_in_link WHERE token = $1 AND expires > $2 RETURNING account",
        )
        .bind(secret.as_bytes().as_slice())
        .bind(now.unix_ms())
        .fetch_optional(&self.writer)
        .await
        .map_err(&failed)?;
        let Some(id) = spent else { return Ok(None) };
        let row = sqlx::query("SELECT * FROM account WHERE id = $1 AND disabled IS NULL")
            .bind(id)
            .fetch_optional(self.readers())
            .await;
        Ok(row.map_err(&failed)?.as_ref().map(account))
    }

    /// Keeps an enrolment token.
    ///
    /// # Errors
    /// What the database says.
    pub async fn add_enrolment_token(&self, token: &EnrolmentToken) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO enrolment_token (id, digest, grp, uses, expires, created, by) VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(&token.id)
            .bind(token.digest.as_bytes().as_slice())
            .bind(token.group.as_str())
            .bind(token.uses)
            .bind(token.expires.unix_ms())
            .bind(token.created.unix_ms())
            .bind(&token.by)
            .execute(&self.writer)
            .await
            .map_err(StoreError::sql("keep an enrolment token"))?;
        Ok(())
    }

    /// The token whose secret has this digest.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn enrolment_token(
        &self,
        secret: &Digest,
    ) -> Result<Option<EnrolmentToken>, StoreError> {
        let row = sqlx::query("SELECT * FROM enrolment_token WHERE digest = $1")
            .bind(secret.as_bytes().as_slice())
            .fetch_optional(self.readers())
            .await;
        row.map_err(StoreError::sql("find an enrolment token"))?
            .as_ref()
            .map(token)
            .transpose()
    }

    /// How many agents may still enrol with a token: 0 if it is unknown, used up, expired or revoked.
    ///
    /// # Errors
    /// What the database says.
    pub async fn uses_left(&self, id: &str, now: Timestamp) -> Result<usize, StoreError> {
        let left: Option<i64> = sqlx::query_scalar(
            "SELECT uses FROM enrolment_token WHERE id = $1 AND revoked IS NULL AND expires > $2",
        )
        .bind(id)
        .bind(now.unix_ms())
        .fetch_optional(self.readers())
        .await
        .map_err(StoreError::sql("count the uses of a token"))?;
        Ok(left.and_then(|left| left.try_into().ok()).unwrap_or(0))
    }

    /// All enrolment tokens, newest first.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn enrolment_tokens(&self) -> Result<Vec<EnrolmentToken>, StoreError> {
        let rows = sqlx::query("SELECT * FROM enrolment_token ORDER BY created DESC")
            .fetch_all(self.readers())
            .await;
        rows.map_err(StoreError::sql("list enrolment tokens"))?
            .iter()
            .map(token)
            .collect()
    }

    /// Revokes a token; false if there is none of that id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn revoke_enrolment_token(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE enrolment_token SET revoked = $1 WHERE id = $2 AND revoked IS NULL",
        )
        .bind(now.unix_ms())
        .bind(id)
        .execute(&self.writer)
        .await;
        Ok(done
            .map_err(StoreError::sql("revoke an enrolment token"))?
            .rows_affected()
            > 0)
    }
}

fn account(row: &SqliteRow) -> Account {
    Account {
        id: row.get("id"),
        name: row.get("name"),
        password: row.get("password"),
        role: row.get("role"),
        disabled: row.get::<Option<i64>, _>("disabled").is_some(),
    }
}

fn token(row: &SqliteRow) -> Result<EnrolmentToken, StoreError> {
    let group: String = row.get("grp");
    Ok(EnrolmentToken {
        id: row.get("id"),
        digest: digest("enrolment_token", row.get("digest"))?,
        group: group
            .parse()
            .map_err(|error| StoreError::inconsistent("enrolment_token", format!("{error}")))?,
        uses: u32::try_from(row.get::<i64, _>("uses")).unwrap_or(0),
        expires: Timestamp::from_unix_ms(row.get("expires")),
        created: Timestamp::from_unix_ms(row.get("created")),
        by: row.get("by"),
        revoked: row.get::<Option<i64>, _>("revoked").is_some(),
    })
}
