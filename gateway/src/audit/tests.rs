use std::time::Duration;

use doorward_base::DatabaseUrl;
use doorward_testkit::{on_both_engines, wait_for};
use tokio_util::sync::CancellationToken;

use super::strangers::Strangers;
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
        effects: Some("web_search".to_owned()),
        upstream: Some("openai".to_owned()),
        grant: Some("default".to_owned()),
        approved_by: Some("@you:example.org".to_owned()),
        decision: Decision::Allowed,
        reason: None,
        status,
        ending: Ending::Complete,
        request_bytes: 10,
        response_bytes: 20,
        prompt_tokens: Some(3),
        completion_tokens: None,
        cached_tokens: Some(1),
        usd: Some(Usd::from_picodollars(1_500_000_000)),
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
        let rows = log.list(&AuditFilter::default(), 10).await.unwrap();
        let json = serde_json::to_value(&rows).unwrap();
        assert_eq!(json, serde_json::to_value([refused, row(Some("alice"), 1, 200)]).unwrap());
        assert_eq!(log.list(&AuditFilter::default(), 1).await.unwrap()[0].status, 401);
        log.database.close().await;
    })
    .await;
}

fn of_a_stranger(at: i64) -> AuditRow {
    AuditRow { decision: Decision::Refused, path: format!("/{at}"), ..row(None, at, 401) }
}

#[tokio::test]
async fn requests_without_a_good_token_above_sixty_a_minute_share_one_row() {
    on_both_engines(async |url| {
        let log = log(url).await;
        let strangers = (0..100).map(of_a_stranger);
        let consumers = (0..100).map(|at| row(Some("alice"), at, 401));
        write(&log, strangers.zip(consumers).flat_map(|(stranger, consumer)| [stranger, consumer]).collect()).await;
        let (strangers, consumers): (Vec<_>, Vec<_>) =
            log.list(&AuditFilter::default(), 1000).await.unwrap().into_iter().partition(|row| row.consumer.is_none());
        assert_eq!((strangers.len(), consumers.len()), (61, 100));
        let (many, each): (Vec<_>, Vec<_>) = strangers.into_iter().partition(|row| row.path == "*");
        assert!(each.iter().all(|row| row.at.as_millis() < 60), "{each:?}");
        let [many] = many.as_slice() else { panic!("{many:?}") };
        assert_eq!(many.at, Timestamp::from_millis(60));
        assert_eq!((many.method.as_str(), many.decision, many.status), ("*", Decision::Refused, 401));
        assert_eq!(many.reason.as_deref(), Some("unauthenticated"));
        assert_eq!(many.effects.as_deref(), Some("40 more requests"));
        log.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn when_the_minute_is_over_the_others_are_told_of() {
    on_both_engines(async |url| {
        let log = log(url).await;
        let (writer, reader) = channel();
        for at in 0..62 {
            writer.reserve().await.unwrap().fill(of_a_stranger(at));
        }
        let (stop, database) = (CancellationToken::new(), log.database.clone());
        let run = tokio::spawn({
            let stop = stop.clone();
            async move { reader.run(&database, &stop).await }
        });
        let rows = async || log.list(&AuditFilter::default(), 100).await.unwrap();
        wait_for("the first rows", async || (rows().await.len() == 60).then_some(())).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(60)).await;
        tokio::time::resume();
        wait_for("the row that stands for the others", async || (rows().await.len() == 61).then_some(())).await;
        assert_eq!(rows().await[0].effects.as_deref(), Some("2 more requests"));
        stop.cancel();
        run.await.unwrap();
        assert_eq!(rows().await.len(), 61);
        log.database.close().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_next_minute_has_rows_again_and_a_minute_without_strangers_has_none() {
    let (mut strangers, began) = (Strangers::default(), tokio::time::Instant::now());
    let mut come = |count: i64| {
        let mut rows = (0..count).map(of_a_stranger).collect::<Vec<_>>();
        strangers.thin_out(&mut rows, tokio::time::Instant::now());
        (rows.len(), strangers.minute_ends().map(|ends| ends - began), strangers.end_minute().is_some())
    };
    assert_eq!(come(0), (0, None, false));
    assert_eq!(come(60), (60, Some(Duration::from_secs(60)), false));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(come(61), (60, Some(Duration::from_secs(120)), true));
}

#[tokio::test]
async fn many_rows_are_written_together_and_none_is_mixed_up_with_another() {
    on_both_engines(async |url| {
        let log = log(url).await;
        let many = i64::try_from(2 * super::writer::TOGETHER + 3).unwrap();
        write(&log, (0..many).map(|at| row(Some(&format!("c{at}")), at, 200)).collect()).await;
        let rows = log.list(&AuditFilter::default(), 1000).await.unwrap();
        let expected: Vec<_> = (0..many).rev().map(|at| row(Some(&format!("c{at}")), at, 200)).collect();
        assert_eq!(serde_json::to_value(rows).unwrap(), serde_json::to_value(expected).unwrap());
        log.database.close().await;
    })
    .await;
}

const EXPLAIN_ALL: &str = list!("EXPLAIN QUERY PLAN ", "CAST($1 AS TEXT) IS NULL");
const EXPLAIN_OF_CONSUMER: &str = list!("EXPLAIN QUERY PLAN ", "consumer = $1");

fn filter(set: impl FnOnce(&mut AuditFilter)) -> AuditFilter {
    let mut filter = AuditFilter::default();
    set(&mut filter);
    filter
}

#[tokio::test]
async fn each_filter_leaves_what_it_names() {
    on_both_engines(async |url| {
        let log = log(url).await;
        let mut merge = row(Some("bob"), 20, 403);
        (merge.path, merge.upstream) = ("/api/v3/repos/a_b/c/pulls/1/merge".to_owned(), Some("github".to_owned()));
        (merge.decision, merge.model) = (Decision::Refused, None);
        write(&log, vec![row(Some("alice"), 10, 200), merge, row(Some("bob"), 30, 502)]).await;
        let at = |millis| Some(Timestamp::from_millis(millis));
        for (filter, expected) in [
            (filter(|_| {}), &[30, 20, 10][..]),
            (filter(|f| f.consumer = Some("bob".to_owned())), &[30, 20]),
            (filter(|f| f.since = at(20)), &[30, 20]),
            (filter(|f| f.until = at(20)), &[10]),
            (filter(|f| f.decision = Some(Decision::Refused)), &[20]),
            (filter(|f| f.status = Some("5xx".parse().unwrap())), &[30]),
            (filter(|f| f.status = Some("403".parse().unwrap())), &[20]),
            (filter(|f| f.model = Some("GPT-*".into())), &[30, 10]),
            (filter(|f| f.model = Some("gpt".into())), &[]),
            (filter(|f| f.upstream = Some("github".to_owned())), &[20]),
            (filter(|f| f.path = Some("/api/".into())), &[20]),
            (filter(|f| f.path = Some("/api/v3/repos/a_b/*/merge".into())), &[20]),
            (filter(|f| f.path = Some("/api/v3/repos/aXb/*".into())), &[]),
            (filter(|f| (f.consumer, f.path) = (Some("bob".to_owned()), Some("/v1".into()))), &[30]),
        ] {
            let rows = log.list(&filter, 10).await.unwrap();
            let times: Vec<i64> = rows.iter().map(|row| row.at.as_millis()).collect();
            assert_eq!(times, expected, "{filter:?}");
        }
        log.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_default_list_walks_an_index_and_sorts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(format!("sqlite://{}/a.db", folder.path().display())).await;
    for (text, index, values) in
        [(EXPLAIN_ALL, "audit_by_time", None::<&str>), (EXPLAIN_OF_CONSUMER, "audit_by_consumer", Some("alice"))]
    {
        let mut query = sqlx::query(text).bind(values).bind(0_i64).bind(i64::MAX).bind(values).bind(values);
        query = query.bind(0_i64).bind(999_i64);
        for _ in 0..6 {
            query = query.bind(None::<&str>);
        }
        let plan = query.bind(50_i64).fetch_all(log.database.reader()).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.try_get("detail").unwrap()).collect();
        let plan = plan.join("; ");
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{plan}");
    }
    log.database.close().await;
}

#[tokio::test]
async fn usage_is_summed_over_the_answered_requests_by_what_is_asked_for() {
    const DAY: i64 = DAY_MILLIS;
    on_both_engines(async |url| {
        let log = log(url).await;
        let rows = vec![
            row(Some("alice"), 1, 200),
            row(Some("alice"), DAY, 200),
            row(Some("alice"), DAY + 1, 502),
            row(Some("bob"), 5, 200),
            row(None, 5, 401),
        ];
        write(&log, rows).await;
        let used = |day: Option<&str>, consumer: Option<&str>, requests: u64| UsageRow {
            day: day.map(str::to_owned),
            consumer: consumer.map(str::to_owned),
            model: consumer.map(|_| "gpt-5".to_owned()),
            requests,
            prompt_tokens: 3 * requests,
            cached_tokens: requests,
            completion_tokens: 0,
            usd: Usd::from_picodollars(1_500_000_000).times(requests),
        };
        let (start, usual) = (Timestamp::from_millis(0), UsageBy::default());
        let (alice, bob) = (Some("alice"), Some("bob"));
        assert_eq!(log.usage(None, start, usual).await.unwrap(), [used(None, alice, 2), used(None, bob, 1)]);
        let late = Timestamp::from_millis(2);
        assert_eq!(log.usage(alice, late, usual).await.unwrap(), [used(None, alice, 1)]);
        let by_all = log.usage(None, start, "day,consumer,model".parse().unwrap()).await.unwrap();
        let (first, second) = (Some("1970-01-01"), Some("1970-01-02"));
        assert_eq!(by_all, [used(first, alice, 1), used(first, bob, 1), used(second, alice, 1)]);
        let by_day = log.usage(None, start, "day".parse().unwrap()).await.unwrap();
        assert_eq!(by_day, [used(first, None, 2), used(second, None, 1)]);
        log.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn old_rows_are_forgotten() {
    on_both_engines(async |url| {
        let log = log(url).await;
        write(&log, (0..10).map(|at| row(Some("alice"), at, 200)).collect()).await;
        assert_eq!(log.purge(Timestamp::from_millis(7)).await.unwrap(), 7);
        assert_eq!(log.purge(Timestamp::from_millis(7)).await.unwrap(), 0);
        let left = log.list(&AuditFilter::default(), 10).await.unwrap();
        assert_eq!(left.iter().map(|row| row.at.as_millis()).collect::<Vec<_>>(), [9, 8, 7]);
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
        assert_eq!(log.list(&AuditFilter::default(), 10).await.unwrap().len(), 1);
        log.database.close().await;
    })
    .await;
}
