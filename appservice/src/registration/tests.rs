use ruma::server_name;

use super::*;

const FILE: &str = r"
id: bot
url: http://127.0.0.1:9009/
as_token: aaa
hs_token: hhh
sender_localpart: bot
io.element.msc4190: true
org.matrix.msc3202: true
de.sorunome.msc2409.push_ephemeral: true
some.other.key: 5
namespaces:
  users:
    - exclusive: true
      regex: '^@bot-.*:example\.org$'
";

fn options() -> GenerateOptions {
    GenerateOptions {
        id: "doorward".to_owned(),
        url: Url::parse("http://127.0.0.1:9009").unwrap(),
        server_name: server_name!("example.org").to_owned(),
        sender_localpart: "manager".to_owned(),
        user_localparts: vec!["worker-[a-z0-9._=/-]+".to_owned()],
    }
}

fn expect_refused(from: &str, to: &str, part: &str) {
    let error = Registration::from_yaml(&FILE.replace(from, to)).unwrap_err().to_string();
    assert!(error.contains(part) && !error.contains('\n'), "{error}");
}

#[test]
fn a_file_is_read_and_written_under_the_keys_that_homeservers_read() {
    let registration = Registration::from_yaml(FILE).unwrap();
    assert!(registration.msc4190 && registration.msc3202 && registration.receive_ephemeral);
    let written = registration.to_yaml();
    for line in [
        "url: http://127.0.0.1:9009\n",
        "io.element.msc4190: true",
        "org.matrix.msc3202: true",
        "receive_ephemeral: true",
        "de.sorunome.msc2409.push_ephemeral: true",
    ] {
        assert!(written.contains(line), "{line} is missing in {written}");
    }
    assert_eq!(Registration::from_yaml(&written).unwrap().to_yaml(), written);
}

#[test]
fn what_cannot_be_right_is_refused_in_one_clear_sentence() {
    expect_refused("as_token: aaa", "as_token: ''", "`as_token` is empty");
    expect_refused("as_token: aaa", "as_token: hhh", "same as");
    expect_refused("hs_token: hhh\n", "", "hs_token");
    expect_refused("url: http://127.0.0.1:9009/", "url: null", "`url` is missing");
    expect_refused("url: http://127.0.0.1:9009/", "url: localhost", "`url`");
    expect_refused("sender_localpart: bot", "sender_localpart: '@bot:example.org'", "`sender_localpart`");
    expect_refused("'^@bot-.*", "'^@bot-(*", "no regular expression");
    expect_refused("id: bot", "id: [", "cannot be read");
}

#[test]
fn a_generated_registration_has_anchored_exclusive_namespaces_and_new_secrets() {
    let random = Random::seeded(1);
    let registration = Registration::generate(options(), &random).unwrap();
    let expressions: Vec<_> = registration.namespaces.users.iter().map(Namespace::expression).collect();
    assert_eq!(expressions, [r"^@manager:example\.org$", r"^@worker-[a-z0-9._=/-]+:example\.org$"]);
    assert!(registration.namespaces.users.iter().all(Namespace::is_exclusive));
    let other = Registration::generate(options(), &random).unwrap();
    assert_ne!(registration.as_token.expose(), other.as_token.expose());
    assert_ne!(registration.as_token.expose(), registration.hs_token.expose());
}

#[test]
fn a_namespace_holds_its_users_and_no_one_whose_name_only_contains_one_of_theirs() {
    let namespaces = Registration::generate(options(), &Random::seeded(1)).unwrap().namespaces;
    let owns = |user: &str| namespaces.owns_user(&ruma::UserId::parse(user).unwrap());
    assert!(owns("@worker-a.b_c=d/e-1:example.org"));
    for other in [
        "@worker-:example.org",
        "@xworker-a:example.org",
        "@worker-a:examplexorg",
        "@worker-a:example.org.evil",
        "@WORKER-a:example.org",
    ] {
        assert!(!owns(other), "{other}");
    }
}

#[test]
fn an_expression_may_use_the_classes_of_other_engines() {
    let namespace = Namespace::new(r"@_irc_.*\d+:.*", true).unwrap();
    assert!(namespace.contains("@_irc_ümläut7:x"));
    assert!(!namespace.contains("x@_irc_7:x"));
}

#[test]
fn secrets_are_not_printed() {
    let registration = Registration::from_yaml(FILE).unwrap();
    let printed = format!("{registration:?}");
    assert!(!printed.contains("aaa") && !printed.contains("hhh"), "{printed}");
    assert!(registration.hs_token.matches("hhh"));
    assert!(!registration.hs_token.matches("hh") && !registration.hs_token.matches("hhi"));
}
