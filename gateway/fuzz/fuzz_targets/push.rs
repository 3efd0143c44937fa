//! The head of a push: pkt-lines with commands, then a pack. The first byte says how the rest is cut.
#![no_main]

use doorward_git::push::{BadPush, PushReader, Request};
use libfuzzer_sys::fuzz_target;

fn read(body: &[u8], size: usize) -> Result<Request, BadPush> {
    let mut reader = PushReader::default();
    body.chunks(size).try_for_each(|piece| reader.read(piece))?;
    reader.end()
}

fuzz_target!(|data: &[u8]| {
    let Some((size, body)) = data.split_first() else { return };
    let (whole, pieces) = (read(body, body.len().max(1)), read(body, usize::from(*size).max(1)));
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
});
