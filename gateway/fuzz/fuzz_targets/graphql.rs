//! A GraphQL request: as it came, and as the text of a query.
#![no_main]

use doorward_github::graphql::{MAX_NODES, read};
use libfuzzer_sys::fuzz_target;

fn check(body: &[u8]) {
    let Ok(request) = read(body) else { return };
    assert!(request.effects.len() <= MAX_NODES && request.ids().len() <= MAX_NODES);
    assert!(!request.effects.is_empty() || !request.nodes.is_empty(), "what does nothing that is known is refused");
}

fuzz_target!(|body: &[u8]| {
    check(body);
    let Ok(text) = std::str::from_utf8(body) else { return };
    let mut quoted = String::from("{\"query\":\"");
    text.chars().for_each(|character| match character {
        '"' | '\\' => quoted.extend(['\\', character]),
        control if control < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
        other => quoted.push(other),
    });
    quoted.push_str("\"}");
    check(quoted.as_bytes());
});
