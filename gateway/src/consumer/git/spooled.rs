//! The body of a push, on disk: read while it comes, and sent on from there.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use doorward_git::ancestry::changes;
use doorward_git::pack::{Limits, read_commits};
use doorward_git::push::{BadPush, Push, PushReader, Request};
use doorward_git::spool::{Spool, SpoolError};
use doorward_github::{Effect, RepositoryName};
use http_body::{Frame, SizeHint};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Deed;
use crate::config::ByteSize;
use crate::consumer::payload::{Payload, Pieces, Reading};
use crate::consumer::refusal::Refusal;

/// Pieces that wait for the disk.
const WAITING: usize = 4;
const PIECE: usize = 64 << 10;

/// A body on disk.
#[derive(Clone, Debug)]
pub(crate) struct Spooled {
    file: Arc<File>,
    length: u64,
}

impl Spooled {
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of the whole.
    pub(crate) async fn digest(&self) -> Result<[u8; 32], Refusal> {
        let mut reader = Reader { spooled: self.clone(), at: 0 };
        let digest = spawn_blocking(move || {
            let mut hash = Sha256::new();
            std::io::copy(&mut reader, &mut HashWriter(&mut hash)).map(|_| hash.finalize().into())
        });
        digest.await.map_err(|_| Refusal::Spool)?.map_err(|_| Refusal::Spool)
    }

    pub(crate) fn into_body(self) -> reqwest::Body {
        reqwest::Body::wrap(Sending { reader: Reader { spooled: self, at: 0 }, reading: None })
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A place in the body.
#[derive(Debug)]
struct Reader {
    spooled: Spooled,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.spooled.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The body on its way out, read piece by piece where blocking is allowed.
struct Sending {
    reader: Reader,
    reading: Option<JoinHandle<std::io::Result<Vec<u8>>>>,
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let left = self.reader.spooled.length - self.reader.at;
        if left == 0 {
            return Poll::Ready(None);
        }
        let (file, at) = (self.reader.spooled.file.clone(), self.reader.at);
        let reading = self.reading.get_or_insert_with(|| spawn_blocking(move || read_piece(&file, at, left)));
        let read = std::task::ready!(Pin::new(reading).poll(context));
        self.reading = None;
        let piece = read.map_err(std::io::Error::other)??;
        self.reader.at += piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.reader.spooled.length - self.reader.at)
    }

    fn is_end_stream(&self) -> bool {
        self.reader.spooled.length == self.reader.at
    }
}

fn read_piece(file: &File, at: u64, left: u64) -> std::io::Result<Vec<u8>> {
    let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
    file.read_exact_at(&mut piece, at)?;
    Ok(piece)
}

/// Spools a push while its commands are read, and finds out what it does.
pub(super) async fn read(
    repository: &RepositoryName,
    reading: Reading,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Deed, Payload), Refusal> {
    reading.share.take_push()?;
    let limit = reading.limit;
    let mut pieces = Pieces::new(reading, headers, body)?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let spooling = spawn_blocking(move || spool(receiver, limit));
    while let Some(piece) = pieces.next().await? {
        // The task that spools may have an error to tell; git listens to it only after it has sent everything.
        let _ = sender.send(piece).await;
    }
    drop(sender);
    let (request, spooled) = spooling.await.map_err(|_| Refusal::Spool)??;
    let (file, length) = (Arc::new(spooled.0), spooled.1);
    let payload = if length == 0 { Payload::Nothing } else { Payload::Spooled(Spooled { file, length }) };
    let deed = match request {
        Understood::Probe => Deed::AboutToPush,
        Understood::Push(push, found) => {
            let named = |(name, change): &(String, _)| super::effect(repository, name, *change);
            let effects: Vec<Effect> = found.iter().map(named).collect();
            Deed::Push { push, effects }
        }
    };
    Ok((deed, payload))
}

enum Understood {
    Probe,
    Push(Push, Vec<(String, doorward_git::ancestry::Change)>),
}

fn spool(mut receiver: mpsc::Receiver<Bytes>, limit: ByteSize) -> Result<(Understood, (File, u64)), Refusal> {
    let folder = std::env::temp_dir();
    let mut spool = Spool::create(&folder, limit.0).map_err(|error| spool_refusal(&error, limit))?;
    let mut reader = PushReader::default();
    while let Some(piece) = receiver.blocking_recv() {
        if let Err(error) = reader.read(&piece) {
            return Err(unreadable(&reader, &error));
        }
        spool.write(&piece).map_err(|error| spool_refusal(&error, limit))?;
    }
    let capabilities = reader.capabilities();
    let request =
        reader.end().map_err(|error| Refusal::UnreadablePush { capabilities, sentence: error.to_string() })?;
    let length = spool.length();
    let understood = match request {
        Request::Probe => Understood::Probe,
        Request::Push(push) => {
            let found = changes_of(&push, &mut spool, &folder)
                .map_err(|sentence| Refusal::UnreadablePush { capabilities, sentence })?;
            Understood::Push(push, found)
        }
    };
    Ok((understood, (spool.into_file().map_err(|_| Refusal::Spool)?, length)))
}

fn changes_of(
    push: &Push,
    spool: &mut Spool,
    folder: &std::path::Path,
) -> Result<Vec<(String, doorward_git::ancestry::Change)>, String> {
    if !push.options.is_empty() {
        return Err("push options are not granted: push without --push-option".to_owned());
    }
    let commits = match push.pack_offset {
        Some(offset) if push.needs_proof() => {
            let source = spool.read_from(offset).map_err(|_| Refusal::Spool.to_string())?;
            let commits = read_commits(source, push.capabilities.object_format, Limits::default(), folder);
            commits.map_err(|error| error.to_string())?
        }
        _ => doorward_git::pack::Commits::default(),
    };
    let named = |(command, change): (&doorward_git::push::Command, _)| (command.name.as_str().to_owned(), change);
    Ok(changes(push, &commits).into_iter().map(named).collect())
}

fn unreadable(reader: &PushReader, error: &BadPush) -> Refusal {
    Refusal::UnreadablePush { capabilities: reader.capabilities(), sentence: error.to_string() }
}

fn spool_refusal(error: &SpoolError, limit: ByteSize) -> Refusal {
    match error {
        SpoolError::TooLarge { .. } => Refusal::TooLarge(limit),
        SpoolError::Io(error) => {
            tracing::error!(%error, "a push cannot be spooled to disk");
            Refusal::Spool
        }
    }
}
