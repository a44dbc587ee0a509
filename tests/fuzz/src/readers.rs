//! The readers of bytes from outside that are no answers of a host: what is signed, sent, kept or written by people.

use crypto::Digest;
use evidence::approved::Approved;
use evidence::bundle::Bundle;
use evidence::cadence::Cadence;
use evidence::check::CheckFile;
use evidence::expression::Expression;
use evidence::time::Timestamp;
use ledger::checkpoint::Checkpoint;
use ledger::key::Vkey;
use ledger::note::Note;
use ledger::tile::{TilePath, decode_hashes};
use ledger::tlog_proof::TlogProof;
use wire::decision;
use wire::disclosure::Disclosure;
use wire::envelope::Envelope;
use wire::leaf::Leaf;
use wire::receipt::Receipt;
use wire::statement::AgentStatement;
use wire::submission::Submission;

/// A reader: its name, what it does with bytes, and a small input that it takes.
pub struct Reader {
    /// Its name in an input's first line.
    pub name: &'static str,
    /// Reads. What was taken must be written as it was read, where there is one form.
    pub read: fn(&[u8]) -> Result<(), String>,
    /// Something it takes, or nearly.
    pub seeds: &'static [&'static str],
}

/// Every reader.
pub const READERS: &[Reader] = &[
    Reader {
        name: "evidence.json",
        read: json,
        seeds: &[r#"{"a":[1,-2,true,null,"\u00e9\ud83d\ude00"],"b":{}}"#],
    },
    Reader {
        name: "evidence.bundle",
        read: |bytes| {
            let _ = Bundle::parse(bytes);
            Ok(())
        },
        seeds: &[r#"{"checks":{},"format":"assay.bundle/v1","name":"x","version":1}"#],
    },
    Reader {
        name: "evidence.check",
        read: |bytes| {
            text(bytes, |text| {
                let _ = CheckFile::parse("own.toml", text);
            })
        },
        seeds: &[include_str!("../../../configs/checks/sshd.root.toml")],
    },
    Reader {
        name: "evidence.approved",
        read: |bytes| {
            text(bytes, |text| {
                let _ = Approved::parse("web.toml", text);
            })
        },
        seeds: &["[checks.\"sshd.root\".params]\nallowed = [\"no\"]\n"],
    },
    Reader {
        name: "evidence.expression",
        read: expression,
        seeds: &[
            "facts.sshd.settings.all(s, s.name in params.allowed || s.value.matches('^a+$'))",
            "size(facts.a) > 0 && timestamp('2026-11-24T07:00:00Z') - now < duration('48h') ? [1] : []",
        ],
    },
    Reader {
        name: "evidence.words",
        read: words,
        seeds: &["*/15 0-23/2 1,15 * 1-5", "2026-11-24T07:00:00.123Z"],
    },
    Reader {
        name: "wire.envelope",
        read: envelope,
        seeds: &[
            r#"{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"","sig":"AAAA"}]}"#,
        ],
    },
    Reader {
        name: "wire.statement",
        read: statement,
        seeds: &[
            r#"{"_type":"https://in-toto.io/Statement/v1","predicate":{"agent":"a"},"predicateType":"x","subject":[]}"#,
        ],
    },
    Reader {
        name: "wire.leaf",
        read: leaf,
        seeds: &[r#"{"agent":"a","epoch":1,"kind":"round","seq":1,"v":1}"#],
    },
    Reader {
        name: "wire.submission",
        read: |bytes| {
            let Ok(submission) = Submission::parse(bytes) else {
                return Ok(());
            };
            let again = submission.to_bytes().map_err(|error| error.to_string())?;
            Submission::parse(&again)
                .map(|_| ())
                .map_err(|error| format!("what was written cannot be read: {error}"))
        },
        seeds: &["{\"disclosures\":[],\"envelope\":{}}"],
    },
    Reader {
        name: "wire.disclosure",
        read: |bytes| {
            text(bytes, |text| {
                if let Ok(disclosure) = Disclosure::parse(text) {
                    let _ = disclosure.digest();
                }
            })
        },
        seeds: &[r#"["AAAAAAAAAAAAAAAAAAAAAA","sshd",{"sources":[]}]"#],
    },
    Reader {
        name: "wire.receipt",
        read: |bytes| {
            if let Ok(receipt) = evidence::json::parse::<Receipt>(bytes) {
                let _ = TlogProof::parse(receipt.proof.as_bytes());
            }
            Ok(())
        },
        seeds: &[r#"{"consistency":[],"proof":"c2sp.org/tlog-proof@v1\n"}"#],
    },
    Reader {
        name: "ledger.note",
        read: note,
        seeds: &[
            "example.com/log\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u{2014} example.com/log AAAAAAAA\n",
        ],
    },
    Reader {
        name: "ledger.proof",
        read: |bytes| {
            let Ok(proof) = TlogProof::parse(bytes) else {
                return Ok(());
            };
            same("tlog-proof", bytes, &proof.to_bytes())
        },
        seeds: &[
            "c2sp.org/tlog-proof@v1\nindex 1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nexample.com/log\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u{2014} example.com/log AAAAAAAA\n",
        ],
    },
    Reader {
        name: "ledger.tile",
        read: tile,
        seeds: &["tile/0/x001/067.p/1\n", "tile/entries/000\n\u{0}\u{1}a"],
    },
    Reader {
        name: "ledger.vkey",
        read: |bytes| {
            text(bytes, |text| {
                let _ = text.parse::<Vkey>();
            })
        },
        seeds: &["example.com/log+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="],
    },
    Reader {
        name: "agent.config",
        read: |bytes| {
            text(bytes, |text| {
                let _ = agent::config::Config::parse("agent.toml", text);
            })
        },
        seeds: &[include_str!("../../../configs/agent.toml")],
    },
    Reader {
        name: "crypto.key",
        read: |bytes| {
            let _ = crypto::VerifyingKey::from_spki(bytes);
            text(bytes, |text| {
                let _ = crypto::VerifyingKey::from_pem(text);
                let _ = crypto::SigningKey::from_pem(text);
                let _ = Digest::from_hex(text);
                let _ = Digest::from_base64(text);
            })
        },
        seeds: &["-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"],
    },
];

/// The reader of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Reader> {
    READERS.iter().find(|reader| reader.name == name)
}

fn text(bytes: &[u8], read: impl FnOnce(&str)) -> Result<(), String> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
    Ok(())
}

fn same(what: &str, read: &[u8], written: &[u8]) -> Result<(), String> {
    if read == written {
        Ok(())
    } else {
        let (read, written) = (
            String::from_utf8_lossy(read),
            String::from_utf8_lossy(written),
        );
        Err(format!("a {what} has two forms: {read:?} and {written:?}"))
    }
}

fn json(bytes: &[u8]) -> Result<(), String> {
    let Ok(value) = evidence::json::parse_value(bytes) else {
        return Ok(());
    };
    if evidence::json::check_signable(&value).is_err() {
        return Ok(());
    }
    let canonical = evidence::json::canonical(&value).map_err(|error| error.to_string())?;
    let again = evidence::json::parse_canonical::<serde_json::Value>(&canonical)
        .map_err(|error| format!("the canonical form cannot be read: {error}"))?;
    if again == value {
        Ok(())
    } else {
        Err("the canonical form has another meaning".to_owned())
    }
}

fn expression(bytes: &[u8]) -> Result<(), String> {
    let Ok(source) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    evidence::expression::on_big_stack(|| {
        let _ = Expression::compile(source);
    })
}

fn words(bytes: &[u8]) -> Result<(), String> {
    let Ok(word) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    let now = Timestamp::from_unix_seconds(1_795_503_600);
    if let Ok(cadence) = word.parse::<Cadence>() {
        let _ = (cadence.next_after(now), cadence.longest_gap_ms());
    }
    if let Ok(time) = word.parse::<Timestamp>() {
        let again = time.to_string().parse::<Timestamp>();
        if again.ok() != Some(time) {
            return Err(format!("{time} is not read back"));
        }
    }
    Ok(())
}

fn envelope(bytes: &[u8]) -> Result<(), String> {
    if let Ok(envelope) = Envelope::parse(bytes) {
        let _ = envelope.digest();
        let _ = decision::peek(&envelope.payload);
        let file = envelope.to_file().map_err(|error| error.to_string())?;
        let again = Envelope::parse_file(&file).map_err(|error| error.to_string())?;
        if again.digest() != envelope.digest() {
            return Err("an envelope changes its name when written".to_owned());
        }
    }
    Ok(())
}

fn statement(bytes: &[u8]) -> Result<(), String> {
    let _ = decision::peek(bytes);
    let Ok(statement) = AgentStatement::parse(bytes) else {
        return Ok(());
    };
    let written = statement.to_payload().map_err(|error| error.to_string())?;
    same("statement", bytes, &written)
}

fn leaf(bytes: &[u8]) -> Result<(), String> {
    let Ok(leaf) = Leaf::parse(bytes) else {
        return Ok(());
    };
    let written = leaf.to_bytes().map_err(|error| error.to_string())?;
    same("leaf", bytes, &written)
}

fn note(bytes: &[u8]) -> Result<(), String> {
    let Ok(note) = Note::parse(bytes, 64 * 1024) else {
        return Ok(());
    };
    if let Ok(checkpoint) = Checkpoint::parse(note.text()) {
        let _ = checkpoint.to_text();
    }
    let _ = note.verify(&[]);
    same("note", bytes, &note.to_bytes())
}

fn tile(bytes: &[u8]) -> Result<(), String> {
    let length = bytes.iter().position(|byte| *byte == b'\n');
    let (name, file) = bytes.split_at(length.unwrap_or(bytes.len()));
    let file = file.get(1..).unwrap_or_default();
    let path = std::str::from_utf8(name)
        .ok()
        .and_then(|name| name.parse::<TilePath>().ok());
    if let Some(path) = path {
        same("tile path", name, path.to_string().as_bytes())?;
        let _ = (path.full(), path.first(), decode_hashes(&path, file));
        let _ = ledger::bundle::decode(file, path.width());
    }
    Ok(())
}
