//! Reloads under running sessions: what changes, what stays, and what the plan said beforehand.
//!
//! Each test compares three things: the plan made before the change, the sessions after it, and
//! what the neighbor was told.

#[allow(dead_code)] // Each test binary uses its part of the lab.
mod lab;

use std::time::Duration;

use bgpd::session::State;
use lab::Lab;

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const C: &str = "10.0.0.3";
const MINUTE: Duration = Duration::from_secs(60);

/// The configuration of A: one eBGP neighbor with `settings`, and `rest` after it.
fn config_of_a(settings: &str, rest: &str) -> String {
    format!(
        "[router]\nasn = 64501\nrouter-id = \"{A}\"\n[kernel]\n\
         [[policy]]\nname = \"in\"\nrules = [{{ then = \"accept\" }}]\n\
         [[policy]]\nname = \"out\"\nrules = [{{ then = \"accept\" }}]\n\
         [[neighbor]]\naddress = \"{B}\"\nasn = 64502\n\
         import = \"in\"\nexport = \"out\"\n{settings}\n{rest}\n"
    )
}

fn config_of(own: &str, asn: u32, rest: &str) -> String {
    format!(
        "[router]\nasn = {asn}\nrouter-id = \"{own}\"\n[kernel]\n\
         [[neighbor]]\naddress = \"{A}\"\nasn = 64501\n\
         import = \"accept-all\"\nexport = \"accept-all\"\n{rest}\n"
    )
}

fn is_up(lab: &Lab, at: usize, neighbor: &str) -> bool {
    lab.state(at, neighbor) == Some(State::Established)
}

fn pair(settings: &str) -> (Lab, usize, usize) {
    let mut lab = Lab::new();
    let a = lab.add(A, &config_of_a(settings, ""));
    let b = lab.add(B, &config_of(B, 64502, ""));
    assert!(lab.run_until(MINUTE, |lab| is_up(lab, a, B) && is_up(lab, b, A)));
    (lab, a, b)
}

/// The eleven changes that other daemons treat differently: none of them needs a reset.
#[test]
fn eleven_changes_reset_no_session() {
    let changes = [
        ("description", "description = \"uplink\"", ""),
        ("hold time", "hold-time = \"30s\"", ""),
        ("prefix limit", "max-prefixes = 1000", ""),
        ("import policy", "import = \"accept-all\"", ""),
        ("export policy", "export = \"accept-all\"", ""),
        (
            "new network",
            "",
            "[[advertise]]\nkind = \"network\"\nprefixes = [\"192.0.2.0/24\"]",
        ),
        (
            "unrelated peer",
            "",
            "[[neighbor]]\naddress = \"10.0.0.9\"\nasn = 64509",
        ),
        ("next-hop-self", "next-hop-self = true", ""),
        ("graceful restart", "graceful-restart = \"full\"", ""),
        ("add-path", "add-path = \"both\"", ""),
        (
            "add IPv6",
            "families = [\"ipv4-unicast\", \"ipv6-unicast\"]",
            "",
        ),
    ];
    for (name, settings, rest) in changes {
        let (mut lab, a, b) = pair("families = [\"ipv4-unicast\"]");
        let mut new = config_of_a("families = [\"ipv4-unicast\"]", rest);
        if let Some((key, _)) = settings.split_once(" = ") {
            let kept: Vec<&str> = new
                .lines()
                .filter(|line| !line.starts_with(&format!("{key} = ")))
                .collect();
            new = kept.join("\n");
            let at = new.find("asn = 64502\n").expect("the neighbor") + "asn = 64502\n".len();
            new.insert_str(at, &format!("{settings}\n"));
        }
        let plan = lab.reload(a, &new);
        assert!(!plan.is_empty(), "{name}: the plan says what changes");
        assert!(
            plan.iter().all(|line| !line.starts_with("SessionReset")),
            "{name}: {plan:?}"
        );
        lab.run_for(5 * MINUTE);
        assert_eq!((lab.ups(a, B), lab.ups(b, A)), (1, 1), "{name}: {plan:?}");
    }
}

#[test]
fn a_reload_without_changes_does_nothing() {
    let (mut lab, a, b) = pair("");
    let plan = lab.reload(a, &config_of_a("", ""));
    assert_eq!(plan, Vec::<String>::new());
    lab.run_for(5 * MINUTE);
    assert_eq!((lab.ups(a, B), lab.ups(b, A)), (1, 1));
}

#[test]
fn a_new_key_resets_the_one_session_the_plan_named() {
    let directory = std::env::temp_dir().join(format!("wayfare-reload-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for the key");
    let key = directory.join("key");
    std::fs::write(&key, "secret\n").expect("a key file");
    let password = format!("password-file = \"{}\"", key.display());

    let mut lab = Lab::new();
    let other = "[[neighbor]]\naddress = \"10.0.0.3\"\nasn = 64503\n";
    let a = lab.add(A, &config_of_a("", other));
    let b = lab.add(B, &config_of(B, 64502, ""));
    let c = lab.add(C, &config_of(C, 64503, ""));
    assert!(lab.run_until(MINUTE, |lab| is_up(lab, b, A) && is_up(lab, c, A)));

    let plan = lab.reload(a, &config_of_a(&password, other));
    let resets: Vec<&String> = plan
        .iter()
        .filter(|line| line.starts_with("SessionReset"))
        .collect();
    assert_eq!(resets.len(), 1, "{plan:?}");
    lab.run_for(MINUTE);
    assert!(!is_up(&lab, a, B), "only one side has the key");
    lab.reload(
        b,
        &config_of(B, 64502, "").replace("asn = 64501", &format!("asn = 64501\n{password}")),
    );
    assert!(lab.run_until(5 * MINUTE, |lab| is_up(lab, a, B) && is_up(lab, b, A)));
    assert_eq!(lab.ups(c, A), 1, "the other session never noticed");
    std::fs::remove_dir_all(&directory).expect("the directory goes again");
}

/// A neighbor that a listen range made has the range's key on the listening sockets. Listed by
/// name it needs its own, for the range may go.
#[test]
fn a_dynamic_neighbor_that_is_listed_gets_a_key_of_its_own() {
    let name = format!("wayfare-listed-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).expect("a directory for the key");
    let key = directory.join("key");
    std::fs::write(&key, "secret\n").expect("a key file");
    let password = format!("password-file = \"{}\"", key.display());
    let accept = "import = \"accept-all\"\nexport = \"accept-all\"\n";
    let with = |rest: &str| {
        format!(
            "[router]\nasn = 64501\nrouter-id = \"{A}\"\n[kernel]\n\
             [[peer-group]]\nname = \"g\"\nasn = 64502\n{accept}{password}\n{rest}"
        )
    };
    let range = "[[listen-range]]\nprefix = \"10.0.0.0/24\"\npeer-group = \"g\"\n";
    let mut lab = Lab::new();
    let a = lab.add(A, &with(range));
    let b = config_of(B, 64502, "").replace("asn = 64501", &format!("asn = 64501\n{password}"));
    lab.add(B, &b);
    assert!(lab.run_until(MINUTE, |lab| is_up(lab, a, B)));
    let listed = format!("[[neighbor]]\naddress = \"{B}\"\npeer-group = \"g\"\n");
    lab.reload(a, &with(&listed));
    lab.run_for(MINUTE);
    let keys: Vec<String> = lab.nodes[a].keys.keys().map(ToString::to_string).collect();
    assert_eq!(keys, ["10.0.0.2/32"]);
    std::fs::remove_dir_all(&directory).expect("the directory goes again");
}

#[test]
fn neighbors_come_and_go_and_the_others_stay() {
    let (mut lab, a, b) = pair("");
    let c = lab.add(C, &config_of(C, 64503, ""));
    let with_c = "[[neighbor]]\naddress = \"10.0.0.3\"\nasn = 64503\n";
    lab.reload(a, &config_of_a("", with_c));
    assert!(lab.run_until(5 * MINUTE, |lab| is_up(lab, c, A)));
    lab.reload(a, &config_of_a("", ""));
    assert!(lab.run_until(MINUTE, |lab| !is_up(lab, c, A)));
    let told = lab.nodes[c]
        .events
        .iter()
        .any(|event| event.to_string().contains("6/3"));
    assert!(told, "Peer De-configured: {:?}", lab.nodes[c].events);
    lab.run_for(5 * MINUTE);
    assert_eq!((lab.ups(a, B), lab.ups(b, A)), (1, 1));
}

#[test]
fn shutdown_and_back_by_reload() {
    let (mut lab, a, b) = pair("");
    lab.reload(a, &config_of_a("shutdown = true", ""));
    assert!(lab.run_until(MINUTE, |lab| !is_up(lab, b, A)));
    lab.run_for(5 * MINUTE);
    assert_eq!(lab.state(a, B), Some(State::Idle), "it stays down");
    lab.reload(a, &config_of_a("", ""));
    assert!(lab.run_until(5 * MINUTE, |lab| is_up(lab, a, B) && is_up(lab, b, A)));
}

#[test]
fn another_router_id_waits_for_a_restart() {
    let (mut lab, a, b) = pair("");
    let new = config_of_a("", "").replace("router-id = \"10.0.0.1\"", "router-id = \"10.0.0.77\"");
    let plan = lab.reload(a, &new);
    assert!(
        plan.iter().any(|line| line.starts_with("Restart")),
        "{plan:?}"
    );
    lab.run_for(5 * MINUTE);
    assert_eq!((lab.ups(a, B), lab.ups(b, A)), (1, 1));
}

/// Both sides hold each other down after a reset; nobody may refuse for ever.
#[test]
fn two_speakers_find_each_other_again_after_a_reset() {
    let (mut lab, a, b) = pair("");
    let now = lab.now;
    let target = bgpd::speaker::operator::Target::All;
    lab.nodes[a]
        .speaker
        .clear(now, &target, bgpd::speaker::operator::Clear::Hard);
    assert!(lab.run_until(MINUTE, |lab| lab.ups(b, A) == 2 && is_up(lab, a, B)));
}

/// A service must not lose its address because a file was edited (MetalLB refuses this too).
#[test]
fn a_pool_that_loses_an_address_in_use_is_refused_as_a_whole() {
    let pool = |range: &str| format!("[[pool]]\nname = \"web\"\naddresses = \"{range}\"");
    let mut lab = Lab::new();
    let a = lab.add(A, &config_of_a("", &pool("10.0.50.0/24")));
    lab.pool_use(a, "10.0.50.40");
    let smaller = config_of_a("description = \"new\"", &pool("10.0.50.0/28"));
    let refused = lab.refused(a, &smaller).expect("an address is in use");
    assert_eq!(
        refused,
        "in use, and in no pool of the new file: 10.0.50.40; release them first"
    );
    let larger = config_of_a("", &pool("10.0.48.0/20"));
    assert_eq!(lab.refused(a, &larger), None);
}

#[test]
fn another_as_is_refused_while_running() {
    let mut lab = Lab::new();
    let a = lab.add(A, &config_of_a("", ""));
    let other = config_of_a("", "").replace("asn = 64501", "asn = 64511");
    let refused = lab.refused(a, &other).expect("who we are does not change");
    assert!(refused.contains("64501 -> 64511"), "{refused}");
}
