//! The demo's control plane: two nodes, one address, a client that asks it once a millisecond.
//!
//! `cp1` and `cp2` run `wayfare-vrrpd` with the file an operator would write. Who has the address
//! is read from the nodes' kernels; what it costs is read from the client's stream ([`Probe`]). A
//! planned change may cost one packet. A cable that is pulled costs what the protocol's timers say,
//! three intervals and the backup's skew (RFC 9568 §6.1), and not more; what the client itself
//! could not see, because this machine was busy, is added to that bound and printed.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::probe::{Probe, Report};
use super::script::STEP_LIMIT;
use super::stage::Stage;
use crate::lab::Lab;
use crate::node::Node;
use crate::vrrp;

/// The address of the control plane.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 50);
/// The instance in the file.
const NAME: &str = "control-plane";
/// A planned change may cost this: a packet that is under way is nobody's fault.
const LOST_MAX: usize = 1;
/// Three intervals of 100 ms and the skew of priority 100.
const DOWN_INTERVAL: Duration = Duration::from_millis(361);
/// From the expiry of the timer to the first packet answered: announcement and round trip.
const SWITCH: Duration = Duration::from_millis(10);
/// A dead machine's address is nobody's after this.
const GONE_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks at a kernel; reading a file of `/proc` costs little.
const LOOK: Duration = Duration::from_millis(5);

/// The control plane and its client.
#[derive(Debug)]
pub struct Vip {
    /// `cp1`, which is preferred, and `cp2`.
    pub routers: [Node; 2],
    /// The client.
    pub probe: Probe,
}

impl Vip {
    /// Starts both daemons and the client.
    pub fn start(lab: &mut Lab) -> Vip {
        let routers = ["cp1", "cp2"].map(|name| lab.node(name));
        for (node, priority) in routers.iter().zip([200, 100]) {
            let text = format!(
                "[[instance]]\nname = \"{NAME}\"\naddresses = [\"{ADDRESS}\"]\n\
                 priority = {priority}\nadvertise-interval = \"100ms\"\n"
            );
            node.write(vrrp::CONFIG, text);
            vrrp::start_ours(node);
        }
        let probe = Probe::start(ADDRESS).expect("a lab may open raw sockets");
        Vip { routers, probe }
    }

    /// Each router, what its daemon says of itself, and whether its kernel has the address.
    pub fn look(&self) -> Vec<(String, String, bool)> {
        let one = |node: &Node| {
            let state = vrrp::show(node)
                .ok()
                .and_then(|shown| Some(shown[0]["state"].as_str()?.to_owned()))
                .unwrap_or_else(|| "no daemon".to_owned());
            (node.name().to_owned(), state, has(node))
        };
        self.routers.iter().map(one).collect()
    }

    /// Waits until exactly this one has the address; how long it took.
    fn only(&self, master: usize) -> Result<Duration, String> {
        let (has_it, has_not) = (&self.routers[master], &self.routers[1 - master]);
        watch(STEP_LIMIT, || has(has_it) && !has(has_not))
            .ok_or_else(|| format!("{} is not the only one with {ADDRESS}", has_it.name()))
    }

    /// Does something planned under the stream and waits until `master` alone has the address.
    fn planned(
        &self,
        master: usize,
        act: impl FnOnce() -> Result<(), String>,
    ) -> Result<Report, String> {
        let mark = self.probe.mark();
        act()?;
        self.only(master)?;
        let report = self.probe.since(mark);
        match report.lost > LOST_MAX {
            true => Err(format!("{} of {} lost", report.lost, report.sent)),
            false => Ok(report),
        }
    }

    fn order(&self, router: usize, order: &str) -> Result<(), String> {
        let words = ["vrrp", order, NAME];
        let node = &self.routers[router];
        node.output("/opt/wayfare/wayfare", &words).map(drop)
    }
}

/// The address is there, on the preferred node alone, and answers.
pub fn address(stage: &Stage) -> Result<String, String> {
    let vip = &stage.vip;
    vip.only(0)?;
    // The first packets wait for ARP.
    let answers = || vip.probe.lately().lost == 0;
    watch(STEP_LIMIT, answers).ok_or("the client gets no answers")?;
    Ok(format!("{ADDRESS} is on cp1 alone and answers"))
}

/// `vrrp release` and `vrrp resume`.
pub fn planned(stage: &Stage) -> Result<String, String> {
    let vip = &stage.vip;
    let away = vip.planned(1, || vip.order(0, "release"))?;
    let back = vip.planned(0, || vip.order(0, "resume"))?;
    Ok(format!(
        "{} of {} lost on the way to cp2, {} of {} on the way back",
        away.lost, away.sent, back.lost, back.sent
    ))
}

/// The master's process is killed: nobody is left to take its address off.
pub fn killed(stage: &Stage) -> Result<String, String> {
    let vip = &stage.vip;
    let mark = vip.probe.mark();
    let started = Instant::now();
    vip.routers[0].kill(&["wayfare-vrrpd"]);
    watch(STEP_LIMIT, || has(&vip.routers[1])).ok_or("cp2 does not take over")?;
    let taken = started.elapsed();
    watch(STEP_LIMIT, || !has(&vip.routers[0])).ok_or("cp1 keeps the address")?;
    let gone = started.elapsed();
    let report = vip.probe.since(mark);
    let figures = format!(
        "cp2 answers after {} ms, {} of {} packets lost; gone from cp1 after {} ms",
        taken.as_millis(),
        report.lost,
        report.sent,
        gone.as_millis()
    );
    match gone > GONE_WITHIN + report.blind {
        true => Err(figures),
        false => Ok(figures),
    }
}

/// The killed daemon is started again and takes its address back.
pub fn returns(stage: &Stage) -> Result<String, String> {
    let vip = &stage.vip;
    let back = vip.planned(0, || {
        vrrp::start_ours(&vip.routers[0]);
        Ok(())
    })?;
    Ok(format!(
        "cp1 has it again, {} of {} lost",
        back.lost, back.sent
    ))
}

/// The master's cable is pulled, the one thing that timers must find out; and plugged in again.
pub fn unplugged(stage: &Stage) -> Result<String, String> {
    let vip = &stage.vip;
    let port = Lab::port(&vip.routers[0], "eth0");
    let mark = vip.probe.mark();
    stage.lab.ip(&format!("link set {port} down"));
    watch(STEP_LIMIT, || has(&vip.routers[1])).ok_or("cp2 does not take over")?;
    let report = vip.probe.since(mark);
    let bound = DOWN_INTERVAL + SWITCH + report.blind;
    let figures = format!(
        "{} ms, {} of {} lost (the timers say at most {} ms)",
        report.outage.as_millis(),
        report.lost,
        report.sent,
        DOWN_INTERVAL.as_millis()
    );
    if report.lost == 0 || report.outage > bound {
        return Err(figures);
    }
    let back = vip.planned(0, || {
        stage.lab.ip(&format!("link set {port} up"));
        Ok(())
    })?;
    Ok(format!("{figures}; plugged in: {} lost", back.lost))
}

/// Looks every [`LOOK`]; how long it took, or `None` at the limit.
fn watch(limit: Duration, mut look: impl FnMut() -> bool) -> Option<Duration> {
    let started = Instant::now();
    while !look() {
        if started.elapsed() > limit {
            return None;
        }
        std::thread::park_timeout(LOOK);
    }
    Some(started.elapsed())
}

/// Whether the node's kernel has the address as its own.
fn has(node: &Node) -> bool {
    let Ok(text) = node.read_proc("net/fib_trie") else {
        return false;
    };
    let wanted = format!("|-- {ADDRESS}");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == wanted {
            return lines.next().is_some_and(|next| next.contains("LOCAL"));
        }
    }
    false
}
