//! The interop lab: real routers, our daemons, real packets.
//!
//! Every node of a lab is a container of four namespaces (network, mount, process, host name) over
//! one shared Debian root with the peers installed ([`rootfs`]). A lab lives inside one private set
//! of namespaces of its own ([`lab`]), so labs run beside each other with the same addresses, need
//! no root where the kernel allows user namespaces, and leave nothing behind when they die.
//!
//! What a test writes is neutral: a [`speaker::Speaker`] says which AS, which neighbors, which
//! networks; [`peers`] turns that into the configuration of BIRD, FRR, GoBGP, OpenBGPD, ExaBGP or
//! `wayfare-bgpd`, starts it and reads its tables back into one shape. A scenario is therefore
//! written once and run against each implementation, and what it looks at is the *other* side's
//! RIB, the kernel's table and the packets ([`capture`]), never only our own word.
//!
//! [`vrrp`] is the same for virtual routers, and [`failover`] measures them.
//!
//! [`apiserver`] is a Kubernetes API server with faults on demand, [`kubernetes`] a lab around one.
//!
//! [`player`] plays a BGP neighbor octet by octet: malformed messages, full tables, updates at
//! full speed, and a strict reader of what comes back.

pub mod apiserver;
pub mod capture;
pub mod demo;
pub mod failover;
pub mod kubernetes;
pub mod lab;
pub mod load;
pub mod node;
pub mod peers;
pub mod player;
pub mod rootfs;
pub mod scenario;
pub mod speaker;
pub mod vrrp;
pub mod wait;
