//! `make bench-vrrp`: virtual addresses that move, measured beside keepalived and FRR.
//!
//! A client, a switch and two routers, each in a namespace of its own. Both routers run the same
//! daemon, or two different ones where that is asked for, and something happens to the better one.
//! What is measured is what the client sees of it, at a packet per millisecond, never what a
//! daemon says of itself.
//!
//! * [`pair`]: who is measured; [`plan`]: which virtual routers; [`dialect`]: how each daemon is
//!   told the same; [`router`]: its processes; [`ground`]: nodes, links and the switch.
//! * [`stream`]: the client's packets and who answered them; [`ear`]: adverts as the segment hears
//!   them; [`watch`]: addresses as the kernel tells of them; [`pace`]: priorities and lateness.
//! * [`session`]: a pair that runs and is brought back to rest; [`cases`]: what happens to it.
//!   [`flood`]: packets that nobody should heed; [`scale`]: hundreds of virtual routers.
//! * [`rounds`]: everybody in turns; [`figures`]: samples and medians; [`judge`]: the bars;
//!   [`table`]: tables and the record.
//!
//! The tool measures itself as well: a run in which its own packets were late, or in which an
//! idle thread of ordinary priority was not let run, says nothing about a daemon. It is discarded
//! and repeated, and the tables say how often.

pub mod cases;
pub mod dialect;
pub mod ear;
pub mod figures;
pub mod flood;
pub mod ground;
pub mod judge;
pub mod pace;
pub mod pair;
pub mod plan;
pub mod rounds;
pub mod router;
pub mod scale;
pub mod session;
pub mod stream;
pub mod table;
pub mod watch;
