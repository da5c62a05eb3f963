//! The routers of a lab, each started, stopped, crashed and brought back in its own way.
//!
//! keepalived and FRR are there twice: as the image has them, and as Debian 12 has them, below
//! [`BOOKWORM`] with the libraries they were built against; those run in a `chroot` of their node
//! that shares `/run`, so that configurations and logs lie where all others have theirs.
//!
//! A crash is that of a machine: its link goes first, then everything a loss of power takes. What
//! the death of a process alone leaves behind is another test's matter.

use crate::lab::Lab;
use crate::node::Node;
use crate::wait;

use super::{Group, frr, start_keepalived_with, start_ours, strip};

/// Where the image keeps Debian 12's programs, unless it is Debian 12 itself.
const BOOKWORM: &str = "/usr/local/lib/bookworm";

/// Makes the root below [`BOOKWORM`] usable in a node; may be repeated.
const MOUNT: &str = "
B=/usr/local/lib/bookworm
if ! [ -e $B/proc/self ]; then
    for d in proc sys dev run tmp; do mount --rbind /$d $B/$d; done
    for d in etc/frr var/tmp/frr var/run var/log; do mount -t tmpfs tmpfs $B/$d; done
fi
";

/// Which Debian a program comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// The image's own.
    Image,
    /// Debian 12.
    Bookworm,
}

impl Edition {
    /// Whether it is there; else why not.
    ///
    /// # Errors
    /// The reason, for a skip by name.
    pub fn available(self, lab: &Lab) -> Result<(), String> {
        let rootfs = lab.rootfs();
        let only_bookworm = rootfs.suite == "bookworm";
        let beside = rootfs.path.join(&BOOKWORM[1..]).join("version");
        match self {
            Self::Image if only_bookworm => Err("the image is Debian 12, nothing newer".to_owned()),
            Self::Bookworm if !only_bookworm && !beside.exists() => Err(format!(
                "no {BOOKWORM} in the image (interop/images/mkpeers.sh)"
            )),
            _ => Ok(()),
        }
    }

    /// What stands before a program's path so that this edition of it runs in `node`.
    #[must_use]
    pub fn words(self, node: &Node) -> &'static [&'static str] {
        let beside = node.path(&format!("{BOOKWORM}/version")).exists();
        match self {
            Self::Bookworm if beside => &["chroot", BOOKWORM],
            _ => &[],
        }
    }

    /// Prepares `node`; may be repeated.
    pub(super) fn prepare(self, node: &Node) {
        if !self.words(node).is_empty() {
            node.sh(MOUNT);
        }
    }
}

/// Whose router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `wayfare-vrrpd`.
    Ours,
    /// keepalived.
    Keepalived(Edition),
    /// FRR's vrrpd.
    Frr(Edition),
}

/// A router of a virtual router, on its node.
#[derive(Clone, Debug)]
pub struct Party {
    /// Where it runs.
    pub node: Node,
    /// Whose it is.
    pub kind: Kind,
    /// Its priority.
    pub priority: u8,
    group: Group,
}

impl Party {
    /// A router that is not started yet.
    #[must_use]
    pub fn new(node: Node, kind: Kind, priority: u8, group: &Group) -> Self {
        Self {
            node,
            kind,
            priority,
            group: group.clone(),
        }
    }

    /// Starts it, with all its configuration.
    pub fn start(&self) {
        match self.kind {
            Kind::Ours => {
                self.group.write_ours(&self.node, self.priority);
                start_ours(&self.node);
            }
            Kind::Keepalived(edition) => {
                edition.prepare(&self.node);
                self.group.write_keepalived(&self.node, self.priority);
                start_keepalived_with(&self.node, edition.words(&self.node));
            }
            Kind::Frr(edition) => {
                edition.prepare(&self.node);
                frr::start(&self.node, edition, self.priority, &self.group);
            }
        }
    }

    /// Asks it to stop, as its unit would, and waits for its end. FRR's zebra stays, as it does
    /// when an operator restarts one daemon of FRR.
    pub fn stop(&self) {
        let name = match self.kind {
            Kind::Ours => "wayfare-vrrpd",
            Kind::Keepalived(_) => "keepalived",
            Kind::Frr(_) => "vrrpd",
        };
        self.node.signal("TERM", name);
        wait::until_true("it ends", 15, || !self.node.has_process(name));
    }

    /// The machine loses its power: its link goes, and with it all that does not survive that.
    pub fn crash(&self, lab: &Lab) {
        lab.ip(&format!("link set {} down", Lab::port(&self.node, "eth0")));
        match self.kind {
            Kind::Ours => {
                self.node.kill(&["wayfare-vrrpd"]);
                self.gone("wayfare-vrrpd");
                self.node
                    .sh("rm -rf /run/wayfare /var/lib/wayfare; mkdir -p /run/wayfare");
            }
            Kind::Keepalived(_) => {
                self.node.kill(&["keepalived"]);
                self.gone("keepalived");
            }
            Kind::Frr(_) => {
                self.node.kill(frr::PROGRAMS);
                for name in frr::PROGRAMS {
                    self.gone(name);
                }
                frr::forget(&self.node);
            }
        }
        for address in &self.group.addresses {
            strip(&self.node, address);
        }
    }

    fn gone(&self, name: &str) {
        wait::until_true("it is dead", 10, || !self.node.has_process(name));
    }

    /// The machine has power again, and starts its router.
    pub fn come_back(&self, lab: &Lab) {
        lab.ip(&format!("link set {} up", Lab::port(&self.node, "eth0")));
        self.start();
    }
}
