//! Inflating entries, into memory or into nothing.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};

use super::BadPack;
use super::input::Input;

const BUFFER: usize = 64 << 10;

/// Inflates one entry after the other, up to a limit for all of them.
pub(super) struct Inflater {
    zlib: Decompress,
    buffer: Box<[u8]>,
    limit: u64,
    left: u64,
}

impl Inflater {
    pub(super) fn new(limit: u64) -> Self {
        Self { zlib: Decompress::new(true), buffer: vec![0; BUFFER].into_boxed_slice(), limit, left: limit }
    }

    /// Takes one stream from the input, which has to inflate to exactly `length` bytes.
    pub(super) fn inflate(
        &mut self,
        input: &mut Input<impl Read>,
        length: u64,
        mut into: Option<&mut Vec<u8>>,
    ) -> Result<(), BadPack> {
        self.spend(length)?;
        self.zlib.reset(true);
        loop {
            let (taken, made, status) = self.step(input.peek()?)?;
            input.take(taken);
            if self.zlib.total_out() > length {
                return Err(BadPack::Inflate);
            }
            if let Some(into) = &mut into {
                into.extend_from_slice(&self.buffer[..made]);
            }
            match status {
                Status::StreamEnd if self.zlib.total_out() == length => return Ok(()),
                Status::StreamEnd => return Err(BadPack::Inflate),
                Status::Ok | Status::BufError if taken == 0 && made == 0 => return Err(BadPack::Inflate),
                Status::Ok | Status::BufError => {}
            }
        }
    }

    /// Counts bytes against the limit.
    pub(super) fn spend(&mut self, bytes: u64) -> Result<(), BadPack> {
        self.left = self.left.checked_sub(bytes).ok_or(BadPack::InflatesTooFar(self.limit))?;
        Ok(())
    }

    /// How many bytes were taken, and how many made.
    fn step(&mut self, bytes: &[u8]) -> Result<(usize, usize, Status), BadPack> {
        if bytes.is_empty() {
            return Err(BadPack::Truncated);
        }
        let (before_in, before_out) = (self.zlib.total_in(), self.zlib.total_out());
        let status =
            self.zlib.decompress(bytes, &mut self.buffer, FlushDecompress::None).map_err(|_| BadPack::Inflate)?;
        let within_a_buffer = "no more than the buffer's length";
        let taken = usize::try_from(self.zlib.total_in() - before_in).expect(within_a_buffer);
        let made = usize::try_from(self.zlib.total_out() - before_out).expect(within_a_buffer);
        Ok((taken, made, status))
    }
}
