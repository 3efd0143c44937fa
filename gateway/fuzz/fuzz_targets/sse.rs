//! The usage in an answer. The first byte says how the rest is cut.
#![no_main]

use doorward_gateway::fuzzing::usage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((size, body)) = data.split_first() else { return };
    for content_type in ["text/event-stream", "application/json"] {
        let whole = usage(content_type, body, body.len().max(1));
        assert_eq!(whole, usage(content_type, body, usize::from(*size).max(1)));
    }
});
