use doorward_base::ManualClock;
use doorward_github::Verb;
use futures_util::future::join_all;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::consumer::client;
use crate::credentials::jwt::tests::{PKCS1, verified};
use crate::credentials::permissions::permissions;

const START: i64 = 1_700_000_000_000;
const LOOKUP: &str = "/api/v3/repos/acme/widgets/installation";
const TOKENS: &str = "/api/v3/app/installations/42/access_tokens";

/// A GitHub that has the app 7 installed as number 42.
struct Github {
    server: MockServer,
    clock: ManualClock,
    app: GithubApp,
}

impl Github {
    async fn start() -> Self {
        let server = MockServer::start().await;
        let clock = ManualClock::new(Timestamp::from_millis(START));
        let base_url = format!("{}/api/v3", server.uri()).parse().unwrap();
        let app = GithubApp::new(7, base_url, client(Duration::from_secs(5)).unwrap(), Arc::new(clock.clone()));
        Self { server, clock, app }
    }

    /// With everything as it should be. Tokens are numbered and good for an hour.
    async fn working() -> Self {
        let github = Self::start().await;
        let held = json!({ "metadata": "read", "issues": "write", "contents": "read" });
        github.answers("GET", LOOKUP, 200, &json!({ "id": 42, "permissions": held })).await;
        github.mints().await;
        github
    }

    async fn answers(&self, verb: &str, at: &str, status: u16, body: &Value) {
        let answer = ResponseTemplate::new(status).set_body_json(body);
        Mock::given(method(verb)).and(path(at)).respond_with(answer).mount(&self.server).await;
    }

    async fn mints(&self) {
        let (clock, minted) = (self.clock.clone(), Mutex::new(0));
        let answer = move |_: &Request| {
            let mut minted = minted.lock().unwrap();
            *minted += 1;
            let expires_at = clock.now().plus(Duration::from_secs(3600)).to_string();
            ResponseTemplate::new(201)
                .set_delay(Duration::from_millis(20))
                .set_body_json(json!({ "token": format!("ghs_{minted}"), "expires_at": expires_at }))
        };
        Mock::given(method("POST")).and(path(TOKENS)).respond_with(answer).mount(&self.server).await;
    }

    async fn token(&self, scope: &Scope) -> Result<String, AppError> {
        self.token_under(PKCS1, scope).await
    }

    async fn token_under(&self, pem: &str, scope: &Scope) -> Result<String, AppError> {
        let pem = Credential::from_input(pem.as_bytes()).unwrap();
        self.app.token(&pem, scope).await.map(|token| token.expose().to_owned())
    }

    async fn requests(&self, verb: &str) -> Vec<Request> {
        let all = self.server.received_requests().await.unwrap();
        all.into_iter().filter(|request| request.method.as_str() == verb).collect()
    }
}

fn scope(repository: &str, verbs: &[Verb]) -> Scope {
    Scope { repository: repository.parse().unwrap(), permissions: permissions(verbs.iter().copied()) }
}

fn widgets() -> Scope {
    scope("Acme/Widgets", &[Verb::IssuesWrite, Verb::PagesWrite])
}

#[tokio::test]
async fn a_token_is_asked_for_by_a_signed_app_for_one_repository_and_what_the_grant_allows() {
    let github = Github::working().await;
    assert_eq!(github.token(&widgets()).await.unwrap(), "ghs_1");
    let requests = github.server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        let jwt = request.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
        let seconds = START / 1000;
        let expected = json!({ "iat": seconds - 60, "exp": seconds + 540, "iss": "7" });
        assert_eq!(verified(jwt), Some(expected));
        assert!(request.headers["user-agent"].to_str().unwrap().starts_with("doorward/"));
    }
    let asked: Value = serde_json::from_slice(&requests[1].body).unwrap();
    // The installation has no `pages`, so no token with it is asked for.
    assert_eq!(asked, json!({ "repositories": ["widgets"], "permissions": { "metadata": "read", "issues": "write" } }));
}

#[tokio::test]
async fn many_requests_at_once_mint_one_token() {
    let github = Github::working().await;
    let scope = widgets();
    let tokens = join_all((0..20).map(|_| github.token(&scope))).await;
    assert!(tokens.iter().all(|token| token.as_deref() == Ok("ghs_1")));
    assert_eq!(github.requests("POST").await.len(), 1);
}

#[tokio::test]
async fn a_token_is_used_until_five_minutes_before_it_expires() {
    let github = Github::working().await;
    for (minutes, expected) in [(0, "ghs_1"), (54, "ghs_1"), (1, "ghs_2")] {
        github.clock.advance(Duration::from_secs(60 * minutes));
        assert_eq!(github.token(&widgets()).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn an_expiry_in_the_far_future_is_not_believed() {
    let github = Github::start().await;
    github.answers("GET", LOOKUP, 200, &json!({ "id": 42 })).await;
    let body = json!({ "token": "ghs_x", "expires_at": "2999-01-01T00:00:00Z" });
    github.answers("POST", TOKENS, 201, &body).await;
    github.token(&widgets()).await.unwrap();
    github.clock.advance(Duration::from_secs(55 * 60));
    github.token(&widgets()).await.unwrap();
    assert_eq!(github.requests("POST").await.len(), 2);
}

#[tokio::test]
async fn another_scope_has_a_token_of_its_own() {
    let github = Github::working().await;
    github.answers("GET", "/api/v3/repos/acme/gadgets/installation", 200, &json!({ "id": 42 })).await;
    let scopes = [
        scope("acme/widgets", &[Verb::Read]),
        scope("acme/widgets", &[Verb::IssuesWrite]),
        scope("acme/gadgets", &[Verb::Read]),
        scope("acme/widgets", &[Verb::Read]),
    ];
    let mut tokens = Vec::new();
    for scope in &scopes {
        tokens.push(github.token(scope).await.unwrap());
    }
    assert_eq!(tokens, ["ghs_1", "ghs_2", "ghs_3", "ghs_1"]);
    let repositories = github.requests("POST").await;
    let asked: Value = serde_json::from_slice(&repositories[2].body).unwrap();
    assert_eq!(asked["repositories"], json!(["gadgets"]));
}

#[tokio::test]
async fn an_app_that_is_not_installed_says_where_to_install_it_and_asks_no_more_for_a_while() {
    let github = Github::start().await;
    github.answers("GET", LOOKUP, 404, &json!({ "message": "Not Found" })).await;
    for _ in 0..3 {
        let error = github.token(&widgets()).await.unwrap_err();
        let sentence = "GitHub App 7 is not installed on acme/widgets: install it there, or change the grant";
        assert_eq!(error.to_string(), sentence);
    }
    assert_eq!(github.requests("GET").await.len(), 1);
}

#[tokio::test]
async fn an_installation_that_was_made_anew_is_found() {
    let github = Github::working().await;
    github.token(&scope("acme/widgets", &[Verb::Read])).await.unwrap();
    github.server.reset().await;
    github.answers("POST", TOKENS, 404, &json!({})).await;
    github.answers("GET", LOOKUP, 200, &json!({ "id": 43 })).await;
    let body = json!({ "token": "ghs_new", "expires_at": "2023-11-14T23:13:20Z" });
    github.answers("POST", "/api/v3/app/installations/43/access_tokens", 201, &body).await;
    assert_eq!(github.token(&widgets()).await.unwrap(), "ghs_new");
}

#[tokio::test]
async fn each_failure_is_named_with_its_cure_and_tells_no_secret() {
    for (lookup, tokens, part) in [
        (401, 201, "set a key that the app has"),
        (301, 201, "has moved"),
        (500, 201, "it answers 500"),
        (429, 201, "try again later"),
        (200, 403, "not suspended and has the permissions issues: write, metadata: read, pages: write"),
        (200, 422, "not suspended and has the permissions"),
        (200, 503, "it answers 503"),
        (200, 201, "not what GitHub documents"),
    ] {
        let github = Github::start().await;
        github.answers("GET", LOOKUP, lookup, &json!({ "id": 42, "message": "hunter2" })).await;
        github.answers("POST", TOKENS, tokens, &json!({ "token": "hunter2" })).await;
        let error = github.token(&widgets()).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_refusal_for_too_many_requests_is_told_from_one_for_missing_permissions() {
    for header in [("retry-after", "60"), ("x-ratelimit-remaining", "0")] {
        let github = Github::start().await;
        let answer = ResponseTemplate::new(403).insert_header(header.0, header.1);
        Mock::given(method("GET")).respond_with(answer).mount(&github.server).await;
        assert_eq!(github.token(&widgets()).await.unwrap_err(), AppError::RateLimited { app_id: 7 });
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let github = Github::start().await;
    github.answers("GET", LOOKUP, 200, &json!({ "id": 42, "more": "x".repeat(300 << 10) })).await;
    let error = github.token(&widgets()).await.unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
}

#[tokio::test]
async fn an_unreachable_github_is_said_to_be() {
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(START)));
    let base_url = format!("http://{refused}").parse().unwrap();
    let app = GithubApp::new(7, base_url, client(Duration::from_secs(5)).unwrap(), clock);
    let pem = Credential::from_input(PKCS1.as_bytes()).unwrap();
    let error = app.token(&pem, &widgets()).await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

#[tokio::test]
async fn another_private_key_makes_every_token_forgotten() {
    let github = Github::working().await;
    assert_eq!(github.token(&widgets()).await.unwrap(), "ghs_1");
    let again = format!("The same key in another file.\n{PKCS1}");
    assert_eq!(github.token_under(&again, &widgets()).await.unwrap(), "ghs_2");
    let error = github.token_under("no key", &widgets()).await.unwrap_err();
    assert!(error.to_string().contains("no RSA key in PEM"), "{error}");
    assert_eq!(github.token(&widgets()).await.unwrap(), "ghs_3");
}

#[tokio::test]
async fn a_token_that_github_refused_is_minted_anew() {
    let github = Github::working().await;
    assert_eq!(github.token(&widgets()).await.unwrap(), "ghs_1");
    github.app.forget(&widgets());
    assert_eq!(github.token(&widgets()).await.unwrap(), "ghs_2");
}

#[tokio::test]
async fn the_tokens_in_use_are_known() {
    let github = Github::working().await;
    let before = github.app.generation();
    github.token(&widgets()).await.unwrap();
    assert!(github.app.generation() > before);
    let known: Vec<_> = github.app.live_tokens().iter().map(|token| token.expose().to_owned()).collect();
    assert_eq!(known, ["ghs_1"]);
}

#[tokio::test]
async fn what_came_to_nothing_is_not_kept_for_ever() {
    let github = Github::working().await;
    github.token(&widgets()).await.unwrap();
    github.clock.advance(Duration::from_secs(3600));
    github.token(&scope("acme/widgets", &[Verb::Read])).await.unwrap();
    assert_eq!(github.app.state().tokens.len(), 1);
}
