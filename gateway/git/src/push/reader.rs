//! Reads the head of a push as its bytes come.

use std::collections::HashSet;

use super::{BadPush, Capabilities, Command, LONGEST_HEAD, Push, Request};
use crate::object_id::{ObjectFormat, ObjectId};
use crate::pkt_line::{Decoder, Packet};
use crate::ref_name::RefName;

const PACK: &[u8] = b"PACK";

/// Takes a request body piece by piece, and knows what it asks for as soon as the pack begins.
#[derive(Debug, Default)]
pub struct PushReader {
    at: At,
    /// Bytes of the body before the pack.
    length: usize,
    decoder: Decoder,
    capabilities: Capabilities,
    commands: Vec<Command>,
    names: HashSet<RefName>,
    options: Vec<String>,
    /// In digits: how many an id has is said in the first command, after them.
    shallow: Vec<Vec<u8>>,
    push: Option<Push>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Commands,
    Options,
    /// `PACK`, of which so many bytes were seen.
    Pack(usize),
    WithinPack,
    End,
}

impl PushReader {
    /// Takes the next bytes of the body. What comes after the first bytes of the pack is not looked at.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), BadPush> {
        while !bytes.is_empty() {
            match self.at {
                At::Commands | At::Options => self.read_line(&mut bytes)?,
                At::Pack(seen) => {
                    if bytes[0] != PACK[seen] {
                        return Err(BadPush::NotAPack);
                    }
                    bytes = &bytes[1..];
                    self.at = if seen + 1 == PACK.len() { At::WithinPack } else { At::Pack(seen + 1) };
                }
                At::WithinPack => return Ok(()),
                At::End => return Err(BadPush::TrailingBytes),
            }
        }
        Ok(())
    }

    /// The push, once its pack has begun. A push that only deletes is known at [`PushReader::end`].
    pub fn push(&self) -> Option<&Push> {
        self.push.as_ref().filter(|_| self.at == At::WithinPack)
    }

    /// How the client wants to be answered, which is known after the first command; before that, in the plainest way.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The body has ended.
    pub fn end(self) -> Result<Request, BadPush> {
        match (self.at, self.push) {
            (At::WithinPack | At::End, Some(push)) => Ok(Request::Push(push)),
            (At::End, None) => Ok(Request::Probe),
            _ => Err(BadPush::Truncated),
        }
    }

    fn read_line(&mut self, bytes: &mut &[u8]) -> Result<(), BadPush> {
        let before = bytes.len();
        let packet = self.decoder.next(bytes)?;
        self.length += before - bytes.len();
        if self.length > LONGEST_HEAD {
            return Err(BadPush::TooLong);
        }
        match packet {
            None => Ok(()),
            Some(Packet::Flush) => self.end_section(),
            Some(Packet::Data(line)) => {
                let line = line.strip_suffix(b"\n").unwrap_or(line).to_vec();
                if self.at == At::Options { self.read_option(line) } else { self.read_command(&line) }
            }
            Some(Packet::Delimiter | Packet::ResponseEnd) => Err(BadPush::Command),
        }
    }

    fn end_section(&mut self) -> Result<(), BadPush> {
        if self.commands.is_empty() {
            self.at = At::End;
            return if self.shallow.is_empty() { Ok(()) } else { Err(BadPush::Command) };
        }
        if self.at == At::Commands && self.capabilities.push_options {
            self.at = At::Options;
            return Ok(());
        }
        let deletes_only = self.commands.iter().all(|command| command.new.is_zero());
        self.at = if deletes_only { At::End } else { At::Pack(0) };
        let format = self.capabilities.object_format;
        let shallow = std::mem::take(&mut self.shallow);
        self.push = Some(Push {
            commands: std::mem::take(&mut self.commands),
            capabilities: self.capabilities,
            options: std::mem::take(&mut self.options),
            shallow: shallow.iter().map(|digits| ObjectId::from_hex(format, digits)).collect::<Result<_, _>>()?,
            pack_offset: (!deletes_only).then_some(self.length as u64),
        });
        Ok(())
    }

    fn read_option(&mut self, line: Vec<u8>) -> Result<(), BadPush> {
        let option = String::from_utf8(line).map_err(|_| BadPush::Option)?;
        if option.contains('\0') {
            return Err(BadPush::Option);
        }
        self.options.push(option);
        Ok(())
    }

    fn read_command(&mut self, line: &[u8]) -> Result<(), BadPush> {
        let is_first = self.commands.is_empty();
        if let Some(digits) = line.strip_prefix(b"shallow ").filter(|_| is_first) {
            self.shallow.push(digits.to_vec());
            return Ok(());
        }
        let zero = line.iter().position(|byte| *byte == 0);
        let (command, capabilities) = line.split_at(zero.unwrap_or(line.len()));
        if command == b"push-cert" {
            return Err(BadPush::Signed);
        }
        match capabilities {
            [] => {}
            // git heeds capabilities on every line: here they could contradict what was read by.
            [_, text @ ..] if is_first => self.capabilities = read_capabilities(text)?,
            _ => return Err(BadPush::Capabilities),
        }
        let command = split_command(command, self.capabilities.object_format)?;
        if !self.names.insert(command.name.clone()) {
            return Err(BadPush::Duplicate(command.name));
        }
        self.commands.push(command);
        Ok(())
    }
}

/// `OLD NEW REF`.
fn split_command(line: &[u8], format: ObjectFormat) -> Result<Command, BadPush> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (Some(old), Some(new), Some(name)) = (words.next(), words.next(), words.next()) else {
        return Err(BadPush::Command);
    };
    let (old, new) = (ObjectId::from_hex(format, old)?, ObjectId::from_hex(format, new)?);
    let name = RefName::new(name)
        .map_err(|reason| BadPush::Name { name: String::from_utf8_lossy(name).into_owned(), reason })?;
    if old == new {
        return Err(BadPush::NoChange(name));
    }
    Ok(Command { old, new, name })
}

/// Words with spaces between them, of which git sends one more at the front.
fn read_capabilities(text: &[u8]) -> Result<Capabilities, BadPush> {
    let is_printable = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let text = std::str::from_utf8(text).ok().filter(|_| is_printable).ok_or(BadPush::Capabilities)?;
    let mut read = Capabilities::default();
    let mut format = None;
    for word in text.split(' ') {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "report-status" | "report-status-v2" => read.report_status = true,
            "side-band-64k" => read.side_band_64k = true,
            "push-options" => read.push_options = true,
            "object-format" if format.is_some() => return Err(BadPush::Capabilities),
            "object-format" => format = Some(object_format(value)?),
            _ => {}
        }
    }
    read.object_format = format.unwrap_or_default();
    Ok(read)
}

fn object_format(name: &str) -> Result<ObjectFormat, BadPush> {
    match name {
        "sha1" => Ok(ObjectFormat::Sha1),
        "sha256" => Ok(ObjectFormat::Sha256),
        _ => Err(BadPush::ObjectFormat),
    }
}
