//! Outcome: one check on one host, from the sentence down to the fact and its proof.

use askama::Template;

use super::frame::Frame;
use super::part::{Facts, Observed, Pair, Proof, Prose, Severity, Standing, Strip, When, count};

/// Texts with more words than this are not compared word by word.
const WORDS_MAX: usize = 200;

/// The page of one outcome.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "outcome.html")]
pub struct OutcomePage {
    /// What surrounds it.
    pub frame: Frame,
    /// The host's name.
    pub host: String,
    /// Address of the host.
    pub host_href: String,
    /// Id of the check.
    pub check: String,
    /// Title of the check.
    pub title: String,
    /// Address of the check.
    pub check_href: String,
    /// How much a failure weighs.
    pub severity: Severity,
    /// How it stands.
    pub standing: Standing,
    /// The reason code.
    pub reason: String,
    /// What the reason code means, as a phrase.
    pub reason_words: String,
    /// What was expected.
    pub expected: String,
    /// What was observed.
    pub observed: Observed,
    /// Values of the parameters that the round used.
    pub parameters: Vec<Pair>,
    /// Where the facts were read.
    pub sources: Vec<Source>,
    /// Since when it stands so.
    pub since: When,
    /// When the host observed it last.
    pub observed_at: When,
    /// How to mend it.
    pub fix: Prose,
    /// How the check decides, in words.
    pub decides: Prose,
    /// Controls that the check carries or supports.
    pub controls: Vec<ControlLink>,
    /// The year.
    pub strip: Strip,
    /// What a pass shows.
    pub shows: Prose,
    /// What it does not show.
    pub does_not_show: Prose,
    /// The facts that led to it, by probe.
    pub facts: Vec<ProbeFacts>,
    /// What the host would have approved.
    pub proposal: Option<Proposal>,
    /// Version of a newer bundle in force that the host has not judged by yet.
    pub newer_bundle: Option<u64>,
    /// Whether no host says it, but the collector from its ledger.
    pub by_collector: bool,
    /// Its round in the ledger; none while the round is not yet sequenced.
    pub proof: Option<Proof>,
}

/// What a host would have approved for its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The group.
    pub group: String,
    /// How many hosts it has.
    pub hosts: u64,
    /// Whether there is an approved list already.
    pub has_list: bool,
    /// What is not approved yet.
    pub items: Vec<ProposedValue>,
    /// How the check would stand then.
    pub then: Standing,
    /// Where an approval is sent; none for a reader who may not approve.
    pub action: Option<String>,
}

impl Proposal {
    /// What the proposal is about, in one sentence.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match (self.items.len(), self.has_list) {
            (0, _) => {
                "This host has nothing to list. To approve that is to say that there should be nothing."
            }
            (_, true) => "This host shows what is not on the approved list.",
            (_, false) => {
                "There is no approved list yet. This is what the host shows, right or wrong."
            }
        };
        let hosts = match self.hosts {
            1 => "1 host".to_owned(),
            hosts => format!("all {} hosts", count(hosts)),
        };
        format!(
            "{what} What is approved holds for {hosts} of the group {}.",
            self.group
        )
    }
}

/// One value that a host proposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedValue {
    /// The parameter.
    pub parameter: String,
    /// The value for people.
    pub value: String,
    /// The value of the form field: parameter and value as a JSON array.
    pub field: String,
}

/// Where a fact was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path or interface.
    pub name: String,
    /// When it was last changed, if it is a file.
    pub changed: Option<When>,
    /// SHA-256 of what was read, as hexadecimal text; empty when there is none.
    pub digest: String,
    /// Anything else worth knowing: command line, exit code, duration.
    pub note: String,
}

/// A control that a check carries or supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlLink {
    /// Its id: `A.8.5`.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Whether the check tests what the control is about.
    pub primary: bool,
    /// Address of its page.
    pub href: String,
}

/// The facts of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeFacts {
    /// The probe's name.
    pub probe: String,
    /// Digest of the disclosure that the signed round holds, as hexadecimal text.
    pub digest: String,
    /// The facts; none when they were erased or are withheld.
    pub facts: Option<Facts>,
    /// Why there are none, as a sentence; empty when there are.
    pub withheld: String,
}

/// A piece of a text: whether it differs from the text beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Words with the blanks between them.
    pub text: String,
    /// Whether the other text does not have them here.
    pub differs: bool,
}

impl OutcomePage {
    /// The answer in one sentence.
    pub fn answer(&self) -> String {
        let (host, long) = (&self.host, self.since.distance());
        match self.standing {
            Standing::Pass => format!("True on {host} for {long}."),
            Standing::Fail => format!("Not true on {host} for {long}."),
            Standing::Error => format!(
                "Could not be established on {host} for {long}, because {}.",
                self.reason_words
            ),
            Standing::NotApplicable => {
                format!("Does not concern {host}, because {}.", self.reason_words)
            }
            Standing::Missing => format!("Unknown: {host} was due to report and did not."),
            Standing::Stale => format!("Unknown: the last answer of {host} is too old to count."),
            Standing::Excepted => {
                format!("Not true on {host} for {long}, under an approved exception.")
            }
        }
    }

    fn has_fix(&self) -> bool {
        matches!(
            self.standing,
            Standing::Fail | Standing::Excepted | Standing::Error
        ) && !self.fix.is_empty()
    }

    /// Expected and observed text, differing words marked when the standing asks for it.
    fn sides(&self) -> (Vec<Segment>, Vec<Segment>) {
        match (&self.observed, self.standing) {
            (Observed::Text(text), Standing::Fail | Standing::Excepted) => {
                compare(&self.expected, text)
            }
            (Observed::Text(text), _) => (plain(&self.expected), plain(text)),
            (Observed::Named(_), _) => (plain(&self.expected), Vec::new()),
        }
    }
}

/// Marks the words in which two texts differ. Texts that share less than a third of their words
/// are different altogether, and marking them would be noise: they come back unmarked.
pub fn compare(expected: &str, observed: &str) -> (Vec<Segment>, Vec<Segment>) {
    let left: Vec<&str> = expected.split_inclusive(' ').collect();
    let right: Vec<&str> = observed.split_inclusive(' ').collect();
    if left.len() > WORDS_MAX || right.len() > WORDS_MAX {
        return (plain(expected), plain(observed));
    }
    let table = common_lengths(&left, &right);
    let shared = table[0][0];
    if shared * 3 < left.len().min(right.len()) || shared == 0 {
        return (plain(expected), plain(observed));
    }
    let (mut i, mut j) = (0, 0);
    let (mut out_left, mut out_right) = (Vec::new(), Vec::new());
    while i < left.len() || j < right.len() {
        let same = i < left.len() && j < right.len() && left[i].trim_end() == right[j].trim_end();
        if same {
            push(&mut out_left, left[i], false);
            push(&mut out_right, right[j], false);
            (i, j) = (i + 1, j + 1);
        } else if j >= right.len() || (i < left.len() && table[i + 1][j] >= table[i][j + 1]) {
            push(&mut out_left, left[i], true);
            i += 1;
        } else {
            push(&mut out_right, right[j], true);
            j += 1;
        }
    }
    (out_left, out_right)
}

/// `table[i][j]` is the length of the longest common run of words of `left[i..]` and `right[j..]`.
fn common_lengths(left: &[&str], right: &[&str]) -> Vec<Vec<usize>> {
    let mut table = vec![vec![0; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            table[i][j] = match left[i].trim_end() == right[j].trim_end() {
                true => table[i + 1][j + 1] + 1,
                false => table[i + 1][j].max(table[i][j + 1]),
            };
        }
    }
    table
}

/// Adds a word, its blank apart, so that a mark ends with the word.
fn push(segments: &mut Vec<Segment>, word: &str, differs: bool) {
    let bare = word.trim_end();
    join(segments, bare, differs);
    if bare.len() < word.len() {
        join(segments, " ", false);
    }
}

fn join(segments: &mut Vec<Segment>, word: &str, differs: bool) {
    match segments.last_mut() {
        Some(last) if last.differs == differs => last.text.push_str(word),
        _ => segments.push(Segment {
            text: word.to_owned(),
            differs,
        }),
    }
}

fn plain(text: &str) -> Vec<Segment> {
    vec![Segment {
        text: text.to_owned(),
        differs: false,
    }]
}

#[cfg(test)]
mod tests {
    use super::{Segment, compare, plain};

    #[test]
    fn only_the_words_that_differ_are_marked() {
        let (left, right) = compare(
            "PermitRootLogin no in every context",
            "PermitRootLogin yes in every context",
        );
        let word = |text: &str, differs| Segment {
            text: text.to_owned(),
            differs,
        };
        assert_eq!(
            left,
            [
                word("PermitRootLogin ", false),
                word("no", true),
                word(" in every context", false)
            ]
        );
        assert_eq!(
            right,
            [
                word("PermitRootLogin ", false),
                word("yes", true),
                word(" in every context", false)
            ]
        );
    }

    #[test]
    fn texts_that_have_nothing_in_common_stay_unmarked() {
        assert_eq!(
            compare("an allow list exists", "none"),
            (plain("an allow list exists"), plain("none"))
        );
        assert_eq!(compare("", ""), (plain(""), plain("")));
        let long = "word ".repeat(5_000);
        assert_eq!(compare(&long, "word"), (plain(&long), plain("word")));
    }
}
