//! What the list's own conditions choose of a facet.

use crate::search::aggregate::Group;
use crate::search::filter::{Bound, Filter, Test, Value};
use crate::search::parse::condition::Condition;

/// Marks the values that the conditions on a facet name.
pub(super) fn mark(group: &mut Group, choices: &[(&Condition, &Filter)]) {
    match group {
        Group::Terms { chosen, .. } => choices.iter().for_each(|(_, filter)| values(filter, chosen)),
        Group::Conditions { list, .. } => {
            let mut chosen = Vec::new();
            choices.iter().for_each(|(_, filter)| ranges(filter, &mut chosen));
            for named in list {
                let mut own = Vec::new();
                ranges(&named.filter, &mut own);
                let is_within = |own: &Range| chosen.iter().all(|chosen| contains(*chosen, *own));
                let is_named = choices.iter().any(|(condition, _)| condition.names(&named.name));
                named.is_chosen = is_named || !chosen.is_empty() && own.iter().all(is_within);
            }
        }
        Group::Whole | Group::Periods { .. } | Group::Distinct(_) => {}
    }
}

fn values(choice: &Filter, into: &mut Vec<String>) {
    match choice {
        Filter::All(parts) | Filter::Any(parts) => parts.iter().for_each(|part| values(part, into)),
        Filter::Leaf(_, Test::In(values)) => {
            for value in values {
                let text = match value {
                    Value::Text(text) => text.clone(),
                    Value::Id(id) => id.to_string(),
                    Value::Flag(flag) => flag.to_string(),
                    Value::Integer(_) | Value::Day(_) | Value::Moment(_) => continue,
                };
                if !into.contains(&text) {
                    into.push(text);
                }
            }
        }
        Filter::Leaf(..) | Filter::Not(_) => {}
    }
}

type Range<'a> = (&'a Option<Bound>, &'a Option<Bound>);

/// Collects ranges of which all must hold.
fn ranges<'a>(filter: &'a Filter, into: &mut Vec<Range<'a>>) {
    match filter {
        Filter::All(parts) => parts.iter().for_each(|part| ranges(part, into)),
        Filter::Leaf(_, Test::Range(lower, upper)) => into.push((lower, upper)),
        _ => {}
    }
}

fn contains(outer: Range<'_>, inner: Range<'_>) -> bool {
    let is_past = |outer: &Option<Bound>, inner: &Option<Bound>, is_before: fn(&Value, &Value) -> bool| match (outer, inner) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(outer), Some(inner)) => {
            is_before(&outer.value, &inner.value) || outer.value == inner.value && (outer.inclusive || !inner.inclusive)
        }
    };
    is_past(outer.0, inner.0, |outer, inner| outer < inner) && is_past(outer.1, inner.1, |outer, inner| outer > inner)
}
