//! One daemon of a kind per network namespace, whatever its control socket is.
//!
//! Two daemons that write addresses, links and rules into the same network namespace take each
//! other's for leftovers. So each takes a name first that only one can have there: the address of
//! an abstract Unix socket, which belongs to the network namespace and is free again the moment its
//! holder ends, however that comes.
//!
//! Anybody of the host may take such a name, and must not keep a daemon from running by it: a
//! holder who is neither root, nor this user, nor the user of the packaged units is no daemon of
//! ours. That is logged, and it goes on without the lock.

use std::future::pending;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, UnixCredentials, connect, getsockopt, socket,
};
use nix::unistd::{User, geteuid};

/// The user of the packaged units.
const UNIT_USER: &str = "wayfare";

/// The right to be the only one; it ends with this value.
#[derive(Debug)]
pub struct Sole {
    name: Option<UnixListener>,
}

/// Why there is no right to be the only one.
#[derive(Debug, thiserror::Error)]
pub enum SoleError {
    /// Another process has it.
    #[error("another {name} is running in this network namespace (process {pid})")]
    Taken {
        /// The daemon.
        name: String,
        /// The process; 0 when it is not to be seen from here.
        pid: i32,
    },
    /// The system refuses.
    #[error("the name @{name} cannot be taken: {source}")]
    Io {
        /// The daemon.
        name: String,
        /// Why.
        source: io::Error,
    },
}

impl Sole {
    /// Takes the name of a daemon in this network namespace.
    ///
    /// # Errors
    /// [`SoleError::Taken`] while another daemon has it.
    pub fn take(name: &str) -> Result<Self, SoleError> {
        let io = |source| SoleError::Io {
            name: name.to_owned(),
            source,
        };
        let address = SocketAddr::from_abstract_name(name).map_err(io)?;
        // A holder that ends between the two looks leaves the name for the second.
        for _ in 0..2 {
            match UnixListener::bind_addr(&address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                other => {
                    let name = Some(other.map_err(io)?);
                    return Ok(Self { name });
                }
            }
            match holder(name) {
                Err(Errno::ECONNREFUSED) => {}
                Err(error) => return Ok(Self::despite(name, &error.to_string())),
                Ok(holder) if is_one_of_us(holder.uid()) => {
                    let (name, pid) = (name.to_owned(), holder.pid());
                    return Err(SoleError::Taken { name, pid });
                }
                Ok(holder) => {
                    let who = format!("user {} has it", holder.uid());
                    return Ok(Self::despite(name, &who));
                }
            }
        }
        Ok(Self::despite(name, "somebody has it and answers nobody"))
    }

    fn despite(name: &str, why: &str) -> Self {
        tracing::warn!("whether another {name} runs here is not known: @{name}: {why}");
        Self { name: None }
    }

    /// Keeps the name for as long as this runs, and lets go of those who ask who has it. Must run
    /// in a tokio runtime.
    pub async fn keep(self) {
        let listener = self.name.map(|listener| {
            listener.set_nonblocking(true)?;
            tokio::net::UnixListener::from_std(listener)
        });
        let Some(Ok(listener)) = listener else {
            return pending().await;
        };
        loop {
            if listener.accept().await.is_err() {
                // Out of descriptors: let something else end.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Who has the name. It never waits: a queue that is full is an error.
fn holder(name: &str) -> nix::Result<UnixCredentials> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let asker: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(asker.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
    getsockopt(&asker, PeerCredentials)
}

fn is_one_of_us(uid: u32) -> bool {
    let unit = || User::from_name(UNIT_USER).ok().flatten();
    uid == 0 || uid == geteuid().as_raw() || unit().is_some_and(|user| user.uid.as_raw() == uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_holder_at_a_time() {
        let name = format!("wayfare-sole-{}", std::process::id());
        let first = Sole::take(&name).expect("it is free");
        for _ in 0..20 {
            let second = Sole::take(&name).expect_err("it is taken").to_string();
            let said = format!(
                "another {name} is running in this network namespace (process {})",
                std::process::id()
            );
            assert_eq!(second, said);
        }
        Sole::take(&format!("{name}-other")).expect("another name is another");
        drop(first);
        Sole::take(&name).expect("it is free again");
    }

    /// More ask than would fit into any queue.
    #[tokio::test]
    async fn a_holder_can_be_asked_for_ever() {
        let name = format!("wayfare-sole-asked-{}", std::process::id());
        let first = Sole::take(&name).expect("it is free");
        let kept = tokio::spawn(first.keep());
        for _ in 0..5000 {
            Sole::take(&name).expect_err("it is taken");
            tokio::task::yield_now().await;
        }
        kept.abort();
        assert!(kept.await.expect_err("it ends here").is_cancelled());
        Sole::take(&name).expect("it is free again");
    }
}
