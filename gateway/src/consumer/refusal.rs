//! Every way to say no to a consumer, and the one place that turns them into answers.

mod shape;

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use doorward_base::StoreError;
use doorward_git::push::Capabilities;

use super::passes::BrokenAnswer;
use super::wire::Wire;
use crate::approvals::NotApproved;
use crate::budget::{NotReserved, OverBudget};
use crate::config::ByteSize;
use crate::open_calls::Cut;
use crate::secrets::SecretsError;
use crate::tokens::TokenRefused;
use crate::upstream::Base;

/// Why a consumer's call is not carried out. Each is a sentence for the caller and holds no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no consumer token: send `Authorization: Bearer dw_…`")]
    NoToken,
    #[error("two different tokens were sent, so it is not clear who calls: send one")]
    TwoTokens,
    #[error(transparent)]
    MalformedToken(#[from] crate::token::MalformedToken),
    #[error(transparent)]
    Token(TokenRefused),
    #[error(transparent)]
    Cut(#[from] Cut),

    #[error("the path can be read in more than one way: {0}")]
    AmbiguousTarget(&'static str),
    #[error("there is nothing at this path")]
    UnknownPath,
    #[error(
        "this path is not granted: without `paths` in a grant only those for chat/completions, completions, responses, embeddings, \
         moderations, audio, images, messages and models are"
    )]
    PathNotGranted,
    #[error("{0} is not granted to this token")]
    NotGranted(String),
    #[error("{}", refs_not_granted(.0))]
    RefsNotGranted(Vec<(String, String)>),
    #[error("{0}")]
    NotUnderstood(String),
    #[error("the push is refused: {sentence}")]
    UnreadablePush { capabilities: Capabilities, sentence: String },
    #[error("the gateway has no room to keep the push while it reads it")]
    Spool,
    #[error("upstream `{0}` does not say where the nodes are that the request names")]
    NoNodes(String),
    #[error("no upstream of the kind that this path is for is configured under [[gateway.upstreams]]")]
    NoUpstreamOfKind,
    #[error("upstream `{upstream}` has no address for this path: set its {}", address_of(*.base))]
    NoAddress { upstream: String, base: Base },
    #[error("this path takes {expected} alone")]
    WrongMethod { expected: Method },
    #[error("the methods CONNECT, TRACE and TRACK are never passed on")]
    NeverForwarded,
    #[error("the query names `{0}`, which the gateway sets itself")]
    QueryIsOurs(String),
    #[error("the query holds a credential: the gateway puts in its own, send yours in `Authorization` alone")]
    QueryHoldsCredential,

    #[error("the request body is larger than {0}")]
    TooLarge(ByteSize),
    #[error("the request body must be application/json in UTF-8, and not compressed")]
    MediaType,
    #[error("the request body must be multipart/form-data, and not compressed")]
    FormType,
    #[error("the gateway keeps too much of other requests already, or of this consumer's: try again")]
    NoRoom,
    #[error("the request body stopped coming")]
    BodyTooSlow,
    #[error("the request body cannot be read in one way: {0}")]
    UnreadableBody(String),
    #[error("the request body broke off")]
    BodyBrokeOff,
    #[error("the request body names no `model`")]
    NoModel,

    #[error("the model `{0}` is not granted to this token")]
    ModelNotGranted(String),
    #[error(
        "the model `{0}` is granted, but no upstream serves it: add one whose `models` cover it under [[gateway.upstreams]]; \
         `doorward up --local` makes one of OPENAI_API_KEY"
    )]
    NoUpstream(String),
    #[error("the model `{0}` does not exist, or is not granted to this token")]
    UnknownModel(String),
    #[error(
        "`{0}` is run by the provider itself and is not granted to this token: a grant allows it by provider_tools"
    )]
    ProviderTool(String),
    #[error(
        "a prompt stored at the provider can name models and tools that the gateway does not see: send the prompt itself"
    )]
    StoredPrompt,

    #[error("upstream `{upstream}` has no credential: {cure}")]
    NoCredential { upstream: String, cure: String },
    #[error("the credential of upstream `{0}` holds characters that cannot stand in a request: set it again")]
    UnusableCredential(String),
    #[error(
        "upstream `{upstream}` has a credential that cannot be opened: the operator finds the reason in the gateway's log"
    )]
    SealedCredential { upstream: String, source: SecretsError },
    #[error("upstream `{0}` cannot be reached")]
    Unreachable(String),
    #[error("upstream `{0}` did not answer in time")]
    TimedOut(String),
    #[error("upstream `{0}` refused its credential: the operator has to set a valid one")]
    CredentialRefused(String),
    #[error(
        "upstream `{0}` answered with a redirect, which the gateway does not follow: base_url has to be its final address"
    )]
    Redirected(String),
    #[error("upstream `{upstream}` answered something that is withheld: {error}")]
    UnreadableAnswer { upstream: String, error: BrokenAnswer },
    #[error("upstream `{0}` answered something that is no list of models")]
    NoModelList(String),

    #[error(transparent)]
    NotApproved(NotApproved),
    #[error(transparent)]
    OverBudget(OverBudget),

    #[error("the gateway's database does not answer")]
    Store(#[from] StoreError),
    #[error("the gateway's database does not answer")]
    Unavailable,
    #[error("the gateway is stopping")]
    Stopping,
}

impl From<TokenRefused> for Refusal {
    fn from(refused: TokenRefused) -> Self {
        match refused {
            TokenRefused::Store(error) => Self::Store(error),
            other => Self::Token(other),
        }
    }
}

impl From<NotApproved> for Refusal {
    fn from(refused: NotApproved) -> Self {
        match refused {
            NotApproved::Store(error) => Self::Store(error),
            other => Self::NotApproved(other),
        }
    }
}

impl From<NotReserved> for Refusal {
    fn from(refused: NotReserved) -> Self {
        match refused {
            NotReserved::Over(over) => Self::OverBudget(over),
            NotReserved::Unavailable => Self::Unavailable,
            NotReserved::Stopping => Self::Stopping,
        }
    }
}

impl Refusal {
    /// Status and code of the answer.
    pub(crate) fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoToken | Self::TwoTokens | Self::MalformedToken(_) | Self::Token(_) | Self::Cut(Cut::Token) => {
                (StatusCode::UNAUTHORIZED, "invalid_api_key")
            }
            Self::AmbiguousTarget(_) => (StatusCode::BAD_REQUEST, "ambiguous_path"),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "not_found"),
            Self::WrongMethod { .. } | Self::NeverForwarded => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large"),
            Self::NoRoom => (StatusCode::TOO_MANY_REQUESTS, "no_room"),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::MediaType | Self::FormType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::QueryIsOurs(_)
            | Self::QueryHoldsCredential
            | Self::UnreadableBody(_)
            | Self::UnreadablePush { .. }
            | Self::BodyBrokeOff
            | Self::NoModel => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::ModelNotGranted(_) => (StatusCode::FORBIDDEN, "model_not_found"),
            Self::NoUpstreamOfKind | Self::NoAddress { .. } => (StatusCode::NOT_FOUND, "no_upstream"),
            Self::NoUpstream(_) | Self::UnknownModel(_) => (StatusCode::NOT_FOUND, "model_not_found"),
            Self::PathNotGranted
            | Self::NotGranted(_)
            | Self::RefsNotGranted(_)
            | Self::NotUnderstood(_)
            | Self::ProviderTool(_)
            | Self::StoredPrompt => (StatusCode::FORBIDDEN, "not_granted"),
            Self::NoCredential { .. } | Self::UnusableCredential(_) | Self::SealedCredential { .. } => {
                (StatusCode::BAD_GATEWAY, "upstream_credential_missing")
            }
            Self::CredentialRefused(_) => (StatusCode::BAD_GATEWAY, "upstream_credential_refused"),
            Self::Unreachable(_) => (StatusCode::BAD_GATEWAY, "upstream_unreachable"),
            Self::Redirected(_) | Self::NoModelList(_) | Self::NoNodes(_) | Self::UnreadableAnswer { .. } => {
                (StatusCode::BAD_GATEWAY, "upstream_error")
            }
            Self::TimedOut(_) => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
            Self::NotApproved(NotApproved::Denied { .. }) => (StatusCode::FORBIDDEN, "denied"),
            Self::NotApproved(NotApproved::Expired(_)) => (StatusCode::REQUEST_TIMEOUT, "not_approved"),
            Self::NotApproved(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_held"),
            // No waiting helps where nobody knows what the model costs.
            Self::OverBudget(over) if over.retry_after().is_none() => (StatusCode::FORBIDDEN, "no_price"),
            Self::OverBudget(_) => (StatusCode::TOO_MANY_REQUESTS, "over_budget"),
            Self::Store(_) | Self::Spool | Self::Unavailable | Self::Stopping | Self::Cut(Cut::Stopping) => {
                (StatusCode::SERVICE_UNAVAILABLE, "gateway_unavailable")
            }
        }
    }

    /// What only the operator should read goes to the log, here and nowhere else.
    fn log(&self) {
        match self {
            Self::Store(error) => tracing::error!(%error, "a call was refused: the database does not answer"),
            Self::SealedCredential { upstream, source } => {
                tracing::error!(%upstream, error = %source, "a call was refused: the credential cannot be opened");
            }
            Self::NoCredential { .. }
            | Self::CredentialRefused(_)
            | Self::Redirected(_)
            | Self::UnreadableAnswer { .. } => {
                tracing::warn!("{self}");
            }
            _ => {}
        }
    }
}

fn refs_not_granted(refs: &[(String, String)]) -> String {
    refs.iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ")
}

/// In seconds.
const LONGEST_HEEDED: u64 = 60;

fn address_of(base: Base) -> &'static str {
    match base {
        Base::Uploads => "uploads_url",
        Base::Git => "git_url",
        Base::Main | Base::Named | Base::Graphql => "base_url",
    }
}

impl Refusal {
    /// In seconds.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::OverBudget(over) => over.retry_after_seconds(),
            Self::NotApproved(NotApproved::TooMany) => Some(60),
            Self::NoRoom => Some(5),
            _ => None,
        }
    }

    /// The answer, in the shape that the client of the path expects.
    pub(crate) fn response(&self, wire: Wire) -> Response {
        self.log();
        let (status, code) = self.status_and_code();
        let body = shape::body(wire, status, code, &self.to_string());
        let mut response = (status, [(CONTENT_TYPE, shape::content_type(wire))], body).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, shape::challenge(wire));
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, seconds.into());
            if seconds > LONGEST_HEEDED {
                // The SDKs of OpenAI and Anthropic would try again at once after a longer wait.
                headers.insert("x-should-retry", HeaderValue::from_static("false"));
            }
        }
        if let Self::WrongMethod { expected } = self {
            headers.extend(HeaderValue::from_str(expected.as_str()).map(|method| (ALLOW, method)));
        }
        response
    }
}
