//! CEL (`cel/1`: the specification's standard functions and macros) behind one type with guards.
//!
//! The engine has no step, time or memory budget and its parser recurses, so a source is at most 2 KB, comprehensions
//! nest at most twice, and everything that parses, evaluates or drops an expression runs on a thread with a big stack
//! ([`on_big_stack`]).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::objects::{Key, Map};
use cel::{Context, Env, Program, Value as Cel};
use serde_json::Value;

use crate::time::Timestamp;

/// Longest source of an expression, in bytes.
pub const MAX_SOURCE_BYTES: usize = 2048;
/// Deepest nesting of comprehensions (`all`, `exists`, `map`, …).
pub const MAX_COMPREHENSIONS: usize = 2;
/// Most nodes of a syntax tree.
const MAX_NODES: usize = 2000;
/// Stack of the evaluating thread: 2 KB of source overflow the 2 MB that threads have by default.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// The standard functions, declared once for all expressions.
static STANDARD: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Why an expression cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The source is longer than [`MAX_SOURCE_BYTES`].
    #[error("the expression is {0} bytes long; at most {MAX_SOURCE_BYTES} are allowed")]
    TooLong(usize),
    /// Not CEL.
    #[error("not a CEL expression: {0}")]
    Syntax(String),
    /// More nested than [`MAX_COMPREHENSIONS`] or larger than the tree bound.
    #[error("{0}")]
    TooComplex(String),
    /// The type checker's complaint.
    #[error("{0}")]
    Type(String),
}

/// A compiled expression.
pub struct Expression {
    program: Program,
}

impl Expression {
    /// Compiles `source`. Call on a big stack.
    ///
    /// # Errors
    /// [`ExpressionError`] for bad syntax or a broken bound.
    pub fn compile(source: &str) -> Result<Expression, ExpressionError> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(ExpressionError::TooLong(source.len()));
        }
        let program = Program::compile(source)
            .map_err(|errors| ExpressionError::Syntax(first_line(&errors.to_string())))?;
        let mut size = Size::default();
        size.measure(program.expression(), 0);
        if size.comprehensions > MAX_COMPREHENSIONS {
            return Err(ExpressionError::TooComplex(format!(
                "comprehensions nest {} deep; at most {MAX_COMPREHENSIONS} are allowed",
                size.comprehensions
            )));
        }
        if size.nodes > MAX_NODES {
            return Err(ExpressionError::TooComplex(format!(
                "the expression has {} nodes; at most {MAX_NODES} are allowed",
                size.nodes
            )));
        }
        Ok(Expression { program })
    }

    pub(crate) fn tree(&self) -> &IdedExpr {
        self.program.expression()
    }

    /// Evaluates over `inputs`. Call on a big stack.
    ///
    /// # Errors
    /// The engine's message; the judgement is then `error` with reason `evaluation`.
    pub fn evaluate(&self, inputs: &Inputs) -> Result<Cel, String> {
        self.program
            .execute(&inputs.context)
            .map_err(|error| error.to_string())
    }
}

/// The only inputs of an expression: `facts`, `params` and `now`, brought into the engine's form once for all rules of a
/// check.
pub struct Inputs {
    facts: Cel,
    now: Cel,
    context: Context<'static, 'static>,
}

impl Inputs {
    /// Inputs from the facts of a check's probes, its parameters and the round's time. Call on a big stack.
    #[must_use]
    pub fn new(facts: Vec<(String, Cel)>, params: &Value, now: Timestamp) -> Inputs {
        let facts = facts
            .into_iter()
            .map(|(probe, facts)| (Key::from(probe), facts))
            .collect::<HashMap<_, _>>();
        let facts = Cel::Map(Map {
            map: Arc::new(facts),
        });
        let now = chrono::DateTime::from_timestamp_millis(now.unix_ms())
            .unwrap_or_default()
            .fixed_offset();
        Inputs::bound(facts, params, Cel::Timestamp(now))
    }

    /// The same facts and time under other parameters.
    #[must_use]
    pub fn with_params(&self, params: &Value) -> Inputs {
        Inputs::bound(self.facts.clone(), params, self.now.clone())
    }

    fn bound(facts: Cel, params: &Value, now: Cel) -> Inputs {
        let mut context = Context::with_env(Arc::clone(&STANDARD));
        context.add_variable_from_value("facts", facts.clone());
        context.add_variable_from_value("params", to_cel(params));
        context.add_variable_from_value("now", now.clone());
        Inputs {
            facts,
            now,
            context,
        }
    }
}

/// JSON as CEL: integers are `int`, never `uint`, so that `a.uid + 1` means what it says.
#[must_use]
pub fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| Cel::Float(number.as_f64().unwrap_or(f64::NAN)), Cel::Int),
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(members) => {
            let map = members
                .iter()
                .map(|(name, value)| (Key::from(name.clone()), to_cel(value)))
                .collect::<HashMap<_, _>>();
            Cel::Map(Map { map: Arc::new(map) })
        }
    }
}

/// CEL as JSON, for showing; members come out in order. `None` for what JSON cannot say.
#[must_use]
pub fn to_json(value: &Cel) -> Option<Value> {
    Some(match value {
        Cel::Null => Value::Null,
        Cel::Bool(value) => Value::Bool(*value),
        Cel::Int(number) => Value::from(*number),
        Cel::UInt(number) => Value::from(*number),
        Cel::Float(number) => Value::String(number.to_string()),
        Cel::String(text) => Value::String(text.as_str().to_owned()),
        Cel::Timestamp(time) => {
            Value::String(Timestamp::from_unix_ms(time.timestamp_millis()).to_string())
        }
        Cel::Duration(span) => Value::String(format!("{} s", span.num_seconds())),
        Cel::List(items) => Value::Array(items.iter().map(to_json).collect::<Option<_>>()?),
        Cel::Map(map) => {
            let mut members = serde_json::Map::new();
            for (key, value) in map.map.iter() {
                members.insert(key.to_string(), to_json(value)?);
            }
            Value::Object(members)
        }
        _ => return None,
    })
}

/// Runs `work` on a thread whose stack is large enough for any expression within the bounds.
///
/// # Errors
/// A message if the thread could not be started or died.
pub fn on_big_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("evaluate".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work);
        thread
            .map_err(|error| format!("no thread to evaluate on: {error}"))?
            .join()
            .map_err(|_| "the evaluation ended abnormally".to_owned())
    })
}

fn first_line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(300)
        .collect()
}

#[derive(Default)]
struct Size {
    nodes: usize,
    comprehensions: usize,
}

impl Size {
    fn measure(&mut self, node: &IdedExpr, depth: usize) {
        self.nodes += 1;
        self.comprehensions = self.comprehensions.max(depth);
        match &node.expr {
            Expr::Call(call) => call
                .target
                .as_deref()
                .into_iter()
                .chain(&call.args)
                .for_each(|part| self.measure(part, depth)),
            Expr::Comprehension(c) => {
                self.measure(&c.iter_range, depth);
                for part in [&c.accu_init, &c.loop_cond, &c.loop_step, &c.result] {
                    self.measure(part, depth + 1);
                }
            }
            Expr::List(list) => list
                .elements
                .iter()
                .for_each(|part| self.measure(part, depth)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.measure(&entry.key, depth);
                        self.measure(&entry.value, depth);
                    }
                }
            }
            Expr::Select(select) => self.measure(&select.operand, depth),
            Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
        }
    }
}
