//! Refusals that a git client shows.

use crate::pkt_line::{LONGEST_PAYLOAD, write_data, write_flush};
use crate::push::{Capabilities, Command, Push};

/// The longest reason or line for a human, in bytes. What is longer is cut.
const LONGEST_TEXT: usize = 1000;

/// A band of side-band-64k (gitprotocol-pack, "Packfile Data").
#[derive(Clone, Copy)]
enum Band {
    Data = 1,
    Progress = 2,
    Fatal = 3,
}

/// The body of an answer to a push of which nothing is done: each ref is refused for the `reason` that is given for it, the others because
/// of the first that has one. `notes` are shown as `remote: …`, if the client can.
///
/// The answer is a 200 of `application/x-git-receive-pack-result`. git shows `! [remote rejected] main -> main (reason)`.
pub fn refuse_push(push: &Push, reason: impl Fn(&Command) -> Option<String>, notes: &[&str]) -> Vec<u8> {
    let reasons: Vec<_> = push.commands.iter().map(|command| (&command.name, reason(command))).collect();
    let first = reasons.iter().find_map(|(name, reason)| reason.as_deref().map(|reason| (name, reason)));
    let others = match first {
        Some((name, _)) => format!("not pushed because {name} was refused"),
        None => "refused".to_owned(),
    };
    if !push.capabilities.report_status {
        let sentence = first.map_or(others, |(name, reason)| format!("{name} was refused: {reason}"));
        return refuse(push.capabilities, &sentence);
    }
    let mut report = Vec::new();
    write_data(&mut report, b"unpack ok\n");
    for (name, reason) in &reasons {
        let reason = plain(reason.as_deref().unwrap_or(&others));
        write_data(&mut report, format!("ng {name} {reason}\n").as_bytes());
    }
    write_flush(&mut report);
    if !push.capabilities.side_band_64k {
        return report;
    }
    let mut wrapped = Vec::new();
    for note in notes {
        write_band(&mut wrapped, Band::Progress, format!("{}\n", plain(note)).as_bytes());
    }
    write_band(&mut wrapped, Band::Data, &report);
    write_flush(&mut wrapped);
    wrapped
}

/// The body of an answer to a push that cannot be read, by what is known of its client
/// ([`crate::push::PushReader::capabilities`]).
pub fn refuse(capabilities: Capabilities, reason: &str) -> Vec<u8> {
    if !capabilities.side_band_64k {
        return error(reason);
    }
    let mut body = Vec::new();
    write_band(&mut body, Band::Fatal, format!("{}\n", plain(reason)).as_bytes());
    write_flush(&mut body);
    body
}

/// `ERR reason`, which a client of upload-pack or info/refs shows as `fatal: remote error: reason` (gitprotocol-pack, "pkt-line
/// Format").
pub fn error(reason: &str) -> Vec<u8> {
    let mut body = Vec::new();
    write_data(&mut body, format!("ERR {}", plain(reason)).as_bytes());
    body
}

fn write_band(out: &mut Vec<u8>, band: Band, bytes: &[u8]) {
    for piece in bytes.chunks(LONGEST_PAYLOAD - 1) {
        write_data(out, &[&[band as u8], piece].concat());
    }
}

/// One line, without what a terminal would act on.
fn plain(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST_TEXT);
    text[..end].chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}
