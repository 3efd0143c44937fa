//! Where a call stands in its trace: `traceparent` (W3C Trace Context, section 3.2).

use axum::http::HeaderMap;
use doorward_base::Random;

const SAMPLED: u8 = 1;

/// The ids of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanContext {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    /// The caller's span.
    pub(super) parent: Option<[u8; 8]>,
}

impl SpanContext {
    /// A new span below the one that the headers name, or at the top of a new trace. None if the caller does not keep its own.
    pub(super) fn below(headers: &HeaderMap, random: &Random) -> Option<Self> {
        let mut shown = headers.get_all("traceparent").into_iter();
        // Of two there is none to go by.
        let parent = match (shown.next(), shown.next()) {
            (Some(value), None) => value.to_str().ok().and_then(parse),
            _ => None,
        };
        match parent {
            Some((_, _, flags)) if flags & SAMPLED == 0 => None,
            Some((trace, parent, _)) => Some(Self { trace, span: random.bytes(), parent: Some(parent) }),
            None => Some(Self { trace: random.bytes(), span: random.bytes(), parent: None }),
        }
    }
}

/// The trace, the caller's span, and flags. Later versions may have more behind.
fn parse(text: &str) -> Option<([u8; 16], [u8; 8], u8)> {
    let mut parts = text.split('-');
    let [version] = bytes(parts.next()?)?;
    let (trace, span, [flags]) = (bytes(parts.next()?)?, bytes(parts.next()?)?, bytes(parts.next()?)?);
    let good = version != 0xff && (version != 0 || parts.next().is_none()) && trace != [0; 16] && span != [0; 8];
    good.then_some((trace, span, flags))
}

/// Lower-case hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// As OTLP writes ids in JSON.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn below(values: &[&str]) -> Option<SpanContext> {
        let headers = values.iter().map(|value| ("traceparent".parse().unwrap(), value.parse().unwrap())).collect();
        SpanContext::below(&headers, &Random::seeded(1))
    }

    #[test]
    fn a_call_stands_below_the_span_of_its_caller() {
        for value in [GOOD, "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-more"] {
            let context = below(&[value]).unwrap();
            assert_eq!(hex(&context.trace), "0af7651916cd43dd8448eb211c80319c", "{value}");
            assert_eq!(context.parent.map(|span| hex(&span)).as_deref(), Some("b7ad6b7169203331"));
        }
    }

    #[test]
    fn what_is_no_traceparent_begins_a_trace() {
        for values in [
            &[][..],
            &[GOOD, GOOD],
            &[""],
            &["00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"],
            &["00-00000000000000000000000000000000-b7ad6b7169203331-01"],
            &["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"],
            &["ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
            &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"],
            &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"],
        ] {
            let context = below(values).unwrap();
            assert!(
                context.parent.is_none() && hex(&context.trace) != "0af7651916cd43dd8448eb211c80319c",
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_caller_that_keeps_no_trace_has_none_here() {
        assert_eq!(below(&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"]), None);
    }
}
