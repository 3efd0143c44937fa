//! The model that a form (`multipart/form-data`, RFC 7578) names, read from a side copy.

use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::stream;

use super::body::Facts;
use super::payload::{is_plain, media_type};
use super::refusal::Refusal;

/// Refuses a form that does not name exactly one model as plain text, or whose parts some servers would read otherwise.
pub(super) async fn facts(headers: &HeaderMap, body: &Bytes) -> Result<Facts, Refusal> {
    let kind = media_type(headers)?.filter(|_| is_plain(headers)).ok_or(Refusal::FormType)?;
    if ["boundary=", "boundary*"].iter().map(|name| kind.matches(name).count()).sum::<usize>() != 1 {
        return Err(Refusal::FormType);
    }
    let value = headers[axum::http::header::CONTENT_TYPE].to_str().map_err(|_| Refusal::FormType)?;
    let boundary = multer::parse_boundary(value).map_err(|_| Refusal::FormType)?;
    let lines = count(body, format!("--{boundary}").as_bytes());
    let once = stream::iter([Ok::<_, std::convert::Infallible>(body.clone())]);
    let mut form = multer::Multipart::new(once, boundary);
    let (mut model, mut parts) = (None, 0);
    while let Some(field) = form.next_field().await.map_err(|error| unreadable(&error))? {
        parts += 1;
        let part =
            Disposition::of(field.headers()).ok_or_else(|| two_ways("a part does not say its name in one way"))?;
        if !part.name.trim_matches(['[', ']', ' ']).eq_ignore_ascii_case("model") {
            continue;
        }
        let exact = part.name == "model" && !part.is_file;
        let plain = field.headers().get("content-transfer-encoding").is_none();
        let text = field.text().await.map_err(|error| unreadable(&error))?;
        if !exact || !plain || model.replace(text).is_some() {
            return Err(two_ways("`model` stands there twice, or in another way than as text"));
        }
    }
    if lines != parts + 1 {
        return Err(two_ways("its boundary stands within a part, too"));
    }
    Facts::of_model(model.ok_or(Refusal::NoModel)?)
}

fn count(body: &[u8], line: &[u8]) -> usize {
    body.windows(line.len()).filter(|window| window.first() == line.first() && *window == line).count()
}

/// The `Content-Disposition` of a part (RFC 7578, section 4.2).
struct Disposition {
    name: String,
    is_file: bool,
}

impl Disposition {
    /// None if it could be read in two ways: servers differ in what they make of equal parameters, of backslashes and of case.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all("content-disposition").into_iter();
        let (Some(value), None) = (all.next(), all.next()) else { return None };
        let mut rest = std::str::from_utf8(value.as_bytes()).ok()?.trim().strip_prefix("form-data")?.trim_start();
        let (mut name, mut files) = (None, Vec::new());
        while !rest.is_empty() {
            let (key, after) = rest.strip_prefix(';')?.split_once('=')?;
            let (value, more) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_at(after.find(';').unwrap_or(after.len())),
            };
            let fresh = match key.trim() {
                "name" => name.replace(value.trim().to_owned()).is_none(),
                file @ ("filename" | "filename*") => {
                    !files.contains(&file) && {
                        files.push(file);
                        true
                    }
                }
                _ => false,
            };
            if !fresh || value.contains(['"', '\\']) {
                return None;
            }
            rest = more.trim_start();
        }
        Some(Self { name: name?, is_file: !files.is_empty() })
    }
}

fn two_ways(why: &str) -> Refusal {
    Refusal::UnreadableBody(why.to_owned())
}

fn unreadable(error: &multer::Error) -> Refusal {
    Refusal::UnreadableBody(format!("it is no form: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(parts: &[(&str, &str)]) -> Result<String, Refusal> {
        let part =
            |(head, text): &(&str, &str)| format!("--xyz\r\ncontent-disposition: form-data; {head}\r\n\r\n{text}\r\n");
        let body: String = parts.iter().map(part).chain(["--xyz--\r\n".to_owned()]).collect();
        let headers = [("content-type".parse().unwrap(), "multipart/form-data; boundary=xyz".parse().unwrap())];
        facts(&headers.into_iter().collect(), &body.into()).await.map(|facts| facts.model)
    }

    #[tokio::test]
    async fn the_model_of_a_form_is_read() {
        let file = ("name=\"file\"; filename=\"a.wav\"", "RIFF");
        assert_eq!(read(&[file, ("name=\"model\"", "whisper-1")]).await.unwrap(), "whisper-1");
    }

    #[tokio::test]
    async fn a_form_that_can_be_read_in_two_ways_is_refused() {
        let model = ("name=\"model\"", "whisper-1");
        for other in [
            model,
            ("name=\"Model\"", "x"),
            ("name=\"model[]\"", "x"),
            ("name=\"model\"; filename=\"m\"", "x"),
            ("name=\"model\"\r\ncontent-transfer-encoding: base64", "eA=="),
        ] {
            assert!(matches!(read(&[model, other]).await, Err(Refusal::UnreadableBody(_))), "{other:?}");
        }
        assert!(matches!(read(&[]).await, Err(Refusal::NoModel)));
        assert!(matches!(facts(&HeaderMap::new(), &Bytes::new()).await, Err(Refusal::FormType)));
    }

    #[tokio::test]
    async fn a_part_that_some_servers_take_for_the_model_is_refused() {
        for head in [
            "name=\"x\"; name=\"model\"",
            "name=\"x\"; NAME=\"model\"",
            "name*=utf-8''model",
            "name=\"x\"; name*=utf-8''model",
            "name=\"x\"\r\ncontent-disposition: form-data; name=\"model\"",
            "name=\"mod\\el\"",
            "name=\"f\"; filename=\"a\\\"; name=\"model\"",
        ] {
            let refused = read(&[("name=\"model\"", "whisper-1"), (head, "gpt-5")]).await;
            assert!(matches!(refused, Err(Refusal::UnreadableBody(_))), "{head}: {refused:?}");
        }
        let hidden = "x\n--xyz\ncontent-disposition: form-data; name=\"model\"\n\ngpt-5\n--xyz--";
        let refused = read(&[("name=\"model\"", "whisper-1"), ("name=\"file\"; filename=\"a\"", hidden)]).await;
        assert!(matches!(refused, Err(Refusal::UnreadableBody(_))), "{refused:?}");
        let file = ("name=\"file\"; filename=\"é.wav\"; filename*=utf-8''%C3%A9.wav", "RIFF");
        assert_eq!(read(&[file, ("name=model", "whisper-1")]).await.unwrap(), "whisper-1");
    }
}
