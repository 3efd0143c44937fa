//! `fallback = "NAME"` of upstreams: where a request goes when the credentials of the first one rest or it cannot be reached.

use super::upstream::{UpstreamConfig, UpstreamKind};

/// A fallback that cannot work. Each is one sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum FallbackError {
    #[error("fallback of upstream `{name}` is `{fallback}`, and no upstream has that name")]
    Unknown { name: String, fallback: String },
    #[error("fallback of upstream `{name}` is `{fallback}`, which is of another kind: bodies are passed as they come")]
    OtherKind { name: String, fallback: String },
    #[error("fallback of upstream `{name}`: only upstreams that serve models have one")]
    NoModels { name: String },
    #[error("the fallbacks of upstreams form a ring: {ring}")]
    Ring { ring: String },
}

/// Refuses fallbacks that lead nowhere, to what speaks another format, or in a ring.
pub(super) fn check(upstreams: &[UpstreamConfig]) -> Result<(), FallbackError> {
    let named = |name: &str| upstreams.iter().find(|upstream| upstream.name == name);
    for upstream in upstreams {
        let Some(fallback) = &upstream.fallback else { continue };
        let (name, fallback) = (upstream.name.clone(), fallback.clone());
        match named(&fallback) {
            None => return Err(FallbackError::Unknown { name, fallback }),
            Some(other) if other.kind != upstream.kind => return Err(FallbackError::OtherKind { name, fallback }),
            Some(_) if !matches!(upstream.kind, UpstreamKind::Openai | UpstreamKind::Anthropic) => {
                return Err(FallbackError::NoModels { name });
            }
            Some(_) => {}
        }
    }
    upstreams.iter().try_for_each(|upstream| check_ring(upstreams, upstream))
}

fn check_ring(upstreams: &[UpstreamConfig], first: &UpstreamConfig) -> Result<(), FallbackError> {
    let next = |upstream: &&UpstreamConfig| {
        let fallback = upstream.fallback.as_deref()?;
        upstreams.iter().find(|other| other.name == fallback)
    };
    let mut seen: Vec<&str> = Vec::new();
    for upstream in std::iter::successors(Some(first), next) {
        let again = seen.contains(&upstream.name.as_str());
        seen.push(&upstream.name);
        if again {
            return Err(FallbackError::Ring { ring: seen.join(" → ") });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(upstreams: &[(&str, &str, Option<&str>)]) -> Option<String> {
        let upstream = |(name, kind, fallback): &(&str, &str, Option<&str>)| {
            let value = json!({ "name": name, "kind": kind, "base_url": "https://up.example", "fallback": fallback });
            serde_json::from_value(value).unwrap()
        };
        let upstreams: Vec<UpstreamConfig> = upstreams.iter().map(upstream).collect();
        check(&upstreams).err().map(|error| error.to_string())
    }

    #[test]
    fn a_chain_of_one_kind_is_fine() {
        let chain = [("a", "openai", Some("b")), ("b", "openai", Some("c")), ("c", "openai", None)];
        assert_eq!(refusal(&chain), None);
    }

    #[test]
    fn a_fallback_that_is_not_there_is_named() {
        let sentence = refusal(&[("a", "openai", Some("b"))]).unwrap();
        assert_eq!(sentence, "fallback of upstream `a` is `b`, and no upstream has that name");
    }

    #[test]
    fn a_fallback_speaks_the_same_format_and_serves_models() {
        let sentence = refusal(&[("a", "openai", Some("b")), ("b", "anthropic", None)]).unwrap();
        assert!(sentence.contains("`b`, which is of another kind"), "{sentence}");
        let sentence = refusal(&[("a", "github", Some("b")), ("b", "github", None)]).unwrap();
        assert!(sentence.contains("`a`: only upstreams that serve models"), "{sentence}");
    }

    #[test]
    fn a_ring_is_shown() {
        let ring = [("a", "openai", Some("b")), ("b", "openai", Some("c")), ("c", "openai", Some("b"))];
        assert_eq!(refusal(&ring).unwrap(), "the fallbacks of upstreams form a ring: a → b → c → b");
        assert!(refusal(&[("a", "openai", Some("a"))]).unwrap().contains("a → a"));
    }
}
