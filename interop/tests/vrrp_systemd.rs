//! `wayfare-vrrpd` as systemd runs it: the unit as packaged, started by a real systemd that is the
//! first process of a container of its own, with the sandbox that the unit describes.
//!
//! The container has a file system over the peers' root, a control group of its own and one link.
//! Who is not root cannot delegate a control group, and a root without systemd cannot boot one:
//! both are skipped by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use interop::lab::{Lab, enter};
use interop::node::program_dir;
use interop::wait;

/// Boots the container. `$1` root, `$2` work directory, `$3` our programs, `$4` our packaging, `$5`
/// the control group, `$6` more of the instance.
const BOOT: &str = r#"
set -e
mkdir -p "$2/u" "$2/w" "$2/m"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/u,workdir=$2/w" "$2/m"
cd "$2/m"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for d in run tmp dev; do mount -t tmpfs tmpfs $d; done
for d in null zero full random urandom tty; do touch dev/$d; mount --bind /dev/$d dev/$d; done
mkdir dev/pts dev/shm
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx dev/ptmx
touch dev/console
mkdir -p etc/wayfare usr/lib/sysusers.d usr/lib/tmpfiles.d
cp "$3/wayfare-vrrpd" usr/sbin/
cp "$3/wayfare" usr/bin/
cp "$4/wayfare-vrrpd.service" etc/systemd/system/
cp "$4/wayfare.sysusers" usr/lib/sysusers.d/wayfare.conf
cp "$4/wayfare.tmpfiles" usr/lib/tmpfiles.d/wayfare.conf
printf '[[instance]]\nname = "vip"\naddresses = ["10.99.0.50"]\nadvertise-interval = "100ms"\n' \
    > etc/wayfare/vrrpd.toml
printf %s "$6" >> etc/wayfare/vrrpd.toml
cat > etc/systemd/system/lab.target <<END
[Unit]
Requires=sysinit.target
After=sysinit.target
Wants=wayfare-vrrpd.service
END
ln -sf lab.target etc/systemd/system/default.target
chroot . ip link set lo up
chroot . ip link add eth0 type veth peer name peer0
chroot . ip addr add 10.99.0.1/24 dev eth0
chroot . ip link set eth0 up
chroot . ip link set peer0 up
for s in arp_ignore:2 arp_announce:1 forwarding:1; do
    echo ${s#*:} > proc/sys/net/ipv4/conf/eth0/${s%:*}
done
mkdir -p old
pivot_root . old
umount -l /old
exec env -i container=lab PATH=/usr/sbin:/usr/bin /usr/lib/systemd/systemd \
    </dev/null >/run/console.log 2>&1
"#;

/// A running systemd; it ends with its first process.
struct Container {
    holder: Child,
    pid: u32,
    group: PathBuf,
}

impl Drop for Container {
    /// The control group outlives its processes; it goes when the last of them has.
    fn drop(&mut self) {
        let _ = fs::write(self.group.join("cgroup.kill"), "1");
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let _ = wait::poll(Duration::from_secs(5), || {
            let _ = Command::new("find")
                .arg(&self.group)
                .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"])
                .stderr(Stdio::null())
                .status();
            match self.group.exists() {
                true => Err("processes are left"),
                false => Ok(()),
            }
        });
    }
}

impl Container {
    /// Boots; the error says why that cannot be. `more` is added to the instance.
    fn boot(lab: &Lab, more: &str) -> Result<Self, String> {
        let root = &lab.rootfs().path;
        if !root.join("usr/lib/systemd/systemd").exists() {
            return Err("no systemd in the peers' root".to_owned());
        }
        let mounts = fs::read_to_string("/proc/mounts").map_err(|why| why.to_string())?;
        let groups = mounts
            .lines()
            .find(|line| line.split(' ').nth(2) == Some("cgroup2"))
            .and_then(|line| line.split(' ').nth(1))
            .ok_or("no control groups of version 2")?;
        // Process numbers begin anew in each lab, and one that was killed may have left its group.
        let group = (0..1000)
            .map(|at| Path::new(groups).join(format!("wayfare-lab-{at}")))
            .find(|path| fs::create_dir(path).is_ok())
            .ok_or("no control group can be made")?;
        let work = std::env::var("WAYFARE_LAB").unwrap_or_default();
        let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
        let join = format!(
            "echo $$ > '{}/cgroup.procs' && exec \"$@\"",
            group.display()
        );
        let holder = Command::new("sh")
            .args(["-c", &join, "join"])
            .args(["unshare", "-n", "-m", "-u", "-i", "-p", "-C", "--fork"])
            .args(["--kill-child", "--propagation", "private"])
            .args(["sh", "-c", BOOT, "boot"])
            .arg(root)
            .arg(Path::new(&work).join("systemd"))
            .arg(program_dir())
            .arg(packaging)
            .arg(&group)
            .arg(more)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|why| why.to_string())?;
        let unshare = holder.id();
        let mut container = Self {
            holder,
            pid: 0,
            group,
        };
        container.pid = wait::poll(Duration::from_secs(10), || {
            let children = format!("/proc/{unshare}/task/{unshare}/children");
            let text = fs::read_to_string(children).map_err(|why| why.to_string())?;
            text.trim().parse::<u32>().map_err(|why| why.to_string())
        })?
        .0;
        Ok(container)
    }

    fn run(&self, words: &[&str]) -> Output {
        let pid = self.pid.to_string();
        Command::new("nsenter")
            .args(["-t", &pid, "-n", "-m", "-u", "-i", "-p", "-C", "-r", "-w"])
            .args(words)
            .env("PATH", "/usr/sbin:/usr/bin")
            .stdin(Stdio::null())
            .output()
            .expect("nsenter is part of util-linux")
    }

    fn text(&self, words: &[&str]) -> Result<String, String> {
        let output = self.run(words);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        match output.status.success() {
            true => Ok(text),
            false => Err(format!("{words:?}: {}: {text}{errors}", output.status)),
        }
    }

    /// A property of the unit.
    fn property(&self, name: &str) -> String {
        let words = ["systemctl", "show", "-P", name, "wayfare-vrrpd"];
        self.text(&words).unwrap_or_default().trim().to_owned()
    }

    fn setting(&self, link: &str, name: &str) -> String {
        let path = format!("/proc/sys/net/ipv4/conf/{link}/{name}");
        self.text(&["cat", &path])
            .expect("it is there")
            .trim()
            .to_owned()
    }

    fn journal(&self) -> String {
        let words = [
            "journalctl",
            "-u",
            "wayfare-vrrpd",
            "-o",
            "cat",
            "--no-pager",
        ];
        self.text(&words).unwrap_or_else(|why| why)
    }

    /// For a failed test.
    fn last_words(&self) -> String {
        let console = format!("/proc/{}/root/run/console.log", self.pid);
        let console = fs::read_to_string(console).unwrap_or_default();
        let status = self.text(&["systemctl", "status", "--no-pager", "wayfare-vrrpd"]);
        let jobs = self.text(&["systemctl", "list-jobs", "--no-pager"]);
        format!("{console}\n{status:?}\n{jobs:?}\n{}", self.journal())
    }

    fn wait_master(&self) {
        wait::until("the unit is master", 30, || {
            let asked = self.text(&["wayfare", "show", "vrrp", "json"]);
            let shown = asked.map_err(|why| format!("{why}{}", self.last_words()))?;
            match shown.contains("\"state\":\"Master\"") && self.holds() {
                true => Ok(()),
                false => Err(shown),
            }
        });
    }

    fn holds(&self) -> bool {
        let shown = self.text(&["ip", "addr"]);
        shown.is_ok_and(|text| text.contains("10.99.0.50/32"))
    }
}

#[test]
fn the_unit_runs_under_systemd() {
    enter("the_unit_runs_under_systemd", |lab| {
        let container = match Container::boot(lab, "") {
            Ok(container) => container,
            Err(why) => return eprintln!("SKIPPED the_unit_runs_under_systemd: {why}"),
        };
        container.wait_master();
        assert_eq!(container.property("ActiveState"), "active");
        let status = container.property("StatusText");
        assert_eq!(status, "master of 1 of 1 virtual routers");
        let real_time = rights(&container);
        reloads(&container);
        restarts(&container);
        let words = ["systemctl", "stop", "wayfare-vrrpd"];
        container.text(&words).expect("it stops");
        assert_eq!(container.property("Result"), "success");
        assert!(!container.holds(), "nothing is left");
        let journal = container.journal();
        // A machine may keep even root from raising limits; the daemon says what that means.
        let refused = |line: &&str| {
            let refused = line.contains("ermission denied") || line.contains("not permitted");
            let expected = line.contains("real-time") && !real_time;
            refused && !expected
        };
        assert_eq!(journal.lines().find(refused), None, "{journal}");
    });
}

/// The user and the two capabilities of the unit; whether its limit for real time was granted.
fn rights(container: &Container) -> bool {
    let pid = container.property("MainPID");
    let path = format!("/proc/{pid}/status");
    let status = container.text(&["cat", &path]).expect("it runs");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(field(set), "0000000000003000", "{set}\n{status}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    assert!(!field("Uid:").starts_with('0'), "{status}");
    let limits = container.text(&["cat", &format!("/proc/{pid}/limits")]);
    let limits = limits.expect("it runs");
    let line = limits
        .lines()
        .find(|line| line.contains("realtime priority"));
    line.is_some_and(|line| line.split_whitespace().nth(3) != Some("0"))
}

/// All or nothing, and visibly.
fn reloads(container: &Container) {
    let reload = ["systemctl", "reload", "wayfare-vrrpd"];
    container.text(&reload).expect("nothing has changed");
    let script = "cp /etc/wayfare/vrrpd.toml /tmp/good && echo nonsense >> /etc/wayfare/vrrpd.toml";
    container.text(&["sh", "-c", script]).expect("it is ours");
    assert!(container.text(&reload).is_err(), "a bad file fails visibly");
    assert_eq!(container.property("ActiveState"), "active");
    let back = ["cp", "/tmp/good", "/etc/wayfare/vrrpd.toml"];
    container.text(&back).expect("it is ours");
    container.text(&reload).expect("it is good again");
    container.wait_master();
}

/// Another process, the same master: the addresses stay in between. And one that is killed is back.
fn restarts(container: &Container) {
    let before = container.property("MainPID");
    let restart = ["systemctl", "restart", "wayfare-vrrpd"];
    container.text(&restart).expect("it restarts");
    assert!(container.holds(), "the address has stayed");
    assert_ne!(container.property("MainPID"), before);
    container.wait_master();
    let before = container.property("MainPID");
    let kill = ["systemctl", "kill", "-s", "KILL", "wayfare-vrrpd"];
    container.text(&kill).expect("it is killed");
    wait::until_true("it is back", 20, || {
        let now = container.property("MainPID");
        now != before && now != "0" && container.property("ActiveState") == "active"
    });
    container.wait_master();
}

/// The sandbox shows what a virtual MAC has to know: the parent's settings are set, and given back
/// as they were; the link routes on as its parent does, and makes no address of its own.
#[test]
fn a_virtual_mac_under_systemd() {
    enter("a_virtual_mac_under_systemd", |lab| {
        let container = match Container::boot(lab, "virtual-mac = true\n") {
            Ok(container) => container,
            Err(why) => return eprintln!("SKIPPED a_virtual_mac_under_systemd: {why}"),
        };
        container.wait_master();
        let shown = container.text(&["ip", "-d", "link", "show", "type", "macvlan"]);
        let shown = shown.expect("there is one");
        assert!(shown.contains("vrrp4-50-"), "{shown}");
        assert!(shown.contains("addrgenmode none"), "{shown}");
        // The administrator's arp_ignore is as good as ours.
        let before = "before on link ";
        assert!(shown.contains(before), "{shown}");
        assert!(shown.contains("arp_ignore=2 arp_announce=1"), "{shown}");
        let link = shown.split([':', '@']).nth(1).unwrap_or_default().trim();
        assert_eq!(container.setting(link, "forwarding"), "1");
        assert_eq!(container.setting("eth0", "arp_announce"), "2");
        // A successor and one after a crash know the same.
        restarts(&container);
        // What somebody sets in between is his.
        let own = "echo 8 > /proc/sys/net/ipv4/conf/eth0/arp_ignore";
        container.text(&["sh", "-c", own]).expect("root may");
        let words = ["systemctl", "stop", "wayfare-vrrpd"];
        container.text(&words).expect("it stops");
        assert_eq!(container.setting("eth0", "arp_ignore"), "8");
        assert_eq!(container.setting("eth0", "arp_announce"), "1");
        let left = container.text(&["ip", "link", "show", "type", "macvlan"]);
        assert_eq!(left.as_deref(), Ok(""));
    });
}
