//! What a page says of an exported round: its files, and the commands that verify them.

use super::ledger::Address;
use crate::pages::part::{Command, Download};
use crate::pages::route;

/// The files that every exported round has beside its disclosures.
pub(super) fn files(index: u64) -> Vec<Download> {
    [
        ("round.dsse.json", "the signed statement"),
        (
            "round.tlog-proof",
            "inclusion in the ledger, with the checkpoint",
        ),
        ("agent.pem", "the host's public key"),
        (
            "bundle.dsse.json",
            "the checks and parameters that were used",
        ),
        (
            "log.vkey",
            "the ledger's verifier key; compare it with the one kept outside this server",
        ),
        (
            "policy.pem",
            "the public key that signed the checks, as the ledger names it",
        ),
    ]
    .into_iter()
    .map(|(name, what)| file(index, name, what))
    .collect()
}

/// One of them.
pub(super) fn file(index: u64, name: &str, what: &str) -> Download {
    Download {
        name: name.to_owned(),
        what: what.to_owned(),
        href: route::round_file(index, name),
    }
}

/// How to verify it, alone and against the whole ledger.
pub(super) fn commands(index: u64, address: &Address) -> Vec<Command> {
    let round = "assay-verify round round.dsse.json --proof round.tlog-proof --key log.vkey \
                 --agent-key agent.pem --policy-key policy.pem --bundle bundle.dsse.json --disclosures disclosures";
    let base = &address.0;
    vec![
        Command {
            what: "Signatures, inclusion and digests, and every check judged again from its facts:"
                .to_owned(),
            line: format!("tar xf round-{index}.tar\ncd round-{index}\n{round}"),
        },
        Command {
            what: "The same, and from the whole ledger whether the key was the host's at that place (ca.pem is the authority of this server's certificate, `keys/ca.pem` in its data folder unless it was given another):"
                .to_owned(),
            line: format!("{round} --log {base}/log --ca ca.pem"),
        },
    ]
}
