//! Overview: how the hosts stand against Annex A, and what changed.

use askama::Template;

use super::frame::Frame;
use super::part::{Empty, Figure, Severity, Standing, Tile, Verdict, When, counted};

/// The overview page.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "overview.html")]
pub struct OverviewPage {
    /// What surrounds it.
    pub frame: Frame,
    /// The period in words, as it ends a sentence: `the last 30 days`.
    pub period: String,
    /// Other periods to choose from.
    pub periods: Vec<PeriodChoice>,
    /// Hosts that are enrolled and not retired.
    pub hosts: u64,
    /// Rounds ever received.
    pub rounds: u64,
    /// The four figures: operating controls, coverage, freshness, open deviations.
    pub figures: Vec<Figure>,
    /// The controls by theme, in the standard's order.
    pub themes: Vec<Theme>,
    /// How many changed lately.
    pub changed: Changed,
    /// Checks that began to fail lately, newest first, the first few.
    pub newly_failing: Vec<Change>,
    /// Checks that stopped failing lately, newest first.
    pub newly_fixed: Vec<Change>,
    /// Hosts that went silent lately, longest silence first.
    pub newly_silent: Vec<Silence>,
    /// The words for "lately": `in the last 7 days`.
    pub lately: String,
}

/// A period that one may look at instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeriodChoice {
    /// Its name: `30 days`.
    pub label: String,
    /// Address of this page over it.
    pub href: String,
    /// Whether it is the one shown.
    pub chosen: bool,
}

/// The controls of one theme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Its name: `Technological`.
    pub name: String,
    /// Its controls, by number.
    pub tiles: Vec<Tile>,
}

/// How much changed lately, listed or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Checks on hosts that began to fail.
    pub failing: u64,
    /// Checks on hosts that stopped failing.
    pub fixed: u64,
    /// Hosts that went silent.
    pub silent: u64,
}

/// A check on a host whose outcome changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The host's name.
    pub host: String,
    /// Title of the check.
    pub check_title: String,
    /// How much a failure weighs.
    pub severity: Severity,
    /// How it stands now.
    pub standing: Standing,
    /// What was observed, in short.
    pub observed: String,
    /// Since when.
    pub since: When,
    /// Address of the outcome.
    pub href: String,
}

/// A host from which nothing has come for longer than its cadence explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The host's name.
    pub host: String,
    /// Address of the host.
    pub href: String,
    /// When it was last heard; none if never.
    pub last: Option<When>,
}

impl Theme {
    /// The numbers per verdict that are not zero, worst first.
    pub fn tally(&self) -> Vec<(u64, Verdict)> {
        tally(&self.tiles)
    }
}

impl OverviewPage {
    /// The answer in one sentence.
    pub fn answer(&self) -> String {
        if self.hosts == 0 {
            return "No host is enrolled yet, so nothing is known about any control.".to_owned();
        }
        if self.rounds == 0 {
            return format!(
                "{} enrolled, and no round has been received yet.",
                sentence_start(&counted(self.hosts, "host"))
            );
        }
        let number = |verdict| self.tiles().filter(|tile| tile.verdict == verdict).count() as u64;
        let judged = self
            .tiles()
            .filter(|tile| tile.verdict != Verdict::DocumentsOnly)
            .count() as u64;
        let not = number(Verdict::NotOperating);
        let mut rest = Vec::new();
        for (verdict, words) in [
            (Verdict::OperatingWithDeviations, "operated with deviations"),
            (Verdict::InsufficientEvidence, "lack sufficient evidence"),
        ] {
            match number(verdict) {
                0 => {}
                1 if verdict == Verdict::InsufficientEvidence => {
                    rest.push("1 lacks sufficient evidence".to_owned());
                }
                some => rest.push(format!("{some} {words}")),
            }
        }
        let first = match (not, rest.is_empty()) {
            (0, true) => format!(
                "All {judged} host-evidenced controls operated in {}",
                self.period
            ),
            (0, false) => format!(
                "{} of {judged} host-evidenced controls operated in {} without a deviation",
                number(Verdict::Operating),
                self.period
            ),
            _ => format!(
                "{not} of {judged} host-evidenced controls did not operate in {}",
                self.period
            ),
        };
        let now = match self.tiles().filter(|tile| tile.failing > 0).count() as u64 {
            0 => " No primary check fails now.".to_owned(),
            1 => " Primary checks of 1 control fail now.".to_owned(),
            some => format!(" Primary checks of {some} controls fail now."),
        };
        match rest.is_empty() {
            true => format!("{first}.{now}"),
            false => format!("{first}; {}.{now}", rest.join(", ")),
        }
    }

    fn tiles(&self) -> impl Iterator<Item = &Tile> {
        self.themes.iter().flat_map(|theme| &theme.tiles)
    }

    /// What a list leaves out, as a sentence; empty if it is whole.
    fn rest(number: &u64, shown: usize) -> String {
        match number.saturating_sub(shown as u64) {
            0 => String::new(),
            more => format!(
                "And {} more, which the hosts' pages list.",
                super::part::count(more)
            ),
        }
    }

    fn start(&self) -> Option<Empty> {
        (self.hosts == 0).then(|| Empty {
            why: "There are no hosts to look at.".to_owned(),
            next: "Make an enrolment token on the collector and give it to an agent.".to_owned(),
            command: Some(
                "assay-collector token create --group default --uses 1 --expires 7d".to_owned(),
            ),
        })
    }
}

/// How many tiles have which verdict, worst first, without zeros.
pub(super) fn tally(tiles: &[Tile]) -> Vec<(u64, Verdict)> {
    Verdict::ALL
        .into_iter()
        .map(|verdict| {
            let number = tiles.iter().filter(|tile| tile.verdict == verdict).count();
            (number as u64, verdict)
        })
        .filter(|(number, _)| *number > 0)
        .collect()
}

fn sentence_start(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
