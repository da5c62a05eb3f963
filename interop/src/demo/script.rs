//! What happens in the demo, as steps: do something, wait for what the routers must show, say how
//! long it took. The first step that fails ends the play, live and headless alike.
//!
//! What is waited for is always the routers' own view: FRR's and BIRD's sessions, the gateways in
//! their kernels, the counters of their TCP. Our side's word alone proves nothing. The control
//! plane's steps are in [`vip`], those of services in [`cluster`].

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::cluster;
use super::stage::{SERVICE, Stage, address, pod_cidr};
use super::vip;
use crate::lab::Lab;
use crate::peers::{Router, wayfare};
use crate::wait;

/// The longest any step may take.
pub const STEP_LIMIT: Duration = Duration::from_secs(30);

/// A step: its title, and what does it and returns the measured figure in words.
pub type Step = (&'static str, fn(&Stage) -> Result<String, String>);

/// The play.
pub const STEPS: [Step; 15] = [
    (
        "six sessions with the routers and the nodes' mesh come up",
        sessions,
    ),
    ("every pod CIDR is in both routers' kernels", pod_cidrs),
    (
        "a service address in use appears on both routers, ECMP over three nodes",
        service,
    ),
    ("traffic to the service arrives", traffic),
    ("a node's daemon is killed and the group shrinks", node_dies),
    ("the node comes back and so does its path", node_returns),
    ("a session with a wrong key is refused", wrong_key),
    (
        "a Service and its EndpointSlice are created: its address appears",
        cluster::appears,
    ),
    (
        "its endpoint on node1 goes, and so does the path",
        cluster::moves,
    ),
    ("the Service is deleted", cluster::vanishes),
    (
        "four lines of vrrpd.toml are the address of a control plane",
        vip::address,
    ),
    ("it is handed over and back under traffic", vip::planned),
    ("its master's daemon is killed", vip::killed),
    ("the killed daemon returns and takes over", vip::returns),
    ("its master's cable is pulled", vip::unplugged),
];

fn sessions(stage: &Stage) -> Result<String, String> {
    let (_, took) = wait::poll(STEP_LIMIT, || {
        let open: Vec<_> = stage
            .look()
            .sessions
            .into_iter()
            .filter(|(_, _, up)| !up)
            .collect();
        if open.is_empty() {
            Ok(())
        } else {
            Err(format!("not Established: {open:?}"))
        }
    })?;
    for node in &stage.nodes {
        for other in stage
            .nodes
            .iter()
            .filter(|other| address(other) != address(node))
        {
            wait::poll(STEP_LIMIT, || match node.is_established(address(other)) {
                Ok(true) => Ok(()),
                other => Err(format!("mesh of {}: {other:?}", node.node.name())),
            })?;
        }
    }
    Ok(format!(
        "9 sessions {:.2} s after the last daemon started",
        took.as_secs_f64()
    ))
}

fn pod_cidrs(stage: &Stage) -> Result<String, String> {
    let started = Instant::now();
    for router in &stage.routers {
        for index in 3..=5 {
            kernel(router, &pod_cidr(index), &[index])?;
        }
    }
    Ok(format!("3 on each, {} ms", started.elapsed().as_millis()))
}

fn service(stage: &Stage) -> Result<String, String> {
    let started = Instant::now();
    for node in &stage.nodes {
        wayfare::wayfare(&node.node, &format!("pool use {SERVICE}"))?;
    }
    for router in &stage.routers {
        kernel(router, &format!("{SERVICE}/32"), &[3, 4, 5])?;
    }
    Ok(format!(
        "{} ms from the first `pool use`",
        started.elapsed().as_millis()
    ))
}

fn traffic(stage: &Stage) -> Result<String, String> {
    for node in &stage.nodes {
        node.node.output(
            "ip",
            &["address", "replace", &format!("{SERVICE}/32"), "dev", "lo"],
        )?;
    }
    let tor = &stage.routers[0].node;
    let text = tor.output(
        "ping",
        &["-n", "-c", "20", "-i", "0.01", "-W", "2", SERVICE],
    )?;
    let summary = text
        .lines()
        .find(|line| line.contains("packets transmitted"));
    Ok(summary
        .unwrap_or("no summary")
        .split(", time")
        .next()
        .unwrap_or_default()
        .to_owned())
}

fn node_dies(stage: &Stage) -> Result<String, String> {
    let started = Instant::now();
    stage.nodes[2].kill();
    shrink_or_grow(stage, &[3, 4], started)
}

fn node_returns(stage: &Stage) -> Result<String, String> {
    let started = Instant::now();
    stage.nodes[2].start_again();
    // Addresses in use are remembered; a daemon that forgot is told again.
    let asked = wayfare::wayfare(&stage.nodes[2].node, &format!("pool use {SERVICE}"));
    asked.or_else(|why| {
        if why.contains("in use") {
            Ok(why)
        } else {
            Err(why)
        }
    })?;
    shrink_or_grow(stage, &[3, 4, 5], started)
}

fn shrink_or_grow(stage: &Stage, nodes: &[u8], started: Instant) -> Result<String, String> {
    let mut figures = Vec::new();
    for router in &stage.routers {
        kernel(router, &format!("{SERVICE}/32"), nodes)?;
        figures.push(format!(
            "{} {} ms",
            router.node.name(),
            started.elapsed().as_millis()
        ));
    }
    Ok(format!("group of {}: {}", nodes.len(), figures.join(", ")))
}

fn wrong_key(stage: &Stage) -> Result<String, String> {
    let tor = &stage.routers[0];
    let (dropped, _) = wait::poll(STEP_LIMIT, || {
        let counters = tor.node.read_proc("net/netstat")?;
        match counter(&counters, "TCPMD5Failure") {
            Some(count) if count > 0 => Ok(count),
            other => Err(format!("tor1's kernel counts {other:?} wrong digests")),
        }
    })?;
    let stranger = address(&stage.stranger);
    if tor.is_established(stranger)? {
        return Err("tor1 has a session with the stranger".to_owned());
    }
    if stage.stranger.is_established(Lab::address(1))? {
        return Err("the stranger has a session with tor1".to_owned());
    }
    let gateways = tor.kernel_gateways(&format!("{SERVICE}/32"))?;
    if gateways.contains(&stranger) {
        return Err("tor1 forwards to the stranger".to_owned());
    }
    Ok(format!(
        "tor1's kernel dropped {dropped} segments with a wrong digest"
    ))
}

/// Waits until the router's kernel forwards `prefix` to exactly these nodes.
pub fn kernel(router: &Router, prefix: &str, nodes: &[u8]) -> Result<(), String> {
    let expected: BTreeSet<IpAddr> = nodes.iter().map(|n| Lab::address(*n).into()).collect();
    wait::poll(STEP_LIMIT, || match router.kernel_gateways(prefix)? {
        found if found == expected => Ok(()),
        found => Err(format!("{}: {prefix} via {found:?}", router.node.name())),
    })
    .map(|_| ())
}

/// A counter of `/proc/net/netstat`: pairs of lines, names above values.
fn counter(text: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks(2).find_map(|pair| {
        let names = pair.first()?.split_whitespace();
        let values = pair.get(1)?.split_whitespace();
        names
            .zip(values)
            .find(|(found, _)| *found == name)?
            .1
            .parse()
            .ok()
    })
}
