use askama::Template;

use super::{Standing, count, percent_of};

/// How many hosts, checks or outcomes stand how: a bar of shares with its numbers in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "part/tally.html")]
pub struct Tally {
    /// Met the rule.
    pub pass: u64,
    /// Did not meet it.
    pub fail: u64,
    /// Could not be established.
    pub error: u64,
    /// Missing or stale.
    pub unobserved: u64,
    /// Failed under an approved exception.
    pub excepted: u64,
    /// Not concerned.
    pub not_applicable: u64,
}

/// One piece of the bar.
struct Slice {
    tone: &'static str,
    word: &'static str,
    number: u64,
    x: String,
    width: String,
}

impl Tally {
    /// Counts one more that stands so.
    pub fn add(&mut self, standing: Standing) {
        match standing {
            Standing::Pass => self.pass += 1,
            Standing::Fail => self.fail += 1,
            Standing::Error => self.error += 1,
            Standing::Missing | Standing::Stale => self.unobserved += 1,
            Standing::Excepted => self.excepted += 1,
            Standing::NotApplicable => self.not_applicable += 1,
        }
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.parts().iter().map(|(_, _, number)| number).sum()
    }

    /// The numbers that are not zero, worst first: `2 fail · 1 error · 40 pass`.
    pub fn words(&self) -> String {
        let words: Vec<String> = self
            .parts()
            .iter()
            .filter(|(_, _, number)| *number > 0)
            .map(|(_, word, number)| format!("{} {word}", count(*number)))
            .collect();
        match words.is_empty() {
            true => "nothing observed".to_owned(),
            false => words.join(" · "),
        }
    }

    fn parts(&self) -> [(&'static str, &'static str, u64); 6] {
        [
            ("fail", "fail", self.fail),
            ("error", "error", self.error),
            ("gap", "unobserved", self.unobserved),
            ("excepted", "excepted", self.excepted),
            ("pass", "pass", self.pass),
            ("na", "not applicable", self.not_applicable),
        ]
    }

    fn slices(&self) -> Vec<Slice> {
        let whole = self.total() as f64;
        let mut before = 0u64;
        let mut slices = Vec::new();
        for (tone, word, number) in self.parts() {
            if number > 0 {
                slices.push(Slice {
                    tone,
                    word,
                    number,
                    x: percent_of(before as f64, whole),
                    width: percent_of(number as f64, whole),
                });
            }
            before += number;
        }
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::{Standing, Tally};

    #[test]
    fn zeros_are_left_out_and_the_worst_comes_first() {
        let mut tally = Tally {
            pass: 1_200,
            ..Tally::default()
        };
        tally.add(Standing::Stale);
        tally.add(Standing::Missing);
        tally.add(Standing::Fail);
        assert_eq!(tally.words(), "1 fail · 2 unobserved · 1,200 pass");
        assert_eq!(tally.total(), 1_203);
        assert_eq!(Tally::default().words(), "nothing observed");
    }
}
