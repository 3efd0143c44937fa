//! Answers that come compressed although they were asked for as they are: they are passed on decompressed, because what cannot be
//! read cannot be searched for credentials.

use std::io::Write;

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::Bytes;
use flate2::write::{DeflateDecoder, GzDecoder, ZlibDecoder};

use super::passes::{BrokenAnswer, Pass};

/// So much is decompressed at a time: at most a thousand times as much comes out.
const STEP: usize = 4 << 10;

/// Decompresses a stream.
pub(super) struct Decode(Decoder);

enum Decoder {
    Gzip(GzDecoder<Vec<u8>>),
    /// `deflate` is meant to have the header of zlib (RFC 9110, section 8.4.1.2), and some servers leave it out.
    Undecided,
    Zlib(ZlibDecoder<Vec<u8>>),
    Deflate(DeflateDecoder<Vec<u8>>),
}

impl Decode {
    /// What it takes to read an answer with these headers, which then say that it is not compressed. None if it is not; an error
    /// if nobody here knows how to read it.
    pub(super) fn of(headers: &mut HeaderMap) -> Result<Option<Self>, BrokenAnswer> {
        let codings: Vec<_> =
            headers.get_all(CONTENT_ENCODING).into_iter().filter(|coding| *coding != "identity").collect();
        let decoder = match codings.as_slice() {
            [] => return Ok(None),
            [coding] if coding.as_bytes().eq_ignore_ascii_case(b"gzip") => Decoder::Gzip(GzDecoder::new(Vec::new())),
            [coding] if coding.as_bytes().eq_ignore_ascii_case(b"x-gzip") => Decoder::Gzip(GzDecoder::new(Vec::new())),
            [coding] if coding.as_bytes().eq_ignore_ascii_case(b"deflate") => Decoder::Undecided,
            _ => return Err(BrokenAnswer("it is compressed in a way that it was asked not to be")),
        };
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        Ok(Some(Self(decoder)))
    }

    /// RFC 1950, section 2.2: the first byte of a zlib header names the method, and both are a multiple of 31.
    fn decide(&mut self, first: &[u8]) {
        if let Decoder::Undecided = self.0 {
            let zlib = matches!(first, [one, two, ..] if one & 0x0f == 8 && (u16::from(*one) << 8 | u16::from(*two)) % 31 == 0)
                || first == [0x78];
            self.0 = if zlib {
                Decoder::Zlib(ZlibDecoder::new(Vec::new()))
            } else {
                Decoder::Deflate(DeflateDecoder::new(Vec::new()))
            };
        }
    }
}

impl Decoder {
    /// What is in the bytes comes out with them: the next ones may be an event that comes much later.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Gzip(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Self::Zlib(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Self::Deflate(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Self::Undecided => Ok(()),
        }
    }

    fn end(&mut self) -> std::io::Result<()> {
        match self {
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zlib(decoder) => decoder.try_finish(),
            Self::Deflate(decoder) => decoder.try_finish(),
            Self::Undecided => Ok(()),
        }
    }

    fn out(&mut self) -> Bytes {
        match self {
            Self::Gzip(decoder) => std::mem::take(decoder.get_mut()).into(),
            Self::Zlib(decoder) => std::mem::take(decoder.get_mut()).into(),
            Self::Deflate(decoder) => std::mem::take(decoder.get_mut()).into(),
            Self::Undecided => Bytes::new(),
        }
    }
}

const GARBAGE: BrokenAnswer = BrokenAnswer("it does not decompress");

impl Pass for Decode {
    fn step(&self) -> usize {
        STEP
    }

    fn push(&mut self, bytes: Bytes) -> Result<Bytes, BrokenAnswer> {
        self.decide(&bytes);
        self.0.write(&bytes).map_err(|_| GARBAGE)?;
        Ok(self.0.out())
    }

    fn finish(&mut self) -> Result<Bytes, BrokenAnswer> {
        self.0.end().map_err(|_| GARBAGE)?;
        Ok(self.0.out())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn decoded(coding: &str, compressed: &[u8]) -> Result<Vec<u8>, BrokenAnswer> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        headers.insert(CONTENT_LENGTH, compressed.len().into());
        let mut decode = Decode::of(&mut headers)?.unwrap();
        assert!(headers.is_empty());
        let mut out = Vec::new();
        for chunk in compressed.chunks(7) {
            out.extend_from_slice(&decode.push(Bytes::copy_from_slice(chunk))?);
        }
        out.extend_from_slice(&decode.finish()?);
        Ok(out)
    }

    #[test]
    fn each_coding_that_servers_use_unasked_is_read() {
        let text: Vec<u8> = (0..2000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&text).unwrap();
        assert_eq!(decoded("gzip", &gzip.finish().unwrap()).unwrap(), text);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&text).unwrap();
        assert_eq!(decoded("deflate", &zlib.finish().unwrap()).unwrap(), text);
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflate.write_all(&text).unwrap();
        assert_eq!(decoded("Deflate", &deflate.finish().unwrap()).unwrap(), text);
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_on() {
        assert!(decoded("br", b"x").is_err());
        assert!(decoded("gzip, br", b"x").is_err());
        assert!(decoded("gzip", b"this is no gzip").is_err());
    }
}
