//! The model that a form (`multipart/form-data`, RFC 7578) names, read from a side copy.

use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::stream;

use super::body::Facts;
use super::payload::{is_plain, media_type};
use super::refusal::Refusal;

/// Refuses a form that does not name exactly one model as plain text.
pub(super) async fn facts(headers: &HeaderMap, body: &Bytes) -> Result<Facts, Refusal> {
    if media_type(headers)?.is_none() || !is_plain(headers) {
        return Err(Refusal::FormType);
    }
    let value = headers[axum::http::header::CONTENT_TYPE].to_str().map_err(|_| Refusal::FormType)?;
    let boundary = multer::parse_boundary(value).map_err(|_| Refusal::FormType)?;
    let once = stream::iter([Ok::<_, std::convert::Infallible>(body.clone())]);
    let mut form = multer::Multipart::new(once, boundary);
    let mut model = None;
    while let Some(field) = form.next_field().await.map_err(|error| unreadable(&error))? {
        let decides = field.name().is_some_and(|name| name.trim_matches(['[', ']', ' ']).eq_ignore_ascii_case("model"));
        if !decides {
            continue;
        }
        let exact = field.name() == Some("model") && field.file_name().is_none();
        let plain = field.headers().get("content-transfer-encoding").is_none();
        let text = field.text().await.map_err(|error| unreadable(&error))?;
        if !exact || !plain || model.replace(text).is_some() {
            return Err(Refusal::UnreadableBody(
                "`model` stands there twice, or in another way than as text".to_owned(),
            ));
        }
    }
    Facts::of_model(model.ok_or(Refusal::NoModel)?)
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
}
