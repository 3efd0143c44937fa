//! What a git client shows of a refusal.

use doorward_git::ObjectFormat;
use doorward_git::push::PushReader;
use doorward_git::report::{error, refuse, refuse_push};

use crate::support::Git;

/// Has `git send-pack` push two refs to a server that advertises `advertisement`, and gives it our answer. Returns what it prints.
fn shown(git: &Git, advertisement: &[u8], answer: impl Fn(&PushReader) -> Vec<u8>) -> String {
    let arguments = ["send-pack", "--stateless-rpc", ".", "main", "main:refs/heads/new"];
    let sent = git.try_with(&git.client(), &arguments, advertisement);
    let mut reader = PushReader::default();
    reader.read(&crate::support::unwrap(&sent.stdout)).unwrap();
    let output = git.try_with(&git.client(), &arguments, &[advertisement, &answer(&reader)].concat());
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

fn repository() -> Git {
    let git = Git::new(ObjectFormat::Sha1);
    git.commit("one");
    git.push("main");
    git.commit("two");
    git
}

/// The same advertisement, but the server does not know the capability.
fn without(advertisement: &[u8], capability: &str) -> Vec<u8> {
    let text = String::from_utf8(advertisement.to_vec()).unwrap();
    text.replace(capability, &"x".repeat(capability.len())).into_bytes()
}

fn refused(reader: &PushReader) -> Vec<u8> {
    let push = reader.push().unwrap();
    let reason = |name: &str| (name == "refs/heads/main").then(|| "no grant allows\nthis".to_owned());
    refuse_push(push, |command| reason(command.name.as_str()), &["Ask a human.", "Or push elsewhere."])
}

#[test]
fn each_ref_is_shown_with_its_reason_and_the_notes_as_remote_lines() {
    let git = repository();
    let text = shown(&git, &git.advertisement(), refused);
    for line in [
        "remote: Ask a human.",
        "remote: Or push elsewhere.",
        " ! [remote rejected] main -> main (no grant allows this)",
        " ! [remote rejected] main -> new (not pushed because refs/heads/main was refused)",
    ] {
        assert!(text.lines().any(|shown| shown.trim_end() == line), "{line} in {text}");
    }
}

#[test]
fn a_client_without_side_bands_is_shown_the_reasons_too() {
    let git = repository();
    let text = shown(&git, &without(&git.advertisement(), "side-band-64k"), refused);
    assert!(text.contains(" ! [remote rejected] main -> main (no grant allows this)"), "{text}");
    assert!(!text.contains("Ask a human"), "{text}");
}

#[test]
fn a_client_that_wants_no_report_is_told_by_an_error() {
    let git = repository();
    let without_report = without(&git.advertisement(), "report-status");
    let text = shown(&git, &without_report, refused);
    assert!(text.contains("refs/heads/main was refused: no grant allows this"), "{text}");
}

#[test]
fn a_push_that_cannot_be_read_is_refused_in_words() {
    let git = repository();
    let answer = |reader: &PushReader| refuse(reader.capabilities(), "the push is odd");
    let text = shown(&git, &git.advertisement(), answer);
    assert!(text.contains("remote: the push is odd"), "{text}");
    let text = shown(&git, &without(&git.advertisement(), "side-band-64k"), answer);
    assert!(text.contains("remote error: the push is odd"), "{text}");
}

#[test]
fn an_error_in_place_of_an_advertisement_is_shown() {
    let git = repository();
    let output = git.try_with(&git.client(), &["send-pack", "--stateless-rpc", ".", "main"], &error("not granted"));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("remote error: not granted"), "{text}");
}
