//! What a request asks for, for a person to look at: names and values, and neither its text nor its comments, which may say anything.

use std::cell::Cell;

use serde_json::Value;

use super::document::{Document, OperationKind};
use super::input::Input;
use super::{GraphqlRefused, body, text};

/// So many root fields are shown.
const MOST_FIELDS: usize = 10;
/// So many entries of a list or an object are shown. A variable of megabytes may be used many times: what is shown is far shorter.
const MOST_ENTRIES: usize = 30;
const MOST_VALUES: usize = 2000;
const LONGEST_TEXT: usize = 4096;
/// Stands for what is left out.
const MORE: &str = "…";

/// The operation that will run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Whether it changes something.
    pub is_mutation: bool,
    /// The names of its first root fields, with their arguments or, of mutations, their input. Variables are in place; long lists
    /// and texts are cut.
    pub fields: Vec<(String, Value)>,
    /// How many further root fields there are.
    pub more: usize,
}

/// The outline of a body that [`read`](super::read) took.
pub fn outline(bytes: &[u8]) -> Result<Outline, GraphqlRefused> {
    let body = body::read(bytes)?;
    text::check(&body.query)?;
    let document = Document::parse(&body)?;
    let found = document.fields(&document.selections, 0)?;
    let left = Cell::new(MOST_VALUES);
    let shown = found.iter().take(MOST_FIELDS).map(|field| {
        let arguments = match field.arguments.as_slice() {
            [(name, input)] if name == "input" => shown(input, &left),
            all => object(all.iter().map(|(name, value)| (name, value.as_ref())), &left),
        };
        (field.name.clone(), arguments)
    });
    Ok(Outline {
        is_mutation: document.kind == OperationKind::Mutation,
        fields: shown.collect(),
        more: found.len().saturating_sub(MOST_FIELDS),
    })
}

fn shown(input: &Input, left: &Cell<usize>) -> Value {
    let Some(fewer) = left.get().checked_sub(1) else { return MORE.into() };
    left.set(fewer);
    match input {
        Input::Absent | Input::Undeclared | Input::Null => Value::Null,
        Input::Bool(truth) => (*truth).into(),
        Input::Number(text) | Input::Text(text) => text.chars().take(LONGEST_TEXT).collect::<String>().into(),
        Input::List(items) => {
            let more = (items.len() > MOST_ENTRIES).then(|| MORE.into());
            items.iter().take(MOST_ENTRIES).map(|item| shown(item, left)).chain(more).collect()
        }
        Input::Object(entries) => object(entries.iter().map(|(name, value)| (name, value.as_ref())), left),
    }
}

fn object<'a>(entries: impl ExactSizeIterator<Item = (&'a String, &'a Input)>, left: &Cell<usize>) -> Value {
    let more = (entries.len() > MOST_ENTRIES).then(|| (MORE.to_owned(), MORE.into()));
    let given = entries.filter(|(_, value)| !matches!(value, Input::Absent));
    given.take(MOST_ENTRIES).map(|(name, value)| (name.clone(), shown(value, left))).chain(more).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(query: &str, variables: &Value) -> Outline {
        outline(json!({ "query": query, "variables": variables }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn mutations_are_shown_by_name_with_what_will_be_done_and_without_comments() {
        let text = "# merges PR 7\nmutation harmless($id: ID!, $i: X) { # really\n\
                    seven: mergePullRequest(input: {pullRequestId: $id, mergeMethod: SQUASH}) { clientMutationId }\n\
                    addComment(input: $i) { clientMutationId } }";
        let seen = of(text, &json!({ "id": "PR_8", "i": { "subjectId": "I_1", "body": "b" }, "unused": "PR_7" }));
        let expected = [
            ("mergePullRequest".to_owned(), json!({ "pullRequestId": "PR_8", "mergeMethod": "SQUASH" })),
            ("addComment".to_owned(), json!({ "subjectId": "I_1", "body": "b" })),
        ];
        assert_eq!(seen, Outline { is_mutation: true, fields: expected.to_vec(), more: 0 });
    }

    #[test]
    fn what_is_used_again_and_again_does_not_multiply() {
        let uses: String = (0..40).map(|n| format!("a{n}: addComment(input: {{x: [$v, $v, $v]}}) {{ id }} ")).collect();
        let long = json!(vec!["x".repeat(10_000); 1000]);
        let seen = of(&format!("mutation($v: X) {{ {uses} }}"), &json!({ "v": long }));
        assert_eq!((seen.fields.len(), seen.more), (10, 30));
        let size: usize = seen.fields.iter().map(|(_, value)| value.to_string().len()).sum();
        assert!(size < 10_000_000 && seen.fields[0].1.to_string().contains(MORE), "{size}");
    }
}
