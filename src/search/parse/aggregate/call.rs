//! How facets and aggregations are written: `status,histogram(dueDate,month)`.

use super::{ParameterError, bad};

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

fn call(text: &str) -> Result<Call<'_>, ParameterError> {
    let Some((name, rest)) = text.split_once('(') else { return Ok(Call { text, name: text, arguments: Vec::new() }) };
    let inner = rest.strip_suffix(')').filter(|inner| !inner.contains(['(', ')']));
    let inner = inner.ok_or_else(|| bad("takes names with arguments in parentheses: name(one,two)".into()))?;
    Ok(Call { text, name: name.trim(), arguments: inner.split(',').map(str::trim).collect() })
}
