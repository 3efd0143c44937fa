use doorward_base::DatabaseUrl;
use doorward_testkit::on_both_engines;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::open_database;

fn row(consumer: Option<&str>, at: i64, status: u16) -> AuditRow {
    AuditRow {
        at: Timestamp::from_millis(at),
        consumer: consumer.map(str::to_owned),
        token_id: consumer.map(|consumer| format!("tok_{consumer}")),
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        model: Some("gpt-5".to_owned()),
        upstream: Some("openai".to_owned()),
        decision: Decision::Allowed,
        reason: None,
        status,
        ending: Ending::Complete,
        request_bytes: 10,
        response_bytes: 20,
        prompt_tokens: Some(3),
        completion_tokens: None,
        latency_ms: 5,
    }
}

async fn log(url: String) -> AuditLog {
    AuditLog::new(open_database(&DatabaseUrl::try_from(url).unwrap()).await.unwrap())
}

/// Hands in the rows and stops the writer: what was handed in is written.
async fn write(log: &AuditLog, rows: Vec<AuditRow>) {
    let (writer, reader) = channel();
    for row in rows {
        writer.reserve().await.unwrap().fill(row);
    }
    let stop = CancellationToken::new();
    stop.cancel();
    reader.run(&log.database, &stop).await;
    assert!(writer.reserve().await.is_err());
}

#[tokio::test]
async fn rows_are_read_back_as_they_were_written_newest_first() {
    on_both_engines(async |url| {
        let log = log(url).await;
        let mut refused = row(None, 2, 401);
        (refused.decision, refused.ending) = (Decision::Refused, Ending::Cut);
        (refused.model, refused.reason) = (None, Some("invalid_api_key".to_owned()));
        write(&log, vec![row(Some("alice"), 1, 200), refused.clone()]).await;
        let rows = log.list(None, 10).await.unwrap();
        let json = serde_json::to_value(&rows).unwrap();
        assert_eq!(json, serde_json::to_value([refused, row(Some("alice"), 1, 200)]).unwrap());
        assert_eq!(log.list(Some("alice"), 10).await.unwrap().len(), 1);
        assert_eq!(log.list(None, 1).await.unwrap()[0].status, 401);
        log.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn usage_is_summed_over_the_answered_requests_of_a_consumer_and_model() {
    on_both_engines(async |url| {
        let log = log(url).await;
        let rows = vec![
            row(Some("alice"), 1, 200),
            row(Some("alice"), 5, 200),
            row(Some("alice"), 6, 502),
            row(Some("bob"), 5, 200),
            row(None, 5, 401),
        ];
        write(&log, rows).await;
        let used = |consumer: &str, requests| UsageRow {
            consumer: consumer.to_owned(),
            model: "gpt-5".to_owned(),
            requests,
            prompt_tokens: 3 * requests,
            completion_tokens: 0,
        };
        let start = Timestamp::from_millis(0);
        assert_eq!(log.usage(None, start).await.unwrap(), [used("alice", 2), used("bob", 1)]);
        assert_eq!(log.usage(Some("alice"), Timestamp::from_millis(2)).await.unwrap(), [used("alice", 1)]);
        log.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_place_that_is_still_held_is_waited_for_at_the_end() {
    on_both_engines(async |url| {
        let log = log(url).await;
        let (writer, reader) = channel();
        let late = writer.reserve().await.unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        let database = log.database.clone();
        let run = tokio::spawn(async move { reader.run(&database, &stop).await });
        while writer.reserve().await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!run.is_finished());
        late.fill(row(Some("alice"), 1, 200));
        run.await.unwrap();
        assert_eq!(log.list(None, 10).await.unwrap().len(), 1);
        log.database.close().await;
    })
    .await;
}
