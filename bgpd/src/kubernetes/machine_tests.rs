//! Every state of the machine with every input, and the stories that take several.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn states(now: Instant) -> Vec<(&'static str, State)> {
    let next = |next: &str| Some(next.to_owned()).filter(|next| !next.is_empty());
    let listing = |page| State::Listing {
        next: next(page),
        began: now,
        heard: now,
    };
    let watching = |is_accepted| State::Watching {
        version: "7".into(),
        began: now,
        heard: now,
        is_accepted,
    };
    let waiting = |resume| State::Waiting {
        until: now + SECOND,
        reason: "server",
        resume,
    };
    let off = |reason| State::Off {
        until: now + SECOND,
        reason,
        since: now,
    };
    let version = "7".to_owned();
    vec![
        ("wait-list", waiting(Resume::List { next: None })),
        ("wait-watch", waiting(Resume::Watch { version })),
        ("list", listing("")),
        ("list-2", listing("c")),
        ("watch-new", watching(false)),
        ("watch", watching(true)),
        ("forbidden", off("forbidden")),
        ("absent", off("absent")),
    ]
}

fn inputs() -> Vec<(&'static str, Input)> {
    let refused = |code| Input::Refused {
        code,
        retry_after: (code == 429).then_some(7 * SECOND),
    };
    let version = || "9".to_owned();
    let page = |next: Option<&str>| Input::Page {
        version: version(),
        next: next.map(str::to_owned),
    };
    vec![
        ("timeout", Input::Timeout),
        ("accepted", Input::Accepted),
        ("progress", Input::Progress),
        ("page", page(Some("d"))),
        ("last page", page(None)),
        ("object", Input::Object { version: version() }),
        ("bookmark", Input::Bookmark { version: version() }),
        ("301", refused(301)),
        ("400", refused(400)),
        ("401", refused(401)),
        ("403", refused(403)),
        ("404", refused(404)),
        ("410", refused(410)),
        ("429", refused(429)),
        ("500", refused(500)),
        ("504", refused(504)),
        ("absent", Input::Absent),
        ("garbled", Input::Garbled),
        ("closed", Input::Closed),
        ("broken", Input::Broken),
    ]
}

/// A machine in a state, at `now`.
fn machine(state: State, now: Instant) -> Machine {
    Machine {
        state,
        ..Machine::new(false, now, 1)
    }
}

fn show(state: &State) -> String {
    match state {
        State::Listing { next, .. } => format!("list {}", next.as_deref().unwrap_or("1")),
        State::Watching { version, .. } => format!("watch {version}"),
        State::Waiting { reason, resume, .. } => match resume {
            Resume::List { next } => {
                format!("{reason}, then list {}", next.as_deref().unwrap_or("1"))
            }
            Resume::Watch { version } => format!("{reason}, then watch {version}"),
        },
        State::Off { reason, .. } => format!("off {reason}"),
    }
}

fn outcome(machine: &Machine, step: &Step) -> String {
    let mut words = vec![show(machine.state())];
    words.extend(step.mark.map(|mark| format!("{mark:?}")));
    words.extend(step.hang_up.then(|| "hang up".into()));
    words.extend(step.ask.as_ref().map(|_| "ask".into()));
    words.extend(step.error.map(|error| format!("count {error}")));
    words.join("; ")
}

#[test]
fn every_state_meets_every_input() {
    let mut table = String::new();
    let start = Instant::now();
    // Late enough for every deadline and for a watch to have lived.
    let now = start + SILENCE_MAX;
    for (state_name, state) in states(start) {
        for (input_name, input) in inputs() {
            let mut machine = machine(state.clone(), start);
            let step = machine.handle(input, now);
            let what = outcome(&machine, &step);
            // Deadlines lie ahead, unless nothing happened and the old one is past.
            let is_ahead = machine.deadline() > now || machine.state == state;
            assert!(
                is_ahead,
                "{state_name} + {input_name}: deadline in the past"
            );
            let is_quiet = step == Step::default() && show(&state) == show(machine.state());
            if !is_quiet {
                table.push_str(&format!("{state_name} + {input_name} -> {what}\n"));
            }
        }
    }
    let expected = include_str!("machine_table.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/kubernetes/machine_table.txt"
        );
        std::fs::write(path, &table).expect("the source is writable");
        return;
    }
    assert_eq!(table, expected, "UPDATE_EXPECT=1 writes it anew");
}

/// Feeds inputs one after the other, each when the machine asks for nothing.
struct Story {
    machine: Machine,
    now: Instant,
}

impl Story {
    fn new() -> Self {
        let now = Instant::now();
        let machine = Machine::new(false, now, 1);
        let mut story = Self { machine, now };
        assert_eq!(story.timeout().ask, Some(Ask::List { next: None }));
        story
    }

    fn watching() -> Self {
        let mut story = Self::new();
        story.page();
        story.hear(Input::Accepted);
        story
    }

    fn hear(&mut self, input: Input) -> Step {
        self.machine.handle(input, self.now)
    }

    fn page(&mut self) -> Step {
        let version = "7".into();
        self.hear(Input::Page {
            version,
            next: None,
        })
    }

    fn refuse(&mut self, code: u16) -> Step {
        self.hear(Input::Refused {
            code,
            retry_after: None,
        })
    }

    /// Lets time pass to the deadline; how long that was goes to `waited`.
    fn timeout(&mut self) -> Step {
        self.now = self.now.max(self.machine.deadline());
        self.hear(Input::Timeout)
    }

    fn wait(&self) -> Duration {
        self.machine.deadline() - self.now
    }
}

#[test]
fn only_a_whole_list_is_complete_and_a_broken_page_is_asked_again() {
    let mut story = Story::new();
    let next = Some("p2".to_owned());
    let version = "7".to_owned();
    let step = story.hear(Input::Page { version, next });
    let next = Some("p2".to_owned());
    assert_eq!((step.mark, step.ask), (None, Some(Ask::List { next })));
    assert_eq!(story.hear(Input::Broken).mark, None);
    let step = story.timeout();
    let next = Some("p2".to_owned());
    assert_eq!((step.mark, step.ask), (None, Some(Ask::List { next })));
    // An expired continue token begins a new list.
    let step = story.refuse(410);
    let begun = (Some(Mark::Begin), Some(Ask::List { next: None }));
    assert_eq!((step.mark, step.ask), begun);
    assert_eq!(story.page().mark, Some(Mark::Complete));
}

#[test]
fn a_watch_resumes_at_the_last_bookmark() {
    let mut story = Story::watching();
    let version = "8".to_owned();
    story.hear(Input::Object { version });
    let version = "12".to_owned();
    story.hear(Input::Bookmark { version });
    story.hear(Input::Broken);
    let version = Some("12".to_owned());
    assert_eq!(story.timeout().ask, Some(Ask::Watch { version }));
    // So it does after its time, at once.
    story.hear(Input::Accepted);
    story.now += WATCH_TIME;
    let version = Some("12".to_owned());
    assert_eq!(story.hear(Input::Closed).ask, Some(Ask::Watch { version }));
}

#[test]
fn a_version_that_expires_again_and_again_does_not_list_in_a_circle() {
    let mut story = Story::watching();
    assert_eq!(story.refuse(410).ask, Some(Ask::List { next: None }));
    let mut waits = Vec::new();
    for _ in 0..10 {
        story.page();
        assert_eq!(story.refuse(410).ask, None);
        waits.push(story.wait());
        assert_eq!(story.timeout().ask, Some(Ask::List { next: None }));
    }
    assert!(waits[9] >= BACKOFF_MAX * 3 / 4, "{waits:?}");
}

#[test]
fn a_version_that_the_server_never_reaches_is_given_up() {
    // A server that was restored from a backup: 504 "Too large resource version".
    let mut story = Story::watching();
    for _ in 0..RESUMES_MAX {
        story.refuse(504);
        let version = Some("7".to_owned());
        assert_eq!(story.timeout().ask, Some(Ask::Watch { version }));
    }
    story.refuse(504);
    assert_eq!(story.timeout().ask, Some(Ask::List { next: None }));
}

#[test]
fn backoff_grows_to_its_bound_and_forgets() {
    let mut story = Story::new();
    let mut last = Duration::ZERO;
    for round in 0..12 {
        story.hear(Input::Broken);
        let wait = story.wait();
        assert!(wait <= BACKOFF_MAX, "{wait:?}");
        assert!(
            round > 6 || wait > last,
            "round {round}: {wait:?} after {last:?}"
        );
        last = wait;
        story.timeout();
    }
    assert!(story.machine.is_failing());
    story.page();
    assert!(!story.machine.is_failing());
    story.hear(Input::Broken);
    assert!(story.wait() <= BACKOFF_BASE);
}

#[test]
fn retry_after_is_kept_and_bounded() {
    for (asked, least, most) in [(7, 7, 7), (86_400, 120, 120)] {
        let mut story = Story::new();
        let retry_after = Some(asked * SECOND);
        story.hear(Input::Refused {
            code: 429,
            retry_after,
        });
        let wait = story.wait();
        assert!(wait >= least * SECOND && wait <= most * SECOND, "{wait:?}");
    }
}

#[test]
fn off_is_asked_again_ever_more_slowly_and_comes_back() {
    let forbidden = Input::Refused {
        code: 403,
        retry_after: None,
    };
    for (refusal, most) in [(forbidden, FORBIDDEN_MAX), (Input::Absent, ABSENT_MAX)] {
        let mut story = Story::new();
        let mut asked = 0;
        let begin = story.now;
        while story.now < begin + 30 * 60 * SECOND {
            story.hear(refusal.clone());
            assert!(story.wait() <= most, "{refusal:?}: {:?}", story.wait());
            assert_eq!(story.timeout().ask, Some(Ask::List { next: None }));
            asked += 1;
        }
        assert!(
            asked <= 50,
            "{refusal:?}: asked {asked} times in half an hour"
        );
        assert_eq!(story.page().mark, Some(Mark::Complete));
        // The next time it begins gently again.
        story.hear(refusal);
        assert!(story.wait() <= OFF_BASE);
    }
}

#[test]
fn a_kind_is_gone_when_it_is_absent_for_long_and_not_before() {
    let mut story = Story::watching();
    story.refuse(410);
    let absent = story.now;
    let gone = loop {
        let step = story.hear(Input::Absent);
        if step.mark == Some(Mark::Gone) {
            break story.now;
        }
        story.timeout();
    };
    assert!(gone >= absent + ABSENT_GRACE);
    assert!(gone <= absent + ABSENT_GRACE + ABSENT_MAX, "bounded");
    // Forbidden says nothing about what there is, however long, nor does a 404 that may be that of
    // whatever stands in the server's place.
    for code in [403, 404] {
        let mut story = Story::watching();
        story.refuse(410);
        for _ in 0..30 {
            assert_eq!(story.refuse(code).mark, None);
            story.timeout();
        }
    }
}

#[test]
fn a_drip_does_not_hold_a_list_for_ever() {
    let mut story = Story::new();
    let begin = story.now;
    loop {
        story.now += SECOND;
        story.hear(Input::Progress);
        if story.hear(Input::Timeout).hang_up {
            break;
        }
    }
    assert!(story.now <= begin + PAGE_TIME_MAX + SECOND);
}

#[test]
fn a_silent_watch_is_reopened_at_its_version() {
    let mut story = Story::watching();
    let step = story.timeout();
    let version = Some("7".to_owned());
    assert_eq!(
        (step.hang_up, step.ask),
        (true, Some(Ask::Watch { version }))
    );
    // One that is not even accepted is a failure.
    assert_eq!(story.timeout().ask, None);
}

#[test]
fn a_single_object_is_got_and_then_watched_and_never_listed() {
    let now = Instant::now();
    let mut machine = Machine::new(true, now, 1);
    assert_eq!(machine.handle(Input::Timeout, now).ask, Some(Ask::Get));
    let page = Input::Page {
        version: String::new(),
        next: None,
    };
    let step = machine.handle(page, now);
    let watch = (Some(Mark::Complete), Some(Ask::Watch { version: None }));
    assert_eq!((step.mark, step.ask), watch);
    let later = now + WATCH_TIME;
    let step = machine.handle(Input::Closed, later);
    assert_eq!(
        step.ask,
        Some(Ask::Get),
        "its old version may be compacted away"
    );
}
