use proptest::prelude::*;

use super::*;
use crate::effect::RefChange;
use crate::rules::{Decision, Rule, Rules};

mod effects;
mod refusals;

fn call(method: &str, target: &str, body: &str) -> Result<RestRequest, RestRefused> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let body = (!body.is_empty()).then_some(body.as_bytes());
    RestRequest::read(&RestCall { method, path, query, body })
}

/// The effects as sentences, without the repository that the path names.
fn effects(method: &str, target: &str, body: &str) -> String {
    let request = call(method, target, body).unwrap_or_else(|error| panic!("{method} {target} {body}: {error}"));
    let sentences = request.effects.iter().map(|effect| effect.to_string().replace(" on acme/widgets", ""));
    sentences.collect::<Vec<_>>().join("; ")
}

fn rule(allow: &[&str]) -> Rule {
    let allow: Vec<String> = allow.iter().map(|verb| (*verb).to_owned()).collect();
    Rule::compile(&["acme/*".to_owned()], &allow, &[], &[]).unwrap()
}

/// A request for each method of each row, with a body that has all that could decide.
fn one_of_each() -> impl Iterator<Item = (Method, &'static str, Result<RestRequest, RestRefused>)> {
    let of_row = |(methods, template, what): &'static route::Row| {
        let body = match what {
            What::Asks(meaning) => body_with(meaning.keys),
            _ => "{}".to_owned(),
        };
        methods.iter().map(move |method| (*method, *template, request_of(*method, template, &body)))
    };
    table::rows().flat_map(of_row)
}

fn request_of(method: Method, template: &str, body: &str) -> Result<RestRequest, RestRefused> {
    let hole = |part: &str| match part {
        "{n}" => "7".to_owned(),
        "{ref*}" => "heads/x".to_owned(),
        "{basehead*}" => "x...y".to_owned(),
        part if part.starts_with('{') => "x".to_owned(),
        part => part.to_owned(),
    };
    let below: Vec<String> = template.split('/').map(hole).collect();
    let name = format!("{method:?}").to_uppercase();
    let body = if method == Method::Get { "" } else { body };
    call(&name, &format!("/repos/acme/widgets/{}", below.join("/")), body)
}

fn body_with(keys: &[&str]) -> String {
    let value = |key: &&str| match *key {
        "ref" => r#""ref":"refs/heads/x""#.to_owned(),
        "force" => r#""force":true"#.to_owned(),
        "draft" => r#""draft":false"#.to_owned(),
        "duplicate_issue_id" => r#""duplicate_issue_id":null"#.to_owned(),
        key => format!(r#""{key}":"x""#),
    };
    format!("{{{}}}", keys.iter().map(value).collect::<Vec<_>>().join(","))
}

#[test]
fn every_route_is_denied_by_an_empty_grant() {
    let nothing = rule(&[]);
    let mut seen = 0;
    for (method, template, request) in one_of_each() {
        let Ok(request) = request else { continue };
        seen += 1;
        assert!(!request.effects.is_empty(), "{method:?} {template}");
        for effect in &request.effects {
            assert_eq!(Rules::default().decide(effect), Decision::Denied, "{method:?} {template}: {effect}");
            assert_eq!(Rules(vec![&nothing]).decide(effect), Decision::Denied, "{method:?} {template}: {effect}");
        }
    }
    assert!(seen > 500, "{seen}");
}

#[test]
fn only_rows_that_say_so_are_refused_whatever_is_granted() {
    for (method, template, request) in one_of_each() {
        let row = table::rows().find(|row| row.1 == template && row.0.contains(&method)).unwrap();
        assert_eq!(request.is_err(), matches!(row.2, What::Refused(_)), "{method:?} {template}: {request:?}");
    }
}

#[test]
fn whoever_may_only_read_changes_nothing() {
    let reading = rule(&["read"]);
    let rules = Rules(vec![&reading]);
    for (method, template, request) in one_of_each().filter(|(method, ..)| *method != Method::Get) {
        let Ok(request) = request else { continue };
        let denied = request.effects.iter().any(|effect| rules.decide(effect) == Decision::Denied);
        assert!(denied, "{method:?} {template}");
    }
}

#[test]
fn no_row_stands_twice_and_no_effect_on_a_ref_is_named_by_a_verb() {
    let mut seen = Vec::new();
    for (methods, template, what) in table::rows() {
        for method in *methods {
            assert!(!seen.contains(&(*method, *template)), "{method:?} {template}");
            seen.push((*method, *template));
        }
        if let What::Does(verbs) = what {
            assert!(!verbs.is_empty(), "{template}");
            assert!(verbs.iter().all(|verb| !matches!(verb, Verb::RefsForce | Verb::RefsDelete)), "{template}");
        }
    }
}

#[test]
fn a_path_that_fits_two_rows_needs_what_both_need() {
    assert_eq!(effects("GET", "/repos/acme/widgets/branches/a/b", ""), "read");
    assert_eq!(effects("GET", "/repos/acme/widgets/branches/a/b/protection", ""), "read; administration:read");
}

#[test]
fn an_upload_is_the_asset_of_a_release_and_nothing_else() {
    let upload = |method, path, query| RestRequest::read_upload(&RestCall { method, path, query, body: None });
    let assets = "/repos/acme/widgets/releases/7/assets";
    let request = upload("POST", assets, Some("name=a.tar.gz&label=x")).unwrap();
    let repository: RepositoryName = "acme/widgets".parse().unwrap();
    assert_eq!(request.effects, [Effect::Does { verb: Verb::ReleasesWrite, repository }]);
    assert_eq!(upload("POST", assets, Some("_method=DELETE")), Err(RestRefused::MethodOverride));
    for (method, path) in [
        ("DELETE", assets),
        ("GET", assets),
        ("POST", "/repos/acme/widgets/releases/latest/assets"),
        ("POST", "/repos/acme/widgets/releases"),
        ("POST", "/user"),
    ] {
        assert_eq!(upload(method, path, None), Err(RestRefused::UnknownRoute), "{method} {path}");
    }
}

#[test]
fn a_route_is_named_by_its_template() {
    let request = call("GET", "/repos/acme/widgets/issues/7/comments", "").unwrap();
    assert_eq!((request.route, request.of_repository), ("issues/{n}/comments", true));
    let request = call("GET", "/users/octocat", "").unwrap();
    assert_eq!((request.route, request.of_repository), ("users/{user}", false));
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        Just("repos".to_owned()),
        Just("acme".to_owned()),
        Just("git/refs/heads".to_owned()),
        Just("contents".to_owned()),
        Just("branches".to_owned()),
        Just("compare".to_owned()),
        "[a-z0-9.%:@]{0,6}",
        ".{0,4}",
    ];
    prop::collection::vec(segment, 0..8).prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #[test]
    fn no_request_stops_the_reader(
        method in "GET|HEAD|POST|PUT|PATCH|DELETE|TRACE",
        path in path(),
        query in prop::option::of(".{0,40}"),
        body in prop::option::of(prop::collection::vec(any::<u8>(), 0..60)),
    ) {
        let call = RestCall { method: &method, path: &path, query: query.as_deref(), body: body.as_deref() };
        if let Ok(request) = RestRequest::read(&call) {
            prop_assert!(!request.effects.is_empty());
        }
        let _ = RestRequest::read_upload(&call);
    }

    #[test]
    fn a_ref_is_forced_unless_the_body_says_false(value in prop_oneof![
        Just("true".to_owned()), Just("1".to_owned()), Just("0".to_owned()), "\"[a-z]{0,6}\"", Just("[false]".to_owned()),
    ]) {
        let body = format!(r#"{{"sha":"x","force":{value}}}"#);
        let request = call("PATCH", "/repos/acme/widgets/git/refs/heads/x", &body).unwrap();
        let forced = matches!(request.effects[0], Effect::MovesRef { change: RefChange::Force, .. });
        prop_assert!(forced, "{}", body);
    }
}
