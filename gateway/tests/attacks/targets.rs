//! Request targets that two servers could read as two paths.

use futures_util::StreamExt;
use futures_util::stream::iter;

use crate::recorder::{Recorder, assert_below_the_base, open_to_all};
use crate::rig::Rig;
use crate::whatwg;

/// Below each of these the token may reach anything.
const ROOTS: [&str; 9] = [
    "/v1/",
    "/anthropic/v1/",
    "/http/weather/",
    "/api/v3/repos/acme/widgets/contents/",
    "/api/v3/",
    "/git/acme/widgets.git/",
    "/acme/widgets.git/",
    "/api/uploads/repos/acme/widgets/releases/1/",
    "/mcp/",
];

/// Ways to climb, to separate, to hide and to end a path.
const NASTY: [&str; 62] = [
    "..",
    "../x",
    "../../x",
    "a/../x",
    "a/../../x",
    "./x",
    "a/./x",
    "a/.",
    "a/..",
    "%2e%2e/x",
    "%2E%2E/x",
    ".%2e/x",
    "%2e./x",
    "%2e/x",
    "a/%2e%2e",
    "..%2fx",
    "..%2Fx",
    "..%5cx",
    "..%5Cx",
    "..\\x",
    "a\\..\\x",
    "a\\x",
    "%5c..%5cx",
    "%252e%252e/x",
    "%25252e/x",
    "%252fx",
    "%2525",
    "%25",
    "a%00",
    "%00/x",
    "a%00.json",
    "a%0d%0ax",
    "a%0ax",
    "a%09x",
    "a%7fx",
    "a%1bx",
    "//x",
    "/x",
    "a//x",
    "a/",
    "a;x",
    "..;/x",
    "a;/../x",
    "a;jsessionid=1/x",
    ";/x",
    "a%3bx",
    "%",
    "%2",
    "%zz",
    "%u002e%u002e/x",
    "%c0%ae%c0%ae/x",
    "%c0%afx",
    "%e0%80%ae/x",
    "@evil.example/x",
    ":80/x",
    "http://evil.example/x",
    "http:%2f%2fevil.example",
    "\u{ff0e}\u{ff0e}/x",
    "%ef%bc%8e%ef%bc%8e/x",
    "a b",
    "\u{e9}",
    "?/../x",
];

/// Those of [`NASTY`] that every server reads alike, and that are an odd name or a query and nothing else.
const PLAIN: [&str; 9] = [
    "a/",
    "%c0%ae%c0%ae/x",
    "%c0%afx",
    "%e0%80%ae/x",
    "@evil.example/x",
    ":80/x",
    "%ef%bc%8e%ef%bc%8e/x",
    "?/../x",
    "http:%2f",
];

struct Attack {
    rig: Rig,
    recorder: Recorder,
    token: String,
}

impl Attack {
    async fn start() -> Self {
        let (rig, recorder, token) = open_to_all().await;
        Self { rig, recorder, token }
    }

    /// Sends the target as it stands; the status of the answer, or none if the connection is closed without one.
    async fn status(&self, method: &str, target: &str) -> Option<u16> {
        let token = &self.token;
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        let answer = self.rig.raw(head.as_bytes()).await;
        answer.strip_prefix("HTTP/1.1 ").map(|rest| rest[..3].parse().unwrap())
    }

    /// All of them, a few at a time; each target with its status.
    async fn all(&self, targets: Vec<String>) -> Vec<(String, Option<u16>)> {
        let one = async |target: String| {
            let status = self.status("GET", &target).await;
            (target, status)
        };
        iter(targets).map(one).buffer_unordered(8).collect().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_case_of_the_url_standard_leaves_the_base_or_changes_the_host() {
    let attack = Attack::start().await;
    let inputs = whatwg::inputs();
    assert!(inputs.len() > 500, "{} cases", inputs.len());
    for root in ["", "/v1/", "/http/weather/", "/api/v3/repos/acme/widgets/contents/"] {
        let targets = inputs.iter().map(|input| format!("{root}{input}")).collect();
        let answers = attack.all(targets).await;
        let good = answers.iter().filter(|(_, status)| *status == Some(200)).count();
        let heads = attack.recorder.take();
        assert_eq!(heads.len(), good, "below {root:?} each request at the upstream was one that was permitted");
        for head in &heads {
            assert_below_the_base(head, &attack.recorder, root);
        }
        let odd: Vec<_> =
            answers.iter().filter(|(_, status)| !matches!(status, Some(200 | 400..=499) | None)).collect();
        assert!(odd.is_empty(), "{odd:?}");
        assert!(root.is_empty() == (good == 0), "{good} of the cases are plain names below {root:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_climbs_separates_or_hides_is_refused_below_every_root() {
    let attack = Attack::start().await;
    for root in ROOTS {
        let targets = NASTY.iter().map(|nasty| format!("{root}{nasty}")).collect();
        for (target, status) in attack.all(targets).await {
            let nasty = &target[root.len()..];
            if !PLAIN.contains(&nasty) {
                assert!(matches!(status, Some(400..=499) | None), "{target}: {status:?}");
            }
        }
        for head in attack.recorder.take() {
            let line = head.lines().next().unwrap();
            let below = line.split(' ').nth(1).unwrap().split('?').next().unwrap();
            assert_below_the_base(&head, &attack.recorder, root);
            assert!(PLAIN.iter().any(|plain| below.ends_with(plain.split('?').next().unwrap())), "{root}: {line}");
        }
    }
}

#[tokio::test]
async fn a_name_of_an_upstream_is_a_name_and_no_path() {
    let attack = Attack::start().await;
    for name in [
        "weather%2f..",
        "weather%00",
        "WEATHER",
        "weather.",
        "weather%20",
        ".",
        "..",
        "%77eather",
        "weather:80",
        "weather@evil",
        "[weather]",
        "github",
        "up",
        "memory",
        "",
    ] {
        for path in [format!("/http/{name}/x"), format!("/http/{name}")] {
            let status = attack.status("GET", &path).await;
            assert!(matches!(status, Some(400..=499)), "{path}: {status:?}");
        }
    }
    for name in ["memory/", "memory/x", "MEMORY", "%6demory", "weather", "memory%20"] {
        let status = attack.status("GET", &format!("/mcp/{name}")).await;
        assert!(matches!(status, Some(400..=499)), "{name}: {status:?}");
    }
    assert_eq!(attack.recorder.take(), Vec::<String>::new());
}

#[tokio::test]
async fn a_whole_url_an_authority_or_a_star_is_no_target() {
    let attack = Attack::start().await;
    let own = attack.rig.consumer;
    for (method, target) in [
        ("GET", format!("http://{own}/v1/files")),
        ("GET", format!("HTTP://{own}/v1/files")),
        ("GET", "http://evil.example/v1/files".to_owned()),
        ("GET", "https://evil.example:443/v1/files".to_owned()),
        ("GET", "ftp://evil.example/v1/files".to_owned()),
        ("GET", "http:/v1/files".to_owned()),
        ("GET", "v1/files".to_owned()),
        ("GET", "evil.example/v1/files".to_owned()),
        ("GET", "evil.example:443".to_owned()),
        ("CONNECT", "evil.example:443".to_owned()),
        ("CONNECT", "/v1/files".to_owned()),
        ("CONNECT", format!("{own}")),
        ("OPTIONS", "*".to_owned()),
        ("GET", "*".to_owned()),
        ("GET", "?x".to_owned()),
        ("GET", "#x".to_owned()),
        ("GET", "//evil.example/v1/files".to_owned()),
        ("GET", "///v1/files".to_owned()),
        ("GET", "/\\evil.example/v1/files".to_owned()),
        ("GET", "\\\\evil.example\\v1".to_owned()),
    ] {
        let status = attack.status(method, &target).await;
        assert!(matches!(status, Some(400..=499) | None), "{method} {target}: {status:?}");
    }
    assert_eq!(attack.recorder.take(), Vec::<String>::new());
}

#[tokio::test]
async fn neither_trace_nor_connect_goes_out_even_where_every_method_is_granted() {
    let attack = Attack::start().await;
    for path in [
        "/http/weather/x",
        "/v1/files",
        "/anthropic/v1/files",
        "/mcp/memory",
        "/api/v3/repos/acme/widgets",
        "/api/graphql",
    ] {
        for method in ["TRACE", "CONNECT", "trace"] {
            let status = attack.status(method, path).await;
            assert!(matches!(status, Some(400..=499) | None), "{method} {path}: {status:?}");
        }
    }
    assert_eq!(attack.recorder.take(), Vec::<String>::new());
}
