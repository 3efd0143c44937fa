//! A consumer token.
#![no_main]

use doorward_gateway::ConsumerToken;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(token) = ConsumerToken::parse(text) {
        assert_eq!(token.expose(), text);
        assert!(text.len() == 45 && text.starts_with("dw_") && text[3..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(!format!("{token:?}").contains(text));
    }
});
