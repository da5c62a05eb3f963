//! Who may ask a daemon what.
//!
//! The kernel says who is at the other end of a Unix socket (SO_PEERCRED); nothing the client sends
//! is believed. Root and the daemon's own user may do everything. The group `wayfare-admin` may
//! change things, the group `wayfare-view` may look. Supplementary groups count: SO_PEERCRED
//! carries only the primary one, so the group database is asked for the user's list.
//!
//! The check is made per request, on the server. A client that hides a command proves nothing.

use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist};
use proto_codec::control::{Fault, FaultKind, Request};

/// Group that may look and change.
pub const ADMIN_GROUP: &str = "wayfare-admin";

/// Group that may look.
pub const VIEW_GROUP: &str = "wayfare-view";

/// Who is at the other end of a control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User id, as seen from the daemon's user namespace.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Process id, where the kernel knows it.
    pub pid: Option<i32>,
}

/// The groups that have rights; resolved once when the socket is bound.
#[derive(Clone, Debug, Default)]
pub struct Access {
    admin: Option<Gid>,
    view: Option<Gid>,
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Nothing.
    None,
    /// Look.
    View,
    /// Look and change.
    Admin,
}

impl Access {
    /// Looks the two groups up. A group that does not exist gives nobody a right.
    #[must_use]
    pub fn from_system() -> Self {
        let gid = |name| Group::from_name(name).ok().flatten().map(|group| group.gid);
        Self {
            admin: gid(ADMIN_GROUP),
            view: gid(VIEW_GROUP),
        }
    }

    /// Whether anybody besides root and the daemon's user has a right, so that the socket must be
    /// open to others.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.admin.is_some() || self.view.is_some()
    }

    /// The right of `caller`.
    #[must_use]
    pub fn right(&self, caller: Credentials) -> Right {
        if caller.uid == 0 || caller.uid == geteuid().as_raw() {
            return Right::Admin;
        }
        let groups = groups_of(caller);
        let member = |group: Option<Gid>| group.is_some_and(|gid| groups.contains(&gid));
        if member(self.admin) {
            Right::Admin
        } else if member(self.view) {
            Right::View
        } else {
            Right::None
        }
    }

    /// Checks one request.
    ///
    /// # Errors
    /// A [`FaultKind::Denied`] that names the group to join; send it and go on.
    pub fn check(&self, caller: Credentials, request: &Request) -> Result<(), Fault> {
        let needed = if request.changes() {
            Right::Admin
        } else {
            Right::View
        };
        if self.right(caller) >= needed {
            return Ok(());
        }
        let group = if needed == Right::Admin {
            ADMIN_GROUP
        } else {
            VIEW_GROUP
        };
        let uid = caller.uid;
        Err(Fault::new(
            FaultKind::Denied,
            format!("user {uid} may not do this: run it as root or join the group {group}"),
        ))
    }
}

fn groups_of(caller: Credentials) -> Vec<Gid> {
    let primary = Gid::from_raw(caller.gid);
    let name = User::from_uid(Uid::from_raw(caller.uid))
        .ok()
        .flatten()
        .map(|user| user.name);
    name.and_then(|name| CString::new(name).ok())
        .and_then(|name| getgrouplist(&name, primary).ok())
        .unwrap_or_else(|| vec![primary])
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Credentials = Credentials {
        uid: 4_000_001,
        gid: 4_000_002,
        pid: None,
    };

    #[test]
    fn root_and_the_daemons_user_may_do_everything() {
        let access = Access::default();
        let own = Credentials {
            uid: geteuid().as_raw(),
            ..STRANGER
        };
        assert_eq!(
            access.right(Credentials { uid: 0, ..STRANGER }),
            Right::Admin
        );
        assert_eq!(access.right(own), Right::Admin);
    }

    #[test]
    fn a_viewer_may_look_and_not_change() {
        let access = Access {
            admin: None,
            view: Some(Gid::from_raw(STRANGER.gid)),
        };
        assert!(access.check(STRANGER, &Request::ShowVersion).is_ok());
        let fault = access
            .check(STRANGER, &Request::Drain { undo: false })
            .unwrap_err();
        assert_eq!(fault.kind, FaultKind::Denied);
        assert!(fault.text.contains(ADMIN_GROUP));
    }

    #[test]
    fn a_stranger_may_nothing() {
        assert_eq!(Access::default().right(STRANGER), Right::None);
        assert!(
            Access::default()
                .check(STRANGER, &Request::ShowVersion)
                .is_err()
        );
    }
}
