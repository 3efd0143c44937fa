use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const GATEWAY: &str = "http://127.0.0.1:8080/base";

fn links() -> Arc<Links> {
    let api = [
        ("https://api.github.com", format!("{GATEWAY}/api/v3")),
        ("https://api.github.com/graphql", format!("{GATEWAY}/api/graphql")),
        ("https://uploads.github.com/", format!("{GATEWAY}/api/uploads/")),
    ];
    Arc::new(Links::new(api, [("https://github.com", format!("{GATEWAY}/git"))]).unwrap())
}

fn in_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut rewriter = LinkRewriter::new(links());
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&rewriter.push(Bytes::copy_from_slice(chunk)));
    }
    out.extend_from_slice(&rewriter.finish());
    String::from_utf8(out).unwrap()
}

fn whole(body: &str) -> String {
    in_chunks([body.as_bytes()])
}

#[test]
fn links_of_the_api_become_links_of_the_gateway() {
    for (body, expected) in [
        (r#"{"url":"https://api.github.com/repos/o/r"}"#, r#"{"url":"GW/api/v3/repos/o/r"}"#),
        (r#"{"url" : "https://api.github.com"}"#, r#"{"url" : "GW/api/v3"}"#),
        (r#"{"href":"https:\/\/api.github.com\/user"}"#, r#"{"href":"GW/api/v3\/user"}"#),
        (
            r#"{"upload_url":"https://uploads.github.com/repos/o/r/releases/1/assets{?name,label}"}"#,
            r#"{"upload_url":"GW/api/uploads/repos/o/r/releases/1/assets{?name,label}"}"#,
        ),
        (r#"{"graphql_url":"https://api.github.com/graphql"}"#, r#"{"graphql_url":"GW/api/graphql"}"#),
        (r#"{"graphql_url":"https://api.github.com/graphqls"}"#, r#"{"graphql_url":"GW/api/v3/graphqls"}"#),
        (r#"{"a_url":"https://api.github.com{/x}","n":1}"#, r#"{"a_url":"GW/api/v3{/x}","n":1}"#),
        (r#"{"a_url":"https://api.github.com?a"}"#, r#"{"a_url":"GW/api/v3?a"}"#),
        (r#"{"clone_url":"https://github.com/o/r.git"}"#, r#"{"clone_url":"GW/git/o/r.git"}"#),
        (
            r#"[{"url":"https://api.github.com/a","b_url":"https://api.github.com/b"}]"#,
            r#"[{"url":"GW/api/v3/a","b_url":"GW/api/v3/b"}]"#,
        ),
        (r#"{"_links":{"self":{"href":"https://api.github.com/a"}}}"#, r#"{"_links":{"self":{"href":"GW/api/v3/a"}}}"#),
    ] {
        assert_eq!(whole(body), expected.replace("GW", GATEWAY), "{body}");
    }
}

#[test]
fn everything_else_stays_and_is_not_copied() {
    for body in [
        r#"{"url":"https://api.github.com.evil.example/repos"}"#,
        r#"{"url":"https://api.github.community"}"#,
        r#"{"url":"http://api.github.com/repos"}"#,
        r#"{"url":" https://api.github.com/repos"}"#,
        r#"{"url":"see https://api.github.com/repos"}"#,
        r#"{"url":"https://api.github.com\u002e"}"#,
        r#"{"url":"https:\"//api.github.com/"}"#,
        r#"{"body":"https://api.github.com/repos"}"#,
        r#"{"body":"\"url\":\"https://api.github.com/repos\""}"#,
        r#"{"https://api.github.com/repos":"url"}"#,
        r#"{"urls":["https://api.github.com/repos"]}"#,
        r#"["url","https://api.github.com/repos"]"#,
        r#"{"html_url":"https://github.com/o/r","ssh_url":"git@github.com:o/r.git"}"#,
        r#"{"git_url":"git://github.com/o/r.git","svn_url":"https://github.com/o/r"}"#,
        r#"{"xclone_url":"https://github.com/o/r.git","curl":"https://api.github.com/"}"#,
        r#"{"clone_url":"https://api.github.com/o/r.git"}"#,
        r#"{"u\u0072l":"https://api.github.com/a"}"#,
        "\"https://api.github.com/\"",
        "url: https://api.github.com/",
        "",
    ] {
        assert_eq!(whole(body), body);
        let chunk = Bytes::copy_from_slice(body.as_bytes());
        let given = LinkRewriter::new(links()).push(chunk.clone());
        assert_eq!(given.as_ptr(), chunk.as_ptr(), "{body}");
    }
}

const BODY: &str = concat!(
    r#"{ "url" : "https:\/\/api.github.com\/repos", "body": "a \" \\", "clone_url":"https://github.com/o/r.git","#,
    "\n",
    r#""x_url":"https://api.github.com.example/","é_url":"https://api.github.com/graphql?é","a":[1,"url"],"#,
    r#""upload_url":"https://uploads.github.com/a{?name}","url":"https://api.github.com","url":"https:\n","b":null}"#,
);

#[test]
fn a_link_is_found_wherever_the_chunks_part() {
    let expected = whole(BODY);
    assert_eq!(expected.matches(GATEWAY).count(), 5, "{expected}");
    for first in 0..=BODY.len() {
        let (a, b) = BODY.as_bytes().split_at(first);
        assert_eq!(in_chunks([a, b]), expected, "{first}");
        for second in 0..=b.len() {
            let (b, c) = b.split_at(second);
            assert_eq!(in_chunks([a, b, c]), expected, "{first} {second}");
        }
    }
    assert_eq!(in_chunks(BODY.as_bytes().chunks(1)), expected);
}

#[test]
fn no_more_is_held_back_than_can_still_be_a_link() {
    let mut rewriter = LinkRewriter::new(links());
    assert_eq!(rewriter.push(Bytes::from_static(br#"{"url":"https://api.git"#)), r#"{"url":""#.as_bytes());
    assert_eq!(rewriter.push(Bytes::from_static(b"lab")), "https://api.gitlab".as_bytes());
    let long = Bytes::from(vec![b'x'; 10_000]);
    assert_eq!(rewriter.push(long.clone()).as_ptr(), long.as_ptr());
    assert_eq!(rewriter.finish(), Bytes::new());
}

#[test]
fn a_body_that_breaks_off_is_given_on_whole() {
    for end in 0..BODY.len() {
        let Some(part) = BODY.get(..end) else { continue };
        let given = whole(part);
        let back = given.replace(&format!("{GATEWAY}/api/v3"), "https://api.github.com");
        let back = back.replace(&format!("{GATEWAY}/api/graphql"), "https://api.github.com/graphql");
        let back = back.replace(&format!("{GATEWAY}/api/uploads"), "https://uploads.github.com");
        let back = back.replace(&format!("{GATEWAY}/git"), "https://github.com");
        assert_eq!(back.replace("\\/", "/"), part.replace("\\/", "/"));
    }
}

#[test]
fn a_location_is_the_gateways() {
    let links = links();
    let moved = links.location("https://api.github.com/repositories/7").unwrap();
    assert_eq!(moved, format!("{GATEWAY}/api/v3/repositories/7"));
    assert_eq!(links.location("https://api.github.com/graphql").unwrap(), format!("{GATEWAY}/api/graphql"));
    for stays in ["https://example.com/a", "https://api.github.com.example/", "/relative", "https://github.com/o/r"] {
        assert_eq!(links.location(stays), None, "{stays}");
    }
}

#[test]
fn the_pages_of_a_list_are_asked_for_by_name() {
    let value = "<https://api.github.com/repositories/7/issues?page=2>; rel=\"next\", \
                 <https://api.github.com/repositories/7/issues?page=9>; rel=\"last\"";
    let expected = format!(
        "<{GATEWAY}/api/v3/repos/o/r/issues?page=2>; rel=\"next\", <{GATEWAY}/api/v3/repos/o/r/issues?page=9>; rel=\"last\""
    );
    assert_eq!(links().link(value, "/repos/o/r/issues").as_deref(), Some(expected.as_str()));
    // Another list than the one that was asked for keeps its number.
    for asked in ["/repos/o/r/pulls", "/repos/o/r", "/user/repos", "", "/repos/o"] {
        let kept = expected.replace("/repos/o/r/", "/repositories/7/");
        assert_eq!(links().link(value, asked).as_deref(), Some(kept.as_str()), "{asked}");
    }
    assert_eq!(links().link("<https://example.com/>; rel=next", "/repos/o/r"), None);
    assert_eq!(links().link("nothing < here", "/repos/o/r"), None);
}

#[test]
fn the_beginning_of_a_link_is_a_url() {
    for bad in ["", "/", "a b", "https://x/\"", "https://x\\", "https://x>", "https://é"] {
        assert_eq!(Links::new([(bad, "https://gateway")], []).unwrap_err(), BadBase, "{bad}");
        assert_eq!(Links::new([("https://x", bad)], []).unwrap_err(), BadBase, "{bad}");
    }
}

proptest! {
    #[test]
    fn chunks_never_matter(
        parts in prop::collection::vec(prop_oneof![
            Just("\"url\":\"".to_owned()), Just("https://api.github.com".to_owned()), Just("https:\\/\\/api".to_owned()),
            Just("/graphql".to_owned()), Just("\"".to_owned()), Just(",\"clone_url\": \"https://github.com/".to_owned()),
            "[a-z\\\\\":{}, ]{0,6}",
        ], 0..12),
        cuts in prop::collection::vec(1_usize..9, 1..40),
    ) {
        let body = parts.concat();
        let mut chunks = Vec::new();
        let mut rest = body.as_bytes();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        prop_assert_eq!(in_chunks(chunks), whole(&body));
    }
}
