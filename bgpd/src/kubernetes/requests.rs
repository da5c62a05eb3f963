//! The paths that are asked, and what the API server says when it refuses.
//!
//! Names come from objects that other people write (a BGPPeer names a Secret), so everything that
//! goes into a path or a query is escaped. A refusal is read to a bound and turned into one line.

use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use kube::client::Body;
use serde::Deserialize;

use super::kinds::FeedSpec;
use super::machine::{Ask, WATCH_TIME};

/// Objects of one page.
const PAGE_SIZE: u32 = 500;
/// What is read of a refusal.
const REFUSAL_MAX: usize = 64 << 10;
/// What is shown of its message.
const WORDS_MAX: usize = 400;

/// Path and query of a request; `random` spreads the ends of watches.
pub(super) fn path_of(spec: &FeedSpec, ask: &Ask, random: u64) -> String {
    let path = spec.path();
    let only = spec.only.as_ref().map(|only| escape(&only.name));
    match ask {
        Ask::Get => format!("{path}/{}", only.unwrap_or_default()),
        Ask::List { next: None } => format!("{path}?limit={PAGE_SIZE}"),
        Ask::List { next: Some(next) } => {
            format!("{path}?limit={PAGE_SIZE}&continue={}", escape(next))
        }
        Ask::Watch { version } => {
            let seconds = WATCH_TIME.as_secs() + random % WATCH_TIME.as_secs();
            let mut path =
                format!("{path}?watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}");
            if let Some(version) = version {
                path.push_str("&resourceVersion=");
                path.push_str(&escape(version));
            }
            if let Some(only) = only {
                path.push_str("&fieldSelector=metadata.name%3D");
                path.push_str(&only);
            }
            path
        }
    }
}

/// Percent-encoding of all that is not unreserved (RFC 3986 §2.3).
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What a server says when it refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status, or the code of a Status object.
    pub code: u16,
    /// How long to stay away.
    pub retry_after: Option<Duration>,
    /// Its message.
    pub message: String,
    /// A Status of the API server with the reason `NotFound`.
    pub is_not_found: bool,
}

/// What an API server says to a path for which it has nothing registered: no group, no version.
const NO_PAGE: &str = "404 page not found";

/// The `Status` object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StatusObject {
    kind: String,
    code: u16,
    message: String,
    reason: String,
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Details {
    retry_after_seconds: u32,
}

impl Refusal {
    /// Reads a refusal; whatever cannot be read of it is left out.
    pub async fn read(answer: Response<Body>) -> Self {
        let code = answer.status().as_u16();
        let header = answer.headers().get(http::header::RETRY_AFTER);
        let header = header.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let location = answer.headers().get(http::header::LOCATION);
        let location = location.and_then(|value| value.to_str().ok().map(str::to_owned));
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            if bytes.len() > REFUSAL_MAX {
                break;
            }
        }
        let said: StatusObject = serde_json::from_slice(&bytes).unwrap_or_else(|_| StatusObject {
            message: match location {
                Some(location) => format!("sent on to {location}, which is not followed"),
                None => String::from_utf8_lossy(&bytes).into_owned(),
            },
            ..StatusObject::default()
        });
        Self {
            code,
            is_not_found: code == 404 && said.is_not_found(),
            retry_after: header.map(Duration::from_secs).or(said.retry_after()),
            message: said.message,
        }
    }

    /// An ERROR event of a watch.
    pub fn of(said: StatusObject) -> Self {
        let code = match (said.code, said.reason.as_str()) {
            (0, "Expired" | "Gone") => 410,
            (0, _) => 500,
            (code, _) => code,
        };
        Self {
            code,
            is_not_found: said.is_not_found(),
            retry_after: said.retry_after(),
            message: said.message,
        }
    }

    /// Whether it says that there is no such kind. The page may be that of a proxy too, so it
    /// counts for kinds that a cluster may lack, and for those only.
    pub fn is_absence(&self) -> bool {
        self.is_not_found || (self.code == 404 && self.message.trim_end() == NO_PAGE)
    }

    /// One line.
    pub fn words(&self) -> String {
        let line: String = self
            .message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(WORDS_MAX)
            .collect();
        format!("{}: {}", self.code, line.trim())
    }
}

impl StatusObject {
    fn is_not_found(&self) -> bool {
        self.kind == "Status" && self.reason == "NotFound"
    }

    fn retry_after(&self) -> Option<Duration> {
        let seconds = self.details.retry_after_seconds;
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }
}

#[cfg(test)]
mod tests {
    use cluster::object::ObjectName;

    use super::*;

    #[test]
    fn names_of_others_cannot_leave_their_place_in_a_path() {
        let name = ObjectName::new("m", "../../nodes?x=1&y#");
        let secret = FeedSpec::secret(name);
        let got = path_of(&secret, &Ask::Get, 0);
        assert_eq!(
            got,
            "/api/v1/namespaces/m/secrets/..%2F..%2Fnodes%3Fx%3D1%26y%23"
        );
        let watched = path_of(&secret, &Ask::Watch { version: None }, 0);
        assert!(watched.ends_with("metadata.name%3D..%2F..%2Fnodes%3Fx%3D1%26y%23"));
        assert!(!watched.contains("resourceVersion"));
    }
}
