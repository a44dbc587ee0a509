//! The static check of expressions: every field path and every function against the probes' fact schemas.
//!
//! CEL itself finds a misspelt field only when it is evaluated, and a comparison with a word that can never occur is
//! just false. Here both are refused when a bundle is loaded. Types are inferred bottom-up; what the checker cannot know
//! (an empty list's element) is `Unknown` and compatible with everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr,
};

use crate::check::Check;
use crate::expression::{Expression, ExpressionError};
use crate::schema::{FactSchemas, FactType, Field};

/// The names an expression may use, with their types.
pub(crate) struct Scope {
    names: BTreeMap<String, FactType>,
}

type Typed = Result<FactType, ExpressionError>;

fn wrong<T>(problem: impl Into<String>) -> Result<T, ExpressionError> {
    Err(ExpressionError::Type(problem.into()))
}

impl Scope {
    /// `facts` with this check's probes, `params` with its parameters, and `now` if a host judges.
    pub(crate) fn of_check(check: &Check, schemas: &FactSchemas) -> Result<Scope, ExpressionError> {
        let mut facts = BTreeMap::new();
        for probe in &check.probes {
            let Some(kind) = schemas.get(probe) else {
                return wrong(format!("no probe is called {probe}"));
            };
            facts.insert(
                probe.to_string(),
                Field {
                    kind: kind.clone(),
                    required: true,
                },
            );
        }
        let params = check
            .params
            .iter()
            .map(|(name, value)| {
                (
                    name.clone(),
                    Field {
                        kind: FactType::of_value(value),
                        required: true,
                    },
                )
            })
            .collect();
        let mut names = BTreeMap::from([
            ("facts".to_owned(), FactType::Object(Arc::new(facts))),
            ("params".to_owned(), FactType::Object(Arc::new(params))),
        ]);
        // The collector's facts count time themselves, so that an outcome changes at moments known beforehand.
        if check.judged_by.is_host() {
            names.insert("now".to_owned(), FactType::Timestamp);
        }
        Ok(Scope { names })
    }

    /// The expression must type-check and yield a bool.
    pub(crate) fn check_condition(&self, expression: &Expression) -> Result<(), ExpressionError> {
        match self.infer(expression.tree())? {
            FactType::Bool | FactType::Unknown => Ok(()),
            other => wrong(format!("the condition yields {other}, not a bool")),
        }
    }

    /// The expression must type-check.
    pub(crate) fn check_any(&self, expression: &Expression) -> Result<(), ExpressionError> {
        self.infer(expression.tree()).map(|_| ())
    }

    /// The expression must yield a value that may stand for a parameter of type `param`. A list of lists counts as one
    /// list, since that is how it is learnt.
    pub(crate) fn check_learns(
        &self,
        expression: &Expression,
        param: &FactType,
    ) -> Result<(), ExpressionError> {
        let learnt = match self.infer(expression.tree())? {
            FactType::List(items) => match *items {
                FactType::List(inner) => FactType::List(inner),
                other => FactType::List(Box::new(other)),
            },
            other => other,
        };
        if stands_for(&learnt, param) {
            Ok(())
        } else {
            wrong(format!(
                "what is learnt is {learnt} and cannot stand for the parameter, which is {param}"
            ))
        }
    }

    fn with(&self, name: &str, kind: FactType) -> Scope {
        let mut names = self.names.clone();
        names.insert(name.to_owned(), kind);
        Scope { names }
    }

    fn infer(&self, node: &IdedExpr) -> Typed {
        match &node.expr {
            Expr::Literal(literal) => Ok(literal_type(literal)),
            Expr::Ident(name) => self.names.get(name).cloned().map_or_else(
                || {
                    wrong(format!(
                        "{name} is not known here; an expression sees facts, params and now"
                    ))
                },
                Ok,
            ),
            Expr::Select(select) => self.select(select),
            Expr::List(list) => {
                let mut kind = FactType::Unknown;
                for element in &list.elements {
                    kind = kind.join(&self.infer(element)?);
                }
                Ok(FactType::List(Box::new(kind)))
            }
            Expr::Map(map) => self.map_literal(&map.entries),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(_) | Expr::Unspecified => wrong("messages are no part of cel/1"),
        }
    }

    fn select(&self, select: &SelectExpr) -> Typed {
        let operand = self.infer(&select.operand)?;
        let found = match &operand {
            FactType::Object(fields) => match fields.get(&select.field) {
                Some(field) => field.kind.clone(),
                None => {
                    return wrong(format!(
                        "there is no fact {}; known here: {}",
                        path(&select.operand, &select.field),
                        names(fields)
                    ));
                }
            },
            FactType::Map(kind) => (**kind).clone(),
            FactType::Unknown => FactType::Unknown,
            other => {
                return wrong(format!(
                    "{} is {other} and has no member {}",
                    path_of(&select.operand),
                    select.field
                ));
            }
        };
        Ok(if select.test { FactType::Bool } else { found })
    }

    fn map_literal(&self, entries: &[cel::common::ast::IdedEntryExpr]) -> Typed {
        let mut fields = BTreeMap::new();
        let mut values = FactType::Unknown;
        let mut named = true;
        for entry in entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return wrong("messages are no part of cel/1");
            };
            self.infer(&entry.key)?;
            let kind = self.infer(&entry.value)?;
            values = values.join(&kind);
            match &entry.key.expr {
                Expr::Literal(LiteralValue::String(name)) => {
                    fields.insert(
                        name.inner().to_owned(),
                        Field {
                            kind,
                            required: true,
                        },
                    );
                }
                _ => named = false,
            }
        }
        Ok(if named {
            FactType::Object(Arc::new(fields))
        } else {
            FactType::Map(Box::new(values))
        })
    }

    /// A macro, as the parser expands it: an accumulator folded over a list (or over the keys of a map).
    fn comprehension(&self, c: &ComprehensionExpr) -> Typed {
        if c.iter_var2.is_some() {
            return wrong("comprehensions with two variables are no part of cel/1");
        }
        let range = self.infer(&c.iter_range)?;
        let builds_list = matches!(&c.accu_init.expr, Expr::List(_));
        let item = match &range {
            FactType::List(kind) => (**kind).clone(),
            FactType::Map(_) | FactType::Object(_) if builds_list => {
                return wrong(format!(
                    "map() and filter() over {} have no order; iterate a list",
                    path_of(&c.iter_range)
                ));
            }
            FactType::Map(_) | FactType::Object(_) => FactType::String(None),
            FactType::Unknown => FactType::Unknown,
            other => {
                return wrong(format!(
                    "{} is {other} and cannot be iterated",
                    path_of(&c.iter_range)
                ));
            }
        };
        let inner = self.with(&c.iter_var, item);
        let initial = self.infer(&c.accu_init)?;
        let step = inner
            .with(&c.accu_var, initial.clone())
            .infer(&c.loop_step)?;
        let folded = inner.with(&c.accu_var, initial.join(&step));
        folded.infer(&c.loop_cond)?;
        folded.infer(&c.result)
    }

    fn call(&self, call: &CallExpr) -> Typed {
        let target = call
            .target
            .as_deref()
            .map(|target| self.infer(target))
            .transpose()?;
        let args = call
            .args
            .iter()
            .map(|arg| self.infer(arg))
            .collect::<Result<Vec<_>, _>>()?;
        let all: Vec<FactType> = target.iter().cloned().chain(args).collect();
        let is_method = target.is_some();
        if let Some(kind) = operator(&call.func_name, &all, call)? {
            return Ok(kind);
        }
        function(&call.func_name, is_method, &all)
    }
}

/// Whether a value of type `learnt` may be set where the default has type `param`.
pub(crate) fn stands_for(learnt: &FactType, param: &FactType) -> bool {
    use FactType::{Bool, Double, Duration, Int, List, Map, Object, String, Timestamp, Unknown};
    match (learnt, param) {
        (Double | Duration | Timestamp, _) => false,
        (List(learnt), List(param)) => stands_for(learnt, param),
        (String(_), String(_)) | (Bool, Bool) | (Int, Int) | (_, Unknown) | (Unknown, _) => true,
        (Map(_) | Object(_), Map(_) | Object(_)) => true,
        _ => false,
    }
}

fn literal_type(literal: &LiteralValue) -> FactType {
    match literal {
        LiteralValue::Boolean(_) => FactType::Bool,
        LiteralValue::Int(_) | LiteralValue::UInt(_) => FactType::Int,
        LiteralValue::Double(_) => FactType::Double,
        LiteralValue::String(text) => FactType::String(Some(vec![text.inner().to_owned()])),
        LiteralValue::Bytes(_) => FactType::Unknown,
        LiteralValue::Null => FactType::Null,
    }
}

/// The type of an operator's result, or `None` if `name` is no operator.
fn operator(
    name: &str,
    args: &[FactType],
    call: &CallExpr,
) -> Result<Option<FactType>, ExpressionError> {
    let both = || (args[0].clone(), args[1].clone());
    let kind = match (name, args.len()) {
        ("_&&_" | "_||_", 2) | ("!_" | "@not_strictly_false", 1) => {
            need(args, &FactType::Bool, name)?;
            FactType::Bool
        }
        ("_==_" | "_!=_", 2) => {
            let (a, b) = both();
            if !a.comparable(&b) {
                return wrong(format!(
                    "{} is {a} and can never equal {b}",
                    path_of(&call.args[0])
                ));
            }
            check_words(&a, &b, &call.args[0])?;
            FactType::Bool
        }
        ("_<_" | "_<=_" | "_>_" | "_>=_", 2) => {
            let (a, b) = both();
            let ordered = |kind: &FactType| {
                matches!(
                    kind,
                    FactType::Int
                        | FactType::Double
                        | FactType::String(_)
                        | FactType::Timestamp
                        | FactType::Duration
                        | FactType::Unknown
                )
            };
            if !ordered(&a) || !ordered(&b) || !a.comparable(&b) {
                return wrong(format!(
                    "{} is {a} and cannot be ordered against {b}",
                    path_of(&call.args[0])
                ));
            }
            FactType::Bool
        }
        ("@in", 2) => member_of(&args[0], &args[1], call)?,
        ("_?_:_", 3) => {
            need(&args[..1], &FactType::Bool, "the condition of ? :")?;
            args[1].join(&args[2])
        }
        ("_[_]", 2) => index(&args[0], &args[1], call)?,
        ("-_", 1) => args[0].clone(),
        ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", 2) => arithmetic(name, &args[0], &args[1])?,
        _ => return Ok(None),
    };
    Ok(Some(kind))
}

fn need(args: &[FactType], kind: &FactType, what: &str) -> Result<(), ExpressionError> {
    match args
        .iter()
        .find(|arg| *arg != kind && **arg != FactType::Unknown)
    {
        Some(other) => wrong(format!("{what} needs {kind}, found {other}")),
        None => Ok(()),
    }
}

/// A closed list of words compared with a word outside it is a typo.
fn check_words(a: &FactType, b: &FactType, at: &IdedExpr) -> Result<(), ExpressionError> {
    if let (FactType::String(Some(a)), FactType::String(Some(b))) = (a, b)
        && !a.iter().any(|word| b.contains(word))
    {
        return wrong(format!(
            "{} is one of {} and never {}",
            path_of(at),
            a.join(", "),
            b.join(", ")
        ));
    }
    Ok(())
}

fn member_of(item: &FactType, range: &FactType, call: &CallExpr) -> Typed {
    match range {
        FactType::List(kind) => {
            if !item.comparable(kind) {
                return wrong(format!(
                    "{} is {item} and can never be in a list of {kind}",
                    path_of(&call.args[0])
                ));
            }
            // Each word of a literal list must be possible, or a misspelt one would silently never match.
            if let Expr::List(list) = &call.args[1].expr {
                for element in &list.elements {
                    if let Expr::Literal(literal) = &element.expr {
                        check_words(item, &literal_type(literal), &call.args[0])?;
                    }
                }
            }
        }
        FactType::Map(_) | FactType::Object(_) | FactType::Unknown => {}
        other => {
            return wrong(format!(
                "{} is {other}; `in` needs a list or a map",
                path_of(&call.args[1])
            ));
        }
    }
    Ok(FactType::Bool)
}

fn index(of: &FactType, by: &FactType, call: &CallExpr) -> Typed {
    match (of, by) {
        (FactType::List(kind), FactType::Int | FactType::Unknown) => Ok((**kind).clone()),
        (FactType::Map(kind), FactType::String(_) | FactType::Unknown) => Ok((**kind).clone()),
        (FactType::Object(fields), FactType::String(Some(words))) => {
            match words.iter().find_map(|word| fields.get(word)) {
                Some(field) => Ok(field.kind.clone()),
                None => wrong(format!(
                    "there is no fact {}[{}]",
                    path_of(&call.args[0]),
                    words.join(", ")
                )),
            }
        }
        (FactType::Object(_) | FactType::Unknown, _) => Ok(FactType::Unknown),
        _ => wrong(format!(
            "{} is {of} and cannot be indexed by {by}",
            path_of(&call.args[0])
        )),
    }
}

fn arithmetic(name: &str, a: &FactType, b: &FactType) -> Typed {
    use FactType::{Double, Duration, Int, List, String, Timestamp, Unknown};
    Ok(match (name, a, b) {
        (_, Unknown, kind) | (_, kind, Unknown) => kind.clone(),
        (_, Int, Int) => Int,
        (_, Double, Double) => Double,
        ("_+_", String(_), String(_)) => String(None),
        ("_+_", List(x), List(y)) => List(Box::new(x.join(y))),
        ("_-_", Timestamp, Timestamp) | ("_+_" | "_-_", Duration, Duration) => Duration,
        ("_+_" | "_-_", Timestamp, Duration) | ("_+_", Duration, Timestamp) => Timestamp,
        _ => {
            return wrong(format!(
                "{} has no meaning between {a} and {b}",
                name.trim_matches('_')
            ));
        }
    })
}

fn function(name: &str, is_method: bool, args: &[FactType]) -> Typed {
    use FactType::{Bool, Double, Duration, Int, List, Map, Object, String, Timestamp, Unknown};
    let text = |kind: &FactType| matches!(kind, String(_) | Unknown);
    let fits = match (name, args) {
        ("size", [List(_) | Map(_) | Object(_) | String(_) | Unknown]) => Some(Int),
        ("contains" | "startsWith" | "endsWith", [a, b]) if is_method && text(a) && text(b) => {
            Some(Bool)
        }
        ("matches", [a, b]) if text(a) && text(b) => Some(Bool),
        ("timestamp", [String(_) | Timestamp | Int | Unknown]) => Some(Timestamp),
        ("duration", [String(_) | Duration | Unknown]) => Some(Duration),
        ("string", [Bool | Int | Double | String(_) | Timestamp | Duration | Unknown]) => {
            Some(String(None))
        }
        ("int", [Int | Double | String(_) | Timestamp | Unknown]) => Some(Int),
        ("double", [Int | Double | String(_) | Unknown]) => Some(Double),
        ("bool", [Bool | String(_) | Unknown]) => Some(Bool),
        (
            "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getDayOfWeek"
            | "getDayOfYear",
            [Timestamp | Unknown],
        ) if is_method => Some(Int),
        (
            "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds",
            [Timestamp | Duration | Unknown],
        ) if is_method => Some(Int),
        _ => None,
    };
    fits.map_or_else(
        || {
            let kinds: Vec<_> = args.iter().map(std::string::ToString::to_string).collect();
            wrong(format!(
                "cel/1 has no function {name}({})",
                kinds.join(", ")
            ))
        },
        Ok,
    )
}

fn path(operand: &IdedExpr, field: &str) -> String {
    format!("{}.{field}", path_of(operand))
}

/// The path that an expression spells, for messages.
fn path_of(node: &IdedExpr) -> String {
    match &node.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => path(&select.operand, &select.field),
        Expr::Call(call) if call.func_name == "_[_]" => {
            call.args.first().map(path_of).unwrap_or_default()
        }
        Expr::Call(call) => format!("{}(…)", call.func_name.trim_matches('_')),
        _ => "the value".to_owned(),
    }
}

fn names(fields: &BTreeMap<String, Field>) -> String {
    fields.keys().cloned().collect::<Vec<_>>().join(", ")
}
