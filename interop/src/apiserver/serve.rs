//! What a request means, and what it is answered.
//!
//! Each connection has a thread: it reads a request, asks who it is from (401), which resource it
//! names (404), whether they may (403), whether a fault is switched on, and only then the store.

use std::io::{self, BufReader};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::access::{self, User};
use super::faults::{Act, Refusal};
use super::http::{Answer, Request};
use super::resources::{self, RESOURCES, group_version};
use super::store::{Name, Stored};
use super::watch::{self, Selector, Watch};
use super::{Asked, Shared, discovery, lock, rules};

/// Between two looks of an answer that stalls.
const LOOK: Duration = Duration::from_millis(50);
/// A watch that names no end gets this one.
const WATCH_DEFAULT: Duration = Duration::from_secs(1800);

/// What a path names.
#[derive(Debug, Default)]
struct Target {
    group: String,
    version: String,
    resource: usize,
    namespace: String,
    name: String,
    status: bool,
}

impl Target {
    /// As RBAC writes a subresource.
    fn suffix(&self) -> &'static str {
        if self.status { "/status" } else { "" }
    }
}

impl Shared {
    /// Holds a connection until all faults are gone or the server is.
    pub(super) fn stall(&self, stream: &TcpStream) {
        while self.is_open() {
            std::thread::sleep(LOOK);
            let mut octet = [0; 1];
            let _ = stream.set_nonblocking(true);
            let read = stream.peek(&mut octet);
            let _ = stream.set_nonblocking(false);
            if matches!(read, Ok(0)) {
                return;
            }
        }
    }
}

/// Serves one connection to its end, and gives it back to be closed.
pub(super) fn connection(shared: &Arc<Shared>, mut stream: TcpStream) -> TcpStream {
    let _ = stream.set_nodelay(true);
    let Ok(copy) = stream.try_clone() else {
        return stream;
    };
    let mut reader = BufReader::new(copy);
    while shared.is_open()
        && let Ok(Some(request)) = Request::read(&mut reader)
        && let Ok(true) = answer(shared, &mut stream, &request)
    {}
    stream
}

fn answer(shared: &Shared, stream: &mut TcpStream, request: &Request) -> io::Result<bool> {
    let user = match who(shared, request) {
        Ok(user) => user,
        Err(refusal) => {
            note(shared, "", "any", request, (String::new(), refusal.code));
            return Answer::refusal(&refusal).write(stream, None);
        }
    };
    if let Some(answer) = discovery::answer(shared, request.path()) {
        note(
            shared,
            &user.name,
            "get",
            request,
            (String::new(), answer.code),
        );
        return answer.write(stream, None);
    }
    let (target, verb) = match target(shared, request) {
        Ok(found) => found,
        Err(refusal) => return no_target(shared, stream, (&user, request), &refusal),
    };
    let plural = RESOURCES[target.resource].plural;
    let selector = selector(request, &target);
    let shown = || plural.to_owned() + target.suffix();
    let told = |code| note(shared, &user.name, verb, request, (shown(), code));
    let refuse = |refusal: &Refusal, stream: &mut TcpStream| {
        told(refusal.code);
        Answer::refusal(refusal).write(stream, None)
    };
    let fault = shared.faults.take(verb, plural);
    if fault == Some(Act::Stall) {
        told(0);
        while shared.is_open() && !shared.faults.is_empty() {
            std::thread::sleep(LOOK);
        }
        return Ok(false);
    }
    let allowed = allow(shared, &user, &target, (verb, &selector));
    let refused = match &fault {
        Some(Act::Refuse(refusal)) => Some(refusal.clone()),
        _ => allowed.err(),
    };
    if let Some(refusal) = refused {
        return refuse(&refusal, stream);
    }
    if verb == "watch" {
        let watch = match begin_watch(shared, request, &target, selector) {
            Ok(watch) => watch,
            Err(refusal) => return refuse(&refusal, stream),
        };
        told(200);
        // A stream that breaks has told the client all it is going to.
        return watch::run(shared, stream, &watch, fault.as_ref()).map(|()| true);
    }
    let answer = match verb {
        "list" => list(shared, request, &target, &selector),
        _ => object(shared, request, &target, verb),
    };
    let answer = answer.unwrap_or_else(|why| Answer::refusal(&why));
    told(answer.code);
    answer.write(stream, fault.as_ref())
}

/// What was asked for is no resource, or not to be had in this way.
fn no_target(
    shared: &Shared,
    stream: &mut TcpStream,
    (user, request): (&User, &Request),
    refusal: &Refusal,
) -> io::Result<bool> {
    let answer = match refusal.code {
        404 => Answer::no_page(),
        _ => Answer::refusal(refusal),
    };
    let told = (String::new(), answer.code);
    note(shared, &user.name, "any", request, told);
    answer.write(stream, None)
}

fn who(shared: &Shared, request: &Request) -> Result<User, Refusal> {
    match &request.authorization {
        None if lock(&shared.settings).is_open => Ok(User::administrator()),
        authorization => shared.access.authenticate(authorization.as_deref()),
    }
}

fn note(
    shared: &Shared,
    user: &str,
    verb: &'static str,
    request: &Request,
    (resource, code): (String, u16),
) {
    shared.note(Asked {
        user: user.to_owned(),
        verb,
        resource,
        target: request.target.clone(),
        code,
    });
}

fn allow(
    shared: &Shared,
    user: &User,
    target: &Target,
    (verb, selector): (&'static str, &Selector),
) -> Result<(), Refusal> {
    let suffix = target.suffix();
    let name = match target.name.as_str() {
        "" => selector.name.clone().unwrap_or_default(),
        name => name.to_owned(),
    };
    let wanted = access::Request {
        verb,
        group: target.group.clone(),
        resource: format!("{}{suffix}", RESOURCES[target.resource].plural),
        namespace: target.namespace.clone(),
        name,
    };
    access::authorize(&shared.store, user, &wanted)
}

/// `/api/v1/…` and `/apis/GROUP/VERSION/…`.
fn target(shared: &Shared, request: &Request) -> Result<(Target, &'static str), Refusal> {
    let mut words = request.path().trim_matches('/').split('/');
    let group = match words.next() {
        Some("api") => "",
        Some("apis") => words.next().unwrap_or_default(),
        _ => {
            return Err(Refusal::not_found(
                "the server could not find the resource:",
            ));
        }
    };
    let version = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.collect();
    let (namespace, rest) = match rest.as_slice() {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && rest != ["status"] => {
            (*namespace, rest)
        }
        rest => ("", rest),
    };
    let [plural, rest @ ..] = rest else {
        return Err(Refusal::not_found(
            "the server could not find the resource:",
        ));
    };
    let is_absent = lock(&shared.settings)
        .absent_groups
        .iter()
        .any(|absent| absent == group);
    let resource = resources::by_path(group, version, plural).filter(|_| !is_absent);
    let resource = resource.ok_or_else(|| Refusal::not_found(plural))?;
    let target = Target {
        group: group.to_owned(),
        version: version.to_owned(),
        resource,
        namespace: namespace.to_owned(),
        name: (*rest.first().unwrap_or(&"")).to_owned(),
        status: rest.get(1) == Some(&"status"),
    };
    let verb = match (request.method.as_str(), target.name.is_empty()) {
        ("GET", _) if request.has("watch") => "watch",
        ("GET", true) => "list",
        ("GET", false) => "get",
        ("POST", true) => "create",
        ("PUT", false) => "update",
        ("PATCH", false) => "patch",
        ("DELETE", false) => "delete",
        _ => return Err(Refusal::new(405, "MethodNotAllowed", "not here")),
    };
    Ok((target, verb))
}

fn selector(request: &Request, target: &Target) -> Selector {
    let mut selector = Selector::default();
    if !target.namespace.is_empty() {
        selector.namespace = Some(target.namespace.clone());
    }
    if !target.name.is_empty() {
        selector.name = Some(target.name.clone());
    }
    for term in terms(request.parameter("fieldSelector")) {
        let (key, value) = term.split_once('=').unwrap_or((&term, ""));
        let value = Some(value.trim_start_matches('=').to_owned());
        match key {
            "metadata.name" => selector.name = value,
            "metadata.namespace" => selector.namespace = value,
            _ => {}
        }
    }
    for term in terms(request.parameter("labelSelector")) {
        let (must, text) = match term.strip_prefix('!') {
            Some(text) => (false, text),
            None => (!term.contains("!="), term.as_str()),
        };
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key.trim_end_matches('!'), Some(value)),
            None => (text, None),
        };
        let value = value.map(|value| value.trim_start_matches('=').trim().to_owned());
        selector.labels.push((key.trim().to_owned(), value, must));
    }
    selector
}

fn terms(text: Option<String>) -> Vec<String> {
    let text = text.unwrap_or_default();
    let terms = text.split(',').filter(|term| !term.is_empty());
    terms.map(|term| term.trim().to_owned()).collect()
}

/// `None` for an absent version; 0 is any.
fn version(request: &Request) -> Result<Option<u64>, Refusal> {
    let text = request.parameter("resourceVersion").unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().map(Some);
    number.map_err(|_| Refusal::new(400, "BadRequest", format!("resourceVersion {text}")))
}

fn begin_watch(
    shared: &Shared,
    request: &Request,
    target: &Target,
    selector: Selector,
) -> Result<Watch, Refusal> {
    let streaming = request.has("sendInitialEvents");
    if streaming && !lock(&shared.settings).streaming_lists {
        return Err(Refusal::invalid(
            "sendInitialEvents: Forbidden: it is not enabled",
        ));
    }
    let from = version(request)?.filter(|version| *version > 0 && !streaming);
    if from.is_some_and(|from| from > shared.store.version()) {
        return Err(Refusal::too_large_version());
    }
    let timeout = request
        .parameter("timeoutSeconds")
        .and_then(|text| text.parse().ok());
    Ok(Watch {
        resource: target.resource,
        selector,
        from,
        bookmarks: request.has("allowWatchBookmarks"),
        marks_initial: streaming,
        timeout: timeout.map_or(WATCH_DEFAULT, Duration::from_secs),
    })
}

fn list(
    shared: &Shared,
    request: &Request,
    target: &Target,
    selector: &Selector,
) -> Result<Answer, Refusal> {
    let store = &shared.store;
    let limit = request
        .parameter("limit")
        .and_then(|text| text.parse::<usize>().ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let next = request.parameter("continue").unwrap_or_default();
    let mut number = None;
    let (list, at) = match next.split_once('.') {
        None => {
            if version(request)?.is_some_and(|version| version > store.version()) {
                return Err(Refusal::too_large_version());
            }
            let (mut objects, version) = store.list(target.resource);
            objects.retain(|object| selector.takes(object));
            ((Arc::new(objects), version), 0)
        }
        Some((kept, at)) => {
            number = kept.parse().ok();
            let expired = "The provided continue parameter is too old";
            let gone = || Refusal::new(410, "Expired", expired);
            let list = number
                .and_then(|number| store.kept(number))
                .ok_or_else(gone)?;
            (list, at.parse().unwrap_or(0))
        }
    };
    let (objects, version) = &list;
    let end = objects.len().min(limit.saturating_add(at));
    let page: Vec<&str> = objects
        .get(at..end)
        .unwrap_or_default()
        .iter()
        .map(|object| object.json.as_str())
        .collect();
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if end < objects.len() {
        metadata["remainingItemCount"] = json!(objects.len() - end);
        let number = number.unwrap_or_else(|| store.keep(list.clone()));
        metadata["continue"] = json!(format!("{number}.{end}"));
    }
    let resource = &RESOURCES[target.resource];
    Ok(Answer::json(
        200,
        format!(
            "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[{}]}}\n",
            resource.kind,
            group_version(&target.group, &target.version),
            page.join(",")
        ),
    ))
}

fn object(
    shared: &Shared,
    request: &Request,
    target: &Target,
    verb: &str,
) -> Result<Answer, Refusal> {
    let store = &shared.store;
    let (resource, name) = (
        target.resource,
        (target.namespace.clone(), target.name.clone()),
    );
    let missing = || Refusal::not_found(&format!("{} \"{}\"", RESOURCES[resource].plural, name.1));
    let found = |stored: Arc<Stored>| Answer::json(200, stored.json.clone());
    match verb {
        "get" => store.get(resource, &name).map(found).ok_or_else(missing),
        "create" => {
            let value = placed(body(request)?, &name);
            let stored = store.create(resource, value)?;
            Ok(Answer::json(201, stored.json.clone()))
        }
        "update" => store
            .update(resource, placed(body(request)?, &name), target.status)
            .map(found),
        "patch" => {
            let patch = body(request)?;
            let old = store.get(resource, &name);
            let is_apply = request.content_type.contains("apply-patch");
            if old.is_none() && is_apply {
                let stored = store.create(resource, placed(patch, &name))?;
                return Ok(Answer::json(201, stored.json.clone()));
            }
            let mut value = old.ok_or_else(missing)?.value.clone();
            rules::merge(&mut value, &patch);
            store.update(resource, value, target.status).map(found)
        }
        _ => store.delete(resource, &name).map(found),
    }
}

fn body(request: &Request) -> Result<Value, Refusal> {
    if request.content_type.contains("json-patch") {
        return Err(Refusal::new(
            415,
            "UnsupportedMediaType",
            "no JSON patches here",
        ));
    }
    let text = String::from_utf8_lossy(&request.body);
    let value = match request.content_type.contains("yaml") && !text.starts_with('{') {
        true => serde_saphyr::from_str(&text).map_err(|error| error.to_string()),
        false => serde_json::from_str(&text).map_err(|error| error.to_string()),
    };
    value.map_err(|error| Refusal::new(400, "BadRequest", error))
}

/// What the path says of an object's place holds.
fn placed(mut value: Value, (namespace, name): &Name) -> Value {
    if !namespace.is_empty() {
        value["metadata"]["namespace"] = json!(namespace);
    }
    if !name.is_empty() {
        value["metadata"]["name"] = json!(name);
    }
    value
}
