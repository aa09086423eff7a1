//! How facets and aggregations are written: `status,histogram(dueDate,month)`.

use crate::search::parse::{ParameterError, bad};

/// `name(argument,argument)`, or a name alone.
pub(super) struct Call<'a> {
    /// As it was sent.
    pub(super) text: &'a str,
    pub(super) name: &'a str,
    pub(super) arguments: Vec<&'a str>,
}

/// Reads several: splits at the commas outside of parentheses.
pub(super) fn calls(text: &str) -> Result<Vec<Call<'_>>, ParameterError> {
    let mut depth = 0_i32;
    let parts = text.split(|character| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        character == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).map(call).collect()
}

pub(super) fn call(text: &str) -> Result<Call<'_>, ParameterError> {
    let Some((name, rest)) = text.split_once('(') else { return Ok(Call { text, name: text, arguments: Vec::new() }) };
    let inner = rest.strip_suffix(')').filter(|inner| !inner.contains(['(', ')']));
    let inner = inner.ok_or_else(|| bad("takes names with arguments in parentheses: name(one,two)"))?;
    Ok(Call { text, name: name.trim(), arguments: inner.split(',').map(str::trim).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_within_parentheses_part_arguments() {
        let check = |text, expected: &[(&str, &[&str])]| {
            let read = calls(text).unwrap();
            let read: Vec<_> = read.iter().map(|call| (call.name, call.arguments.as_slice())).collect();
            assert_eq!(read, expected, "{text}");
        };
        check("status", &[("status", &[])]);
        check(" status , balance( 0 ,100),tags,", &[("status", &[]), ("balance", &["0", "100"]), ("tags", &[])]);
        check("stats()", &[("stats", &[""])]);
        check("", &[]);
        for text in ["a(", "a(b", "a(b))", "a((b))", "a(b)c", "a(b,c", "a(b(c))"] {
            assert!(calls(text).is_err(), "{text}");
        }
    }
}
