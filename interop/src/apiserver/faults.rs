//! What can go wrong between an agent and its API server, to be switched on while both run.
//!
//! A [`Fault`] meets requests: by verb, by resource, for so many times or until healed. A [`Break`]
//! meets the watches that are open at this moment. A [`Refusal`] is an answer that is not what was
//! asked for, in the API's own form (`kind: Status`), and is what honest refusals are made of too.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use super::lock;

/// An answer other than success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// As in `Status.reason`.
    pub reason: &'static str,
    /// As in `Status.message`.
    pub message: String,
    /// Header `Retry-After` and `details.retryAfterSeconds`.
    pub retry_after_s: Option<u32>,
    /// `details.causes[0].reason`.
    pub cause: Option<&'static str>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl Refusal {
    /// An answer without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal {
            code,
            reason,
            message: message.into(),
            retry_after_s: None,
            cause: None,
        }
    }

    /// 410: the history does not reach back that far.
    pub fn gone() -> Refusal {
        Refusal::new(410, "Expired", "too old resource version")
    }

    /// 429, with the header that says when to come back.
    pub fn busy(retry_after_s: u32) -> Refusal {
        Refusal {
            retry_after_s: Some(retry_after_s),
            ..Refusal::new(429, "TooManyRequests", "storage is (re)initializing")
        }
    }

    /// 504: the server is behind the version that was asked for.
    pub fn too_large_version() -> Refusal {
        Refusal {
            retry_after_s: Some(1),
            cause: Some("ResourceVersionTooLarge"),
            ..Refusal::new(504, "Timeout", "Too large resource version")
        }
    }

    /// 500.
    pub fn broken() -> Refusal {
        Refusal::new(500, "InternalError", "Internal error occurred: a test")
    }

    /// 403.
    pub fn forbidden(what: &str) -> Refusal {
        Refusal::new(403, "Forbidden", format!("{what}: access denied"))
    }

    /// 401.
    pub fn unauthorized() -> Refusal {
        Refusal::new(401, "Unauthorized", "Unauthorized")
    }

    /// 404.
    pub fn not_found(what: &str) -> Refusal {
        Refusal::new(404, "NotFound", format!("{what} not found"))
    }

    /// 422.
    pub fn invalid(why: &str) -> Refusal {
        Refusal::new(422, "Invalid", why)
    }

    /// `kind: Status`.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if let Some(seconds) = self.retry_after_s {
            status["details"]["retryAfterSeconds"] = json!(seconds);
        }
        if let Some(cause) = self.cause {
            status["details"]["causes"] = json!([{ "reason": cause, "message": self.message }]);
        }
        status
    }
}

/// Which requests a fault meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Every one.
    Any,
    /// Lists.
    List,
    /// Watches.
    Watch,
    /// Of one object.
    Get,
    /// What changes something.
    Write,
}

impl Verb {
    fn meets(self, verb: &str) -> bool {
        match self {
            Verb::Any => true,
            Verb::List => verb == "list",
            Verb::Watch => verb == "watch",
            Verb::Get => verb == "get",
            Verb::Write => !matches!(verb, "list" | "watch" | "get"),
        }
    }
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// It answers so.
    Refuse(Refusal),
    /// It takes the request and says nothing until it is healed or the server stops.
    Stall,
    /// It sends half of the answer and resets the connection.
    Cut,
    /// It sends half of the answer and closes its side in order.
    HalfClose,
    /// It sends so many octets at a time, with this pause in between.
    Drip(usize, Duration),
}

/// A fault that meets requests.
#[derive(Clone, Debug)]
pub struct Fault {
    verb: Verb,
    resource: Option<String>,
    act: Act,
    times: Option<u32>,
}

impl Fault {
    /// This act, for every request of this sort.
    pub fn on(verb: Verb, act: Act) -> Fault {
        Fault {
            verb,
            resource: None,
            act,
            times: None,
        }
    }

    /// The same for one resource, by its plural.
    #[must_use]
    pub fn of(mut self, resource: &str) -> Fault {
        self.resource = Some(resource.to_owned());
        self
    }

    /// The same, so many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Fault {
        self.times = Some(times);
        self
    }
}

/// What happens to watches that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// An ERROR event with 410, then the end.
    Gone,
    /// An ERROR event with 500, then the end.
    Error,
    /// The connection is reset in the middle of a line.
    Reset,
    /// The server's side is closed in the middle of a line, in order.
    HalfClose,
    /// The end in order, as after `timeoutSeconds`.
    End,
    /// The connection stays, and nothing comes any more.
    Stall,
}

/// The faults that are switched on.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        lock(&self.0).push(fault);
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    /// What happens to this request. A fault that is used up is forgotten.
    pub(crate) fn take(&self, verb: &str, resource: &str) -> Option<Act> {
        let mut faults = lock(&self.0);
        let index = faults.iter().position(|fault| {
            let wanted = fault.resource.as_deref();
            fault.verb.meets(verb) && wanted.is_none_or(|wanted| wanted == resource)
        })?;
        let fault = faults.get_mut(index)?;
        let act = fault.act.clone();
        if let Some(times) = &mut fault.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                faults.remove(index);
            }
        }
        Some(act)
    }
}
