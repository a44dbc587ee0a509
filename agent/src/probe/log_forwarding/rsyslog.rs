//! What rsyslog sends to other hosts: its configuration walked as the daemon walks it with a local message.

use std::collections::BTreeMap;

use super::super::debian::origin::matches_glob;
use super::super::{Observation, Unobservable, unit};
use super::filter::{Filter, condition_filter, selected};
use super::input;
use super::selector::Messages;
use super::syntax::{self, Kind, Parameters, Statement};
use super::{Forwarder, Program, Protocol, RSYSLOG, StatisticsFile};
use crate::host::FileKind;

const MAIN: &str = "/etc/rsyslog.conf";
/// Deepest nesting of includes and called rulesets.
const MAX_DEPTH: usize = 8;
/// Most files, each counted as often as it is included.
const MAX_FILES: usize = 1000;
/// Most statements, each counted as often as its ruleset is called.
const MAX_STEPS: usize = 100_000;
/// Forwarders, and filters whose messages are dropped before or between them.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) forwarders: Vec<Forwarder>,
    pub(super) discards: Vec<String>,
    /// Whether messages of local programs get there.
    pub(super) local_messages: bool,
    /// Names that the configuration gives to forwarding actions.
    pub(super) names: Vec<String>,
    /// Where impstats writes.
    pub(super) statistics: Option<StatisticsFile>,
}

/// Reads the configuration; `None` if there is none.
pub(super) fn read(observation: &mut Observation<'_>) -> Result<Option<Found>, Unobservable> {
    let main = main_file(observation)?;
    if observation.stat(&main)?.is_none() {
        return Ok(None);
    }
    let mut statements = Vec::new();
    load(observation, &main, 0, &mut 0, &mut statements)?;
    let mut walk = Walk::default();
    for (file, statement) in &statements {
        if let Kind::Object(name, parameters, inside) = &statement.kind
            && name == "ruleset"
            && let Some(ruleset) = parameters.get("name")
        {
            let inside = inside.iter().map(|one| (file.clone(), one.clone()));
            walk.rulesets.insert(ruleset.clone(), inside.collect());
        }
    }
    let mut live = Messages::ALL;
    walk.run(&statements, &Filter::Select(Messages::ALL), &mut live, 0)
        .map_err(|(at, problem)| Unobservable::unparsable(&at, problem))?;
    let statements = statements.iter().map(|(_, statement)| statement);
    walk.found.local_messages = input::receives_local(observation, statements)?;
    Ok(Some(walk.found))
}

/// The file that the unit has rsyslogd read: `-f` of its command line, which may come from a file of its environment, or
/// the usual one.
fn main_file(observation: &mut Observation<'_>) -> Result<String, Unobservable> {
    let text = unit::text(observation, RSYSLOG)?.unwrap_or_default();
    let Some(line) = unit::command::of_service(observation, RSYSLOG, &text)? else {
        return Ok(MAIN.to_owned());
    };
    let mut words = line.iter().map(String::as_str);
    let program = words.next().unwrap_or_default();
    if !program.ends_with("rsyslogd") {
        return Err(Unobservable::unparsable(
            RSYSLOG,
            format!("it starts {program}, so rsyslogd's options are not known"),
        ));
    }
    let mut file = None;
    while let Some(word) = words.next() {
        if let Some(attached) = word.strip_prefix("-f") {
            let apart = attached.is_empty();
            file = if apart { words.next() } else { Some(attached) };
        }
    }
    Ok(file.unwrap_or(MAIN).to_owned())
}

type Located = (String, Statement);

/// A file's statements with included files in their place.
fn load(
    observation: &mut Observation<'_>,
    path: &str,
    depth: usize,
    files_read: &mut usize,
    found: &mut Vec<Located>,
) -> Result<(), Unobservable> {
    if depth > MAX_DEPTH {
        return Err(Unobservable::unparsable(path, "includes nest too deep"));
    }
    *files_read += 1;
    if *files_read > MAX_FILES {
        return Err(Unobservable::unparsable(path, "includes too many files"));
    }
    let Some(text) = observation.text(path)? else {
        return Ok(());
    };
    let statements =
        syntax::parse(&text).map_err(|problem| Unobservable::unparsable(path, problem))?;
    for statement in statements {
        let included = match &statement.kind {
            Kind::Directive(name, value) if name == "includeconfig" => Some(value.clone()),
            Kind::Object(name, parameters, _) if name == "include" => {
                Some(parameters.get("file").cloned().ok_or_else(|| {
                    Unobservable::unparsable(path, "an include that names no file")
                })?)
            }
            _ => None,
        };
        match included {
            None => found.push((path.to_owned(), statement)),
            Some(pattern) => {
                for file in files(observation, path, &pattern)? {
                    load(observation, &file, depth + 1, files_read, found)?;
                }
            }
        }
    }
    Ok(())
}

/// The files of an include, in the order of their names: one file, a directory, or a pattern of names in one directory.
fn files(
    observation: &mut Observation<'_>,
    at: &str,
    pattern: &str,
) -> Result<Vec<String>, Unobservable> {
    let (directory, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let odd = |text: &str| text.contains(['*', '?', '[', '{']);
    if odd(directory) || !pattern.starts_with('/') || name.contains(['{', '\\']) {
        return Err(Unobservable::unparsable(at, format!("include {pattern}")));
    }
    if !odd(name) {
        let is_directory = observation
            .stat(pattern)?
            .is_some_and(|stat| stat.kind == FileKind::Directory);
        if name.is_empty() || is_directory {
            let all = format!("{}/*", pattern.trim_end_matches('/'));
            return files(observation, at, &all);
        }
        return Ok(vec![pattern.to_owned()]);
    }
    let entries = observation.list(directory)?.unwrap_or_default();
    let mut names: Vec<String> = entries
        .into_iter()
        .filter(|entry| entry.kind != FileKind::Directory && !entry.name.starts_with('.'))
        .map(|entry| entry.name)
        .filter(|entry| matches_glob(name, entry))
        .collect();
    names.sort();
    Ok(names
        .into_iter()
        .map(|name| format!("{directory}/{name}"))
        .collect())
}

#[derive(Default)]
struct Walk {
    found: Found,
    rulesets: BTreeMap<String, Vec<Located>>,
    /// `$DefaultNetstreamDriver` or global(): the driver of actions that name none.
    default_driver: Option<String>,
    /// `$ActionSendStreamDriver…` for the legacy actions that follow.
    legacy: Parameters,
    /// `$ActionExecOnlyWhenPreviousIsSuspended`: what follows is a fallback.
    fallback: bool,
    /// Statements gone through, each as often as its ruleset is called.
    steps: usize,
}

type Wrong = (String, String);

impl Walk {
    fn run(
        &mut self,
        statements: &[Located],
        filter: &Filter,
        live: &mut Messages,
        depth: usize,
    ) -> Result<(), Wrong> {
        for (file, statement) in statements {
            let at = format!("{file}:{}", statement.line);
            if depth > MAX_DEPTH * 4 {
                return Err((at, "rulesets call each other without end".to_owned()));
            }
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err((at, "rulesets call each other too often".to_owned()));
            }
            let place = |inside: &[Statement]| -> Vec<Located> {
                inside
                    .iter()
                    .map(|one| (file.clone(), one.clone()))
                    .collect()
            };
            match &statement.kind {
                Kind::Directive(name, value) => {
                    self.directive(name, value)
                        .map_err(|problem| (at, problem))?;
                }
                Kind::Object(name, parameters, _) => match name.as_str() {
                    "global" => {
                        if let Some(driver) = parameters.get("defaultnetstreamdriver") {
                            self.default_driver = Some(driver.clone());
                        }
                    }
                    "action" => self.action(parameters, filter, *live, &at),
                    "module" => {
                        let here = impstats(parameters);
                        self.found.statistics = here.or(self.found.statistics.take());
                    }
                    _ => {}
                },
                Kind::Rule(text, actions) => {
                    let own = selected(text).ok_or_else(|| {
                        (at.clone(), format!("selector {text:?} is not understood"))
                    })?;
                    self.run(&place(actions), &filter.and(own), live, depth + 1)?;
                }
                Kind::If(condition, then, otherwise) => {
                    let own = condition_filter(condition);
                    let before = *live;
                    self.run(&place(then), &filter.and(own.clone()), live, depth + 1)?;
                    // The other branch does not see what the first one dropped, which it never gets anyway.
                    let mut other = before;
                    self.run(
                        &place(otherwise),
                        &filter.and(own.complement()),
                        &mut other,
                        depth + 1,
                    )?;
                    *live = live.and(other);
                }
                Kind::Action(text) => {
                    self.legacy_action(text, filter, *live, &at)
                        .map_err(|problem| (at, problem))?;
                }
                Kind::Stop => self.stop(filter, live).map_err(|problem| (at, problem))?,
                Kind::Call(name) => {
                    let called = self.rulesets.get(name).cloned().unwrap_or_default();
                    // `stop` in a called ruleset ends the message there and for the caller.
                    self.run(&called, filter, live, depth + 4)?;
                }
            }
        }
        Ok(())
    }

    fn directive(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "defaultnetstreamdriver" => self.default_driver = Some(value.to_owned()),
            "actionsendstreamdriver" => self.set("streamdriver", value),
            "actionsendstreamdrivermode" => self.set("streamdrivermode", value),
            "actionsendstreamdriverauthmode" => self.set("streamdriverauthmode", value),
            "actionsendstreamdriverpermittedpeer" => self.set("streamdriverpermittedpeers", value),
            "resetconfigvariables" => self.legacy.clear(),
            "actionexeconlywhenpreviousissuspended" => {
                self.fallback = value.eq_ignore_ascii_case("on");
            }
            "ruleset" | "defaultruleset" => {
                return Err(format!(
                    "${name} moves rules between rulesets, which is not understood"
                ));
            }
            _ => {}
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.legacy.insert(name.to_owned(), value.to_owned());
    }

    fn stop(&mut self, filter: &Filter, live: &mut Messages) -> Result<(), String> {
        match filter {
            Filter::Select(set) => *live = live.without(*set),
            Filter::Narrow(text) => self.found.discards.push(text.clone()),
            // What is left of these facilities is not all of them.
            Filter::LogOns(text) => {
                *live = live.without(Messages::of_log_ons());
                self.found.discards.push(text.clone());
            }
            Filter::Unknown(text) => {
                return Err(format!(
                    "messages are dropped by a condition that is not understood: {text}"
                ));
            }
        }
        Ok(())
    }

    /// `@host`, `@@(o)host:port;template`; other legacy actions stay on the host.
    fn legacy_action(
        &mut self,
        text: &str,
        filter: &Filter,
        live: Messages,
        at: &str,
    ) -> Result<(), String> {
        let (protocol, rest) = match (text.strip_prefix("@@"), text.strip_prefix('@')) {
            (Some(rest), _) => (Protocol::Tcp, rest),
            (None, Some(rest)) => (Protocol::Udp, rest),
            (None, None) if text.starts_with(":omrelp:") => {
                (Protocol::Relp, text.trim_start_matches(":omrelp:"))
            }
            (None, None) => return Ok(()),
        };
        let rest = match rest.strip_prefix('(') {
            Some(options) => options.split_once(')').ok_or("options without end")?.1,
            None => rest,
        };
        let place = rest.split(';').next().unwrap_or_default().trim();
        let (target, port) = match place.strip_prefix('[') {
            Some(inside) => {
                let (address, behind) = inside.split_once(']').ok_or("an address without end")?;
                (address, behind.strip_prefix(':').unwrap_or("514"))
            }
            None => place.split_once(':').unwrap_or((place, "514")),
        };
        let mut parameters = self.legacy.clone();
        // The daemon gives the permitted peers to the first action that follows and keeps the mode.
        self.legacy.remove("streamdriverpermittedpeers");
        parameters.insert("target".to_owned(), target.to_owned());
        parameters.insert("port".to_owned(), port.to_owned());
        self.add(protocol, &parameters, filter, live, at);
        Ok(())
    }

    fn action(&mut self, parameters: &Parameters, filter: &Filter, live: Messages, at: &str) {
        const STAY: [&str; 12] = [
            "omfile",
            "omusrmsg",
            "omjournal",
            "omprog",
            "ompipe",
            "omstdout",
            "omuxsock",
            "omruleset",
            "mmjsonparse",
            "omdtls_local",
            "mmanon",
            "mmnormalize",
        ];
        let kind = parameters.get("type").map(|kind| kind.to_ascii_lowercase());
        let kind = kind.as_deref().unwrap_or_default();
        let kind = kind.strip_prefix("builtin:").unwrap_or(kind);
        let protocol = match kind {
            "omfwd" => match parameters
                .get("protocol")
                .map(|value| value.to_ascii_lowercase())
            {
                Some(tcp) if tcp == "tcp" => Protocol::Tcp,
                _ => Protocol::Udp,
            },
            "omrelp" => Protocol::Relp,
            _ if STAY.contains(&kind) || kind.starts_with("mm") => return,
            _ => Protocol::Other,
        };
        let is_fallback = parameters
            .get("action.execonlywhenpreviousissuspended")
            .is_some_and(|value| value.eq_ignore_ascii_case("on"));
        let was = self.fallback;
        self.fallback |= is_fallback;
        self.add(protocol, parameters, filter, live, at);
        self.fallback = was;
    }

    fn add(
        &mut self,
        protocol: Protocol,
        parameters: &Parameters,
        filter: &Filter,
        live: Messages,
        at: &str,
    ) {
        if self.fallback {
            return;
        }
        let text = |names: &[&str]| {
            let found = names.iter().find_map(|name| parameters.get(*name));
            found.cloned().filter(|value| !value.is_empty())
        };
        let is_on =
            |value: Option<String>| value.is_some_and(|value| value.eq_ignore_ascii_case("on"));
        let driver =
            text(&["streamdriver", "streamdriver.name"]).or_else(|| self.default_driver.clone());
        let speaks_tls = driver.is_some_and(|driver| {
            matches!(
                driver.to_ascii_lowercase().as_str(),
                "gtls" | "ossl" | "mbedtls"
            )
        });
        let mode = text(&["streamdrivermode", "streamdriver.mode"]);
        let encrypted = match protocol {
            // Driver and mode: port 6514 or a driver alone send clear text.
            Protocol::Tcp => speaks_tls && mode.as_deref() == Some("1"),
            Protocol::Relp => is_on(text(&["tls"])),
            _ => false,
        };
        let (auth_mode, peers) = if protocol == Protocol::Relp {
            (text(&["tls.authmode"]), text(&["tls.permittedpeer"]))
        } else {
            (
                text(&["streamdriverauthmode", "streamdriver.authmode"]),
                text(&["streamdriverpermittedpeers", "streamdriver.permittedpeers"]),
            )
        };
        let (messages, conditional) = match filter {
            Filter::Select(set) => (live.and(*set), false),
            Filter::Narrow(_) | Filter::LogOns(_) => (Messages::NONE, false),
            Filter::Unknown(_) => (Messages::NONE, true),
        };
        let default_port = if protocol == Protocol::Relp {
            "2514"
        } else {
            "514"
        };
        self.found.names.extend(text(&["name"]));
        self.found.forwarders.push(Forwarder {
            by: Program::Rsyslog,
            at: at.to_owned(),
            target: text(&["target", "server"]).unwrap_or_default(),
            port: text(&["port"]).unwrap_or_else(|| default_port.to_owned()),
            protocol,
            encrypted,
            auth_mode: auth_mode
                .filter(|_| encrypted)
                .map(|mode| mode.to_ascii_lowercase()),
            peer_named: encrypted && peers.is_some(),
            facilities: messages.facilities(),
            conditional,
        });
    }
}

/// `module(load="impstats" log.file="…" interval="…")`; without a file the samples are messages among others.
fn impstats(parameters: &Parameters) -> Option<StatisticsFile> {
    const DEFAULT_INTERVAL_S: u32 = 300;
    let load = parameters.get("load")?;
    let is_impstats = load.trim_end_matches(".so").ends_with("impstats");
    let path = parameters
        .get("log.file")
        .filter(|path| path.starts_with('/'));
    let interval = parameters
        .get("interval")
        .and_then(|text| text.parse().ok());
    let resets = parameters.get("resetcounters");
    is_impstats.then_some(StatisticsFile {
        path: path?.clone(),
        interval_s: interval.unwrap_or(DEFAULT_INTERVAL_S),
        resets: resets.is_some_and(|value| value.eq_ignore_ascii_case("on")),
    })
}
