use super::overview::facet;
use super::{DAY, HOSTS, MINUTE, ago, frame, hex};
use crate::pages::frame::Section;
use crate::pages::ledger::{EntryRow, LedgerPage, Witness};
use crate::pages::part::{Command, Pager};
use crate::pages::route;

pub const CHECKPOINT: &str = "assay.example.net/log\n10482\nkbEb9m3HmIG4hJf0t2dX1lQkq5b0m2h6p2f3b1c9a8Q=\n\n\
    — assay.example.net/log Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

pub fn ledger() -> LedgerPage {
    let command = |what: &str, line: &str| Command {
        what: what.to_owned(),
        line: line.to_owned(),
    };
    LedgerPage {
        frame: frame("Ledger", Section::Ledger),
        origin: "assay.example.net/log".to_owned(),
        size: 10_482,
        checkpoint: CHECKPOINT.to_owned(),
        verifier_key: "assay.example.net/log+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
            .to_owned(),
        hosts_witnessing: 118,
        hosts: 120,
        witnesses: vec![Witness {
            name: "witness.example.org".to_owned(),
            size: 10_401,
            at: ago(6 * 60 * MINUTE),
        }],
        commands: vec![
            command(
                "Keep the verifier key outside this server:",
                "echo 'assay.example.net/log+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx' > log.vkey",
            ),
            command(
                "Rebuild the tree from every entry and check the signed head:",
                "assay-verify log https://assay.example.net/ --key log.vkey",
            ),
            command(
                "Keep today's checkpoint, to compare next year:",
                "curl -o checkpoint https://assay.example.net/checkpoint",
            ),
        ],
        kinds: vec![facet(
            "Entries by kind",
            &[
                ("round", 10_301, false),
                ("key", 124, false),
                ("bundle", 3, false),
                ("gap", 2, false),
            ],
        )],
        rows: (0..50)
            .map(|place| EntryRow {
                index: 10_481 - place,
                kind: if place % 9 == 4 { "key" } else { "round" }.to_owned(),
                at: ago(place as i64 * 2 * MINUTE + if place > 40 { DAY } else { 0 }),
                subject: HOSTS[place as usize % 6].to_owned(),
                subject_href: route::host(&hex(place, 64)),
                summary: if place % 9 == 4 {
                    "enrolled with token web-2026".to_owned()
                } else {
                    format!(
                        "sequence {}, 47 pass, 2 fail, 1 not applicable",
                        25_404 - place
                    )
                },
                leaf_hash: hex(place, 64),
                export_href: if place % 9 == 4 {
                    String::new()
                } else {
                    route::round_archive(10_481 - place)
                },
            })
            .collect(),
        pager: Pager {
            shown: 50,
            total: 10_482,
            noun: "entry".to_owned(),
            previous: None,
            next: Some("/ledger?before=10432".to_owned()),
            export: None,
        },
    }
}

#[test]
fn the_ledger_says_who_has_seen_it() {
    let mut page = ledger();
    assert_eq!(
        page.answer(),
        "10,482 entries under one signed checkpoint; 118 of 120 hosts hold a checkpoint that they verified; cosigned by 1 outside witness."
    );
    page.witnesses.clear();
    assert!(
        page.answer()
            .ends_with("verified; no outside witness has cosigned.")
    );
    page.size = 0;
    assert_eq!(page.answer(), "The ledger is empty.");
}
