//! What is written down at the most talkative level.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::rig::{RawUpstream, contains, soon};
use crate::secrets;

/// All that any library says in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn at_trace_level_no_target_writes_a_credential_a_token_a_prompt_or_an_answer() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).with_writer(writer).init();
    let upstream = RawUpstream::start().await;
    let rig = secrets::start(&format!("http://{}", upstream.address())).await;
    let token = rig.mine().await;
    let quoted = json!({ "error": secrets::all(), "text": "canary-answer" }).to_string();
    let secret = secrets::STORED;
    let odd = format!("HTTP/1.1 200 OK\r\nx-echo: {secret}\r\ncontent-encoding: br\r\ncontent-length: 1\r\n\r\nx");
    let ok = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{quoted}",
        quoted.len()
    );
    let refused = format!("HTTP/1.1 401 No\r\ncontent-length: {}\r\n\r\n{quoted}", quoted.len());
    let garbage = format!("{secret}\r\n\r\n");
    let moved = format!("HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/{secret}\r\ncontent-length: 0\r\n\r\n");
    for (path, answer) in [
        ("/v1/responses?q=canary-query", &ok),
        ("/v1/responses", &refused),
        ("/v1/responses", &odd),
        ("/v1/responses", &garbage),
        ("/v1/responses", &moved),
        ("/anthropic/v1/messages", &ok),
        ("/http/stored/x?q=canary-query", &ok),
        ("/http/stored/x", &garbage),
        ("/http/basic/x", &moved),
    ] {
        let body = json!({ "model": "gpt-5", "input": "canary-prompt" }).to_string();
        let request = rig.client.post(rig.url(path)).bearer_auth(&token).header("content-type", "application/json");
        let sent = tokio::spawn(async move { request.body(body).send().await?.bytes().await });
        let mut call = soon(upstream.call()).await;
        call.send(answer.as_bytes()).await;
        drop(call);
        let _ = soon(sent).await.unwrap();
    }
    let _ = rig.client.get(rig.url("/v1/models")).bearer_auth(format!("{token}x")).send().await.unwrap();
    rig.ask("GET", "/admin/v1/secrets", "").await;
    let (admin, master) = (rig.admin_token(), std::fs::read_to_string(rig.folder.path().join("master.key")).unwrap());
    drop(rig.stop().await);
    let log = log.0.lock().unwrap();
    for library in ["reqwest", "hyper_util", "doorward_gateway"] {
        assert!(contains(&log, library), "{library} was heard");
    }
    let ours = [
        token,
        admin,
        master.trim().to_owned(),
        "canary-prompt".to_owned(),
        "canary-answer".to_owned(),
        "canary-query".to_owned(),
    ];
    for secret in secrets::all().into_iter().chain(ours) {
        for (name, text) in crate::renderings::of(&secret) {
            let line = log.split(|byte| *byte == b'\n').find(|line| contains(line, &String::from_utf8_lossy(&text)));
            assert!(line.is_none(), "{name}: {}", String::from_utf8_lossy(line.unwrap()));
        }
    }
}
