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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkt_line::{Decoder, Packet};
    use crate::push::{PushReader, Request};

    fn push(refs: usize, capabilities: &str) -> Push {
        let mut body = Vec::new();
        for number in 0..refs {
            let capabilities = if number == 0 { format!("\0{capabilities}") } else { String::new() };
            let line = format!("{} {} refs/heads/{number}{capabilities}", "1".repeat(40), "0".repeat(40));
            write_data(&mut body, line.as_bytes());
        }
        write_flush(&mut body);
        let mut reader = PushReader::default();
        reader.read(&body).unwrap();
        let Ok(Request::Push(push)) = reader.end() else { panic!("a push") };
        push
    }

    fn packets(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let (mut decoder, mut packets) = (Decoder::default(), Vec::new());
        while let Some(packet) = decoder.next(&mut bytes).unwrap() {
            packets.push(if let Packet::Data(data) = packet { data.to_vec() } else { b"flush".to_vec() });
        }
        packets
    }

    #[test]
    fn a_report_that_is_longer_than_a_line_goes_over_several() {
        let push = push(5000, "report-status side-band-64k");
        let body = refuse_push(&push, |_| Some("no".to_owned()), &[]);
        let bands = packets(&body);
        assert!(bands.len() > 2 && bands.last().unwrap() == b"flush");
        assert!(bands[..bands.len() - 1].iter().all(|band| band[0] == 1));
        let report: Vec<u8> = bands[..bands.len() - 1].iter().flat_map(|band| band[1..].to_vec()).collect();
        let lines = packets(&report);
        assert_eq!((lines[0].as_slice(), lines.len()), (b"unpack ok\n".as_slice(), 5002));
        assert_eq!(lines[5000], b"ng refs/heads/4999 no\n");
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        let reason = format!("a\r\n\u{1b}[31mb{}", "é".repeat(1000));
        let lines = packets(&refuse_push(&push(1, "report-status"), |_| Some(reason.clone()), &["not shown"]));
        let line = String::from_utf8(lines[1].clone()).unwrap();
        assert!(line.starts_with("ng refs/heads/0 a   [31mbé") && line.ends_with("é\n") && line.len() < 1100, "{line}");
        assert!(error(&reason).len() < 1100);
    }
}
