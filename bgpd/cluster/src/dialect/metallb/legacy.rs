//! The ConfigMap `config` of MetalLB up to 0.12, read into the objects that came after it.
//!
//! The key `config` holds YAML inside YAML: `peers`, `address-pools`, `bgp-communities`,
//! `bfd-profiles`. MetalLB's own converter (`configmaptocrs`) decides what each becomes and how it
//! is called: `peer1`, `bgpadvertisement1`, `l2advertisement1`, `communities`; pools and profiles
//! keep their names, made fit for Kubernetes. So that what a cluster does before and after its
//! migration is the same here, this reader ends in the same objects.
//!
//! MetalLB refuses the whole file for one unknown key or one bad entry. Here an unknown key is a
//! warning, and a bad entry is left out alone.

use serde::Deserialize;
use serde_json::Value;

use super::advertisement::{Advertisement, Layer2};
use super::bfd::{self, BfdProfile};
use super::object::{Kind, Object, Spec};
use super::peer::Peer;
use super::pool::Pool;
use super::read::{Table, Wrong};
use crate::object::ConfigMap;
use crate::{Fault, Severity};

/// The name of the ConfigMap, and of its one key.
pub(super) const CONFIG: &str = "config";
/// The longest name that Kubernetes has for such objects.
const NAME_LEN_MAX: usize = 63;

/// What became of a ConfigMap.
#[derive(Debug, Default)]
pub(super) struct Legacy {
    pub(super) objects: Vec<Object>,
    pub(super) faults: Vec<Fault>,
}

/// Reads the ConfigMap; `None` when it is not MetalLB's.
pub(super) fn read(map: &ConfigMap) -> Option<Legacy> {
    let text = map.data.get(CONFIG)?;
    Some(read_text(&map.meta.namespace, text))
}

/// Reads the text under the key.
pub(super) fn read_text(namespace: &str, text: &str) -> Legacy {
    let mut reader = Reader {
        namespace,
        advertisements: 0,
        layer2: 0,
        out: Legacy::default(),
    };
    // Go's reader of YAML took `yes` for text where text belongs, and so do we; see `flag`.
    let options = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Value>(text, options) {
        Ok(mut value) => {
            keep_passwords(text, &mut value);
            if let Err(wrong) = reader.all(&value) {
                reader.fault(Severity::Error, wrong);
            }
        }
        Err(error) => {
            let error = error.to_string();
            let line = error.lines().next().unwrap_or("").to_owned();
            let wrong = Wrong::new("data.config", format!("not YAML: {line}"));
            reader.fault(Severity::Error, wrong);
        }
    }
    reader.out
}

/// Puts passwords as they are written in place of numbers: `password: 007` is three digits.
fn keep_passwords(text: &str, value: &mut Value) {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Written {
        peers: Vec<WrittenPeer>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct WrittenPeer {
        password: Option<String>,
    }
    let Ok(written) = serde_saphyr::from_str::<Written>(text) else {
        return;
    };
    for (at, peer) in written.peers.into_iter().enumerate() {
        let place = value.pointer_mut(&format!("/peers/{at}/password"));
        if let (Some(place), Some(password)) = (place, peer.password)
            && place.is_number()
        {
            *place = Value::String(password);
        }
    }
}

type Done = Result<(), Wrong>;

struct Reader<'a> {
    namespace: &'a str,
    advertisements: usize,
    layer2: usize,
    out: Legacy,
}

impl Reader<'_> {
    fn fault(&mut self, severity: Severity, wrong: Wrong) {
        self.out.faults.push(Fault {
            object: format!("ConfigMap {}/{CONFIG}", self.namespace).into(),
            path: wrong.path,
            severity,
            text: wrong.text,
        });
    }

    fn put(&mut self, kind: Kind, name: &str, spec: Spec) {
        let object = Object::made(kind, self.namespace, name, spec);
        self.out.objects.push(object);
    }

    fn unknown(&mut self, table: &Table<'_>, mut unknown: Vec<Box<str>>) {
        table.unknown(&mut unknown);
        for path in unknown {
            let text = "unknown key, not used; MetalLB would refuse the whole ConfigMap for it";
            self.fault(Severity::Warning, Wrong::new(path, text));
        }
    }

    /// Entries of one list, each on its own: what fails is reported and left out.
    fn each(
        &mut self,
        entries: Vec<Table<'_>>,
        mut read: impl FnMut(&mut Self, usize, &mut Table<'_>, &mut Vec<Box<str>>) -> Done,
    ) {
        for (at, mut entry) in entries.into_iter().enumerate() {
            let mut unknown = Vec::new();
            match read(self, at, &mut entry, &mut unknown) {
                Ok(()) => self.unknown(&entry, unknown),
                Err(wrong) => self.fault(Severity::Error, wrong),
            }
        }
    }

    fn all(&mut self, value: &Value) -> Result<(), Wrong> {
        let mut top = Table::of(value, CONFIG, true)?;
        let peers = top.tables("peers")?;
        let pools = top.tables("address-pools")?;
        let profiles = top.tables("bfd-profiles")?;
        let communities = top.pairs("bgp-communities")?;
        self.each(peers, |this, at, entry, unknown| {
            let mut peer = Peer::read_old(entry, unknown)?;
            if let Some(profile) = &mut peer.bfd_profile {
                *profile = fit_name(profile, entry, "bfd-profile")?;
            }
            let name = format!("peer{}", at.saturating_add(1));
            this.put(Kind::BgpPeer, &name, Spec::Peer(Box::new(peer)));
            Ok(())
        });
        self.each(pools, |this, _, entry, unknown| this.pool(entry, unknown));
        self.each(profiles, |this, _, entry, _| {
            let name = name(entry)?;
            let profile = BfdProfile::read(entry, &bfd::CONFIG_MAP)?;
            this.put(Kind::BfdProfile, &name, Spec::Bfd(profile));
            Ok(())
        });
        if !communities.is_empty() {
            let mut aliases = communities;
            aliases.sort();
            self.put(Kind::Community, "communities", Spec::Communities(aliases));
        }
        self.unknown(&top, Vec::new());
        Ok(())
    }

    fn pool(&mut self, entry: &mut Table<'_>, unknown: &mut Vec<Box<str>>) -> Result<(), Wrong> {
        let name = name(entry)?;
        entry.flag("auto-assign")?;
        entry.flag("avoid-buggy-ips")?;
        let pool = Pool::addresses(entry)?;
        let mut advertisements = Vec::new();
        for mut inner in entry.tables("bgp-advertisements")? {
            advertisements.push(Advertisement::read_old(&mut inner, &name)?);
            inner.unknown(unknown);
        }
        let protocol = entry.text("protocol")?;
        self.put(Kind::IpAddressPool, &name, Spec::Pool(pool));
        if advertisements.is_empty() && protocol.as_deref() == Some("bgp") {
            advertisements.push(Advertisement::plain(&name));
        }
        for advertisement in advertisements {
            self.advertisements = self.advertisements.saturating_add(1);
            let name = format!("bgpadvertisement{}", self.advertisements);
            let spec = Spec::Advertisement(Box::new(advertisement));
            self.put(Kind::BgpAdvertisement, &name, spec);
        }
        match protocol.as_deref() {
            Some("bgp") => {}
            Some("layer2") => {
                self.layer2 = self.layer2.saturating_add(1);
                let made = format!("l2advertisement{}", self.layer2);
                let spec = Spec::Layer2(Layer2::plain(&name));
                self.put(Kind::L2Advertisement, &made, spec);
            }
            _ => {
                let text = "must be bgp or layer2; without it nothing announces the pool";
                let wrong = entry.wrong("protocol", text);
                self.fault(Severity::Warning, wrong);
            }
        }
        Ok(())
    }
}

fn name(entry: &mut Table<'_>) -> Result<Box<str>, Wrong> {
    match entry.text("name")? {
        Some(name) => fit_name(&name, entry, "name"),
        None => Err(entry.wrong("name", "missing; write a name")),
    }
}

/// The name as the converter makes it fit for Kubernetes: at most 63 octets, lower case, no `_`,
/// a letter first.
fn fit_name(name: &str, entry: &Table<'_>, key: &str) -> Result<Box<str>, Wrong> {
    let letter = |c: char| c.is_ascii_lowercase();
    let inner = |c: char| letter(c) || c.is_ascii_digit() || c == '-';
    let fits = (2..=NAME_LEN_MAX).contains(&name.len())
        && name.chars().all(inner)
        && name.starts_with(letter)
        && !name.ends_with('-');
    if fits {
        return Ok(name.into());
    }
    let end = (0..=NAME_LEN_MAX.min(name.len()))
        .rev()
        .find(|end| name.is_char_boundary(*end))
        .unwrap_or(0);
    let short = name.get(..end).unwrap_or("");
    let plain = short.to_lowercase().replace('_', "-");
    match plain.find(letter).and_then(|start| plain.get(start..)) {
        Some(fit) => Ok(fit.into()),
        None => Err(entry.wrong(
            key,
            format!("\"{name}\" has no letter to start a name with"),
        )),
    }
}
