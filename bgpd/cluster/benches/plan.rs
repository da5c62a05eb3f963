//! What a plan costs: 5,000 services with ten slices of ten endpoints each, and 500 nodes.
//!
//! The bars of the project: a full recompute under 20 ms, one event under 1 ms. `cargo bench -p
//! cluster` prints first what the objects and the result weigh on the heap, counted at the
//! allocator, and the CPU time of the plans that the bars are about (a busy machine stretches wall
//! time), then wall times of more of them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster::object::{Key, Kind, Object};
use cluster::{Change, DialectName, Facts, Marks, Options, Planner, PoolOption, ProxyHealth};
use divan::Bencher;

const SERVICES: usize = 5_000;
const NODES: usize = 500;
/// Slices per service where time is measured.
const SLICES: usize = 10;
/// Endpoints per slice.
const ENDPOINTS: usize = 10;

/// Counts what is held.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed to the system's allocator unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    for (slices, endpoints) in [(1, 3), (1, 10), (SLICES, ENDPOINTS)] {
        let before = HELD.load(Ordering::Relaxed);
        let planner = planned(slices, endpoints, 32);
        let held = HELD.load(Ordering::Relaxed) - before;
        let count = planner.desired().announcements.len();
        println!(
            "{SERVICES} services x {slices} slices x {endpoints} endpoints, {NODES} nodes: \
             {:.1} MiB held, {count} announcements",
            held as f64 / f64::from(1 << 20)
        );
    }
    cpu_times();
    divan::main();
}

/// Medians of the CPU time of this thread.
fn cpu_times() {
    let first: Vec<f64> = (0..15)
        .map(|_| {
            let mut planner = loaded(SLICES, ENDPOINTS, 32);
            cpu(|| drop(planner.plan()))
        })
        .collect();
    report("first plan", first);
    for aggregation in [32, 24] {
        let mut planner = planned(SLICES, ENDPOINTS, aggregation);
        let mut communities = (1..).map(|value| vec![64500 << 16 | value]);
        let every = (0..31).map(|_| {
            let mut options = planner.options().clone();
            for pool in &mut options.pools {
                pool.marks.communities = communities.next().unwrap_or_default();
            }
            planner.set_options(options);
            cpu(|| drop(planner.plan()))
        });
        let every = every.collect();
        report(
            &format!("full recompute, all attributes change, /{aggregation}"),
            every,
        );
        let mut planner = planned(SLICES, ENDPOINTS, aggregation);
        let flips = (0..31).map(|round| {
            let mut facts = planner.facts().clone();
            facts.proxy = [ProxyHealth::Unhealthy, ProxyHealth::Healthy][round % 2];
            planner.set_facts(facts);
            cpu(|| drop(planner.plan()))
        });
        let flips = flips.collect();
        report(
            &format!("all withdrawn or announced, /{aggregation}"),
            flips,
        );
    }
    let mut planner = planned(SLICES, ENDPOINTS, 32);
    let events = (0..2_001).map(|count: usize| {
        let change = slice(count / 2 % SERVICES, 3, ENDPOINTS, count.is_multiple_of(2));
        cpu(|| {
            planner.apply(change);
            drop(planner.plan());
        })
    });
    report("one slice event", events.collect());
}

fn cpu(run: impl FnOnce()) -> f64 {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    let now = || Duration::from(clock.now().expect("every Linux has this clock"));
    let before = now();
    run();
    (now() - before).as_secs_f64() * 1e3
}

fn report(name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    println!(
        "CPU of {name}: median {:.3} ms, p99 {:.3} ms, least {:.3} ms",
        at(50),
        at(99),
        times[0]
    );
}

fn put(kind: Kind, json: &str) -> Change {
    let object = Object::decode(kind, json.as_bytes()).expect("the text is written here");
    let key: Key = object.key();
    Change::Put(key, Ok(object))
}

fn service(index: usize, policy: &str) -> Change {
    let (high, low) = (index / 250, index % 250 + 1);
    put(
        Kind::Service,
        &format!(
            r#"{{"metadata":{{"name":"service-{index:05}","namespace":"team-{}",
            "creationTimestamp":"2026-01-01T00:00:00Z",
            "labels":{{"app.kubernetes.io/name":"app-{index}","team":"team-{}"}}}},
            "spec":{{"type":"LoadBalancer","clusterIPs":["10.96.{high}.{low}"],
            "externalTrafficPolicy":"{policy}"}},
            "status":{{"loadBalancer":{{"ingress":[{{"ip":"10.20.{high}.{low}"}}]}}}}}}"#,
            index % 40,
            index % 40,
        ),
    )
}

fn slice(index: usize, slice: usize, endpoints: usize, ready: bool) -> Change {
    let endpoints: Vec<String> = (0..endpoints)
        .map(|endpoint| {
            let node = (index * 7 + slice * 13 + endpoint) % NODES;
            format!(
                r#"{{"addresses":["10.244.1.1"],"nodeName":"worker-{node:04}.example.net",
                "conditions":{{"ready":{ready},"serving":{ready},"terminating":false}}}}"#
            )
        })
        .collect();
    put(
        Kind::EndpointSlice,
        &format!(
            r#"{{"metadata":{{"name":"service-{index:05}-{slice:02}x7k","namespace":"team-{}",
            "labels":{{"kubernetes.io/service-name":"service-{index:05}"}}}},
            "addressType":"IPv4","endpoints":[{}]}}"#,
            index % 40,
            endpoints.join(",")
        ),
    )
}

fn node(index: usize, extra: &str) -> Change {
    put(
        Kind::Node,
        &format!(
            r#"{{"metadata":{{"name":"worker-{index:04}.example.net","labels":{{
            "kubernetes.io/hostname":"worker-{index:04}.example.net","kubernetes.io/os":"linux",
            "topology.kubernetes.io/zone":"zone-{}"{extra}}}}},
            "spec":{{"podCIDRs":["10.{}.{}.0/24"]}},
            "status":{{"addresses":[{{"type":"InternalIP","address":"172.16.{}.{}"}}]}}}}"#,
            index % 3,
            128 + index / 250,
            index % 250,
            index / 250,
            index % 250 + 1
        ),
    )
}

fn options(aggregation: u8) -> Options {
    let mut options = Options::new("worker-0000.example.net");
    options.dialects = vec![DialectName::Native];
    options.service_cidrs = vec!["10.96.0.0/12".parse().expect("a range")];
    options.pools = vec![PoolOption {
        name: "web".into(),
        blocks: vec!["10.20.0.0/16".parse().expect("a range")],
        aggregation_v4: aggregation,
        aggregation_v6: 128,
        marks: Marks {
            communities: vec![64500 << 16 | 1],
            ..Marks::default()
        },
        neighbors: None,
    }];
    options
}

fn loaded(slices: usize, endpoints: usize, aggregation: u8) -> Planner {
    let mut planner = Planner::new(options(aggregation), Facts::default());
    for index in 0..NODES {
        planner.apply(node(index, ""));
    }
    for index in 0..SERVICES {
        planner.apply(service(
            index,
            if index % 2 == 0 { "Cluster" } else { "Local" },
        ));
        for number in 0..slices {
            planner.apply(slice(index, number, endpoints, true));
        }
    }
    planner
}

fn planned(slices: usize, endpoints: usize, aggregation: u8) -> Planner {
    let mut planner = loaded(slices, endpoints, aggregation);
    planner.plan();
    planner
}

/// Everything is looked at again, and everything changes: all announced to all withdrawn.
#[divan::bench(sample_count = 30, args = [32, 24])]
fn full_recompute_all_changes(bencher: Bencher<'_, '_>, aggregation: u8) {
    let mut planner = planned(SLICES, ENDPOINTS, aggregation);
    let mut healthy = true;
    bencher.bench_local(|| {
        healthy = !healthy;
        let mut facts = planner.facts().clone();
        facts.proxy = if healthy {
            ProxyHealth::Healthy
        } else {
            ProxyHealth::Unhealthy
        };
        planner.set_facts(facts);
        planner.plan()
    });
}

/// Everything is looked at again, and nothing changes.
#[divan::bench(sample_count = 30)]
fn full_recompute_nothing_changes(bencher: Bencher<'_, '_>) {
    let mut planner = planned(SLICES, ENDPOINTS, 32);
    let mut count = 0;
    bencher.bench_local(|| {
        count += 1;
        planner.apply(node(0, &format!(r#","beat":"{count}""#)));
        planner.plan()
    });
}

/// From objects to the first plan.
#[divan::bench(sample_count = 15)]
fn first_plan(bencher: Bencher<'_, '_>) {
    let planner = loaded(SLICES, ENDPOINTS, 32);
    bencher
        .with_inputs(|| planner.clone())
        .bench_local_values(|mut planner| planner.plan());
}

/// A slice turns ready and not ready. Of 24 bits of aggregate, 250 services share one.
#[divan::bench(sample_count = 300, args = [32, 24, 16])]
fn one_slice_event(bencher: Bencher<'_, '_>, aggregation: u8) {
    let mut planner = planned(SLICES, ENDPOINTS, aggregation);
    let mut count = 0;
    bencher
        .with_inputs(|| {
            count += 1;
            slice(count / 2 % SERVICES, 3, ENDPOINTS, count % 2 == 0)
        })
        .bench_local_values(|change| {
            planner.apply(change);
            planner.plan()
        });
}

/// A service changes its policy.
#[divan::bench(sample_count = 300, args = [32, 24, 16])]
fn one_service_event(bencher: Bencher<'_, '_>, aggregation: u8) {
    let mut planner = planned(SLICES, ENDPOINTS, aggregation);
    let mut count = 0;
    bencher
        .with_inputs(|| {
            count += 1;
            service(
                count / 2 % SERVICES,
                if count % 2 == 0 { "Cluster" } else { "Local" },
            )
        })
        .bench_local_values(|change| {
            planner.apply(change);
            planner.plan()
        });
}

/// Another node changes its labels: neighbors only.
#[divan::bench(sample_count = 300)]
fn one_event_of_another_node(bencher: Bencher<'_, '_>) {
    let mut planner = planned(SLICES, ENDPOINTS, 32);
    let mut count = 0;
    bencher
        .with_inputs(|| {
            count += 1;
            node(count % 400 + 1, &format!(r#","beat":"{count}""#))
        })
        .bench_local_values(|change| {
            planner.apply(change);
            planner.plan()
        });
}

/// Decoding one slice of ten endpoints.
#[divan::bench]
fn decode_slice() -> Change {
    slice(1, 1, ENDPOINTS, true)
}
