//! A prefix in the main table: looked for when the kernel tells of a change.
//!
//! Only routes of that prefix, links and addresses make it look again. The kernel does not tell of
//! the IPv4 routes that go with their link, so a change of a link is enough. A look is a dump, on a
//! thread that may wait, so that a full table holds up no other check.

use ipnet::IpNet;
use rib::netlink::routes::{RouteWatch, has_route};
use tokio::time::{Duration, sleep};

use super::Mail;
use crate::io::sockopt::Readable;
use crate::node::checks::Outcome;

/// Changes come in bursts: what came within this is looked at once.
const GATHER: Duration = Duration::from_millis(20);
/// After a failure of netlink.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) async fn watch(mail: &Mail, prefix: IpNet) {
    loop {
        let failed = follow(mail, prefix).await;
        mail.send(Outcome::bad(format!("netlink: {failed}"))).await;
        sleep(RETRY_AFTER).await;
    }
}

/// Follows the table until something fails.
async fn follow(mail: &Mail, prefix: IpNet) -> std::io::Error {
    let mut watch = match RouteWatch::open(prefix).and_then(Readable::new) {
        Ok(watch) => watch,
        Err(error) => return error,
    };
    loop {
        let look = tokio::task::spawn_blocking(move || has_route(prefix)).await;
        mail.send(match look {
            Ok(Ok(true)) => Outcome::good("is in the table"),
            Ok(Ok(false)) => Outcome::bad("is not in the table"),
            Ok(Err(error)) => return error,
            Err(error) => return std::io::Error::other(error),
        })
        .await;
        loop {
            watch.wait().await;
            match watch.get_mut().read() {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => return error,
            }
        }
        sleep(GATHER).await;
    }
}
