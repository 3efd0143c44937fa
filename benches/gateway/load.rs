//! The load: one blocking thread for each connection, so that a request costs the generator two system calls.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::numbers::Times;
use crate::upstream::Wanted;
use crate::wire::Connection;

const STACK: usize = 128 << 10;
/// Connections of the unary load.
const CONNECTIONS: u32 = 16;

/// Where requests go, and what they show there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
}

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Unary {
    /// From the moment a request was due to the last byte of its answer.
    pub(crate) times: Times,
    pub(crate) lasted: Duration,
}

/// What came of streams.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// From the request to the first byte of the first event.
    pub(crate) first: Times,
    /// Between two arrivals in one stream.
    pub(crate) gaps: Times,
    /// Events as the upstream sent them.
    pub(crate) events: u64,
    pub(crate) lasted: Duration,
}

impl Target {
    /// One request, for a start: is it there, and does it answer?
    pub(crate) fn answers(&self) -> io::Result<()> {
        Connection::new(self.address).ask(&self.request(None), |_| ())
    }

    /// Requests at a fixed rate, spread over the connections. Each is timed from when it was due, so that a server which holds one
    /// up is charged for those that wait behind it.
    pub(crate) fn at_rate(&self, rate: u32, time: Duration) -> Unary {
        let begin = Instant::now() + Duration::from_millis(20);
        let slots = rate * u32::try_from(time.as_millis()).unwrap_or(u32::MAX) / 1000;
        let parts = side_by_side(CONNECTIONS.min(rate), |first| {
            let (mut connection, request) = (Connection::new(self.address), self.request(None));
            let mut times = Times::default();
            for slot in (first..slots).step_by(CONNECTIONS.min(rate) as usize) {
                let due = begin + Duration::from_secs(1) * slot / rate;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                must(connection.ask(&request, |_| ()));
                times.push(due.elapsed());
            }
            times
        });
        Unary { times: joined(parts), lasted: begin.elapsed() }
    }

    /// As many requests as the connections can carry, one after the other on each.
    pub(crate) fn at_most(&self, time: Duration) -> Unary {
        let begin = Instant::now();
        let parts = side_by_side(CONNECTIONS, |_| {
            let (mut connection, request) = (Connection::new(self.address), self.request(None));
            let mut times = Times::default();
            while begin.elapsed() < time {
                let asked = Instant::now();
                must(connection.ask(&request, |_| ()));
                times.push(asked.elapsed());
            }
            times
        });
        Unary { times: joined(parts), lasted: begin.elapsed() }
    }

    /// So many streams at a time, each followed by the next; their beginnings are spread over the length of one.
    pub(crate) fn streams(&self, count: u32, wanted: Wanted, time: Duration) -> Streams {
        let begin = Instant::now();
        let parts = side_by_side(count, |number| {
            let (mut connection, request) = (Connection::new(self.address), self.request(Some(wanted)));
            let mut streams = Streams::default();
            std::thread::sleep(wanted.gap * wanted.events * number / count);
            while begin.elapsed() < time {
                must(streams.follow(&mut connection, &request));
                streams.events += u64::from(wanted.events);
            }
            streams
        });
        let mut all = Streams { lasted: begin.elapsed(), ..Streams::default() };
        for part in parts {
            all.first.append(part.first);
            all.gaps.append(part.gaps);
            all.events += part.events;
        }
        all
    }

    fn request(&self, wanted: Option<Wanted>) -> Vec<u8> {
        let stream = wanted.is_some();
        let system =
            "You are a helpful assistant who answers in a few sentences and never makes anything up. ".repeat(5);
        let question = "What would an honest benchmark of a gateway look like, and what would it leave out? ".repeat(5);
        let text = wanted.map(|wanted| wanted.text()).unwrap_or_default() + &question;
        let body = format!(
            r#"{{"model":"gpt-4o","stream":{stream},"temperature":0.2,"messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"{text}"}}]}}"#
        );
        let (address, key, length) = (self.address, &self.key, body.len());
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\naccept: */*\r\n\
             user-agent: bench\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

impl Streams {
    fn follow(&mut self, connection: &mut Connection, request: &[u8]) -> io::Result<()> {
        let asked = Instant::now();
        let mut last = None;
        connection.ask(request, |_| {
            let now = Instant::now();
            match last.replace(now) {
                None => self.first.push(now - asked),
                Some(last) => self.gaps.push(now - last),
            }
        })
    }
}

fn side_by_side<T: Send>(count: u32, work: impl Fn(u32) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let start = |number| {
            let work = &work;
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || work(number));
            thread.expect("the machine has room for another thread")
        };
        let threads: Vec<_> = (0..count).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("a failed request is told above")).collect()
    })
}

fn must(done: io::Result<()>) {
    done.unwrap_or_else(|error| panic!("a request failed: {error}"));
}

fn joined(parts: Vec<Times>) -> Times {
    let mut all = Times::default();
    for part in parts {
        all.append(part);
    }
    all
}
