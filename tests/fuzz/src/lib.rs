//! Fuzzing what a host says: hostile bytes stand in for one answer of a recorded host, one probe observes it, and its
//! checks judge what it found.
//!
//! Held for every input: no panic, CPU time and memory within bounds, facts of the type the probe publishes, checks that
//! can be judged. The readers of what is signed, sent and kept are held to the same ([`readers`]). `tests/fuzz/run` builds
//! and runs the fuzzer; what it found is kept in `tests/fuzz/kept` and read again by every test run.

pub mod between;
pub mod bounds;
pub mod growth;
pub mod hosts;
pub mod place;
pub mod readers;
pub mod seeds;

use std::time::Duration;

use agent::probe::{self, Observation, Registered, VolatileMemory};
use evidence::fact::Facts;
use evidence::id::ProbeId;
use serde_json::Value;

use crate::between::Between;
use crate::bounds::{Cost, measure};
use crate::hosts::{Hosts, Known};
use crate::place::{Place, Question};

/// Most bytes of an input.
pub const MAX_INPUT_BYTES: usize = 64 * 1024;
/// Most CPU time that reading an input may take beyond its length, in a build without optimisation or with coverage.
const MAX_CPU: Duration = Duration::from_secs(1);
/// Most CPU time for each byte of the input, in such a build.
const MAX_CPU_PER_BYTE: Duration = Duration::from_micros(2);
/// Most memory that reading an input may take beyond what a probe takes by itself.
const MAX_MEMORY: usize = 24 << 20;
/// Most memory for each byte of the input.
const MAX_MEMORY_PER_BYTE: usize = 64;
/// Largest facts, as JSON, of short answers.
const MAX_FACTS_BYTES: usize = 2 << 20;
/// Most of them for each byte of the input: names of members beside every value.
const MAX_FACTS_PER_BYTE: usize = 8;

/// What an input did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// The bytes were read, at this cost.
    Read(Cost),
    /// The input names no place, or the probe never asked there.
    Nothing,
}

/// What must not happen, other than a panic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Violation {
    place: String,
    problem: String,
}

/// Reads an input and holds what must be held.
///
/// # Errors
/// [`Violation`] saying what was not.
///
/// # Panics
/// If the reader does: that is what is looked for.
pub fn run(input: &[u8]) -> Result<Done, Violation> {
    let Some((place, bytes)) = place::split(input) else {
        return Ok(Done::Nothing);
    };
    let bytes = bytes.as_ref();
    let done = match &place {
        Place::Reader(name) => match readers::named(name) {
            Some(reader) => {
                let (read, cost) = measure(|| (reader.read)(bytes));
                read.and_then(|()| within(cost, bytes)).map(Done::Read)
            }
            None => Ok(Done::Nothing),
        },
        Place::Host {
            recording,
            probe,
            question,
        } => observe(recording, probe, question, bytes),
    };
    done.map_err(|problem| Violation {
        place: place.to_string(),
        problem,
    })
}

fn observe(
    recording: &str,
    probe: &str,
    question: &Question,
    bytes: &[u8],
) -> Result<Done, String> {
    let hosts = Hosts::shared().map_err(ToString::to_string)?;
    let (Ok(known), Some(probe), Ok(id)) =
        (hosts.known(recording), hosts.probe(probe), probe.parse())
    else {
        return Ok(Done::Nothing);
    };
    let between = Between::saying(&known.host, question, bytes);
    let (facts, cost) = measure(|| facts_of(&between, probe, &known));
    if !between.was_asked() {
        return Ok(Done::Nothing);
    }
    within(cost, bytes)?;
    conforms(hosts, &id, &facts, bytes)?;
    if is_judged(bytes) {
        let facts = [(id.clone(), facts)].into();
        let (judged, cost) = measure(|| hosts.judge(&known, &id, facts));
        judged.map_err(|error| error.to_string())?;
        within(cost, bytes).map_err(|problem| format!("judging: {problem}"))?;
    }
    Ok(Done::Read(cost))
}

/// Judging costs many times what observing costs: one input in so many is judged, always the same ones.
fn is_judged(bytes: &[u8]) -> bool {
    let sum = bytes
        .iter()
        .fold(0_u8, |sum, byte| sum.rotate_left(3) ^ byte);
    sum & 0x3f == 0
}

fn facts_of(between: &Between<'_>, probe: &Registered, known: &Known) -> Facts {
    let mut memory = VolatileMemory::default();
    let now = known.host.now();
    let mut observation = Observation::new(between, &mut memory, probe.id(), now);
    probe.facts(&mut observation)
}

fn conforms(hosts: &Hosts, id: &ProbeId, facts: &Facts, bytes: &[u8]) -> Result<(), String> {
    let mut members = facts.members().clone();
    members.remove("sources");
    let value = Value::Object(members);
    let length = value.to_string().len();
    if length > MAX_FACTS_BYTES + MAX_FACTS_PER_BYTE * bytes.len() {
        return Err(format!("facts of {length} bytes"));
    }
    let kind = hosts.schema(id).ok_or("facts without a schema")?;
    if facts.is_error() || probe::conforms(&value, kind) {
        Ok(())
    } else {
        Err(format!("not what the probe publishes: {value}"))
    }
}

fn within(cost: Cost, bytes: &[u8]) -> Result<Cost, String> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let most = Cost {
        cpu: MAX_CPU + MAX_CPU_PER_BYTE * length,
        memory: MAX_MEMORY + MAX_MEMORY_PER_BYTE * bytes.len(),
    };
    if cost.cpu > most.cpu || cost.memory > most.memory {
        return Err(format!("{} bytes cost {cost:?}", bytes.len()));
    }
    Ok(cost)
}
