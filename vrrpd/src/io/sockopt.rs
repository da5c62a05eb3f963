//! What no safe crate offers: sending Ethernet frames, and waiting for descriptors that are not
//! the runtime's own.
//!
//! Gratuitous ARP and unsolicited neighbor advertisements are whole frames, because the sender
//! address of the frame is what switches learn from. A packet socket of protocol 0 receives
//! nothing; it needs CAP_NET_RAW, as the VRRP sockets do.
//!
//! [`Readable`] registers raw sockets, netlink and timers with the runtime, which asks for a
//! promise that the descriptor stays open; owning it is that promise.
//!
//! This file is the crate's only room for `unsafe`: one call of `sendto` with a `sockaddr_ll`, one
//! registration, one `pidfd_open`, one `prctl` of a child, one `sched_setscheduler`, one
//! `mlockall`, one `capset`.

#![allow(
    unsafe_code,
    reason = "sockaddr_ll cannot be built safely, nor a descriptor registered"
)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that becomes readable when process `pid` ends.
///
/// # Errors
/// There is no such process, or the kernel is older than 5.3.
pub fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers; what it returns is a new descriptor that is ours.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match RawFd::try_from(raw) {
        // SAFETY: as above.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The program that `command` runs has none of this process's ambient capabilities: becoming
/// another user does not take them away, unless the user before was root. Nor is it spared when
/// memory runs out (`OOMScoreAdjust=` of the unit), where the kernel lets it say so: another user
/// may not.
pub fn as_anybody(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: runs in the child between fork and exec and allocates nothing. The calls are allowed
    // there; open takes a text with its end, write two octets that live, the others integers only.
    unsafe {
        command.pre_exec(|| {
            let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_RDWR);
            if file >= 0 {
                let mut sign = [0_u8; 1];
                if libc::read(file, sign.as_mut_ptr().cast(), 1) == 1 && sign == *b"-" {
                    libc::write(file, c"0".as_ptr().cast(), 1);
                }
                libc::close(file);
            }
            let all = libc::PR_CAP_AMBIENT_CLEAR_ALL;
            match libc::prctl(libc::PR_CAP_AMBIENT, all, 0, 0, 0) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
}

/// Gives up every capability of the calling thread that is not in `mask`, for good.
///
/// # Errors
/// The system call is forbidden.
pub fn keep_capabilities(mask: u64) -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`: two words of each set.
    const VERSION: u32 = 0x2008_0522;
    let mut header = [VERSION, 0];
    // Effective, permitted and inheritable, the low words first.
    let mut sets = [[0_u32; 3]; 2];
    // SAFETY: header and sets have the layout and the length that version 3 asks for, and live
    // longer than the call, which writes them.
    let read = unsafe {
        libc::syscall(
            libc::SYS_capget,
            header.as_mut_ptr(),
            sets.as_mut_ptr().cast::<u32>(),
        )
    };
    if read != 0 {
        return Err(io::Error::last_os_error());
    }
    let before = sets;
    for (half, words) in sets.iter_mut().enumerate() {
        let [effective, permitted, inheritable] = words;
        let mask = u32::try_from(mask >> (32 * half) & u64::from(u32::MAX)).unwrap_or(0);
        *permitted &= mask;
        *effective = *permitted;
        *inheritable &= mask;
    }
    // Sandboxes forbid the call, and have left nothing to give up.
    if sets == before {
        return Ok(());
    }
    // SAFETY: as above; the kernel only reads.
    let written = unsafe {
        libc::syscall(
            libc::SYS_capset,
            header.as_mut_ptr(),
            sets.as_ptr().cast::<u32>(),
        )
    };
    match written {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// An owned descriptor, as the runtime wants to see it.
#[derive(Debug)]
struct Owned<T>(T);

impl<T: AsFd> AsRawFd for Owned<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Something with a descriptor that can be waited for.
#[derive(Debug)]
pub struct Readable<T: AsFd>(AsyncFd<Owned<T>>);

impl<T: AsFd> Readable<T> {
    /// Registers `inner` with the runtime of this thread.
    ///
    /// # Errors
    /// The kernel cannot wait for this kind of descriptor, or has no room.
    pub fn new(inner: T) -> io::Result<Self> {
        // SAFETY: `inner` owns its descriptor, gives always the same one, and is dropped only after
        // the registration, which owns it.
        let registered =
            unsafe { AsyncFd::register_with_interest(Owned(inner), Interest::READABLE) };
        Ok(Self(registered.map_err(io::Error::from)?))
    }

    /// What is registered.
    pub fn get(&self) -> &T {
        &self.0.get_ref().0
    }

    /// What is registered, to be changed.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.0.get_mut().0
    }

    /// Waits until something can be read, and forgets that again: the caller reads until nothing
    /// is left, so nothing is lost. `false`: it cannot be waited for any more. Cancel-safe.
    pub async fn wait(&self) -> bool {
        match self.0.readable().await {
            Ok(mut ready) => {
                ready.clear_ready();
                true
            }
            Err(_) => false,
        }
    }
}

/// Round-robin real-time scheduling for the calling thread; neither its threads nor its child
/// processes inherit it.
///
/// # Errors
/// It is not allowed.
pub fn set_round_robin(priority: libc::c_int) -> io::Result<()> {
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer is to a live value, and the kernel only reads.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Pages that are there stay, and those that come; none is fetched in advance.
///
/// # Errors
/// It is not allowed.
pub fn lock_memory() -> io::Result<()> {
    let flags = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    // SAFETY: it takes no pointer, and changes nothing that the program can see.
    match unsafe { libc::mlockall(flags) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sends Ethernet frames over any link.
#[derive(Debug)]
pub struct FrameSocket(Socket);

impl FrameSocket {
    /// Opens it.
    ///
    /// # Errors
    /// Mostly: CAP_NET_RAW is missing.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Sends `frame`, which begins with its Ethernet header, over the link `index`.
    ///
    /// # Errors
    /// As `sendto(2)`: the link is down or gone, or its queue is full.
    pub fn send(&self, index: u32, frame: &[u8]) -> io::Result<()> {
        let index = libc::c_int::try_from(index)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut octets = [0; 8];
        if let (Some(to), Some(from)) = (octets.get_mut(..6), frame.get(..6)) {
            to.copy_from_slice(from);
        }
        let kind = frame.get(12..14).map_or([0; 2], |kind| [kind[0], kind[1]]);
        let address = libc::sockaddr_ll {
            sll_family: libc::sa_family_t::try_from(libc::AF_PACKET).unwrap_or_default(),
            sll_protocol: u16::from_ne_bytes(kind),
            sll_ifindex: index,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 6,
            sll_addr: octets,
        };
        let len = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or_default();
        // SAFETY: both pointers are to live values of the lengths given, and the kernel only reads.
        let sent = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                libc::MSG_DONTWAIT,
                (&raw const address).cast(),
                len,
            )
        };
        match sent {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}
