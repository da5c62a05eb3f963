//! The source against an API server that breaks off, refuses, forgets and lies.
#![cfg(feature = "kubernetes")]

#[path = "kubernetes/stub.rs"]
mod stub;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bgpd::kubernetes::{FeedState, Origin, Progress, Source, SourceConfig};
use cluster::Change;
use cluster::object::{Key, Kind, Object, ObjectName};
use stub::{Reply, Stub, Then, event, node, object};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The owner's end: what it was told, and how often.
struct Owner {
    source: Source,
    runtime: tokio::runtime::Runtime,
    objects: BTreeMap<Key, bool>,
    log: Vec<String>,
    progress: Progress,
}

impl Owner {
    fn start(config: SourceConfig) -> Self {
        Self {
            source: Source::start(config).expect("a thread"),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            objects: BTreeMap::new(),
            log: Vec::new(),
            progress: Progress::Restoring,
        }
    }

    fn of(stub: &Stub) -> Self {
        Self::start(config(stub))
    }

    /// Takes batches in until it is so.
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            let next = async { tokio::time::timeout(PATIENCE, self.source.next()).await };
            let batch = self.runtime.block_on(next);
            let status = self.source.status().clone();
            let batch =
                batch.unwrap_or_else(|_| panic!("never: {what}; {:?} {status:#?}", self.log));
            let batch = batch.expect("the source lives");
            assert!(batch.progress >= self.progress, "progress goes forward");
            self.progress = batch.progress;
            for change in batch.changes {
                match change {
                    Change::Put(key, object) => {
                        self.log.push(format!("+{}", key.name));
                        self.objects.insert(key, object.is_ok());
                    }
                    Change::Remove(key) => {
                        self.log.push(format!("-{}", key.name));
                        self.objects.remove(&key);
                    }
                }
            }
        }
    }

    fn until_synced(&mut self) {
        self.until("synced", |owner| owner.progress == Progress::Synced);
    }

    /// Looks at the status until it is so.
    fn until_status(&self, what: &str, is_so: impl Fn(&bgpd::kubernetes::Status) -> bool) {
        let waited = async {
            let looks = async {
                while !is_so(&self.source.status()) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(PATIENCE, looks).await
        };
        let waited = self.runtime.block_on(waited);
        assert!(
            waited.is_ok(),
            "never: {what}: {:#?}",
            *self.source.status()
        );
    }

    fn names(&self, kind: Kind) -> Vec<String> {
        let of_kind = self.objects.keys().filter(|key| key.kind == kind);
        of_kind.map(|key| key.name.to_string()).collect()
    }

    fn errors(&self, feed: &str, reason: &str) -> u64 {
        let status = self.source.status();
        let errors = status.feeds.get(feed).map(|feed| &feed.errors);
        errors.and_then(|e| e.get(reason)).copied().unwrap_or(0)
    }
}

fn config(stub: &Stub) -> SourceConfig {
    SourceConfig {
        origin: Origin::Api {
            kubeconfig: Some(stub.kubeconfig("token: t")),
        },
        dialects: vec![cluster::DialectName::Native],
        state_directory: None,
        node: "n1".into(),
        secrets: BTreeSet::new(),
    }
}

fn status_event(code: u16) -> String {
    event("ERROR", &format!("{{\"kind\":\"Status\",\"code\":{code}}}"))
}

#[test]
fn a_list_that_breaks_off_removes_nothing_and_a_whole_one_does() {
    let stub = Stub::start("relist");
    let all = ["a", "b", "c"].map(node);
    let half = format!("{{\"kind\":\"NodeList\",\"items\":[{},", node("a"));
    stub.on(
        "list nodes",
        [
            Reply::list("Node", "5", "more", &all[..2]),
            Reply::list("Node", "5", "", &all[2..]),
            // After the 410: in the middle, then a page whose token expires, then the rest.
            Reply::ok(half).then(Then::Cut),
            Reply::list("Node", "8", "old", &all[..1]),
            Reply::status(410),
            Reply::list("Node", "9", "", &all[1..2]),
        ],
    );
    let gone = [status_event(410)];
    stub.on("watch nodes", [Reply::watch(&gone), Reply::watch(&[])]);
    let mut owner = Owner::of(&stub);
    owner.until("the second list", |owner| {
        owner.log.iter().any(|line| line.starts_with('-'))
    });
    owner.until("both are gone", |owner| owner.objects.len() == 1);
    assert_eq!(owner.log, ["+a", "+b", "+c", "-a", "-c"]);
    assert_eq!(owner.errors("nodes", "expired"), 2);
    assert_eq!(owner.source.status().feeds["nodes"].lists, 2);
}

#[test]
fn events_come_as_they_happen_and_a_cut_line_is_no_event() {
    let stub = Stub::start("watch");
    stub.on("list nodes", [Reply::list("Node", "5", "", &[node("a")])]);
    let changed = object("Node", ("", "a"), 6, "x");
    let lines = [
        event("MODIFIED", &changed),
        event("ADDED", &node("b")),
        event("BOOKMARK", &object("Node", ("", ""), 40, "")),
    ]
    .join("\n");
    let cut = format!("{lines}\n{{\"type\":\"DELETED\",\"object\":{}", node("a"));
    let after = [event("DELETED", &node("b"))];
    stub.on(
        "watch nodes",
        [Reply::ok(cut).then(Then::Cut), Reply::watch(&after)],
    );
    let mut owner = Owner::of(&stub);
    owner.until("b came and went", |owner| {
        owner.log.last().is_some_and(|line| line == "-b")
    });
    assert_eq!(owner.log, ["+a", "+a", "+b", "-b"]);
    owner.until_status("the watch runs", |status| {
        status.feeds["nodes"].state == FeedState::Watching
    });
    assert_eq!(stub.count("list nodes"), 1, "it resumed");
    assert_eq!(owner.source.status().feeds["nodes"].events, 3);
}

#[test]
fn a_server_that_is_not_ready_is_asked_again_and_takes_nothing_out() {
    let stub = Stub::start("unready");
    let nodes = [node("a")];
    stub.on(
        "list nodes",
        [
            Reply::status(429).header("Retry-After", "1"),
            Reply::status(500),
            Reply::ok("").then(Then::Cut),
            Reply::status(504),
            Reply::list("Node", "5", "", &nodes),
        ],
    );
    let mut owner = Owner::of(&stub);
    owner.until_synced();
    assert_eq!(owner.log, ["+a"]);
    let server = owner.errors("nodes", "server");
    assert_eq!((owner.errors("nodes", "throttled"), server), (1, 2));
    assert_eq!(stub.count("list nodes"), 5);
}

#[test]
fn what_is_no_list_of_the_kind_is_not_taken_for_one() {
    let stub = Stub::start("no-list");
    let nodes = [node("a")];
    stub.on(
        "list nodes",
        [
            Reply::status(302).header("Location", "http://192.0.2.1/"),
            Reply::ok("<html>welcome</html>"),
            Reply::list("Pod", "5", "", &nodes),
            Reply::list("Node", "5", "", &nodes),
        ],
    );
    let mut owner = Owner::of(&stub);
    owner.until_synced();
    assert_eq!(owner.log, ["+a"]);
    let malformed = owner.errors("nodes", "malformed");
    assert_eq!((owner.errors("nodes", "unexpected"), malformed), (1, 2));
}

#[test]
fn a_new_token_is_read_after_a_401() {
    let stub = Stub::start("token");
    let token = stub.folder.join("token");
    stub.want_token("old");
    stub.on("list nodes", [Reply::list("Node", "5", "", &[node("a")])]);
    let config = config(&stub);
    // With the line's end that an editor leaves.
    std::fs::write(&token, "old\n").expect("writable");
    stub.kubeconfig(&format!("tokenFile: {}", token.display()));
    let mut owner = Owner::start(config);
    owner.until_synced();
    // The token is revoked; watches end; the new one comes a little later.
    stub.want_token("new");
    stub.go_on();
    owner.until_status("refused", |status| {
        status.feeds["nodes"].errors.contains_key("unauthorized")
    });
    std::fs::write(&token, "new").expect("writable");
    owner.until_status("watching again", |status| {
        let is_well = |feed: &&str| status.feeds[*feed].state == FeedState::Watching;
        ["nodes", "services", "namespaces"].iter().all(is_well)
    });
    assert_eq!(owner.log, ["+a"], "nothing was taken out");
}

#[test]
fn what_is_forbidden_or_absent_is_off_and_the_rest_works() {
    let stub = Stub::start("off");
    stub.on("list nodes", [Reply::list("Node", "5", "", &[node("a")])]);
    stub.on("list endpointslices", [Reply::status(403)]);
    let mut owner = Owner::of(&stub);
    owner.until_synced();
    let status = owner.source.status();
    let off = |feed: &str| match status.feeds[feed].state {
        FeedState::Off { reason, .. } => reason,
        state => panic!("{feed}: {state:?}"),
    };
    assert_eq!(off("endpointslices"), "forbidden");
    assert_eq!(off("servicecidrs"), "absent");
    assert!(status.is_synced);
    assert_eq!(stub.count("list endpointslices"), 1, "no loop");
    let why = &status.feeds["endpointslices"].last_error;
    assert_eq!(why.as_deref(), Some("403: as asked"));
}

#[test]
fn what_nobody_should_send_is_bounded_and_put_aside() {
    let stub = Stub::start("hostile");
    let spec = format!(",\"spec\":{{\"x\":\"{}\"}}}}", "x".repeat(9 << 20));
    let huge = node("huge").strip_suffix('}').expect("JSON").to_owned() + &spec;
    let nameless = "{\"metadata\":{}}".to_owned();
    let broken = "{\"metadata\":{\"name\":\"broken\"},\"spec\":\\}".to_owned();
    let list = [huge, node("a"), broken];
    stub.on(
        "list nodes",
        [
            Reply::list("Node", "5", "", &list),
            // A list with an object that cannot be named does not say that others are gone.
            Reply::list("Node", "6", "", &[nameless]),
            Reply::list("Node", "7", "", &[node("b")]),
        ],
    );
    let endless = Reply::ok(vec![b'x'; 1 << 20]).times(24).then(Then::Cut);
    stub.on(
        "watch nodes",
        [
            endless,
            Reply::watch(&["{\"type\":\"ADDED\"".into()]),
            Reply::watch(&[event("ADDED", "[[[[")]),
            Reply::watch(&[event("ADDED", &object("Pod", ("", "p"), 9, ""))]),
            Reply::watch(&[event("ADDED", &node("c"))]),
        ],
    );
    let mut owner = Owner::of(&stub);
    owner.until("all is well again", |owner| {
        owner.log.last().is_some_and(|line| line == "+c")
    });
    assert_eq!(owner.names(Kind::Node), ["b", "c"]);
    let first = &owner.log[..3];
    assert_eq!(first, ["+huge", "+a", "+broken"], "each known by its name");
    assert!(owner.errors("nodes", "malformed") >= 3);
    assert!(
        owner.source.status().quarantine.is_empty(),
        "gone with the objects"
    );
}

#[test]
fn a_restart_without_the_server_shows_the_same_and_removes_only_what_a_list_lacks() {
    let stub = Stub::start("restart");
    let secret = "{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{\"namespace\":\"m\",\
        \"name\":\"tor\"},\"data\":{\"password\":\"c2VjcmV0\"}}";
    stub.on("get secrets/tor", [Reply::ok(secret)]);
    let nodes = [node("a"), node("b")];
    stub.on("list nodes", [Reply::list("Node", "5", "", &nodes)]);
    let config = SourceConfig {
        state_directory: Some(stub.folder.clone()),
        ..config(&stub)
    };
    let wanted = BTreeSet::from([ObjectName::new("m", "tor")]);
    let mut owner = Owner::start(config.clone());
    owner.source.want_secrets(wanted.clone());
    owner.until_synced();
    owner.until("the secret", |owner| owner.objects.len() == 3);
    owner.until_status("written", |status| status.snapshot.objects == 3);
    drop(owner);
    stub.stop();

    let mut owner = Owner::start(config);
    owner.until("restored", |owner| owner.progress == Progress::Listing);
    assert_eq!(owner.names(Kind::Node), ["a", "b"]);
    assert_eq!(owner.names(Kind::Secret), ["m/tor"]);
    assert!(owner.objects.values().all(|is_readable| *is_readable));
    owner.source.want_secrets(wanted);
    owner.until_status("it fails", |status| {
        let nodes = &status.feeds["nodes"];
        nodes.errors.get("connect") > Some(&2) && nodes.stale_objects == 2
    });
    stub.on("list nodes", [Reply::list("Node", "9", "", &nodes[..1])]);
    stub.resume();
    owner.until_synced();
    assert_eq!(
        owner.log.len(),
        4,
        "three came back, and one went: {:?}",
        owner.log
    );
    assert_eq!(owner.names(Kind::Node), ["a"]);
    assert_eq!(owner.names(Kind::Secret), ["m/tor"]);
    assert_eq!(owner.source.status().feeds["nodes"].stale_objects, 0);
    // A secret that is no longer wanted is no longer kept.
    owner.source.want_secrets(BTreeSet::new());
    owner.until("the secret is dropped", |owner| owner.objects.len() == 1);
}

#[test]
fn a_slow_owner_gets_everything_in_order() {
    let stub = Stub::start("slow");
    let many: Vec<String> = (0..20_000).map(|i| node(&format!("n{i:05}"))).collect();
    stub.on("list nodes", [Reply::list("Node", "5", "", &many)]);
    let mut owner = Owner::of(&stub);
    // The owner does nothing until the source cannot go on.
    owner.until_status("it waits", |status| {
        let nodes = status.feeds.get("nodes");
        nodes.is_some_and(|nodes| nodes.objects > 5_000)
    });
    owner.until_synced();
    assert_eq!(owner.objects.len(), 20_000);
    assert!(owner.log.is_sorted());
}

#[test]
fn an_object_is_decoded_as_the_planner_wants_it() {
    let stub = Stub::start("decode");
    let text = "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"podCIDRs\":[\"10.1.0.0/24\"]}}";
    stub.on("list nodes", [Reply::list("Node", "5", "", &[text.into()])]);
    let mut source = Source::start(config(&stub)).expect("a thread");
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    let node = runtime.block_on(async {
        loop {
            let batch = source.next().await.expect("alive");
            let first = batch.changes.into_iter().next();
            if let Some(Change::Put(_, Ok(Object::Node(node)))) = first {
                return node;
            }
        }
    });
    assert_eq!(node.pod_cidrs.len(), 1);
    assert_eq!(source.status().feeds["nodes"].objects, 1);
}

const FEEDS: [&str; 4] = ["nodes", "services", "endpointslices", "namespaces"];

const SECRET: &str = "{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{\"namespace\":\"m\",\
    \"name\":\"tor\"},\"data\":{\"password\":\"c2VjcmV0\"}}";

#[test]
fn what_stands_in_the_server_s_place_takes_nothing_out() {
    let mut page = Reply::ok("404 page not found\n");
    page.status = 404;
    let other = SECRET.replace("\"tor\"", "\"other\"");
    let lies = [
        ("json", Reply::ok("{}"), Reply::ok("{}"), "malformed"),
        (
            "other",
            Reply::ok("{\"kind\":\"NodeList\"}"),
            Reply::ok(other),
            "malformed",
        ),
        ("page", page.clone(), page, "unexpected"),
        (
            "status",
            Reply::status(404),
            Reply::ok("<html>"),
            "unexpected",
        ),
    ];
    for (name, list, secret, reason) in lies {
        let stub = Stub::start(&format!("lies-{name}"));
        stub.on("list nodes", [Reply::list("Node", "5", "", &[node("a")])]);
        stub.on("get secrets/tor", [Reply::ok(SECRET)]);
        let mut owner = Owner::of(&stub);
        owner
            .source
            .want_secrets(BTreeSet::from([ObjectName::new("m", "tor")]));
        owner.until("synced, with the secret", |owner| {
            owner.progress == Progress::Synced && owner.objects.len() == 2
        });
        for feed in FEEDS {
            stub.on(&format!("list {feed}"), [list.clone()]);
            stub.on(&format!("watch {feed}"), [Reply::status(410), list.clone()]);
        }
        stub.on("get secrets/tor", [secret]);
        stub.on("watch secrets", [Reply::status(410), list]);
        stub.go_on();
        owner.until_status("each was lied to three times", |status| {
            let lied = |feed: &str| {
                let errors = status.feeds.get(feed).map(|feed| &feed.errors);
                errors.and_then(|errors| errors.get(reason)) > Some(&2)
            };
            // The secret's own lies are of either sort.
            let secret = &status.feeds["secrets m/tor"].errors;
            FEEDS.iter().all(|feed| lied(feed)) && secret.values().sum::<u64>() > 3
        });
        while let Some(batch) = owner.source.try_next() {
            assert!(batch.changes.is_empty(), "{name}: {:?}", batch.changes);
        }
        // The server itself, though, is believed.
        stub.on("get secrets/tor", [Reply::status(404)]);
        owner.until("the secret is gone", |owner| owner.objects.len() == 1);
    }
}

#[test]
fn the_last_run_s_secrets_that_nobody_wants_go_and_its_last_word_is_kept() {
    let stub = Stub::start("tidy");
    stub.on("get secrets/tor", [Reply::ok(SECRET)]);
    stub.on("list nodes", [Reply::list("Node", "5", "", &[node("a")])]);
    let config = SourceConfig {
        state_directory: Some(stub.folder.clone()),
        ..config(&stub)
    };
    let tor = ObjectName::new("m", "tor");
    let mut owner = Owner::start(config.clone());
    owner.source.want_secrets(BTreeSet::from([tor]));
    owner.until("node and secret", |owner| owner.objects.len() == 2);
    // At once: what was heard last is written on the way out.
    drop(owner);
    let mut owner = Owner::start(config.clone());
    owner.until("restored", |owner| owner.objects.len() == 2);
    owner.source.want_secrets(BTreeSet::new());
    owner.until("the secret is dropped", |owner| owner.objects.len() == 1);
    drop(owner);
    // A disk that was copied to another node.
    let node = "n2".into();
    let mut other = Owner::start(SourceConfig { node, ..config });
    other.until("started", |other| other.progress > Progress::Restoring);
    let snapshot = other.source.status().snapshot.clone();
    let trouble = snapshot.trouble.unwrap_or_default();
    assert!(trouble.contains("it is of node n1 of http://"), "{trouble}");
    assert_eq!(snapshot.restored, 0);
}
