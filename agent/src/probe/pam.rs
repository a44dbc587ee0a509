//! What the PAM stacks of the services that let people in really do, and the settings of the modules in them.

mod scenario;
mod settings;
mod stack;
#[cfg(test)]
mod tests;
mod walk;

use schemars::JsonSchema;
use serde::Serialize;

use super::login_defs::LoginDefs;
use super::{Observation, Probe, Unobservable};
use evidence::outcome::Reason;
use scenario::{FACTORS, QUALITY, is_unix, lock_call};
use settings::{LockSettings, QualitySettings};
use stack::{Line, Role, Stacks};

/// The services looked at.
const SERVICES: [&str; 6] = ["login", "passwd", "sshd", "su", "sudo", "sudo-i"];
/// Modules whose arguments are kept: those of others may hold passwords for directories.
const KNOWN_ARGUMENTS: [&str; 14] = [
    "pam_cracklib",
    "pam_deny",
    "pam_faillock",
    "pam_google_authenticator",
    "pam_nologin",
    "pam_passwdqc",
    "pam_permit",
    "pam_pwhistory",
    "pam_pwquality",
    "pam_rootok",
    "pam_succeed_if",
    "pam_u2f",
    "pam_unix",
    "pam_wheel",
];

/// Whether the `auth` stack of a service lets in everybody, whatever the modules that ask say. A service that has no file of
/// its own is judged, by the stacks of `other`, only if it is `used`.
///
/// # Errors
/// [`Unobservable`] if a file of it cannot be read, or the stack has too many ways to follow.
pub(super) fn opens_for_anyone(
    observation: &mut Observation<'_>,
    service: &str,
    used: bool,
) -> Result<bool, Unobservable> {
    if observation.list("/etc/pam.d")?.is_none() {
        return Ok(false);
    }
    let stacks = stack::resolve(observation, service)?;
    if !stacks.present && !used {
        return Ok(false);
    }
    scenario::opens_for_anyone(&stacks.auth).ok_or_else(|| too_many_ways(service))
}

fn too_many_ways(service: &str) -> Unobservable {
    Unobservable::unparsable(service, "its stack has too many ways to follow")
}

/// The probe `pam`.
pub struct Pam;

/// The stacks of the services that let people in or change passwords.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PamFacts {
    /// Services by name.
    services: Vec<Service>,
}

/// One service.
#[derive(Debug, Serialize, JsonSchema)]
struct Service {
    /// Its name, such as `sshd`.
    name: String,
    /// It has a file of its own; if not, the stacks of `other` are its stacks.
    present: bool,
    /// The modules that authenticate, includes resolved.
    auth: Vec<Module>,
    /// The modules that change passwords, includes resolved.
    password: Vec<Module>,
    /// pam_unix lets empty passwords in (`nullok`).
    nullok: bool,
    /// It can let someone in although every module that asks who they are says no.
    open: bool,
    /// It asks for a local password (pam_unix authenticates).
    asks_password: bool,
    /// Locking by pam_faillock.
    lockout: Lockout,
    /// Modules that ask for something beside a password.
    factors: Vec<Factor>,
    /// It stores new local passwords (pam_unix changes them).
    stores_passwords: bool,
    /// Modules that test new passwords.
    quality: Vec<Quality>,
    /// The hashing scheme of new passwords: pam_unix's option, else `ENCRYPT_METHOD`, else `des`.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_scheme: Option<String>,
    /// pam_unix's `rounds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_rounds: Option<i64>,
}

/// One line of a resolved stack.
#[derive(Debug, Serialize, JsonSchema)]
struct Module {
    /// The module's file name.
    module: String,
    /// The control as written.
    control: String,
    /// Its arguments, where they are known to hold no secret.
    args: Vec<String>,
    /// The file it stands in.
    file: String,
    /// Depth of substacks.
    level: i64,
}

/// Locking by pam_faillock.
#[derive(Debug, Serialize, JsonSchema)]
struct Lockout {
    /// A right password gets nobody in while the account is locked.
    denies: bool,
    /// Every wrong password is counted.
    counts: bool,
    /// The settings of each line that calls it.
    settings: Vec<LockSettings>,
}

/// A module that asks for something beside a password.
#[derive(Debug, Serialize, JsonSchema)]
struct Factor {
    /// The module.
    module: String,
    /// Nobody gets in without it.
    required: bool,
}

/// A module that tests new passwords.
#[derive(Debug, Serialize, JsonSchema)]
struct Quality {
    /// The module.
    module: String,
    /// A password that it refuses is not stored, whichever way the stack goes.
    effective: bool,
    /// What it asks for; absent for a module whose settings this probe does not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<QualitySettings>,
}

impl Probe for Pam {
    const ID: &'static str = "pam";
    type Facts = PamFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<PamFacts, Unobservable> {
        if observation.list("/etc/pam.d")?.is_none() {
            return Err(Unobservable::new(
                Reason::ToolMissing,
                "/etc/pam.d does not exist: this host does not configure PAM there",
            ));
        }
        let method = LoginDefs::read(observation)?
            .get("ENCRYPT_METHOD")
            .map(str::to_lowercase);
        let services = SERVICES
            .iter()
            .map(|name| Service::read(observation, name, method.as_deref()))
            .collect::<Result<_, _>>()?;
        Ok(PamFacts { services })
    }
}

impl Service {
    fn read(
        observation: &mut Observation<'_>,
        name: &str,
        method: Option<&str>,
    ) -> Result<Service, Unobservable> {
        let stacks = stack::resolve(observation, name)?;
        let many = || too_many_ways(name);
        let storing = stacks.password.iter().find(|line| is_unix(line));
        Ok(Service {
            name: name.to_owned(),
            present: stacks.present,
            nullok: stacks
                .auth
                .iter()
                .any(|line| is_unix(line) && line.has("nullok")),
            open: scenario::opens_for_anyone(&stacks.auth).ok_or_else(many)?,
            asks_password: stacks.auth.iter().any(is_unix),
            lockout: Lockout::read(observation, &stacks)?.ok_or_else(many)?,
            factors: factors(&stacks.auth).ok_or_else(many)?,
            stores_passwords: storing.is_some(),
            quality: quality(observation, &stacks.password)?.ok_or_else(many)?,
            new_scheme: storing.map(|line| new_scheme(line, method)),
            new_rounds: storing.and_then(|line| line.value("rounds")?.parse().ok()),
            auth: stacks.auth.iter().map(Module::new).collect(),
            password: stacks.password.iter().map(Module::new).collect(),
        })
    }
}

impl Module {
    fn new(line: &Line) -> Module {
        let known = KNOWN_ARGUMENTS.iter().any(|name| line.is(name)) || is_unix(line);
        Module {
            module: match line.role {
                Role::Module => line.module.clone(),
                Role::Substack => format!("substack {}", line.module),
                Role::Broken => format!("missing {}", line.module),
            },
            control: line.control.clone(),
            args: if known { line.args.clone() } else { Vec::new() },
            file: line.file.clone(),
            level: i64::try_from(line.level).unwrap_or(i64::from(u16::MAX)),
        }
    }
}

impl Lockout {
    fn read(
        observation: &mut Observation<'_>,
        stacks: &Stacks,
    ) -> Result<Option<Lockout>, Unobservable> {
        let mut settings = Vec::new();
        for line in stacks.auth.iter().filter(|line| lock_call(line).is_some()) {
            settings.push(LockSettings::faillock(observation, line)?);
        }
        let (Some(denies), Some(counts)) = (
            scenario::denies_locked(&stacks.auth),
            scenario::counts_failures(&stacks.auth),
        ) else {
            return Ok(None);
        };
        Ok(Some(Lockout {
            // Without a line of pam_faillock nothing can be locked, and a stack that always fails proves nothing.
            denies: denies && !settings.is_empty(),
            counts: counts && !settings.is_empty(),
            settings,
        }))
    }
}

fn factors(auth: &[Line]) -> Option<Vec<Factor>> {
    auth.iter()
        .enumerate()
        .filter(|(_, line)| FACTORS.iter().any(|name| line.is(name)))
        .map(|(at, line)| {
            Some(Factor {
                module: line.module.clone(),
                required: scenario::requires(auth, at)?,
            })
        })
        .collect()
}

fn quality(
    observation: &mut Observation<'_>,
    password: &[Line],
) -> Result<Option<Vec<Quality>>, Unobservable> {
    let mut found = Vec::new();
    for (at, line) in password.iter().enumerate() {
        if !QUALITY.iter().any(|name| line.is(name)) {
            continue;
        }
        let Some(effective) = scenario::keeps_weak_passwords_out(password, at) else {
            return Ok(None);
        };
        let settings = if line.is("pam_pwquality") {
            Some(QualitySettings::pwquality(observation, line)?)
        } else if line.is("pam_cracklib") {
            Some(QualitySettings::cracklib(observation, line)?)
        } else {
            None
        };
        found.push(Quality {
            module: line.module.clone(),
            effective,
            settings,
        });
    }
    Ok(Some(found))
}

/// The scheme that pam_unix hashes new passwords with: the last of its options, else what login.defs(5) says.
fn new_scheme(line: &Line, method: Option<&str>) -> String {
    let options = [
        ("yescrypt", "yescrypt"),
        ("gost_yescrypt", "gost_yescrypt"),
        ("blowfish", "bcrypt"),
        ("sha512", "sha512"),
        ("sha256", "sha256"),
        ("md5", "md5"),
        ("bigcrypt", "des"),
    ];
    let option = line
        .args
        .iter()
        .rev()
        .find_map(|arg| options.iter().find(|(name, _)| arg == name))
        .map(|(_, scheme)| *scheme);
    match (option, method) {
        (Some(scheme), _) => scheme.to_owned(),
        (None, Some("blowfish" | "bcrypt")) => "bcrypt".to_owned(),
        (None, Some(method)) => method.to_owned(),
        (None, None) => "des".to_owned(),
    }
}
