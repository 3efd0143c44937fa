//! Lists of an MCP server without what is not granted. All other bytes stay as they came.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::consumer::passes::{BrokenAnswer, Pass};

/// The methods whose answers hold lists.
pub(super) const METHODS: [&str; 4] = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"];

/// No server has a longer list; what is longer is not searched for what has to be hidden, and so not passed on.
const LARGEST: usize = 8 << 20;

/// No shorter event holds a message: a stream of empty lines is passed on quickly.
const SHORTEST: usize = b"data:{}\n\n".len();

/// What a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tool,
    Prompt,
    Resource,
}

/// Says which entries may be seen.
pub(crate) type Visible = Arc<dyn Fn(Kind, &str) -> bool + Send + Sync>;

/// Takes out of an answer what may not be seen.
pub(crate) struct Listing {
    visible: Visible,
    /// Whether the answer is a stream of events; else it is one document.
    events: bool,
    held: Vec<u8>,
    /// Of a stream of events: how much of what is held was looked at, so that no byte is looked at twice.
    read: usize,
    last: u8,
    line_is_empty: bool,
}

impl Listing {
    pub(crate) fn new(visible: Visible, events: bool) -> Self {
        Self { visible, events, held: Vec::new(), read: 0, last: 0, line_is_empty: true }
    }

    /// The whole events among the held bytes, with their lists filtered. An empty line ends an event.
    fn whole_events(&mut self) -> Result<Bytes, BrokenAnswer> {
        let (mut out, mut given) = (Vec::new(), 0);
        while let Some(byte) = self.held.get(self.read).copied() {
            self.read += 1;
            let after_carriage_return = std::mem::replace(&mut self.last, byte) == b'\r';
            match byte {
                // The rest of a line break whose event has gone out.
                b'\n' if after_carriage_return && given + 1 == self.read => {
                    out.push(byte);
                    given = self.read;
                }
                b'\n' if after_carriage_return => {}
                b'\n' | b'\r' => {
                    if std::mem::replace(&mut self.line_is_empty, true) {
                        out.extend_from_slice(&self.event(&self.held[given..self.read])?);
                        given = self.read;
                    }
                }
                _ => self.line_is_empty = false,
            }
        }
        self.held.drain(..given);
        self.read -= given;
        Ok(out.into())
    }

    fn event<'a>(&self, event: &'a [u8]) -> Result<Cow<'a, [u8]>, BrokenAnswer> {
        if event.len() < SHORTEST {
            return Ok(Cow::Borrowed(event));
        }
        let text = std::str::from_utf8(event).map_err(|_| BrokenAnswer("an event is not UTF-8"))?;
        // Readers drop a byte order mark at the beginning of a stream.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let data: Vec<&str> = lines(text).filter_map(|line| line.strip_prefix("data:")).collect();
        let message = data.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n");
        if message.is_empty() {
            return Ok(Cow::Borrowed(event));
        }
        let Cow::Owned(filtered) = self.document(&message)? else { return Ok(Cow::Borrowed(event)) };
        let others = lines(text).filter(|line| !line.starts_with("data:") && !line.is_empty());
        let mut out: String = others.map(|line| format!("{line}\n")).collect();
        out.extend(filtered.split('\n').map(|line| format!("data: {line}\n")));
        out.push('\n');
        Ok(Cow::Owned(out.into_bytes()))
    }

    /// A message, or a batch of them, with its lists filtered.
    fn document<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, BrokenAnswer> {
        let messages: Vec<&RawValue> = if text.trim_start().starts_with('[') {
            serde_json::from_str(text).map_err(|_| GARBAGE)?
        } else {
            vec![serde_json::from_str(text).map_err(|_| GARBAGE)?]
        };
        let mut cuts = Vec::new();
        for message in messages {
            self.cuts(text, message, &mut cuts)?;
        }
        Ok(spliced(text, cuts))
    }

    fn cuts(&self, text: &str, message: &RawValue, cuts: &mut Vec<Cut>) -> Result<(), BrokenAnswer> {
        let message: Message<'_> = serde_json::from_str(message.get()).map_err(|_| GARBAGE)?;
        let Some(result) = message.result.filter(|result| result.get().starts_with('{')) else { return Ok(()) };
        let lists: Lists<'_> = serde_json::from_str(result.get()).map_err(|_| GARBAGE)?;
        let of = [
            (Kind::Tool, lists.tools),
            (Kind::Prompt, lists.prompts),
            (Kind::Resource, lists.resources),
            (Kind::Resource, lists.templates),
        ];
        for (kind, list) in of.into_iter().filter_map(|(kind, list)| Some((kind, list?))) {
            let entries: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(|_| GARBAGE)?;
            let mut seen = Vec::new();
            for entry in &entries {
                if self.shows(kind, entry)? {
                    seen.push(entry.get());
                }
            }
            if seen.len() < entries.len() {
                let start = list.get().as_ptr() as usize - text.as_ptr() as usize;
                cuts.push(Cut { start, end: start + list.get().len(), instead: format!("[{}]", seen.join(",")) });
            }
        }
        Ok(())
    }

    fn shows(&self, kind: Kind, entry: &RawValue) -> Result<bool, BrokenAnswer> {
        let entry: Entry<'_> = serde_json::from_str(entry.get()).map_err(|_| GARBAGE)?;
        let name = if kind == Kind::Resource { entry.uri.or(entry.template) } else { entry.name };
        Ok(name.is_some_and(|name| (self.visible)(kind, &name)))
    }
}

impl Pass for Listing {
    fn push(&mut self, bytes: Bytes) -> Result<Bytes, BrokenAnswer> {
        self.held.extend_from_slice(&bytes);
        if self.held.len() > LARGEST {
            return Err(BrokenAnswer("a message is larger than 8MB"));
        }
        if self.events { self.whole_events() } else { Ok(Bytes::new()) }
    }

    fn finish(&mut self) -> Result<Bytes, BrokenAnswer> {
        let held = std::mem::take(&mut self.held);
        if self.events || held.trim_ascii().is_empty() {
            // An event that was not ended is dropped by every reader (WHATWG HTML, section 9.2.6).
            return Ok(Bytes::new());
        }
        let text = std::str::from_utf8(&held).map_err(|_| GARBAGE)?;
        Ok(self.document(text)?.into_owned().into())
    }
}

const GARBAGE: BrokenAnswer =
    BrokenAnswer("the MCP server answers something that cannot be searched for what is not granted");

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Lists<'a> {
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    prompts: Option<&'a RawValue>,
    #[serde(borrow)]
    resources: Option<&'a RawValue>,
    #[serde(borrow, rename = "resourceTemplates")]
    templates: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uri: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "uriTemplate")]
    template: Option<Cow<'a, str>>,
}

struct Cut {
    start: usize,
    end: usize,
    instead: String,
}

fn spliced(text: &str, cuts: Vec<Cut>) -> Cow<'_, str> {
    if cuts.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = text.to_owned();
    let mut cuts = cuts;
    cuts.sort_by_key(|cut| std::cmp::Reverse(cut.start));
    for Cut { start, end, instead } in cuts {
        out.replace_range(start..end, &instead);
    }
    Cow::Owned(out)
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(events: bool) -> Listing {
        Listing::new(Arc::new(|kind, name| kind == Kind::Tool && name.starts_with("read_")), events)
    }

    fn filtered(events: bool, text: &str, size: usize) -> Result<String, BrokenAnswer> {
        let mut listing = listing(events);
        let mut out = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            out.extend_from_slice(&listing.push(Bytes::copy_from_slice(chunk))?);
        }
        out.extend_from_slice(&listing.finish()?);
        Ok(String::from_utf8(out).unwrap())
    }

    const LIST: &str = r#"{ "jsonrpc":"2.0","id":1, "result":{"tools":[{"name":"read_graph","x": 1.0},{"name":"delete_all"}, {"name":"read_\u006eode"}],"nextCursor":"c"}}"#;
    const SEEN: &str = r#"{ "jsonrpc":"2.0","id":1, "result":{"tools":[{"name":"read_graph","x": 1.0},{"name":"read_\u006eode"}],"nextCursor":"c"}}"#;

    #[test]
    fn what_is_not_granted_is_absent_and_all_else_stays_as_it_came() {
        for size in [1, 7, 10_000] {
            assert_eq!(filtered(false, LIST, size).unwrap(), SEEN);
            let event = |data: &str| format!("event: message\nid: 1\ndata: {data}\n\n");
            assert_eq!(filtered(true, &event(LIST), size).unwrap(), event(SEEN));
        }
        assert_eq!(filtered(false, &format!("[{LIST},{LIST}]"), 10_000).unwrap(), format!("[{SEEN},{SEEN}]"));
    }

    #[test]
    fn an_answer_without_a_list_is_not_touched() {
        let call = r#"{"jsonrpc":"2.0", "id":1,"result":{"content":[{"type":"text","text":"tools"}]} }"#;
        assert_eq!(filtered(false, call, 3).unwrap(), call);
        let stream = format!(": hello\r\n\r\nid:1\r\ndata:{call}\r\n\r\ndata\n\n");
        for size in [1, 5, 10_000] {
            assert_eq!(filtered(true, &stream, size).unwrap(), stream);
        }
    }

    #[test]
    fn other_lists_and_answers_that_cannot_be_read_do_not_pass() {
        let prompts =
            r#"{"result":{"prompts":[{"name":"read_me"}],"resources":[{"uri":"file:///a","name":"read_x"}]}}"#;
        assert_eq!(filtered(false, prompts, 9).unwrap(), r#"{"result":{"prompts":[],"resources":[]}}"#);
        for garbage in [r#"{"result":{"tools":[{"name":"delete"}],"tools":[]}}"#, r#"{"result":{"tools":{}}}"#, "x"] {
            assert!(filtered(false, garbage, 9).is_err(), "{garbage}");
            assert!(filtered(true, &format!("data: {garbage}\n\n"), 9).is_err(), "{garbage}");
        }
    }

    #[test]
    fn an_event_goes_out_as_soon_as_it_is_whole() {
        let mut listing = listing(true);
        assert!(listing.push(Bytes::from_static(b"data: {}\n")).unwrap().is_empty());
        assert_eq!(listing.push(Bytes::from_static(b"\ndata")).unwrap(), "data: {}\n\n");
    }

    #[test]
    fn a_long_run_of_short_events_takes_no_longer_than_its_bytes() {
        let begun = tokio::time::Instant::now();
        for event in ["\n", "data: {}\n\n", ": x\r\r", "\r\n"] {
            let stream = event.repeat((1 << 20) / event.len());
            assert!(filtered(true, &stream, 1 << 20).unwrap() == stream, "{event:?}");
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn an_event_ends_where_its_reader_ends_it() {
        for end in ["\n\n", "\r\r", "\r\n\r\n", "\n\r\n", "\r\n\n", "\n\r"] {
            let stream = format!("\u{feff}data: {LIST}{end}data: {LIST}\n\n");
            for size in [1, 7, 10_000] {
                let shown = filtered(true, &stream, size).unwrap();
                assert_eq!(shown.matches("read_graph").count(), 2, "{end:?}: {shown}");
                assert!(!shown.contains("delete_all"), "{end:?}: {shown}");
            }
        }
    }
}
