//! Reading token usage from an answer as it passes by: constant memory, whatever the size of the answer and of its chunks.
//!
//! Wanted is one object, at `usage` or (in the events of the Responses API) at `response.usage` or (in those of Anthropic) at
//! `message.usage`, and the text at `model` beside it. Everything else is only counted through, so the same scanner reads a unary
//! answer and each event of a stream.

use serde::Deserialize;

/// Far more than any provider's usage object; a longer one is not read.
const LONGEST_USAGE: usize = 16 << 10;
const LONGEST_MODEL: usize = 256;
/// The longest key that matters is `response`.
const LONGEST_KEY: usize = 8;

/// Tokens, as the upstream counted them, under the names that the providers give them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    // The names of Anthropic and of the Responses API; some upstreams say both.
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<Details>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Usage {
    /// All tokens of the prompt. OpenAI counts those from its cache among them, Anthropic beside them.
    pub(crate) fn prompt(&self) -> Option<u64> {
        self.prompt_tokens.or(self.input_tokens).map(|prompt| prompt.saturating_add(self.beside()))
    }

    /// Those of them that came from the provider's cache.
    pub(crate) fn cached(&self) -> u64 {
        let details = self.prompt_tokens_details.or(self.input_tokens_details);
        let among = details.and_then(|details| details.cached_tokens);
        self.cache_read_input_tokens.or(among).unwrap_or(0)
    }

    /// Those of them that were written to the provider's cache.
    pub(crate) fn cache_written(&self) -> u64 {
        self.cache_creation_input_tokens.unwrap_or(0)
    }

    /// Tokens of the answer.
    pub(crate) fn completion(&self) -> Option<u64> {
        self.completion_tokens.or(self.output_tokens)
    }

    fn beside(&self) -> u64 {
        self.cache_read_input_tokens.unwrap_or(0).saturating_add(self.cache_written())
    }

    /// What a later event says replaces what an earlier one said, and leaves what it does not speak of.
    fn updated(self, later: Self) -> Self {
        Self {
            prompt_tokens: later.prompt_tokens.or(self.prompt_tokens),
            completion_tokens: later.completion_tokens.or(self.completion_tokens),
            prompt_tokens_details: later.prompt_tokens_details.or(self.prompt_tokens_details),
            input_tokens: later.input_tokens.or(self.input_tokens),
            output_tokens: later.output_tokens.or(self.output_tokens),
            input_tokens_details: later.input_tokens_details.or(self.input_tokens_details),
            cache_read_input_tokens: later.cache_read_input_tokens.or(self.cache_read_input_tokens),
            cache_creation_input_tokens: later.cache_creation_input_tokens.or(self.cache_creation_input_tokens),
        }
    }
}

/// Reads what a `Content-Type` promises.
#[derive(Debug)]
pub(crate) enum UsageReader {
    /// Nothing can be read: another type, or a compressed answer.
    Blind,
    Json(JsonScanner),
    Events(EventReader),
}

impl UsageReader {
    pub(crate) fn new(content_type: Option<&str>, content_encoding: Option<&str>) -> Self {
        let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        match media_type.to_ascii_lowercase().as_str() {
            _ if content_encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) => Self::Blind,
            "application/json" => Self::Json(JsonScanner::default()),
            "text/event-stream" => Self::Events(EventReader::default()),
            _ => Self::Blind,
        }
    }

    pub(crate) fn read(&mut self, bytes: &[u8]) {
        match self {
            Self::Blind => {}
            Self::Json(scanner) => scanner.read(bytes),
            Self::Events(reader) => reader.read(bytes),
        }
    }

    /// The last usage seen.
    pub(crate) fn usage(&self) -> Option<Usage> {
        match self {
            Self::Blind => None,
            Self::Json(scanner) => scanner.found,
            Self::Events(reader) => reader.scanner.found,
        }
    }

    /// The model that answered, as the answer says.
    pub(crate) fn model(&self) -> Option<&str> {
        match self {
            Self::Blind => None,
            Self::Json(scanner) => scanner.model.as_deref(),
            Self::Events(reader) => reader.scanner.model.as_deref(),
        }
    }
}

/// Walks through a JSON document, byte by byte.
#[derive(Debug, Default)]
pub(crate) struct JsonScanner {
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The last string, as far as it can matter; a colon after it makes it a key.
    last: Key,
    /// Whether the key at depth 1 is `response` or `message`.
    in_envelope: bool,
    capture: Capture,
    found: Option<Usage>,
    model: Option<String>,
}

#[derive(Debug, Default)]
struct Key {
    bytes: [u8; LONGEST_KEY],
    length: usize,
}

#[derive(Debug, Default)]
enum Capture {
    #[default]
    Off,
    /// The key was `usage`; its value has not begun.
    Armed,
    /// Inside of the value, whose closing bracket leads back to `depth`.
    On { depth: u32, bytes: Vec<u8> },
    /// The key was `model`; its value has not begun.
    ArmedForModel,
    /// Inside of that text.
    Model(Vec<u8>),
}

impl Key {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
        }
        self.length += 1;
    }

    fn is(&self, key: &[u8]) -> bool {
        self.bytes.get(..self.length) == Some(key)
    }
}

impl JsonScanner {
    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.step(*byte);
        }
    }

    /// Forgets a document that was not finished, but not what was found.
    fn begin_document(&mut self) {
        *self = Self { found: self.found, model: self.model.take(), ..Self::default() };
    }

    fn step(&mut self, byte: u8) {
        match &mut self.capture {
            Capture::On { bytes, .. } if bytes.len() < LONGEST_USAGE => bytes.push(byte),
            Capture::Model(bytes) if bytes.len() < LONGEST_MODEL => bytes.push(byte),
            Capture::On { .. } | Capture::Model(_) => self.capture = Capture::Off,
            Capture::Off | Capture::Armed | Capture::ArmedForModel => {}
        }
        if self.in_string { self.step_in_string(byte) } else { self.step_outside(byte) }
    }

    fn step_in_string(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => {
                self.escaped = true;
                // No key that matters is written with escapes by any provider: such a string cannot match.
                self.last.length = LONGEST_KEY + 1;
            }
            b'"' => {
                self.in_string = false;
                self.end_model();
            }
            _ => self.last.push(byte),
        }
    }

    fn step_outside(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.in_string = true;
                self.last.length = 0;
                match self.capture {
                    Capture::ArmedForModel => self.capture = Capture::Model(vec![b'"']),
                    _ => self.disarm(),
                }
            }
            b':' => self.step_after_key(),
            b'{' => self.step_into_object(),
            b'[' => {
                self.disarm();
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => self.step_out(),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => self.disarm(),
        }
    }

    fn step_after_key(&mut self) {
        if self.depth == 1 {
            self.in_envelope = self.last.is(b"response") || self.last.is(b"message");
        }
        let here = self.depth == 1 || (self.depth == 2 && self.in_envelope);
        if here && self.last.is(b"usage") {
            self.capture = Capture::Armed;
        } else if here && self.model.is_none() && self.last.is(b"model") {
            self.capture = Capture::ArmedForModel;
        }
    }

    /// The end of a string, which may be the one with the model.
    fn end_model(&mut self) {
        if let Capture::Model(text) = &self.capture {
            self.model = serde_json::from_slice(text).ok();
            self.capture = Capture::Off;
        }
    }

    fn step_into_object(&mut self) {
        match self.capture {
            Capture::Armed => self.capture = Capture::On { depth: self.depth, bytes: vec![b'{'] },
            _ => self.disarm(),
        }
        self.depth = self.depth.saturating_add(1);
    }

    fn step_out(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        match &self.capture {
            Capture::On { depth, bytes } if *depth == self.depth => {
                if let Ok(usage) = serde_json::from_slice(bytes) {
                    self.found = Some(self.found.unwrap_or_default().updated(usage));
                }
                self.capture = Capture::Off;
            }
            _ => {}
        }
    }

    fn disarm(&mut self) {
        if matches!(self.capture, Capture::Armed | Capture::ArmedForModel) {
            self.capture = Capture::Off;
        }
    }
}

/// Walks through a stream of events (WHATWG HTML, section 9.2.6) and gives the data of each to the scanner.
#[derive(Debug, Default)]
pub(crate) struct EventReader {
    line: Line,
    after_carriage_return: bool,
    scanner: JsonScanner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// So many bytes of `data:` have been seen, and nothing else.
    Field(usize),
    /// In the value of a `data` field.
    Data,
    /// In another field or a comment.
    Other,
}

impl Default for Line {
    fn default() -> Self {
        Self::Field(0)
    }
}

impl EventReader {
    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) {
        let second_half = std::mem::replace(&mut self.after_carriage_return, byte == b'\r') && byte == b'\n';
        match byte {
            _ if second_half => {}
            b'\r' | b'\n' => self.end_line(),
            _ => self.step_in_line(byte),
        }
    }

    fn step_in_line(&mut self, byte: u8) {
        match self.line {
            Line::Data => self.scanner.step(byte),
            Line::Other => {}
            Line::Field(seen) => {
                self.line = match b"data:".get(seen) {
                    Some(expected) if *expected == byte && seen == 4 => Line::Data,
                    Some(expected) if *expected == byte => Line::Field(seen + 1),
                    _ => Line::Other,
                }
            }
        }
    }

    fn end_line(&mut self) {
        match self.line {
            // An empty line ends the event.
            Line::Field(0) => self.scanner.begin_document(),
            Line::Data => self.scanner.step(b'\n'),
            _ => {}
        }
        self.line = Line::default();
    }
}

#[cfg(test)]
mod tests;
