use super::*;

fn pool(names: &[&str]) -> Pool {
    Pool::new("openai", names.iter().map(|name| (*name).to_owned()), Random::seeded(1))
}

const SECOND: Duration = Duration::from_secs(1);
const THREE: [&str; 3] = ["env A", "env B", "env C"];

fn consumers() -> Vec<String> {
    (0..300).map(|number| format!("worker-{number}")).collect()
}

fn chosen(pool: &Pool, now: Instant) -> Vec<usize> {
    consumers().iter().map(|consumer| pool.pick(consumer, now).unwrap().number()).collect()
}

fn lease_of(pool: &Pool, number: usize, now: Instant) -> Lease {
    pool.lease(number, now)
}

#[test]
fn a_consumer_keeps_its_credential_and_consumers_are_spread() {
    let now = Instant::now();
    let first = chosen(&pool(&THREE), now);
    assert_eq!(first, chosen(&pool(&THREE), now));
    for number in 0..3 {
        let share = first.iter().filter(|chosen| **chosen == number).count();
        assert!((70..=130).contains(&share), "{share} of 300 consumers use credential {number}");
    }
}

#[test]
fn when_one_rests_only_its_consumers_move_and_they_come_back() {
    let (pool, now) = (pool(&THREE), Instant::now());
    let before = chosen(&pool, now);
    lease_of(&pool, 1, now).report(Outcome::RateLimited { retry_after: Some(30 * SECOND) }, now);
    let during = chosen(&pool, now + 29 * SECOND);
    for (before, during) in before.iter().zip(&during) {
        assert!(if *before == 1 { *during != 1 } else { before == during });
    }
    assert!(during.contains(&0) && during.contains(&2));
    assert_eq!(chosen(&pool, now + 30 * SECOND), before);
}

#[test]
fn retry_after_is_honoured_up_to_ten_minutes() {
    let (pool, now) = (pool(&["env A"]), Instant::now());
    pool.pick("a", now).unwrap().report(Outcome::RateLimited { retry_after: Some(7 * SECOND) }, now);
    assert_eq!(pool.pick("a", now + 3 * SECOND).unwrap_err(), NoneReady { retry_after: 4 * SECOND });
    let later = now + 7 * SECOND;
    pool.pick("a", later).unwrap().report(Outcome::RateLimited { retry_after: Some(99_999 * SECOND) }, later);
    assert_eq!(pool.pick("a", later).unwrap_err(), NoneReady { retry_after: 600 * SECOND });
}

#[test]
fn failures_in_a_row_make_rests_longer_up_to_a_minute_and_a_success_forgets_them() {
    let (pool, mut now) = (pool(&["env A", "env B"]), Instant::now());
    let mut rests = Vec::new();
    for _ in 0..9 {
        lease_of(&pool, 0, now).report(Outcome::ServerError, now);
        let rest = pool.wait(0, now);
        now += rest;
        rests.push(rest.as_secs_f64());
    }
    for (failures, rest) in rests.iter().enumerate() {
        let around = 2_f64.powi(i32::try_from(failures).unwrap()).min(60.0);
        assert!((around * 0.5..=(around * 1.5).min(60.0)).contains(rest), "{rests:?}");
    }
    lease_of(&pool, 0, now).report(Outcome::Fine, now);
    lease_of(&pool, 0, now).report(Outcome::ServerError, now);
    assert!(pool.wait(0, now) <= SECOND.mul_f64(1.5));
}

#[test]
fn many_failures_at_once_count_as_one_and_an_old_success_ends_no_rest() {
    let (pool, now) = (pool(&["env A", "env B"]), Instant::now());
    let leases: Vec<_> = (0..100).map(|_| lease_of(&pool, 0, now)).collect();
    let later = now + SECOND;
    for lease in &leases {
        lease.report(Outcome::ServerError, later);
    }
    let rest = pool.wait(0, later);
    assert!(!rest.is_zero() && rest <= SECOND.mul_f64(1.5), "{rest:?}");
    leases[0].report(Outcome::Fine, later);
    assert_eq!(pool.wait(0, later), rest);
}

#[test]
fn a_single_credential_rests_only_when_the_upstream_says_so() {
    let (pool, now) = (pool(&["env A"]), Instant::now());
    for outcome in [Outcome::ServerError, Outcome::Refused, Outcome::Unreachable, Outcome::Missing] {
        pool.pick("a", now).unwrap().report(outcome, now);
        assert!(pool.pick("a", now).is_ok(), "{outcome:?}");
    }
    pool.pick("a", now).unwrap().report(Outcome::RateLimited { retry_after: None }, now);
    assert!(pool.pick("a", now).is_err());
}

#[test]
fn a_refused_credential_rests_for_a_minute() {
    let (pool, now) = (pool(&["env A", "env B"]), Instant::now());
    lease_of(&pool, 0, now).report(Outcome::Refused, now);
    assert_eq!(pool.wait(0, now), 60 * SECOND);
}

#[test]
fn when_all_rest_the_first_to_come_back_is_named_and_can_be_had() {
    let (pool, now) = (pool(&THREE), Instant::now());
    for (number, seconds) in [(0, 9), (1, 4), (2, 6)] {
        let outcome = Outcome::RateLimited { retry_after: Some(seconds * SECOND) };
        lease_of(&pool, number, now).report(outcome, now);
    }
    assert_eq!(pool.pick("a", now + SECOND).unwrap_err(), NoneReady { retry_after: 3 * SECOND });
    assert_eq!(pool.soonest(now + SECOND).number(), 1);
}

fn outcome(status: u16, headers: &[(&'static str, &str)]) -> Outcome {
    let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let now: jiff::Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
    Outcome::of(StatusCode::from_u16(status).unwrap(), &headers, Timestamp::from_millis(now.as_millisecond()))
}

fn limited(millis: u64) -> Outcome {
    Outcome::RateLimited { retry_after: Some(Duration::from_millis(millis)) }
}

#[test]
fn an_answer_tells_how_the_credential_was_taken() {
    for status in [200, 201, 400, 403, 404, 422] {
        assert_eq!(outcome(status, &[]), Outcome::Fine, "{status}");
    }
    for status in [500, 502, 503, 529] {
        assert_eq!(outcome(status, &[]), Outcome::ServerError, "{status}");
    }
    assert_eq!(outcome(401, &[]), Outcome::Refused);
    assert_eq!(outcome(429, &[]), Outcome::RateLimited { retry_after: None });
}

#[test]
fn the_time_to_come_back_is_read_in_every_form() {
    assert_eq!(outcome(429, &[("retry-after", "20")]), limited(20_000));
    assert_eq!(outcome(429, &[("retry-after", "20"), ("retry-after-ms", "150")]), limited(150));
    assert_eq!(outcome(429, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), limited(30_000));
    assert_eq!(outcome(429, &[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), limited(0));
    assert_eq!(outcome(429, &[("retry-after", "soon")]), Outcome::RateLimited { retry_after: None });
    assert_eq!(outcome(403, &[("retry-after", "60")]), limited(60_000));
    let reset = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "784111752")];
    assert_eq!(outcome(403, &reset), limited(5_000));
}
