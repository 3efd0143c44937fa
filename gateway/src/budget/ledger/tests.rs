use doorward_base::{DatabaseUrl, ManualClock};
use doorward_testkit::on_both_engines;
use tokio::sync::{mpsc, oneshot};

use super::super::estimate::estimate;
use super::*;
use crate::budget::NotReserved;
use crate::budget::account::{Account, Wish};
use crate::budget::limits::Limits;
use crate::budget::reserved::Reserved;
use crate::open_database;
use crate::tokens::ConsumerName;

const TEN: Hold = Hold { amount: tokens(10), if_lost: tokens(10) };

const fn tokens(tokens: u64) -> Amount {
    Amount { tokens, usd: crate::config::Usd::ZERO }
}

fn key() -> Key {
    Key { consumer: ConsumerName::new("alice").unwrap(), grant: "g".into() }
}

fn settlement(spent: u64) -> Settlement {
    Settlement { key: key(), hold: TEN, since: Since { generation: 0, batch: 0 }, spent: tokens(spent) }
}

async fn ledger(url: String) -> (Ledger, mpsc::Sender<Message>) {
    let database = open_database(&DatabaseUrl::try_from(url).unwrap()).await.unwrap();
    let (sender, receiver) = mpsc::channel(8);
    let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    (Ledger::new(receiver, database, Arc::new(clock), Random::seeded(1)), sender)
}

async fn ask(sender: &mpsc::Sender<Message>) -> (Ask, oneshot::Receiver<Result<Reserved, NotReserved>>) {
    let place = sender.clone().reserve_owned().await.unwrap();
    let (answer, answered) = oneshot::channel();
    let limits = Limits { total: super::super::limits::Caps { tokens: Some(100), usd: None }, ..Limits::default() };
    let wish = Wish { model: "m".into(), estimate: estimate(4, Some(9)), price: None };
    (Ask { candidates: vec![(key(), limits)], free_after: false, wish: Some(wish), place, answer }, answered)
}

async fn account(ledger: &Ledger) -> Account {
    let mut tx = ledger.database.write().await.unwrap();
    store::lock_account(&mut tx, &key()).await.unwrap()
}

async fn reserve(ledger: &mut Ledger, sender: &mpsc::Sender<Message>) -> Reserved {
    let (ask, answered) = ask(sender).await;
    ledger.flush(vec![ask]).await;
    answered.await.unwrap().unwrap()
}

#[tokio::test]
async fn what_was_written_although_the_answer_was_lost_is_not_charged_twice() {
    on_both_engines(async |url| {
        let (mut ledger, sender) = ledger(url).await;
        let _running = reserve(&mut ledger, &sender).await;
        let before = ledger.lease.batch;
        ledger.settlements.push(settlement(7));
        ledger.flush(Vec::new()).await;
        // As if the connection had broken after the commit.
        ledger.lease.batch = before;
        ledger.locals.insert(key(), Local { hold: TEN, ..Local::default() });
        ledger.in_doubt = Some(vec![settlement(7)]);
        ledger.dirty.insert(key());
        ledger.settlements.push(Settlement { hold: Hold::default(), ..settlement(1) });
        ledger.flush(Vec::new()).await;
        let account = account(&ledger).await;
        assert_eq!((account.total, account.held), (tokens(8), tokens(0)));
        assert!(ledger.in_doubt.is_none() && ledger.dirty.is_empty());
        ledger.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_reservation_that_was_written_although_its_caller_was_refused_is_taken_back() {
    on_both_engines(async |url| {
        let (mut ledger, sender) = ledger(url).await;
        let (lost, _answer) = ask(&sender).await;
        assert!(matches!(ledger.attempt(&[lost], &[]).await, Ok(Attempt::Written(_))));
        // As if the connection had broken after the commit.
        ledger.lease.batch -= 1;
        ledger.locals.clear();
        ledger.in_doubt = Some(Vec::new());
        ledger.dirty.insert(key());
        assert_eq!(account(&ledger).await.held, tokens(10));
        let _running = reserve(&mut ledger, &sender).await;
        assert_eq!(account(&ledger).await.held, tokens(10));
        ledger.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_database_that_refuses_costs_a_caller_an_answer_and_no_settlement() {
    on_both_engines(async |url| {
        let (mut ledger, sender) = ledger(url).await;
        let _running = reserve(&mut ledger, &sender).await;
        sqlx::query("ALTER TABLE budget_hold RENAME TO elsewhere").execute(ledger.database.reader()).await.unwrap();
        let (refused, answered) = ask(&sender).await;
        ledger.settlements.push(settlement(3));
        ledger.flush(vec![refused]).await;
        assert_eq!(answered.await.unwrap().unwrap_err(), NotReserved::Unavailable);
        assert!(ledger.due.is_some());
        sqlx::query("ALTER TABLE elsewhere RENAME TO budget_hold").execute(ledger.database.reader()).await.unwrap();
        ledger.flush(Vec::new()).await;
        let account = account(&ledger).await;
        assert_eq!((account.total, account.held), (tokens(3), tokens(0)));
        ledger.database.close().await;
    })
    .await;
}
