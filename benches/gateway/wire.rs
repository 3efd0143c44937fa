//! As much of HTTP/1.1 as both ends of a measurement need: blocking, without allocations where it counts, so that the proxy between
//! them is what is measured.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

/// The head of a request or of an answer, as far as it is looked at.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// The request line or the status line.
    pub(crate) first_line: String,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) git_protocol: Option<String>,
    pub(crate) length: Option<usize>,
    pub(crate) chunked: bool,
    /// The sender will close the connection.
    pub(crate) close: bool,
}

impl Head {
    /// Reads a head; nothing if the other side has closed the connection instead.
    pub(crate) fn read(input: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = Self::default();
        if input.read_line(&mut head.first_line)? == 0 {
            return Ok(None);
        }
        let mut line = String::new();
        loop {
            line.clear();
            if input.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) => head.take(name, value.trim()),
                None => return Ok(Some(head)),
            }
        }
    }

    fn take(&mut self, name: &str, value: &str) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("content-length") {
            self.length = value.parse().ok();
        } else if is("transfer-encoding") {
            self.chunked = value.eq_ignore_ascii_case("chunked");
        } else if is("authorization") {
            self.authorization = Some(value.to_owned());
        } else if is("content-type") {
            self.content_type = Some(value.to_owned());
        } else if is("content-encoding") {
            self.content_encoding = Some(value.to_owned());
        } else if is("git-protocol") {
            self.git_protocol = Some(value.to_owned());
        } else if is("connection") {
            self.close = value.eq_ignore_ascii_case("close");
        }
    }

    /// Reads the body behind this head, and gives each piece to `sink` as it arrives.
    pub(crate) fn read_body(
        &self,
        input: &mut impl BufRead,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.chunked {
            return read_exactly(input, self.length.unwrap_or(0), &mut sink);
        }
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| io::Error::other("no chunk size"))?;
            read_exactly(input, size, &mut sink)?;
            input.read_line(&mut line)?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.first_line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

fn read_exactly(
    input: &mut impl BufRead,
    mut left: usize,
    sink: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    while left > 0 {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = buffer.len().min(left);
        sink(&buffer[..taken])?;
        input.consume(taken);
        left -= taken;
    }
    Ok(())
}

/// One connection of a client, made anew when the server has closed it.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends a request and reads its answer; each piece of the body goes to `sink`. Any status but 200 is an error, with the body.
    pub(crate) fn ask(&mut self, request: &[u8], mut sink: impl FnMut(&[u8])) -> io::Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.address)?,
        };
        stream.get_ref().write_all(request)?;
        let head = Head::read(&mut stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut refusal = Vec::new();
        head.read_body(&mut stream, |data| {
            if head.status() == 200 {
                sink(data);
            } else {
                refusal.extend_from_slice(data);
            }
            Ok(())
        })?;
        if head.status() != 200 {
            let refusal = String::from_utf8_lossy(&refusal);
            return Err(io::Error::other(format!("{} {refusal}", head.first_line.trim_end())));
        }
        if !head.close {
            self.stream = Some(stream);
        }
        Ok(())
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}
