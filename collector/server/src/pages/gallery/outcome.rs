use serde_json::json;

use super::control::{DECIDES, FIX, links};
use super::{DAY, HOSTS, HOUR, MINUTE, ago, frame, hex, ledger, year};
use crate::pages::frame::Section;
use crate::pages::outcome::{OutcomePage, ProbeFacts, Proposal, ProposedValue, Source};
use crate::pages::part::{
    Command, Download, Facts, Observed, Pair, Proof, Prose, Severity, Standing,
};
use crate::pages::route;

fn proof() -> Proof {
    let file = |name: &str, what: &str| Download {
        name: name.to_owned(),
        what: what.to_owned(),
        href: route::round_file(10_477, name),
    };
    Proof {
        index: 10_477,
        leaf_hash: hex(21, 64),
        envelope_digest: hex(22, 64),
        properties: vec![
            Pair::new("Sequence", "25,404 of this host"),
            Pair::new("Signed by key", hex(3, 64)),
            Pair::new("Host time", "24 Nov 2026, 13:58 UTC"),
            Pair::new("Received", "24 Nov 2026, 13:58 UTC, 0.4 s later"),
        ],
        checkpoint: ledger::CHECKPOINT.to_owned(),
        archive_href: route::round_archive(10_477),
        files: vec![
            file("round.dsse.json", "the signed statement"),
            file("round.tlog-proof", "inclusion in the ledger, with the checkpoint"),
            file("agent.pem", "the host's public key"),
            file("bundle.dsse.json", "the checks and parameters that were used"),
        ],
        commands: vec![Command {
            what: "Signature, inclusion and digests, and every check judged again from its facts:".to_owned(),
            line: "tar xf round-10477.tar\ncd round-10477\nassay-verify round round.dsse.json --proof round.tlog-proof --key log.vkey --agent-key agent.pem --policy-key policy.pem --bundle bundle.dsse.json --disclosures disclosures".to_owned(),
        }],
    }
}

fn facts() -> Facts {
    Facts::of(&json!({
        "installed": true,
        "running": {"pid": 812, "command": "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"},
        "contexts": [
            {"user": "default", "addr": "203.0.113.7", "permitrootlogin": "yes", "passwordauthentication": "no"},
            {"user": "root", "addr": "203.0.113.7", "permitrootlogin": "yes", "passwordauthentication": "no"},
        ],
        "files": ["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/10-cloud.conf"],
        "ciphers": ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr",
            "aes192-ctr", "aes128-ctr", "<b>bold</b>"],
        "match_blocks": [],
        "banner": null,
    }))
}

pub fn failing() -> OutcomePage {
    OutcomePage {
        frame: frame("SSH root log-on is off on web-01", Section::Hosts),
        host: HOSTS[0].to_owned(),
        host_href: route::host("3f2a"),
        check: "sshd.root".to_owned(),
        title: "SSH root log-on is off".to_owned(),
        check_href: route::check("sshd.root"),
        severity: Severity::High,
        standing: Standing::Fail,
        reason: "weaker_than_policy".to_owned(),
        reason_words: "what is configured is below what policy asks".to_owned(),
        expected: "PermitRootLogin no in every context".to_owned(),
        observed: Observed::Text("PermitRootLogin yes in every context".to_owned()),
        parameters: vec![Pair::new("allowed", "[\"no\"]")],
        sources: vec![
            Source {
                name: "/usr/sbin/sshd -T -C user=root,host=h,addr=203.0.113.7".to_owned(),
                changed: None,
                digest: hex(31, 64),
                note: "exit 0, 31 ms".to_owned(),
            },
            Source {
                name: "/etc/ssh/sshd_config.d/10-cloud.conf".to_owned(),
                changed: Some(ago(2 * DAY + 3 * HOUR)),
                digest: hex(32, 64),
                note: "line 3 decides".to_owned(),
            },
        ],
        since: ago(2 * DAY + 2 * HOUR),
        observed_at: ago(4 * MINUTE),
        fix: Prose::of(FIX),
        decides: Prose::of(DECIDES),
        controls: links(),
        strip: year(
            "y",
            "sshd.root on web-01.example.net over a year",
            &[
                (Standing::Pass, "ok", 266, 130),
                (Standing::Error, "permission_denied", 130, 124),
                (Standing::Pass, "ok", 124, 60),
                (Standing::Fail, "weaker_than_policy", 60, 59),
                (Standing::Pass, "ok", 59, 2),
                (Standing::Fail, "weaker_than_policy", 2, 0),
            ],
        ),
        shows: Prose::of("Root cannot enter by SSH in any evaluated context."),
        does_not_show: Prose::of("The console, or any other way in."),
        facts: vec![
            ProbeFacts {
                probe: "sshd.effective".to_owned(),
                digest: hex(41, 64),
                facts: Some(facts()),
                withheld: String::new(),
            },
            ProbeFacts {
                probe: "account.local".to_owned(),
                digest: hex(42, 64),
                facts: None,
                withheld: "These facts were erased on 3 Nov 2026 (ledger entry 9,120); the proof stays valid.".to_owned(),
            },
        ],
        proposal: None,
        newer_bundle: None,
            by_collector: false,
        proof: Some(proof()),
    }
}

pub fn passing() -> OutcomePage {
    OutcomePage {
        standing: Standing::Pass,
        reason: "ok".to_owned(),
        reason_words: "nothing to report".to_owned(),
        observed: Observed::of(&json!({
            "default": "PermitRootLogin no",
            "Match Address 10.0.0.0/8": "PermitRootLogin no",
        })),
        proof: None,
        ..failing()
    }
}

pub fn proposing() -> OutcomePage {
    let value = |name: &str| ProposedValue {
        parameter: "approved".to_owned(),
        value: name.to_owned(),
        field: json!(["approved", name]).to_string(),
    };
    OutcomePage {
        standing: Standing::Error,
        reason: "no_baseline".to_owned(),
        reason_words: "there is no approved list to compare with".to_owned(),
        proposal: Some(Proposal {
            group: "web".to_owned(),
            hosts: 12,
            has_list: false,
            items: vec![value("alice"), value("<b>\"bob\"</b>")],
            then: Standing::Pass,
            action: Some(route::approve("3f2a", "account.local.approved")),
        }),
        newer_bundle: Some(7),
        ..failing()
    }
}

#[test]
fn a_proposal_says_what_it_is_and_whom_it_concerns() {
    let mut proposal = proposing().proposal.unwrap();
    assert_eq!(
        proposal.words(),
        "There is no approved list yet. This is what the host shows, right or wrong. What is approved holds for all 12 \
         hosts of the group web."
    );
    proposal.has_list = true;
    assert!(
        proposal
            .words()
            .starts_with("This host shows what is not on the approved list.")
    );
    proposal.items.clear();
    proposal.hosts = 1;
    assert!(
        proposal
            .words()
            .starts_with("This host has nothing to list.")
    );
    assert!(
        proposal
            .words()
            .ends_with("holds for 1 host of the group web.")
    );
}

#[test]
fn an_error_is_neither_a_pass_nor_a_fail_in_words() {
    let mut page = failing();
    assert_eq!(page.answer(), "Not true on web-01.example.net for 2 d.");
    page.standing = Standing::Error;
    page.reason_words = "the agent may not read it".to_owned();
    assert_eq!(
        page.answer(),
        "Could not be established on web-01.example.net for 2 d, because the agent may not read it."
    );
    assert_eq!(passing().answer(), "True on web-01.example.net for 2 d.");
}
