//! The model behind the gateways: it answers at once, and does as little else as it can.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tokio::time::Instant;

use crate::wire::Head;

/// What it wants to see as `Authorization: Bearer …`; the gateways put it in.
pub(crate) const REAL_KEY: &str = "sk-real-0123456789abcdefghijklmnopqrstuvwxyz";
const STACK: usize = 128 << 10;

/// Serves for ever, one thread for each connection.
pub(crate) fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    loop {
        let (stream, _) = listener.accept()?;
        // A proxy that closes its connection is none of our business.
        let work = move || drop(answer_all(&stream));
        std::thread::Builder::new().stack_size(STACK).spawn(work)?;
    }
}

fn answer_all(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    let (unary, mut body) = (unary_answer(), Vec::new());
    while let Some(head) = Head::read(&mut input)? {
        body.clear();
        head.read_body(&mut input, |data| {
            body.extend_from_slice(data);
            Ok(())
        })?;
        if head.authorization.as_deref().and_then(|value| value.strip_prefix("Bearer ")) != Some(REAL_KEY) {
            (&*stream).write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")?;
        } else if let Some(wanted) = Wanted::read(&body) {
            stream_events(stream, &wanted)?;
        } else {
            (&*stream).write_all(&unary)?;
        }
    }
    Ok(())
}

/// What a stream shall be like. It stands in the text of the message, which every gateway passes on, as `events=N gap_us=N`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) events: u32,
    /// Between the beginnings of two events; none means as fast as can be.
    pub(crate) gap: Duration,
}

impl Wanted {
    pub(crate) fn text(&self) -> String {
        format!("events={} gap_us={} ", self.events, self.gap.as_micros())
    }

    fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let number = |name: &str| {
            let (_, rest) = text.split_once(name)?;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok()
        };
        Some(Self { events: number("events=")?, gap: Duration::from_micros(number("gap_us=")?.into()) })
    }
}

fn stream_events(mut stream: &TcpStream, wanted: &Wanted) -> io::Result<()> {
    let begin = Instant::now();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
    for number in 0..wanted.events {
        std::thread::sleep((begin + wanted.gap * number).saturating_duration_since(Instant::now()));
        stream.write_all(&chunk(&event(number)))?;
    }
    stream.write_all(&[chunk("data: [DONE]\n\n"), chunk("")].concat())
}

fn event(number: u32) -> String {
    let choice =
        format!(r#"{{"index":0,"delta":{{"content":" word {number}"}},"logprobs":null,"finish_reason":null}}"#);
    format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"gpt-4o\",\
         \"system_fingerprint\":\"fp_bench\",\"choices\":[{choice}]}}\n\n"
    )
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// About a kilobyte.
fn unary_answer() -> Vec<u8> {
    let words = "An answer of some sentences, as models give them. ".repeat(13);
    let choice = format!(
        r#"{{"index":0,"message":{{"role":"assistant","content":"{words}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}"#
    );
    let body = format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1760000000,"model":"gpt-4o","choices":[{choice}],"usage":{{"prompt_tokens":180,"completion_tokens":130,"total_tokens":310}},"system_fingerprint":"fp_bench"}}"#
    );
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\n";
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
