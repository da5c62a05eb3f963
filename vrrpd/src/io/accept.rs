//! `accept = false`: what is sent to the addresses of a router that does not own them is not taken.
//!
//! RFC 9568 §6.1 has Accept_Mode for hosts that only lend their address as a gateway: they forward
//! what comes to the virtual MAC, answer ARP and neighbor discovery, and take nothing else. The
//! addresses are on a link all the same, or nobody would answer for them; a table of nftables drops
//! what is for them. It does not depend on who is master (a backup has nothing to take), so a
//! transition costs no transaction.
//!
//! Others may flush all tables (a firewall that is reloaded does): the table is looked for every
//! time [`Gate::sync`] is called and written again. Where it cannot be written the instances
//! concerned are at fault, because a promise about what is open is not kept by a warning.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use rib::netlink::nft::Table;

/// The table, as far as we know.
#[derive(Debug, Default)]
pub struct Gate {
    table: Option<Table>,
    closed: BTreeSet<IpAddr>,
    looked: bool,
}

impl Gate {
    /// Closes what is to be closed, and nothing else.
    ///
    /// # Errors
    /// The system's text; tried again with the next call.
    pub fn sync(&mut self, closed: &BTreeSet<IpAddr>) -> Result<(), String> {
        if closed.is_empty() && self.closed.is_empty() && self.looked {
            return Ok(());
        }
        let open = match self.table.take() {
            Some(table) => Ok(table),
            None => Table::open(),
        };
        let looked = open.and_then(|mut table| Ok((table.is_whole()?, table)));
        let (there, mut table) = match looked {
            Ok(looked) => looked,
            // What we wrote is there as far as anybody knows.
            Err(error) if self.looked && self.closed == *closed => {
                tracing::warn!("the table of nftables cannot be looked at: {error}");
                return Ok(());
            }
            // Written or removed without a look.
            Err(error) => {
                let again = Table::open().map_err(|_| error.to_string())?;
                (closed.is_empty(), again)
            }
        };
        let outcome = match (closed.is_empty(), there) {
            // What an earlier process left, or what is no longer asked for.
            (true, true) => table.remove(),
            (true, false) => Ok(()),
            (false, true) if self.closed == *closed => Ok(()),
            (false, _) => {
                if self.closed == *closed {
                    tracing::warn!("somebody removed the table of nftables: written again");
                }
                table.replace(closed)
            }
        };
        outcome.map_err(|error| {
            let reason = io::Error::from_raw_os_error(error.errno);
            match error.errno {
                libc::EPERM => format!("nftables: {reason} (CAP_NET_ADMIN is missing)"),
                libc::EOPNOTSUPP => format!("nftables: {reason} (not in this kernel)"),
                _ => format!("nftables: {reason}"),
            }
        })?;
        self.looked = true;
        self.table = Some(table);
        self.closed.clone_from(closed);
        Ok(())
    }
}
