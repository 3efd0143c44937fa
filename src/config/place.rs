//! The line on which a key stands.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line, counted from 1, of the byte at `offset`.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// The line on which the value of `key` (`gateway.upstreams[0].name`) begins; none if the file does not set it.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut found = None;
    let mut here = Here::Table(document.get_ref());
    for segment in key.split(['.', '[']) {
        let (span, next) = here.step(segment.trim_end_matches(']'))?;
        found = Some(span);
        here = next;
    }
    found.map(|offset| line_at(text, offset))
}

enum Here<'a> {
    Table(&'a DeTable<'a>),
    Array(&'a [Spanned<DeValue<'a>>]),
    Leaf,
}

impl Here<'_> {
    fn step(&self, segment: &str) -> Option<(usize, Self)> {
        let (offset, value) = match self {
            Here::Table(table) => {
                let (key, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == segment)?;
                (key.span().start, value)
            }
            Here::Array(items) => {
                let value = items.get(segment.parse::<usize>().ok()?)?;
                (value.span().start, value)
            }
            Here::Leaf => return None,
        };
        let next = match value.get_ref() {
            DeValue::Table(table) => Here::Table(table),
            DeValue::Array(items) => Here::Array(items),
            _ => Here::Leaf,
        };
        Some((offset, next))
    }
}
