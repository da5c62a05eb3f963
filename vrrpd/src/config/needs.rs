//! What a configuration needs of the daemon's surroundings beyond what the packaged unit gives.
//!
//! Two kinds of checks are bad for ever in the sandbox of the unit: scripts of another user, and
//! processes of other users. Who checks a file may be more than the daemon will be, so `--check`
//! names every need as a note; the daemon itself looks whether it is met, and warns where not.
//! None of it is a fault: the unit can have a drop-in, and there are other service managers.

use std::path::Path;

use super::Config;
use super::check::Probe;

/// CAP_SETGID and CAP_SETUID of `linux/capability.h`.
const CHANGE_USER: u64 = 1 << 6 | 1 << 7;

/// Something that has to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// To run scripts as somebody else.
    OtherUsers,
    /// To see processes of somebody else.
    OtherProcesses,
}

impl Need {
    /// What `config` needs, each once.
    #[must_use]
    pub fn of(config: &Config) -> Vec<Self> {
        let own = nix::unistd::geteuid().as_raw();
        let checks = config.instances.iter().flat_map(|one| &one.track);
        let need = |probe: &Probe| match probe {
            Probe::Script(script) => {
                let other = script.user.as_ref().is_some_and(|user| user.uid != own);
                other.then_some(Self::OtherUsers)
            }
            Probe::Process(_) => Some(Self::OtherProcesses),
            _ => None,
        };
        let mut list: Vec<Self> = checks.filter_map(|it| need(&it.check.probe)).collect();
        list.sort_unstable();
        list.dedup();
        list
    }

    /// What it is, and who gives it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::OtherUsers => {
                "scripts with `user` need CAP_SETUID, CAP_SETGID and CAP_KILL, \
                 which wayfare-vrrpd.service has by a drop-in only (see its head)"
            }
            Self::OtherProcesses => {
                "`process` checks of other users' processes need ProtectProc=default, \
                 which wayfare-vrrpd.service has by a drop-in only (see its head)"
            }
        }
    }

    /// Whether this process has it; in doubt yes.
    #[must_use]
    pub fn is_met(self) -> bool {
        let proc = Path::new("/proc");
        match self {
            Self::OtherUsers => {
                let status = std::fs::read_to_string(proc.join("thread-self/status"));
                may_change_user(&status.unwrap_or_default())
            }
            // The first process is another's, or of this user.
            Self::OtherProcesses => !proc.join("self").exists() || proc.join("1").exists(),
        }
    }
}

fn may_change_user(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    mask.is_none_or(|mask| mask & CHANGE_USER == CHANGE_USER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(track: &str) -> Vec<Need> {
        let text =
            format!("[[instance]]\nname = \"a\"\naddresses = [\"10.0.0.50\"]\ntrack = [{track}]\n");
        let loaded = crate::config::parse("vrrpd.toml", &text).expect("good");
        Need::of(&loaded.config)
    }

    #[test]
    fn what_the_unit_does_not_give_is_named_once() {
        assert_eq!(needs("{ interface = \"eth1\" }"), []);
        assert_eq!(needs("{ script = \"/bin/true\" }"), []);
        let other = match nix::unistd::geteuid().is_root() {
            true => "nobody",
            false => "root",
        };
        let script = format!("{{ script = \"/bin/true\", user = \"{other}\" }}");
        let all = format!("{{ process = \"a\" }}, {script}, {{ process = \"b\" }}");
        assert_eq!(needs(&all), [Need::OtherUsers, Need::OtherProcesses]);
    }

    #[test]
    fn the_two_capabilities_of_the_unit_do_not_change_users() {
        assert!(!may_change_user("Name:\tx\nCapEff:\t0000000000003000\n"));
        assert!(may_change_user("CapEff:\t00000000000030c0\n"));
        assert!(may_change_user(""), "in doubt yes");
    }
}
