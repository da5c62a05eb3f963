//! The kinds of MetalLB, each read from its JSON into what rules ask for.
//!
//! One fault takes one object out. Keys that nobody reads are kept as paths, so that a misspelt key
//! in a manifest is a warning; the API server itself drops such keys before we see them. Of the
//! annotations none is kept: `kubectl` writes a copy of the whole object into one, and two objects
//! that differ only there are equal to us.

use serde_json::Value;

use super::advertisement::{Advertisement, Layer2};
use super::bfd::{self, BfdProfile};
use super::peer::Peer;
use super::pool::Pool;
use super::read::{Table, Wrong};
use crate::object::Meta;
use crate::{Fault, Severity};

/// The kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `BGPPeer`.
    BgpPeer,
    /// `BGPAdvertisement`.
    BgpAdvertisement,
    /// `IPAddressPool`.
    IpAddressPool,
    /// `AddressPool`, the form of 0.13 with its advertisements inside.
    AddressPool,
    /// `L2Advertisement`.
    L2Advertisement,
    /// `BFDProfile`.
    BfdProfile,
    /// `Community`.
    Community,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::BgpPeer,
        Self::BgpAdvertisement,
        Self::IpAddressPool,
        Self::AddressPool,
        Self::L2Advertisement,
        Self::BfdProfile,
        Self::Community,
    ];

    /// The kind of this name.
    #[must_use]
    pub fn of(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == kind)
    }

    /// Its name, as `kind:` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BgpPeer => "BGPPeer",
            Self::BgpAdvertisement => "BGPAdvertisement",
            Self::IpAddressPool => "IPAddressPool",
            Self::AddressPool => "AddressPool",
            Self::L2Advertisement => "L2Advertisement",
            Self::BfdProfile => "BFDProfile",
            Self::Community => "Community",
        }
    }
}

/// What an object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spec {
    Peer(Box<Peer>),
    Advertisement(Box<Advertisement>),
    Pool(Pool),
    /// A pool with its own advertisements; `None`: announced by ARP and NDP.
    OldPool(Pool, Option<Vec<Advertisement>>),
    Layer2(Layer2),
    Bfd(BfdProfile),
    /// Alias and value as they are written.
    Communities(Vec<(Box<str>, Box<str>)>),
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    kind: Kind,
    meta: Meta,
    pub(super) spec: Spec,
    /// Paths of keys that are not known.
    pub(super) unknown: Vec<Box<str>>,
}

impl Object {
    /// An object made from a part of the ConfigMap.
    pub(super) fn made(kind: Kind, namespace: &str, name: &str, spec: Spec) -> Self {
        Self {
            kind,
            meta: Meta {
                namespace: namespace.into(),
                name: name.into(),
                ..Meta::default()
            },
            spec,
            unknown: Vec::new(),
        }
    }

    /// Reads an object.
    ///
    /// # Errors
    /// What is wrong with it, at which path.
    pub fn decode(kind: Kind, json: &[u8]) -> Result<Self, Fault> {
        let unreadable = |text: &str| Fault::unreadable(crate::object::Kind::Metallb(kind), text);
        let value: Value =
            serde_json::from_slice(json).map_err(|error| unreadable(&error.to_string()))?;
        let mut meta: Meta = match value.get("metadata") {
            Some(meta) => serde_json::from_value(meta.clone())
                .map_err(|error| unreadable(&format!("metadata: {error}")))?,
            None => return Err(unreadable("metadata is missing; write at least a name")),
        };
        meta.annotations.clear();
        let fault = |wrong: Wrong| Fault {
            object: format!("{} {}", kind.name(), meta.object_name()).into(),
            path: wrong.path,
            severity: Severity::Error,
            text: wrong.text,
        };
        let mut unknown = Vec::new();
        let spec = decode_spec(kind, &value, &mut unknown).map_err(fault)?;
        if meta.name.is_empty() {
            return Err(fault(Wrong::new("metadata.name", "missing; write a name")));
        }
        Ok(Self {
            kind,
            meta,
            spec,
            unknown,
        })
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name and labels.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// How it is named in faults and by `explain`.
    pub(super) fn label(&self) -> Box<str> {
        format!("{} {}", self.kind.name(), self.meta.object_name()).into()
    }
}

fn decode_spec(kind: Kind, value: &Value, unknown: &mut Vec<Box<str>>) -> Result<Spec, Wrong> {
    let mut top = Table::of(value, "", false)?;
    let mut spec = top.table("spec")?;
    let read = match kind {
        Kind::BgpPeer => Spec::Peer(Box::new(Peer::read(&mut spec, unknown)?)),
        Kind::BgpAdvertisement => {
            Spec::Advertisement(Box::new(Advertisement::read(&mut spec, unknown)?))
        }
        Kind::IpAddressPool => Spec::Pool(Pool::read(&mut spec, unknown)?),
        Kind::AddressPool => old_pool(&mut spec, value, unknown)?,
        Kind::L2Advertisement => Spec::Layer2(Layer2::read(&mut spec, unknown)?),
        Kind::BfdProfile => Spec::Bfd(BfdProfile::read(&mut spec, &bfd::RESOURCE)?),
        Kind::Community => communities(&mut spec, unknown)?,
    };
    spec.unknown(unknown);
    Ok(read)
}

fn old_pool(
    spec: &mut Table<'_>,
    value: &Value,
    unknown: &mut Vec<Box<str>>,
) -> Result<Spec, Wrong> {
    let name = value.pointer("/metadata/name").and_then(Value::as_str);
    spec.flag("autoAssign")?;
    spec.flag("avoidBuggyIPs")?;
    let pool = Pool::addresses(spec)?;
    let mut advertisements = Vec::new();
    for mut entry in spec.tables("bgpAdvertisements")? {
        advertisements.push(Advertisement::read_inline(&mut entry, name.unwrap_or(""))?);
        entry.unknown(unknown);
    }
    if advertisements.is_empty() {
        advertisements.push(Advertisement::plain(name.unwrap_or("")));
    }
    let protocol = spec.text("protocol")?;
    match protocol.as_deref() {
        Some("bgp") => Ok(Spec::OldPool(pool, Some(advertisements))),
        Some("layer2") => Ok(Spec::OldPool(pool, None)),
        _ => Err(spec.wrong("protocol", "must be bgp or layer2")),
    }
}

fn communities(spec: &mut Table<'_>, unknown: &mut Vec<Box<str>>) -> Result<Spec, Wrong> {
    let mut aliases = Vec::new();
    for mut entry in spec.tables("communities")? {
        let name = entry.text("name")?.unwrap_or_default();
        let value = entry.text("value")?.unwrap_or_default();
        entry.unknown(unknown);
        aliases.push((name.as_ref().into(), value.as_ref().into()));
    }
    Ok(Spec::Communities(aliases))
}
