//! Each wrong configuration gives one sentence that names the place, the key and what to do.

use super::*;

const GOOD: &str = "[homeserver]\nurl = \"http://127.0.0.1:8008\"\nserver_name = \"example.org\"\n";

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("doorward.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(&file, &variables.iter().copied().collect())
}

fn error(text: &str, variables: &[(&str, &str)]) -> String {
    let sentence = load(text, variables).unwrap_err().to_string();
    assert!(!sentence.contains('\n'), "one line: {sentence}");
    sentence
}

#[test]
fn every_key_has_a_default_but_the_homeserver() {
    let config = load(GOOD, &[]).unwrap();
    assert_eq!(config.homeserver().unwrap().server_name, "example.org");
    assert_eq!(config.appservice.listen.port(), 9009);
    assert_eq!(config.log.format, LogFormat::Text);
    assert!(load("", &[]).unwrap().homeserver().unwrap_err().to_string().contains("[homeserver]"));
}

#[test]
fn paths_are_relative_to_the_file() {
    let config = load(GOOD, &[]).unwrap();
    assert!(config.appservice.registration.is_absolute());
    assert!(config.appservice.database.sqlite_path().unwrap().is_absolute());
    assert_eq!(config.appservice.registration.parent(), Some(config.folder()));
}

#[test]
fn the_gateway_learns_where_traces_go() {
    let text = format!("{GOOD}[telemetry]\notlp_endpoint = \"http://127.0.0.1:4318\"\n");
    let collector = |config: Config| config.gateway.telemetry.otlp_endpoint.map(String::from);
    assert_eq!(collector(load(&text, &[]).unwrap()).as_deref(), Some("http://127.0.0.1:4318/"));
    assert_eq!(collector(load(GOOD, &[]).unwrap()), None);
    let sentence = error(&text.replace("http://127.0.0.1:4318", "here"), &[]);
    assert!(sentence.contains("`telemetry.otlp_endpoint`"), "{sentence}");
}

#[test]
fn a_variable_wins_over_the_file() {
    let variables = [
        ("DOORWARD__HOMESERVER__SERVER_NAME", "other.example"),
        ("DOORWARD__APPSERVICE__LISTEN", "127.0.0.1:7000"),
        ("DOORWARD_CONFIG", "unrelated"),
    ];
    let config = load(GOOD, &variables).unwrap();
    assert_eq!(config.homeserver().unwrap().server_name, "other.example");
    assert_eq!(config.appservice.listen.port(), 7000);
}

#[test]
fn a_wrong_file_is_explained_in_one_sentence() {
    let table: &[(&str, &[&str])] = &[
        (
            "[homeserver]\nurl = \"http://h\"\nserver_nam = \"x\"",
            &["line 3", "`homeserver.server_nam`", "`homeserver.server_name`"],
        ),
        ("[gatway]\nlisten = 1", &["line 1", "`gatway`", "`gateway`"]),
        ("[log]\nlevel = ", &["line 2", "not valid TOML"]),
        ("[homeserver]\nurl = \"http://h\"", &["line 1", "`homeserver.server_name` is missing", "[homeserver]"]),
        ("[log]\nformat = \"xml\"", &["line 2", "`log.format`"]),
        ("[appservice]\nlisten = \"nowhere\"", &["line 2", "`appservice.listen`"]),
        ("[appservice]\n\nlisten = true", &["line 3", "`appservice.listen`"]),
        ("[appservice]\ndatabase = \"mysql://x\"", &["line 2", "`appservice.database`", "sqlite://"]),
        (
            "[[gateway.upstreams]]\nkind = \"openai\"",
            &["line 1", "`gateway.upstreams[0].name`", "[[gateway.upstreams]]"],
        ),
        ("[gateway]\n\nupstreams = 3", &["line 3", "`gateway.upstreams`", "a number was given"]),
        ("[homeserver]\nurl = \"not a url\"\nserver_name = \"x\"", &["line 2", "`homeserver.url`"]),
    ];
    for (text, expected) in table {
        let sentence = error(text, &[]);
        for part in *expected {
            assert!(sentence.contains(part), "{text:?} gave {sentence:?}, which lacks {part:?}");
        }
    }
}

/// A key may be written anywhere by mistake, and what `check` prints is pasted into reports.
#[test]
fn a_value_is_never_printed() {
    let upstream = "[[gateway.upstreams]]\nname = \"x\"\nkind = \"openai\"\nbase_url = \"http://h\"\n";
    let secret = "sk-live`\\\", expected \\\"1";
    let table = [
        (format!("{upstream}credential = \"{secret}\""), 5, "a string was given where a table like { env = \"NAME\" }"),
        (format!("{upstream}models = \"{secret}\""), 5, "a string was given"),
        (format!("{upstream}credential = {{ env = [\"{secret}\"] }}"), 5, "`gateway.upstreams[0].credential.env`"),
        (format!("[[gateway.upstreams]]\nkind = \"{secret}\""), 2, "a word that it does not know"),
        (format!("[homeserver]\nserver_name = \"h\"\nurl = \"{secret}\""), 3, "`homeserver.url`"),
        (format!("[homeserver]\nurl = \"http://h\"\nserver_name = \"{secret}\""), 3, "`homeserver.server_name`"),
        (format!("[appservice]\nlisten = \"{secret}\""), 2, "`appservice.listen`"),
        (format!("[log]\nformat = \"{secret}\""), 2, "`log.format`"),
        (format!("homeserver = \"{secret}\""), 1, "a string was given where a table is expected"),
    ];
    for (text, line, part) in table {
        let sentence = error(&text, &[]);
        assert!(sentence.contains(part) && sentence.contains(&format!("line {line}:")), "{text:?} gave {sentence:?}");
        assert!(!sentence.contains("sk-live"), "{text:?} gave {sentence:?}");
    }
    let variable = "DOORWARD__GATEWAY__UPSTREAMS__0__CREDENTIAL";
    let sentence = error(upstream, &[(variable, "sk-live-1")]);
    assert!(sentence.contains(variable) && !sentence.contains("sk-live"), "{sentence}");
}

#[test]
fn a_wrong_variable_is_named() {
    let sentence = error(GOOD, &[("DOORWARD__APPSERVICE__LISTN", "127.0.0.1:1")]);
    assert!(sentence.contains("DOORWARD__APPSERVICE__LISTN") && sentence.contains("`appservice.listen`"), "{sentence}");
}

#[test]
fn a_missing_file_says_how_to_get_one() {
    let sentence = Config::load(Path::new("/nowhere/doorward.toml"), &Environment::default()).unwrap_err().to_string();
    assert!(sentence.contains("/nowhere/doorward.toml") && sentence.contains("doorward init"), "{sentence}");
}

#[test]
fn the_file_is_found_where_the_contract_says() {
    let environment: Environment = [("DOORWARD_CONFIG", "/etc/doorward.toml")].into_iter().collect();
    assert_eq!(find(Some(Path::new("named.toml")), &environment), Path::new("named.toml"));
    assert_eq!(find(None, &environment), Path::new("/etc/doorward.toml"));
    assert_eq!(find(None, &Environment::default()), Path::new("doorward.toml"));
}
