//! What the fuzz targets need of the gateway's inside. No part of its interface.

use crate::consumer::UsageReader;

/// Reads the usage of an answer that comes in pieces of a size: tokens of the prompt and of the answer.
pub fn usage(content_type: &str, answer: &[u8], size: usize) -> Option<(Option<u64>, Option<u64>)> {
    let mut reader = UsageReader::new(Some(content_type), None);
    answer.chunks(size).for_each(|piece| reader.read(piece));
    reader.usage().map(|usage| (usage.prompt(), usage.completion()))
}
