use super::*;
use crate::testing::agent;

fn alice() -> Agent {
    agent("alice")
}

fn message(content: &serde_json::Value) -> Message {
    serde_json::from_value(content.clone()).unwrap()
}

#[test]
fn a_name_with_its_sign_is_a_mention_and_a_longer_name_is_another() {
    for text in ["@worker-alice say hello", "hi @worker-alice:example.org!", "(@worker-alice)", "@worker-alice: go"] {
        assert!(names(text, &alice()), "{text}");
    }
    for text in
        ["@worker-alicen go", "@worker-alice-2 go", "worker-alice", "me@worker-alice", "@worker-alice:other.net go"]
    {
        assert!(!names(text, &alice()), "{text}");
    }
}

#[test]
fn a_request_is_read_without_the_mention_it_begins_with() {
    assert_eq!(without_mention("@worker-alice: say hello", &alice()), "say hello");
    assert_eq!(without_mention("@worker-alice:example.org say hello", &alice()), "say hello");
    assert_eq!(without_mention("@worker-alice", &alice()), "@worker-alice");
    assert_eq!(without_mention("please, @worker-alice", &alice()), "please, @worker-alice");
}

#[test]
fn in_a_larger_room_what_mentions_no_agent_wakes_none() {
    let hello = message(&serde_json::json!({"msgtype": "m.text", "body": "hello"}));
    let larger = Room { agents: vec![alice()], members: 3 };
    assert!(addressed(&larger, &hello).is_empty());
    let two = Room { agents: vec![alice()], members: 2 };
    assert_eq!(addressed(&two, &hello).len(), 1);
    let mention = serde_json::json!({"msgtype": "m.text", "body": "hello", "m.mentions": {"user_ids": ["@worker-alice:example.org"]}});
    assert_eq!(addressed(&larger, &message(&mention)).len(), 1);
}

#[test]
fn notices_and_edits_wake_nobody() {
    assert!(!message(&serde_json::json!({"msgtype": "m.notice", "body": "x"})).is_speech());
    let edit = serde_json::json!({"msgtype": "m.text", "body": "x", "m.relates_to": {"rel_type": "m.replace", "event_id": "$1"}});
    assert!(!message(&edit).is_speech());
    let reply =
        serde_json::json!({"msgtype": "m.text", "body": "x", "m.relates_to": {"m.in_reply_to": {"event_id": "$1"}}});
    assert!(message(&reply).is_speech());
}
