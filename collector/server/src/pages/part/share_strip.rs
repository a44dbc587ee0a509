use askama::Template;

use super::strip::{Tick, ticks};
use super::{HostTimeUnit, Share, When, count, percent_of, span};

/// Columns reach a little under the next one, so that no seam looks like a gap.
const OVERLAP: f64 = 1.03;

/// The share of the fleet over a period: what passed, failed and was not observed, stacked to
/// the full height, in equal steps of time. Gaps stay gaps.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "part/share_strip.html")]
pub struct ShareStrip {
    /// Unique on the page; starts with a letter.
    pub id: String,
    /// What is drawn: `A.8.5 over all hosts in scope`.
    pub title: String,
    /// Start of the period, in milliseconds since the epoch.
    pub from_ms: i64,
    /// End of the period, on the same scale.
    pub to_ms: i64,
    /// The steps, in order of time, at most 60 of them.
    pub buckets: Vec<Bucket>,
}

/// One step of a [`ShareStrip`]: host-time by how it went, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its start, in milliseconds since the epoch.
    pub from_ms: i64,
    /// Its end, on the same scale.
    pub to_ms: i64,
    /// Host-time that passed.
    pub pass: u64,
    /// Host-time that failed.
    pub fail: u64,
    /// Host-time that was not observed.
    pub unobserved: u64,
}

/// One stacked column.
struct Stack {
    x: String,
    width: String,
    title: String,
    layers: Vec<Layer>,
}

/// A layer of a column, from the top.
struct Layer {
    tone: &'static str,
    y: String,
    height: String,
}

impl Bucket {
    fn whole(&self) -> u64 {
        self.pass + self.fail + self.unobserved
    }
}

impl ShareStrip {
    /// The drawing in words.
    pub fn words(&self) -> String {
        let sum = |part: fn(&Bucket) -> u64| self.buckets.iter().map(part).sum::<u64>();
        let (pass, fail) = (sum(|step| step.pass), sum(|step| step.fail));
        let unobserved = sum(|step| step.unobserved);
        if pass + fail + unobserved == 0 {
            return "no host was in scope in this period".to_owned();
        }
        format!(
            "operated {} of the observed host-time ({}); {} not observed",
            Share::new(pass, pass + fail).percent(),
            self.unit().ratio(Share::new(pass, pass + fail)),
            Share::new(unobserved, pass + fail + unobserved).percent(),
        )
    }

    fn stacks(&self) -> Vec<Stack> {
        let whole = (self.to_ms - self.from_ms) as f64;
        self.buckets
            .iter()
            .filter(|bucket| bucket.whole() > 0)
            .map(|bucket| Stack {
                x: percent_of((bucket.from_ms - self.from_ms) as f64, whole),
                width: percent_of((bucket.to_ms - bucket.from_ms) as f64 * OVERLAP, whole),
                title: format!(
                    "{} and {} after: {} pass, {} fail, {} not observed",
                    When::at(bucket.from_ms, self.to_ms).absolute(),
                    span(bucket.to_ms - bucket.from_ms),
                    Share::new(bucket.pass, bucket.whole()).percent(),
                    Share::new(bucket.fail, bucket.whole()).percent(),
                    Share::new(bucket.unobserved, bucket.whole()).percent(),
                ),
                layers: layers(bucket),
            })
            .collect()
    }

    /// The unit that its numbers are told in.
    fn unit(&self) -> HostTimeUnit {
        HostTimeUnit::for_whole(self.buckets.iter().map(Bucket::whole).sum())
    }

    fn ticks(&self) -> Vec<Tick> {
        ticks(self.from_ms, self.to_ms)
    }

    /// Rows of the table behind the drawing, newest first.
    fn rows(&self) -> Vec<(String, String, String, String, String)> {
        let unit = self.unit();
        self.buckets
            .iter()
            .rev()
            .map(|bucket| {
                (
                    When::at(bucket.from_ms, self.to_ms).absolute(),
                    count(unit.count(bucket.pass)),
                    count(unit.count(bucket.fail)),
                    count(unit.count(bucket.unobserved)),
                    Share::new(bucket.pass, bucket.pass + bucket.fail).percent(),
                )
            })
            .collect()
    }
}

/// Failed on top, not observed below it, passed at the foot: what matters hangs from the edge.
fn layers(bucket: &Bucket) -> Vec<Layer> {
    let whole = bucket.whole() as f64;
    let mut above = 0u64;
    let mut layers = Vec::new();
    for (tone, number) in [
        ("fail", bucket.fail),
        ("gap", bucket.unobserved),
        ("pass", bucket.pass),
    ] {
        if number > 0 {
            layers.push(Layer {
                tone,
                y: percent_of(above as f64, whole),
                height: percent_of(number as f64, whole),
            });
        }
        above += number;
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::{Bucket, ShareStrip};

    fn strip(buckets: Vec<Bucket>) -> ShareStrip {
        ShareStrip {
            id: "c".to_owned(),
            title: "t".to_owned(),
            from_ms: 0,
            to_ms: 720 * 3_600_000,
            buckets,
        }
    }

    #[test]
    fn the_worked_example_of_the_roll_up_reads_right() {
        let month = strip(vec![Bucket {
            from_ms: 0,
            to_ms: 720 * 3_600_000,
            pass: 7_128 * 3_600_000,
            fail: 36 * 3_600_000,
            unobserved: 36 * 3_600_000,
        }]);
        assert_eq!(
            month.words(),
            "operated 99.5 % of the observed host-time (7,128 of 7,164 host-hours); 0.5 % not observed"
        );
        assert_eq!(month.stacks()[0].layers[0].height, "0.5%");
    }

    #[test]
    fn a_step_without_hosts_is_a_gap() {
        let empty = strip(vec![Bucket {
            from_ms: 0,
            to_ms: 1,
            pass: 0,
            fail: 0,
            unobserved: 0,
        }]);
        assert!(empty.stacks().is_empty());
        assert_eq!(empty.words(), "no host was in scope in this period");
    }
}
