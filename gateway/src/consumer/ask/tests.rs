use doorward_base::Random;

use super::*;

fn token() -> ConsumerToken {
    ConsumerToken::generate(&Random::seeded(1))
}

fn shown(headers: &[(&'static str, String)]) -> Result<String, Refusal> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    presented_token(&map).map(|token| token.expose().to_owned())
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[test]
fn a_token_is_taken_from_every_place_that_clients_use() {
    let token = token().expose().to_owned();
    for header in [
        ("authorization", format!("Bearer {token}")),
        ("authorization", format!("bearer  {token}")),
        ("authorization", format!("token {token}")),
        ("authorization", basic("x-access-token", &token)),
        ("authorization", basic("", &token)),
        ("x-api-key", token.clone()),
    ] {
        assert_eq!(shown(&[header]).unwrap(), token);
    }
}

#[test]
fn the_same_token_twice_is_one_and_two_tokens_are_none() {
    let (one, other) = (token(), ConsumerToken::generate(&Random::seeded(2)));
    let bearer = ("authorization", format!("Bearer {}", one.expose()));
    assert!(shown(&[bearer.clone(), ("x-api-key", one.expose().to_owned())]).is_ok());
    for second in [
        ("x-api-key", other.expose().to_owned()),
        ("authorization", basic("u", other.expose())),
        ("x-api-key", "sk-1".to_owned()),
    ] {
        assert!(matches!(shown(&[bearer.clone(), second]), Err(Refusal::TwoTokens)));
    }
}

#[test]
fn what_is_no_token_is_refused_without_a_look_at_the_database() {
    assert!(matches!(shown(&[]), Err(Refusal::NoToken)));
    for value in ["Bearer", "Bearer sk-1", "Basic !!!", "Basic dw", "Digest x", "Bearer dw_ dw_", ""] {
        assert!(matches!(shown(&[("authorization", value.to_owned())]), Err(Refusal::MalformedToken(_))), "{value}");
    }
}
