use proptest::prelude::*;

use super::*;
use crate::pkt_line::{write_data, write_flush};

const ZERO: &str = "0000000000000000000000000000000000000000";
const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";

fn lines(lines: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        write_data(&mut bytes, line.as_bytes());
    }
    write_flush(&mut bytes);
    bytes
}

fn with_pack(mut head: Vec<u8>) -> Vec<u8> {
    head.extend_from_slice(b"PACK and what not");
    head
}

fn read_in(body: &[u8], step: usize) -> Result<Request, BadPush> {
    let mut reader = PushReader::default();
    for piece in body.chunks(step) {
        reader.read(piece)?;
    }
    reader.end()
}

/// The same, whatever pieces the body comes in.
fn read(body: &[u8]) -> Result<Request, BadPush> {
    let whole = read_in(body, body.len().max(1));
    for step in [1, 3, 64] {
        assert_eq!(read_in(body, step), whole);
    }
    whole
}

fn push(body: &[u8]) -> Push {
    match read(body) {
        Ok(Request::Push(push)) => push,
        other => panic!("{other:?}"),
    }
}

fn id(digits: &str) -> ObjectId {
    let format = if digits.len() == 64 { ObjectFormat::Sha256 } else { ObjectFormat::Sha1 };
    ObjectId::from_hex(format, digits.as_bytes()).unwrap()
}

#[test]
fn what_git_sends_is_read() {
    let first =
        format!("{ONE} {TWO} refs/heads/main\0 report-status-v2 side-band-64k object-format=sha1 agent=git/2.47.3");
    let head = lines(&[&first, &format!("{ZERO} {TWO} refs/heads/new\n")]);
    let push = push(&with_pack(head.clone()));
    assert_eq!(push.pack_offset, Some(head.len() as u64));
    assert_eq!(push.capabilities, Capabilities { report_status: true, side_band_64k: true, ..Capabilities::default() });
    let moves: Vec<_> = push.commands.iter().map(|command| (command.old, command.new, command.name.as_str())).collect();
    assert_eq!(moves, [(id(ONE), id(TWO), "refs/heads/main"), (id(ZERO), id(TWO), "refs/heads/new")]);
    assert!(push.needs_proof() && push.shallow.is_empty() && push.options.is_empty());
}

#[test]
fn an_empty_request_is_a_probe() {
    assert_eq!(read(b"0000"), Ok(Request::Probe));
    assert_eq!(read(b"00000000"), Err(BadPush::TrailingBytes));
    assert_eq!(read(b"0000PACK"), Err(BadPush::TrailingBytes));
    assert_eq!(read(b""), Err(BadPush::Truncated));
}

#[test]
fn the_push_is_known_once_the_pack_begins() {
    let mut reader = PushReader::default();
    reader.read(&lines(&[&format!("{ONE} {TWO} refs/heads/main\0 report-status")])).unwrap();
    assert!(reader.capabilities().report_status);
    reader.read(b"PAC").unwrap();
    assert_eq!(reader.push(), None);
    reader.read(b"K").unwrap();
    assert_eq!(reader.push().unwrap().commands.len(), 1);
}

#[test]
fn a_push_that_only_deletes_or_creates_needs_no_proof() {
    let deletes = push(&lines(&[&format!("{ONE} {ZERO} refs/heads/main")]));
    assert_eq!((deletes.pack_offset, deletes.needs_proof()), (None, false));
    let creates = push(&with_pack(lines(&[&format!("{ZERO} {ONE} refs/heads/main")])));
    assert!(!creates.needs_proof());
}

#[test]
fn push_options_are_read_if_they_were_announced() {
    let mut body = lines(&[&format!("{ONE} {TWO} refs/heads/main\0push-options")]);
    body.extend(lines(&["ci.skip\n", "merge_request.create"]));
    assert_eq!(push(&with_pack(body)).options, ["ci.skip", "merge_request.create"]);

    let mut body = lines(&[&format!("{ONE} {TWO} refs/heads/main\0atomic")]);
    body.extend(lines(&["ci.skip\n"]));
    assert_eq!(read(&with_pack(body)), Err(BadPush::NotAPack));
}

#[test]
fn shallow_commits_are_told() {
    let shallow = format!("shallow {ONE}");
    let body = lines(&[&shallow, &format!("{ONE} {TWO} refs/heads/main\0 report-status")]);
    assert_eq!(push(&with_pack(body)).shallow, [id(ONE)]);
    assert_eq!(read(&lines(&[&shallow])), Err(BadPush::Command));
    let body = lines(&["shallow 12", &format!("{ONE} {TWO} refs/heads/main")]);
    assert_eq!(read(&with_pack(body)), Err(BadPush::Id(BadObjectId(ObjectFormat::Sha1))));
}

#[test]
fn a_repository_of_sha256_has_ids_of_64_digits_and_no_others() {
    let (one, two) = ("1".repeat(64), "2".repeat(64));
    let body = with_pack(lines(&[&format!("{one} {two} refs/heads/main\0 object-format=sha256")]));
    let push = push(&body);
    assert_eq!((push.commands[0].old, push.commands[0].new), (id(&one), id(&two)));
    for (old, capability) in [(ONE, "object-format=sha256"), (one.as_str(), "object-format=sha1"), (&one, "")] {
        let body = with_pack(lines(&[&format!("{old} {old} refs/heads/main\0 {capability}")]));
        assert!(matches!(read(&body), Err(BadPush::Id(_))), "{old} {capability}");
    }
}

#[test]
fn what_could_be_read_otherwise_is_refused() {
    let main = format!("{ONE} {TWO} refs/heads/main");
    let named = |name: &str| with_pack(lines(&[&format!("{ONE} {TWO} {name}")]));
    let is_name = |bad: &BadPush| matches!(bad, BadPush::Name { .. });
    for name in ["HEAD", "refs/heads/a..b", "refs/heads/a b", "refs/heads/", "", "heads/main"] {
        assert!(is_name(&read(&named(name)).unwrap_err()), "{name}");
    }
    let cases = [
        (lines(&["push-cert\0 report-status"]), BadPush::Signed),
        (lines(&[&main, "push-cert"]), BadPush::Signed),
        (lines(&[&main, &main]), BadPush::Duplicate(RefName::new(b"refs/heads/main").unwrap())),
        (
            lines(&[&format!("{ONE} {ONE} refs/heads/main")]),
            BadPush::NoChange(RefName::new(b"refs/heads/main").unwrap()),
        ),
        (
            lines(&[&format!("{ZERO} {ZERO} refs/heads/main")]),
            BadPush::NoChange(RefName::new(b"refs/heads/main").unwrap()),
        ),
        (lines(&[&main, &format!("{ONE} {TWO} refs/heads/b\0push-options")]), BadPush::Capabilities),
        (lines(&[&format!("{main}\0report-status\0push-options")]), BadPush::Capabilities),
        (lines(&[&format!("{main}\0report-status\tpush-options")]), BadPush::Capabilities),
        (lines(&[&format!("{main}\0object-format=sha1 object-format=sha1")]), BadPush::Capabilities),
        (lines(&[&format!("{main}\0object-format=md5")]), BadPush::ObjectFormat),
        (lines(&[&main, &format!("shallow {ONE}")]), BadPush::Command),
        (lines(&[""]), BadPush::Command),
        (lines(&["ERR no"]), BadPush::Command),
        (b"0001".to_vec(), BadPush::Command),
        ([lines(&[&main]), lines(&[&format!("{ONE} {TWO} refs/heads/b")])].concat(), BadPush::NotAPack),
        ([lines(&[&format!("{ONE} {ZERO} refs/heads/main")]), b"PACK".to_vec()].concat(), BadPush::TrailingBytes),
        (lines(&[&main]), BadPush::Truncated),
        (lines(&[&main])[..30].to_vec(), BadPush::Truncated),
    ];
    for (body, expected) in cases {
        let refused = read(&body).unwrap_err();
        assert_eq!(refused, expected);
        assert!(!refused.to_string().contains('\n'), "{refused}");
    }
}

#[test]
fn the_head_is_bounded() {
    let mut reader = PushReader::default();
    let mut read = 0;
    let refused = (0u32..).find_map(|number| {
        let mut line = Vec::new();
        write_data(&mut line, format!("{ONE} {TWO} refs/heads/{number}").as_bytes());
        read += line.len();
        reader.read(&line).err()
    });
    assert_eq!(refused, Some(BadPush::TooLong));
    assert!(read < LONGEST_HEAD + 200, "{read}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_depend_on_how_they_are_split(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        step in 1usize..20,
    ) {
        prop_assert_eq!(read_in(&body, step), read_in(&body, 1000));
    }

    #[test]
    fn a_changed_head_is_read_as_a_push_or_refused(
        at in 0usize..300,
        byte in any::<u8>(),
        step in 1usize..20,
    ) {
        let first = format!("{ONE} {TWO} refs/heads/main\0 report-status push-options object-format=sha1");
        let mut body = with_pack([lines(&[&first, &format!("{ONE} {ZERO} refs/heads/b")]), lines(&["a"])].concat());
        let at = at % body.len();
        body[at] = byte;
        let result = read_in(&body, step);
        prop_assert_eq!(&result, &read_in(&body, 1000));
        if let Ok(Request::Push(push)) = result {
            prop_assert!(push.commands.iter().all(|command| command.old != command.new));
        }
    }
}
