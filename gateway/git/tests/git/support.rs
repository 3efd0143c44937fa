//! Repositories made by the git on the machine, and pushes that it makes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use doorward_git::pkt_line::{Decoder, Packet};
use doorward_git::push::{Push, PushReader, Request};
use doorward_git::{ObjectFormat, ObjectId};
use tempfile::TempDir;

/// A client's repository and a server's bare one.
pub(crate) struct Git {
    pub(crate) folder: TempDir,
    pub(crate) format: ObjectFormat,
    /// Seconds: no two commits are made at the same time, so that no two are the same.
    clock: AtomicU32,
}

impl Git {
    pub(crate) fn new(format: ObjectFormat) -> Self {
        let git = Self { folder: tempfile::tempdir().unwrap(), format, clock: AtomicU32::new(1_700_000_000) };
        let name = if format == ObjectFormat::Sha1 { "sha1" } else { "sha256" };
        git.run(git.folder.path(), &["init", "-q", "-b", "main", "--object-format", name, "client"]);
        git.run(git.folder.path(), &["init", "-q", "--bare", "-b", "main", "--object-format", name, "server"]);
        git
    }

    pub(crate) fn client(&self) -> PathBuf {
        self.folder.path().join("client")
    }

    pub(crate) fn server(&self) -> PathBuf {
        self.folder.path().join("server")
    }

    fn command(&self, folder: &Path) -> Command {
        let date = format!("{} +0000", self.clock.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new("git");
        command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.org");
            command.env(format!("GIT_{who}_DATE"), &date);
        }
        command
    }
}

impl Git {
    /// Runs git with `input`, and returns what it writes, whether or not it succeeds.
    pub(crate) fn try_with(&self, folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(folder);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // git may end without reading all of it.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().unwrap()
        })
    }

    pub(crate) fn with(&self, folder: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.try_with(folder, arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub(crate) fn run(&self, folder: &Path, arguments: &[&str]) -> String {
        String::from_utf8(self.with(folder, arguments, b"")).unwrap().trim_end().to_owned()
    }

    /// In the client's repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.run(&self.client(), arguments)
    }

    pub(crate) fn id(&self, digits: &str) -> ObjectId {
        ObjectId::from_hex(self.format, digits.as_bytes()).unwrap()
    }

    /// Commits a file with this content at HEAD.
    pub(crate) fn commit(&self, content: &str) -> ObjectId {
        std::fs::write(self.client().join("file"), content).unwrap();
        self.git(&["add", "file"]);
        self.git(&["commit", "-q", "-m", content]);
        self.id(&self.git(&["rev-parse", "HEAD"]))
    }

    /// Pushes without anything in between.
    pub(crate) fn push(&self, refs: &str) {
        self.git(&["push", "-q", "../server", refs]);
    }

    /// The server's refs, as the first request of a push gets them.
    pub(crate) fn advertisement(&self) -> Vec<u8> {
        self.with(&self.server(), &["receive-pack", "--http-backend-info-refs", "."], b"")
    }

    /// The body that `git push` sends over HTTP: git's own helper for HTTP takes it from `git send-pack`, which it
    /// gives what the server advertises.
    pub(crate) fn body_of_push(&self, folder: &Path, arguments: &[&str]) -> Vec<u8> {
        let arguments = [&["send-pack", "--stateless-rpc", "--thin"], arguments].concat();
        let sent = self.try_with(folder, &arguments, &self.advertisement());
        unwrap(&sent.stdout)
    }

    /// What is read of such a body, and the pack in it.
    pub(crate) fn read_push(&self, arguments: &[&str]) -> (Push, Vec<u8>) {
        read(&self.body_of_push(&self.client(), arguments))
    }
}

pub(crate) fn read(body: &[u8]) -> (Push, Vec<u8>) {
    let mut reader = PushReader::default();
    for piece in body.chunks(1000) {
        reader.read(piece).unwrap();
    }
    let Request::Push(push) = reader.end().unwrap() else { panic!("a push") };
    let pack = push.pack_offset.map_or(&[][..], |offset| &body[usize::try_from(offset).unwrap()..]).to_vec();
    (push, pack)
}

/// `git send-pack` gives its request to the helper in pkt-lines around it.
pub(crate) fn unwrap(mut bytes: &[u8]) -> Vec<u8> {
    let (mut decoder, mut body) = (Decoder::default(), Vec::new());
    while let Ok(Some(packet)) = decoder.next(&mut bytes) {
        match packet {
            Packet::Data(data) => body.extend_from_slice(data),
            _ => break,
        }
    }
    body
}
