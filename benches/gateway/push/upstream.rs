//! `git http-backend` behind as much of a web server as it needs (RFC 3875).

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::upstream::REAL_KEY;
use crate::wire::Head;

/// Serves the repositories below `root` for ever, one thread for each connection and one request on each.
pub(crate) fn serve(address: SocketAddr, root: &Path) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    loop {
        let (stream, _) = listener.accept()?;
        let root = root.to_owned();
        // A push that broke off is told by the one who pushed.
        std::thread::spawn(move || drop(answer(&stream, &root)));
    }
}

fn answer(mut stream: &TcpStream, root: &Path) -> io::Result<()> {
    let mut input = BufReader::with_capacity(64 << 10, stream);
    let Some(head) = Head::read(&mut input)? else { return Ok(()) };
    if !shows_the_key(&head) {
        return stream.write_all(
            b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        );
    }
    let mut backend = start(&head, root)?;
    let (mut into, out) = (backend.stdin.take(), backend.stdout.take());
    std::thread::scope(|scope| {
        let answering = scope.spawn(|| out.map_or(Ok(()), |out| relay(BufReader::new(out), stream)));
        head.read_body(&mut input, |data| into.as_mut().map_or(Ok(()), |into| into.write_all(data)))?;
        // The end of the input is the end of the pack.
        drop(into.take());
        answering.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    })?;
    backend.wait().map(drop)
}

fn shows_the_key(head: &Head) -> bool {
    let shown = head.authorization.as_deref().unwrap_or_default();
    let decoded = shown.strip_prefix("Basic ").and_then(|pair| STANDARD.decode(pair).ok()).unwrap_or_default();
    shown.strip_prefix("Bearer ") == Some(REAL_KEY) || decoded.ends_with(format!(":{REAL_KEY}").as_bytes())
}

fn start(head: &Head, root: &Path) -> io::Result<Child> {
    let mut words = head.first_line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut command = Command::new("git");
    command.arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    command.env("REQUEST_METHOD", method).env("PATH_INFO", path).env("QUERY_STRING", query);
    // Whoever has a name may push.
    command.env("REMOTE_USER", "bench").env("REMOTE_ADDR", "127.0.0.1");
    let optional = [
        ("CONTENT_TYPE", &head.content_type),
        ("HTTP_CONTENT_ENCODING", &head.content_encoding),
        ("GIT_PROTOCOL", &head.git_protocol),
    ];
    command.envs(optional.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
}

/// The answer of the program: its head without a status line, then the body up to the end.
fn relay(mut out: impl BufRead, mut stream: &TcpStream) -> io::Result<()> {
    let (mut status, mut headers) = ("200 OK".to_owned(), String::new());
    loop {
        let mut line = String::new();
        out.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some(("Status", given)) => given.clone_into(&mut status),
            Some(_) => headers += &line,
            None => break,
        }
    }
    stream.write_all(format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n").as_bytes())?;
    io::copy(&mut out, &mut stream)?;
    stream.shutdown(std::net::Shutdown::Write)
}
