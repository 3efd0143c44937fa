use proptest::prelude::*;
use serde_json::json;

use super::super::estimate::estimate;
use super::super::prices::Prices;
use super::*;

const NOON: Timestamp = Timestamp::from_millis(1_700_049_600_000);

fn limits(budget: &serde_json::Value) -> Limits {
    let grant: crate::config::GrantConfig = serde_json::from_value(json!({ "budget": budget })).unwrap();
    Limits::from(&grant)
}

/// A model at 1 $ per million tokens of the prompt and 10 $ per million of the answer.
fn wish(prompt: u64, completion: Option<u64>) -> Wish {
    let table = serde_json::from_value(json!({ "m": { "input": 1, "output": 10 } })).unwrap();
    let price = Prices::compile(&table).unwrap().of("m");
    Wish { model: "m".into(), estimate: estimate(prompt * 4, completion), price }
}

fn unpriced(prompt: u64, completion: Option<u64>) -> Wish {
    Wish { price: None, ..wish(prompt, completion) }
}

fn tokens(tokens: u64) -> Amount {
    Amount { tokens, usd: Usd::ZERO }
}

fn refused(account: &mut Account, limits: &Limits, wish: &Wish) -> String {
    let before = account.clone();
    let lack = account.reserve(limits, Some(wish), NOON).unwrap_err();
    assert_eq!(*account, before, "a refused request changes nothing");
    lack.to_string()
}

#[test]
fn a_request_holds_its_prompt_and_the_answer_that_it_asked_for() {
    let mut account = Account::default();
    let limits = limits(&json!({ "tokens_per_day": 100 }));
    assert_eq!(account.reserve(&limits, Some(&unpriced(10, Some(60))), NOON), Ok(tokens(70)));
    assert_eq!(account.reserve(&limits, Some(&unpriced(10, Some(20))), NOON), Ok(tokens(30)));
    assert_eq!(account.held, tokens(100));
}

#[test]
fn a_request_that_does_not_say_how_long_its_answer_is_takes_what_is_left_up_to_a_default() {
    let mut account = Account::default();
    let few = limits(&json!({ "tokens_per_day": 5_000, "tokens_total": 100 }));
    assert_eq!(account.reserve(&few, Some(&unpriced(40, None)), NOON), Ok(tokens(100)));
    let many = limits(&json!({ "tokens_per_day": 1_000_000 }));
    assert_eq!(Account::default().reserve(&many, Some(&unpriced(40, None)), NOON), Ok(tokens(40 + 4_096)));
    let cents = limits(&json!({ "usd_per_day": 0.001 }));
    let held = Account::default().reserve(&cents, Some(&wish(500, None)), NOON).unwrap();
    assert_eq!(held, Amount { tokens: 550, usd: Usd::try_from(0.001).unwrap() });
}

#[test]
fn a_nearly_empty_budget_does_not_refuse_a_small_request() {
    let mut account = Account { day: day_of(NOON), today: tokens(990), ..Account::default() };
    let limits = limits(&json!({ "tokens_per_day": 1_000 }));
    assert_eq!(account.reserve(&limits, Some(&unpriced(5, None)), NOON), Ok(tokens(10)));
}

#[test]
fn what_does_not_fit_is_refused_with_the_limit_what_is_left_and_what_was_wanted() {
    let mut account = Account { day: day_of(NOON), today: tokens(900), total: tokens(900), ..Account::default() };
    let daily = limits(&json!({ "tokens_per_day": 1_000 }));
    assert_eq!(
        refused(&mut account, &daily, &unpriced(50, Some(51))),
        "allows 1000 tokens a day: 100 tokens left, and this request may use 101 tokens; the budget is renewed at 00:00 UTC"
    );
    let total = limits(&json!({ "tokens_total": 900, "tokens_per_day": 900 }));
    let sentence = refused(&mut account, &total, &unpriced(0, None));
    assert!(sentence.contains("900 tokens in all: 0 tokens left"), "{sentence}");
    assert!(sentence.contains("not renewed"), "{sentence}");
    let money = limits(&json!({ "usd_per_day": 0.0005 }));
    let sentence = refused(&mut account, &money, &wish(501, None));
    assert!(sentence.contains("$0.0005 a day: $0.0005 left, and this request may use $0.000501"), "{sentence}");
}

#[test]
fn a_daily_budget_says_to_try_again_at_midnight_and_one_that_is_only_held_in_a_moment() {
    let limits = limits(&json!({ "tokens_per_day": 100 }));
    let retry_after = |account: &mut Account| match account.reserve(&limits, Some(&unpriced(60, Some(0))), NOON) {
        Err(Lack::Spent { retry_after, .. }) => retry_after,
        other => panic!("{other:?}"),
    };
    let mut spent = Account { day: day_of(NOON), today: tokens(50), held: tokens(10), ..Account::default() };
    assert_eq!(retry_after(&mut spent), Duration::from_secs(12 * 60 * 60));
    let mut held = Account { day: day_of(NOON), held: tokens(50), ..Account::default() };
    assert_eq!(retry_after(&mut held), UNTIL_SOME_END);
}

#[test]
fn a_budget_in_money_refuses_a_model_without_a_price_and_lets_a_free_one_through() {
    let limits = limits(&json!({ "usd_total": 0 }));
    let sentence = refused(&mut Account::default(), &limits, &unpriced(1, Some(1)));
    assert!(sentence.contains("`m`") && sentence.contains("[gateway.prices]"), "{sentence}");
    let table = serde_json::from_value(json!({ "m": { "input": 0, "output": 0 } })).unwrap();
    let free = Wish { price: Prices::compile(&table).unwrap().of("m"), ..wish(10, None) };
    assert_eq!(Account::default().reserve(&limits, Some(&free), NOON), Ok(tokens(10 + 4_096)));
}

#[test]
fn a_request_that_uses_no_model_counts_for_the_rate_alone() {
    let mut account = Account { day: day_of(NOON), today: tokens(100), ..Account::default() };
    let mut limits = limits(&json!({ "tokens_per_day": 100 }));
    limits.per_minute = Some(1);
    assert_eq!(account.reserve(&limits, None, NOON), Ok(Amount::default()));
    assert!(matches!(account.reserve(&limits, None, NOON), Err(Lack::Rate { per_minute: 1, .. })));
}

#[test]
fn a_request_refused_over_budget_does_not_count_for_the_rate() {
    let mut limits = limits(&json!({ "tokens_per_day": 10 }));
    limits.per_minute = Some(1);
    let mut account = Account::default();
    for _ in 0..3 {
        assert!(refused(&mut account, &limits, &unpriced(11, None)).contains("tokens a day"));
    }
    account.reserve(&limits, Some(&unpriced(1, None)), NOON).unwrap();
}

#[test]
fn a_new_day_begins_at_midnight_utc_and_a_slow_clock_does_not_bring_the_old_one_back() {
    let mut account = Account { day: day_of(NOON), today: tokens(7), total: tokens(9), ..Account::default() };
    let midnight = renewal_after(NOON);
    assert_eq!(midnight.to_string(), "2023-11-16T00:00:00Z");
    account.turn_to(Timestamp::from_millis(midnight.as_millis() - 1));
    assert_eq!(account.today, tokens(7));
    account.turn_to(midnight);
    assert_eq!((account.today, account.total), (tokens(0), tokens(9)));
    account.charge(tokens(1));
    account.turn_to(NOON);
    assert_eq!((account.today, account.total), (tokens(1), tokens(10)));
}

proptest! {
    /// Whatever comes in whatever order: what is settled and held never exceeds a limit as long as nobody uses more than was held.
    #[test]
    fn reservations_never_overspend(
        requests in proptest::collection::vec((0_u64..300, proptest::option::of(0_u64..500), 0_u64..100, any::<bool>()), 1..100),
        tokens_per_day in 0_u64..5_000,
        microdollars in 0_u32..5_000,
    ) {
        let limits = limits(&json!({ "tokens_per_day": tokens_per_day, "usd_total": f64::from(microdollars) / 1e6 }));
        let mut account = Account::default();
        let mut running = Vec::new();
        for (prompt, completion, part, end_oldest) in requests {
            if let Ok(held) = account.reserve(&limits, Some(&wish(prompt, completion)), NOON) {
                prop_assert!(held.tokens >= prompt + completion.unwrap_or(0));
                running.push((held, part));
            }
            if end_oldest && !running.is_empty() {
                let (held, part) = running.remove(0);
                account.held = account.held.minus(held);
                let usd = Usd::from_picodollars(held.usd.picodollars() / 100 * i64::try_from(part).unwrap());
                account.charge(Amount { tokens: held.tokens * part / 100, usd });
            }
            let most = account.today.plus(account.held);
            prop_assert!(most.tokens <= tokens_per_day);
            prop_assert!(Some(account.total.plus(account.held).usd) <= limits.total.usd);
            let sum = running.iter().fold(Amount::default(), |sum, (held, _)| sum.plus(*held));
            prop_assert_eq!(account.held, sum);
        }
    }
}
