//! Rules in the form of iptables-save(8) and iptables-restore(8): what the kernel's legacy tables hold, what iptables-nft
//! loaded, and what lies on disk for the next boot.

use super::rule::{Base, Chain, ChainId, Condition, Family, Rule, Ruleset, Verdict};
use super::space::{Ports, Space};

/// Most words of one rule.
const MAX_WORDS: usize = 4096;

/// Reads all tables of one family into `rules`.
///
/// # Errors
/// The line that is not understood.
pub(super) fn parse(
    text: &str,
    family: Family,
    engine: &'static str,
    rules: &mut Ruleset,
) -> Result<(), String> {
    let mut table = String::new();
    let id = |table: &str, name: &str| ChainId {
        engine,
        family: match family {
            Family::Ipv4 => "ip".to_owned(),
            Family::Ipv6 => "ip6".to_owned(),
        },
        table: table.to_owned(),
        name: name.to_owned(),
    };
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('*') {
            name.clone_into(&mut table);
        } else if let Some(declared) = line.strip_prefix(':') {
            let mut words = declared.split_whitespace();
            let (Some(name), Some(policy)) = (words.next(), words.next()) else {
                return Err(format!("a chain without a policy: {line}"));
            };
            let chain: &mut Chain = rules.chains.entry(id(&table, name)).or_default();
            chain.base = base(&table, name, policy);
        } else if let Some(text) = appended(line) {
            let words = words(text)?;
            let Some(name) = words.get(1) else {
                return Err(format!("a rule without a chain: {line}"));
            };
            let rule = rule(words.get(2..).unwrap_or_default(), family)?;
            rules
                .chains
                .entry(id(&table, name))
                .or_default()
                .rules
                .push(rule);
        } else if !line.is_empty() && !line.starts_with('#') && line != "COMMIT" {
            return Err(format!("a line of another form: {line}"));
        }
    }
    Ok(())
}

/// The rule of a line that adds one to the end of a chain, without counters in brackets before it.
fn appended(line: &str) -> Option<&str> {
    let text = match line.strip_prefix('[') {
        Some(counted) => counted.split_once("] ")?.1,
        None => line,
    };
    text.starts_with("-A ").then_some(text)
}

fn base(table: &str, name: &str, policy: &str) -> Option<Base> {
    let hook = match name {
        "INPUT" => "input",
        "PREROUTING" => "prerouting",
        "FORWARD" => "forward",
        "OUTPUT" => "output",
        "POSTROUTING" => "postrouting",
        _ => return None,
    };
    let kind = if table == "nat" { "nat" } else { "filter" };
    Some(Base {
        kind: kind.to_owned(),
        hook: hook.to_owned(),
        accepts: policy != "DROP",
    })
}

/// The words of a rule; those with spaces are quoted, and a backslash takes the next letter as it is.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut begun = false;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            '\\' if quoted => word.extend(letters.next()),
            letter if letter.is_whitespace() && !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            letter => {
                word.push(letter);
                begun = true;
            }
        }
    }
    if quoted || words.len() > MAX_WORDS {
        return Err(format!("a rule that does not end: {line}"));
    }
    if begun {
        words.push(word);
    }
    Ok(words)
}

/// A reader over the words of one rule.
struct Reader<'w> {
    words: &'w [String],
    at: usize,
}

impl<'w> Reader<'w> {
    fn next(&mut self) -> Option<&'w str> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    fn value(&mut self, option: &str) -> Result<&'w str, String> {
        self.next()
            .ok_or_else(|| format!("{option} without a value"))
    }

    /// Whether the word after this one is no option: of an option whose form is not known, a value.
    fn skip_values(&mut self) {
        while self
            .words
            .get(self.at)
            .is_some_and(|word| !word.starts_with('-') && word != "!")
        {
            self.at += 1;
        }
    }
}

fn rule(words: &[String], family: Family) -> Result<Rule, String> {
    let mut reader = Reader { words, at: 0 };
    let mut conditions = Vec::new();
    let mut verdict = Verdict::Continue;
    let mut negated = false;
    while let Some(option) = reader.next() {
        if option == "!" {
            negated = true;
            continue;
        }
        match option {
            "-j" | "--jump" => {
                verdict = target(reader.value(option)?);
                // What follows belongs to the target, as iptables-save writes it.
                let after = words.get(reader.at..).unwrap_or_default();
                if after
                    .iter()
                    .any(|word| ["-p", "-s", "-d", "-i", "-o", "-m", "!"].contains(&word.as_str()))
                {
                    return Err(format!("a match behind a target: {}", words.join(" ")));
                }
                break;
            }
            "-g" | "--goto" => {
                verdict = Verdict::Goto(reader.value(option)?.to_owned());
                break;
            }
            "-m" | "--match" => {
                if let Some(condition) = module(reader.value(option)?) {
                    conditions.push(condition);
                }
            }
            _ => {
                if let Some(condition) = asked(option, &mut reader, family)? {
                    conditions.push(if negated {
                        condition.negated()
                    } else {
                        condition
                    });
                }
            }
        }
        negated = false;
    }
    Ok(Rule {
        conditions,
        verdict,
    })
}

fn target(name: &str) -> Verdict {
    match name {
        "ACCEPT" => Verdict::Accept,
        "DROP" | "REJECT" | "TARPIT" => Verdict::Drop,
        "RETURN" => Verdict::Return,
        "DNAT" | "REDIRECT" | "NETMAP" => Verdict::Translate,
        "LOG" | "NFLOG" | "ULOG" | "MARK" | "CONNMARK" | "CLASSIFY" | "TCPMSS" | "CHECKSUM"
        | "TRACE" | "SECMARK" | "CONNSECMARK" | "CT" | "NOTRACK" | "SET" | "DSCP" | "TOS"
        | "TTL" | "HL" | "AUDIT" | "MASQUERADE" | "SNAT" | "TEE" | "RATEEST" | "LED" => {
            Verdict::Continue
        }
        "QUEUE" | "NFQUEUE" | "TPROXY" | "SYNPROXY" | "CLUSTERIP" => {
            Verdict::Unknown(format!("the target {name}"))
        }
        chain => Verdict::Jump(chain.to_owned()),
    }
}

/// What loading a module already says of the packets. Those with options of their own are told apart by these.
fn module(name: &str) -> Option<Condition> {
    match name {
        "tcp" | "udp" | "udplite" | "icmp" | "icmp6" | "comment" | "conntrack" | "state"
        | "multiport" | "iprange" | "addrtype" | "mark" | "connmark" | "mac" | "pkttype"
        | "policy" | "dccp" | "sctp" | "set" => None,
        "rpfilter" | "limit" | "hashlimit" | "connlimit" | "recent" | "hl" | "ttl" | "rt"
        | "ah" | "esp" | "frag" | "length" | "time" | "statistic" | "physdev" | "tos" | "dscp"
        | "tcpmss" | "eui64" | "hbh" | "dst" | "ipv6header" | "connbytes" | "quota" | "nfacct"
        | "string" | "socket" | "ecn" | "helper" | "owner" | "realm" | "u32" | "bpf" | "cpu" => {
            Some(Condition::Some)
        }
        other => Some(Condition::Unknown(format!("the match {other}"))),
    }
}

fn asked(
    option: &str,
    reader: &mut Reader<'_>,
    family: Family,
) -> Result<Option<Condition>, String> {
    let condition = match option {
        "-p" | "--protocol" | "--proto" => Condition::protocol(reader.value(option)?),
        "-s" | "--source" | "--src" => address(reader.value(option)?, family, true),
        "-d" | "--destination" | "--dst" => address(reader.value(option)?, family, false),
        "-i" | "--in-interface" => {
            let name = reader.value(option)?;
            let name = match name.strip_suffix('+') {
                Some(start) => format!("{start}*"),
                None => name.to_owned(),
            };
            Condition::Interfaces {
                names: vec![name],
                negated: false,
            }
        }
        "-o" | "--out-interface" => {
            reader.value(option)?;
            Condition::Some
        }
        "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
            ports(reader.value(option)?)?
        }
        "--ctstate" | "--state" => state(reader.value(option)?),
        "--src-range" => Condition::From(reader.value(option)?.to_owned()),
        "--dst-range" => Condition::Only(format!("to {}", reader.value(option)?)),
        "--dst-type" => match reader.value(option)? {
            "LOCAL" => Condition::Some,
            kind => Condition::Only(format!("route {kind}")),
        },
        "--mac-source" | "--mark" | "--pkt-type" | "--pol" | "--src-type" => {
            Condition::Only(format!(
                "{} {}",
                option.trim_start_matches('-'),
                reader.value(option)?
            ))
        }
        "--match-set" => {
            let name = reader.value(option)?;
            reader.skip_values();
            Condition::Unknown(format!("the set {name} of ipset"))
        }
        "--comment" => {
            reader.value(option)?;
            return Ok(None);
        }
        // Every other option of a match narrows what it matches.
        _ => {
            reader.skip_values();
            Condition::Some
        }
    };
    Ok(Some(condition))
}

/// A new packet from the network is in state NEW.
fn state(words: &str) -> Condition {
    let words: Vec<&str> = words.split(',').collect();
    if words.contains(&"NEW") {
        Condition::Packets {
            space: Space::all(),
            exact: true,
        }
    } else if words.contains(&"UNTRACKED") {
        Condition::Only("connections that are not tracked".to_owned())
    } else if words.contains(&"SNAT") {
        Condition::Some
    } else {
        Condition::Never
    }
}

fn address(text: &str, family: Family, source: bool) -> Condition {
    let everything = match family {
        Family::Ipv4 => "0.0.0.0/0",
        Family::Ipv6 => "::/0",
    };
    if text == everything || text.ends_with("/0") {
        return Condition::Packets {
            space: Space::all(),
            exact: true,
        };
    }
    let text = text.strip_suffix("/32").unwrap_or(text);
    let text = text.strip_suffix("/128").unwrap_or(text);
    if text.starts_with("127.") || text == "::1" {
        return Condition::Never;
    }
    if source {
        Condition::From(text.to_owned())
    } else {
        Condition::Only(format!("to {text}"))
    }
}

/// `22`, `8000:8100`, `80,443,8000:8100`.
fn ports(text: &str) -> Result<Condition, String> {
    let mut found = Ports::default();
    for part in text.split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let number = |text: &str, empty: u16| {
            if text.is_empty() {
                Ok(empty)
            } else {
                text.parse::<u16>()
                    .map_err(|_| format!("{text} is no port"))
            }
        };
        found = found.or(&Ports::range(number(first, 0)?, number(last, u16::MAX)?));
    }
    Ok(Condition::Packets {
        space: Space::of_ports(&found),
        exact: true,
    })
}
