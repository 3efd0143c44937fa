use std::time::Duration;

use doorward_base::{DatabaseUrl, ManualClock, Timestamp};
use doorward_testkit::on_both_engines;
use ruma::{EventId, OwnedRoomId, UserId};

use super::*;
use crate::roster::Roster;

struct World {
    database: Database,
    clock: ManualClock,
    sessions: Sessions,
    roster: Roster,
    manager: Agent,
}

impl World {
    async fn new(url: String) -> Self {
        let database = Database::open(&DatabaseUrl::try_from(url).unwrap()).await.unwrap();
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
        let random = Random::seeded(1);
        let roster = Roster::open(database.clone(), Arc::new(clock.clone()), random.clone()).await.unwrap();
        let manager = UserId::parse("@manager:example.org").unwrap();
        roster.ensure_manager(&manager, "gpt-5", "builtin", "default").await.unwrap();
        let sessions = Sessions::new(database.clone(), Arc::new(clock.clone()), random);
        let manager = roster.get(&AgentName::manager()).await.unwrap();
        Self { database, clock, sessions, roster, manager }
    }

    async fn hear(&self, event: &str, body: &str) {
        let input = Input {
            event_id: EventId::parse(event).unwrap(),
            sender: UserId::parse("@you:example.org").unwrap(),
            body: body.to_owned(),
            hops: 0,
        };
        let mut tx = self.database.write().await.unwrap();
        self.sessions.hear(&mut tx, &self.manager, &place(), &input).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn claim(&self) -> Claim {
        self.sessions.claim().await.unwrap().expect("a session is ready")
    }

    async fn take_up(&self, claim: &Claim) -> Turn {
        self.sessions.take_up(claim).await.unwrap().expect("there is a turn")
    }

    async fn close(&self, claim: &Claim, turn: &Turn) {
        let mut tx = self.database.write().await.unwrap();
        self.sessions.guard(&mut tx, claim).await.unwrap();
        self.sessions.close(&mut tx, claim, turn, TurnState::Done).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn bodies(&self, claim: &Claim) -> Vec<String> {
        let steps = self.sessions.history(claim, 100).await.unwrap();
        steps
            .into_iter()
            .filter_map(|step| match step {
                Step::Input { body, .. } => Some(body),
                _ => None,
            })
            .collect()
    }
}

fn place() -> Place {
    Place::room(OwnedRoomId::try_from("!room:example.org").unwrap())
}

#[tokio::test]
async fn what_was_said_is_taken_once_and_in_order() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        world.hear("$9", "one").await;
        world.hear("$9", "one").await;
        world.hear("$1", "two").await;
        world.clock.advance(Duration::from_millis(5));
        world.hear("$0", "three").await;
        let claim = world.claim().await;
        let turn = world.take_up(&claim).await;
        assert_eq!(world.bodies(&claim).await, ["one", "two", "three"]);
        world.close(&claim, &turn).await;
        assert!(world.sessions.claim().await.unwrap().is_none(), "nothing is left to do");
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_said_during_a_turn_joins_it_or_begins_the_next_one() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        world.hear("$1", "one").await;
        let claim = world.claim().await;
        let turn = world.take_up(&claim).await;
        world.hear("$2", "two").await;
        world.sessions.absorb(&claim, &turn).await.unwrap();
        assert_eq!(world.bodies(&claim).await, ["one", "two"]);
        world.hear("$3", "three").await;
        world.close(&claim, &turn).await;
        let next = world.claim().await;
        assert_ne!(world.take_up(&next).await.id, turn.id);
        assert_eq!(world.bodies(&next).await, ["one", "two", "three"]);
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_claimed_session_is_claimed_by_nobody_else_until_its_lease_ends() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        world.hear("$1", "one").await;
        let first = world.claim().await;
        let turn = world.take_up(&first).await;
        assert!(world.sessions.claim().await.unwrap().is_none());
        world.clock.advance(LEASE + Duration::from_secs(1));
        let second = world.claim().await;
        assert_eq!(world.take_up(&second).await.id, turn.id, "the turn is continued");
        assert_eq!(world.sessions.pulse(&first).await.unwrap(), Pulse::Lost);
        let mut tx = world.database.write().await.unwrap();
        assert!(matches!(world.sessions.guard(&mut tx, &first).await, Err(SessionError::LeaseLost)));
        drop(tx);
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_dead_process_had_claimed_is_taken_up_at_once_where_only_one_process_works() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        world.hear("$1", "one").await;
        let dead = world.claim().await;
        let turn = world.take_up(&dead).await;
        world.sessions.forget_claims_of_the_dead().await.unwrap();
        let again = world.sessions.claim().await.unwrap();
        if world.database.engine() == doorward_base::Engine::Sqlite {
            assert_eq!(world.take_up(&again.expect("it is free")).await.id, turn.id);
        } else {
            assert!(again.is_none(), "another machine may be working on it");
        }
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_turn_that_is_put_aside_continues_with_its_journal() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        world.hear("$1", "one").await;
        let claim = world.claim().await;
        let turn = world.take_up(&claim).await;
        let mut tx = world.database.write().await.unwrap();
        world.sessions.guard(&mut tx, &claim).await.unwrap();
        let started = Step::ToolStarted { call_id: "c1".to_owned() };
        world.sessions.append(&mut tx, &claim, &turn, &started).await.unwrap();
        world.sessions.set_live(&mut tx, &turn, Some(doorward_appservice::OutboxId::from_i64(7))).await.unwrap();
        tx.commit().await.unwrap();
        world.sessions.release(&claim, Duration::ZERO).await.unwrap();
        let again = world.claim().await;
        let continued = world.take_up(&again).await;
        assert_eq!((continued.id, continued.failures), (turn.id, 0), "to be put aside is no failure");
        assert_eq!(continued.live.map(doorward_appservice::OutboxId::as_i64), Some(7));
        assert_eq!(world.sessions.history(&again, 100).await.unwrap().last(), Some(&started));
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_paused_agent_keeps_what_is_said_until_it_is_resumed() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        let manager = AgentName::manager();
        world.hear("$1", "one").await;
        let claim = world.claim().await;
        world.take_up(&claim).await;
        let mut tx = world.database.write().await.unwrap();
        world.roster.pause(&mut tx, &manager).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(world.sessions.pulse(&claim).await.unwrap(), Pulse::Suspend);
        world.sessions.release(&claim, Duration::ZERO).await.unwrap();
        assert!(world.sessions.claim().await.unwrap().is_none());
        let mut tx = world.database.write().await.unwrap();
        world.roster.resume(&mut tx, &manager).await.unwrap();
        tx.commit().await.unwrap();
        world.claim().await;
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_that_is_taken_back_is_forgotten_and_its_turn_ends() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        world.hear("$1", "the password is hunter2").await;
        let claim = world.claim().await;
        world.take_up(&claim).await;
        let mut tx = world.database.write().await.unwrap();
        world.sessions.forget(&mut tx, &place().room, &EventId::parse("$1").unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(world.sessions.pulse(&claim).await.unwrap(), Pulse::Stop);
        assert!(world.bodies(&claim).await.is_empty());
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn stop_reaches_the_turns_of_the_room_and_drops_what_waits() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        world.hear("$1", "one").await;
        let claim = world.claim().await;
        let turn = world.take_up(&claim).await;
        world.hear("$2", "two").await;
        let mut tx = world.database.write().await.unwrap();
        assert_eq!(world.sessions.request_stop(&mut tx, &Scope::Room(&place().room)).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!(world.sessions.pulse(&claim).await.unwrap(), Pulse::Stop);
        world.close(&claim, &turn).await;
        assert!(world.sessions.claim().await.unwrap().is_none());
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn wakes_between_agents_are_counted_until_a_human_speaks() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        let room = place().room;
        let mut tx = world.database.write().await.unwrap();
        assert_eq!(world.sessions.count_wake(&mut tx, &room).await.unwrap(), 1);
        assert_eq!(world.sessions.count_wake(&mut tx, &room).await.unwrap(), 2);
        world.sessions.reset_wakes(&mut tx, &room).await.unwrap();
        assert_eq!(world.sessions.count_wake(&mut tx, &room).await.unwrap(), 1);
        tx.commit().await.unwrap();
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_is_taken_back_only_in_its_own_room() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        world.hear("$1", "one").await;
        let claim = world.claim().await;
        world.take_up(&claim).await;
        let elsewhere = OwnedRoomId::try_from("!elsewhere:example.org").unwrap();
        let mut tx = world.database.write().await.unwrap();
        world.sessions.forget(&mut tx, &elsewhere, &EventId::parse("$1").unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(world.sessions.pulse(&claim).await.unwrap(), Pulse::Steady);
        assert_eq!(world.bodies(&claim).await, ["one"]);
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_in_one_room_leaves_the_others_alone() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        world.hear("$1", "one").await;
        let claim = world.claim().await;
        world.take_up(&claim).await;
        let elsewhere = OwnedRoomId::try_from("!elsewhere:example.org").unwrap();
        let mut tx = world.database.write().await.unwrap();
        assert_eq!(world.sessions.request_stop(&mut tx, &Scope::Room(&elsewhere)).await.unwrap(), 0);
        tx.commit().await.unwrap();
        assert_eq!(world.sessions.pulse(&claim).await.unwrap(), Pulse::Steady);
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_of_the_same_name_knows_nothing_of_the_one_before_it() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        world.hear("$1", "a secret").await;
        // As if somebody had said it while the agent was being removed by another process.
        sqlx::query("UPDATE agent SET id = 'another'").execute(world.database.reader()).await.unwrap();
        assert!(
            world.sessions.claim().await.unwrap().is_none(),
            "what was said to the old one is not answered by the new one"
        );
        let mut tx = world.database.write().await.unwrap();
        let input = Input {
            event_id: EventId::parse("$2").unwrap(),
            sender: UserId::parse("@you:example.org").unwrap(),
            body: "late".to_owned(),
            hops: 0,
        };
        let elsewhere = Place::room("!new:example.org".try_into().unwrap());
        let waiting = world.sessions.hear(&mut tx, &world.manager, &elsewhere, &input).await;
        assert_eq!(waiting.unwrap(), 0, "who is gone hears nothing");
        tx.commit().await.unwrap();
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_turn_that_is_opened_while_somebody_says_stop_is_stopped() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        world.hear("$1", "one").await;
        let claim = world.claim().await;
        let mut opening = world.database.write().await.unwrap();
        world.sessions.guard(&mut opening, &claim).await.unwrap();
        world.sessions.open(&mut opening, &claim).await.unwrap().unwrap();
        let (database, sessions) = (world.database.clone(), world.sessions.clone());
        let stop = tokio::spawn(async move {
            let mut tx = database.write().await.unwrap();
            sessions.request_stop(&mut tx, &Scope::Room(&place().room)).await.unwrap();
            tx.commit().await.unwrap();
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        opening.commit().await.unwrap();
        stop.await.unwrap();
        assert_eq!(world.sessions.pulse(&claim).await.unwrap(), Pulse::Stop);
        world.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn of_many_who_claim_a_session_at_once_one_gets_it() {
    on_both_engines(async |url| {
        let world = World::new(url).await;
        for round in 0..20 {
            world.hear(&format!("${round}"), "hello").await;
            let claims = (0..8).map(|_| {
                let sessions = world.sessions.clone();
                tokio::spawn(async move { sessions.claim().await.unwrap() })
            });
            let claims = futures_util::future::join_all(claims).await;
            let mut claims: Vec<Claim> = claims.into_iter().filter_map(Result::unwrap).collect();
            assert_eq!(claims.len(), 1, "round {round}");
            let claim = claims.remove(0);
            let turn = world.take_up(&claim).await;
            world.close(&claim, &turn).await;
        }
        world.database.close().await;
    })
    .await;
}
