//! The list of malformed messages, each with the reaction that its RFC names.
//!
//! The list stands beside the checkout (`WAYFARE_SHARED`, default `../shared`), not in it; tests
//! that need it are skipped by name where it is absent.

use std::path::PathBuf;

use serde::Deserialize;

/// What a case demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// The route is kept as sent.
    Accept,
    /// The route is withdrawn, the session stays (RFC 7606 §2).
    TreatAsWithdraw,
    /// The route is kept without the attribute (RFC 7606 §2).
    AttributeDiscard,
    /// NOTIFICATION, or the connection is closed.
    SessionReset,
}

/// The session that a case is sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Session {
    /// External, 4-octet AS numbers.
    Ebgp,
    /// Internal.
    Ibgp,
    /// External, 2-octet AS numbers.
    As2,
}

/// One malformed (or just unusual) message.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// `attr`, `attr-ibgp`, `nlri`, `framing`, `open`, `as2`.
    pub group: String,
    /// Where it is sent.
    pub session: Session,
    /// The reaction it must cause.
    pub expect: Expect,
    /// The rule that says so; a leading `N/M` is the NOTIFICATION demanded.
    pub why: String,
    /// The whole message.
    pub hex: String,
}

#[derive(Deserialize)]
struct List {
    cases: Vec<Case>,
}

impl Case {
    /// The message in octets.
    ///
    /// # Panics
    /// If the list holds something else than hexadecimal digits.
    pub fn bytes(&self) -> Vec<u8> {
        let digits: Vec<u8> = self.hex.bytes().collect();
        let octet = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).expect("hexadecimal digits");
            u8::from_str_radix(text, 16).expect("hexadecimal digits")
        };
        digits.chunks(2).map(octet).collect()
    }

    /// NOTIFICATION code and subcode, where the rule names them.
    pub fn notification(&self) -> Option<(u8, u8)> {
        self.why.split([' ', ',', ';', '(']).find_map(|word| {
            let (code, subcode) = word.split_once('/')?;
            Some((code.parse().ok()?, subcode.parse().ok()?))
        })
    }
}

/// Where real data lies.
pub fn shared() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared");
    std::env::var_os("WAYFARE_SHARED").map_or_else(|| default.into(), PathBuf::from)
}

/// All cases, or why there are none.
///
/// # Errors
/// The path that could not be read, or what is wrong with the list.
pub fn load() -> Result<Vec<Case>, String> {
    let path = shared().join("data/malformed/cases.json");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let list: List = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(list.cases)
}
