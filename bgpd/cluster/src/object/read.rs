//! Reading JSON so that a fault names the object and the place in it.
//!
//! The API server checks what it stores, yet manifests in a folder, other versions of it and
//! whoever sits between may hand us anything: null where a list belongs (Go writes an empty slice
//! so), a number for a name, megabytes of it. Such an object becomes a [`Fault`] with its name and
//! the path of the first offence, as `spec.clusterIPs[1]`; nothing here panics.
//!
//! serde_json tells line and column only. The path is found by walking the text up to there a
//! second time, which costs nothing while objects are right.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Kind, ObjectName};
use crate::{Fault, Severity};

/// An object larger than this is refused. etcd's own limit is 1.5 MiB, the API server's 3 MiB.
pub const OBJECT_OCTETS_MAX: usize = 4 << 20;
/// Frames of a path that are kept; serde_json refuses deeper nesting than 128.
const PATH_FRAMES_MAX: usize = 130;

/// Annotations that some rule reads start with one of these; all others are dropped.
const ANNOTATIONS: [&str; 5] = [
    "wayfare.dev/",
    "metallb.io/",
    "metallb.universe.tf/",
    "projectcalico.org/",
    "kube-router.io/",
];

/// Reads an object of this kind.
///
/// # Errors
/// What is wrong, with the object's name and the path.
pub fn read<T: DeserializeOwned>(kind: Kind, json: &[u8]) -> Result<T, Fault> {
    if json.len() > OBJECT_OCTETS_MAX {
        let text = format!("{} octets, at most {OBJECT_OCTETS_MAX}", json.len());
        return Err(fault(kind, &name_in(json), "", &text));
    }
    serde_json::from_slice(json).map_err(|error| {
        let reason = error.to_string();
        // "… at line 1 column 80" helps nobody: the path says it.
        let reason = match kind {
            // serde_json quotes what it found, which here may be a password.
            Kind::Secret => "is not what a Secret has here; its values are base64",
            _ => reason.split(" at line ").next().unwrap_or_default(),
        };
        let path = path_at(json, error.line(), error.column());
        fault(kind, &name_in(json), &path, reason)
    })
}

/// The fault that leaves an object out.
#[must_use]
pub fn fault(kind: Kind, name: &ObjectName, path: &str, text: &str) -> Fault {
    Fault {
        object: format!("{kind} {name}").into(),
        path: path.into(),
        severity: Severity::Error,
        text: text.into(),
    }
}

/// The name, as far as it can be read.
fn name_in(json: &[u8]) -> ObjectName {
    #[derive(Default, Deserialize)]
    struct Named {
        #[serde(default)]
        metadata: BTreeMap<String, serde_json::Value>,
    }
    let named: Named = serde_json::from_slice(json).unwrap_or_default();
    let of = |key| {
        let text = named.metadata.get(key).and_then(serde_json::Value::as_str);
        text.unwrap_or_default()
    };
    ObjectName::new(of("namespace"), of("name"))
}

/// One level of the path.
enum Frame {
    /// In an object, at this key (empty before the first).
    Key(String),
    /// In an array; `None` before the first element.
    Index(Option<usize>),
}

/// The path of what stands before this place.
fn path_at(json: &[u8], line: usize, column: usize) -> String {
    let before: usize = json
        .split_inclusive(|octet| *octet == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let mut octets = json.iter().copied().take(before.saturating_add(column));
    let mut frames: Vec<Frame> = Vec::new();
    let mut text: Vec<u8> = Vec::new();
    while let Some(octet) = octets.next() {
        match octet {
            b'{' | b'[' if frames.len() >= PATH_FRAMES_MAX => break,
            b'{' => {
                begin(&mut frames);
                frames.push(Frame::Key(String::new()));
            }
            b'[' => {
                begin(&mut frames);
                frames.push(Frame::Index(None));
            }
            b'}' | b']' => drop(frames.pop()),
            b':' => {
                if let Some(Frame::Key(key)) = frames.last_mut() {
                    *key = String::from_utf8_lossy(&text).into_owned();
                }
            }
            b',' => {
                if let Some(Frame::Index(Some(index))) = frames.last_mut() {
                    *index = index.saturating_add(1);
                }
            }
            b'"' => {
                begin(&mut frames);
                text.clear();
                while let Some(octet) = octets.next() {
                    match octet {
                        b'"' => break,
                        b'\\' => text.extend(octets.next()),
                        octet => text.push(octet),
                    }
                }
            }
            octet if octet.is_ascii_whitespace() => {}
            _ => begin(&mut frames),
        }
    }
    render(&frames)
}

/// An element begins: in an array before its first, this is the first.
fn begin(frames: &mut [Frame]) {
    if let Some(Frame::Index(index @ None)) = frames.last_mut() {
        *index = Some(0);
    }
}

fn render(frames: &[Frame]) -> String {
    let mut path = String::new();
    for frame in frames {
        match frame {
            Frame::Key(key) if key.is_empty() => {}
            Frame::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Frame::Index(Some(index)) => path.push_str(&format!("[{index}]")),
            Frame::Index(None) => {}
        }
    }
    path
}

/// A value where null means absent, for `#[serde(default, deserialize_with = "nullable")]`.
///
/// # Errors
/// Those of the value.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether some rule may read this annotation.
#[must_use]
pub fn is_read_annotation(key: &str) -> bool {
    ANNOTATIONS.iter().any(|prefix| key.starts_with(prefix))
}

/// Annotations of a prefix that some rule reads.
pub(super) fn annotations<'de, D>(deserializer: D) -> Result<BTreeMap<Box<str>, Box<str>>, D::Error>
where
    D: Deserializer<'de>,
{
    let wanted = Wanted(is_read_annotation);
    deserializer.deserialize_option(OrNull(wanted, PhantomData))
}

/// Only the label with the service's name.
pub(super) fn service_label<'de, D>(
    deserializer: D,
) -> Result<BTreeMap<Box<str>, Box<str>>, D::Error>
where
    D: Deserializer<'de>,
{
    let wanted = Wanted(|key: &str| key == super::decode::SERVICE_NAME);
    deserializer.deserialize_option(OrNull(wanted, PhantomData))
}

/// A map of which some keys are kept; the rest is never allocated for long.
struct Wanted<F>(F);

impl<'de, F: Fn(&str) -> bool> Visitor<'de> for Wanted<F> {
    type Value = BTreeMap<Box<str>, Box<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = access.next_key::<std::borrow::Cow<'de, str>>()? {
            if (self.0)(&key) {
                let value: Option<Box<str>> = access.next_value()?;
                map.insert(key.into(), value.unwrap_or_default());
            } else {
                access.next_value::<IgnoredAny>()?;
            }
        }
        Ok(map)
    }
}

/// What a visitor makes of a value, or nothing of null.
struct OrNull<V, T>(V, PhantomData<T>);

impl<'de, V: Visitor<'de>> Visitor<'de> for OrNull<V, V::Value>
where
    V::Value: Default,
{
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(V::Value::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(V::Value::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_map(self.0)
    }
}

/// An address as Kubernetes takes it: leading zeros of an octet are decimal zeros (its parser is
/// that of old Go, for objects stored long ago), and an IPv4 address in IPv6 form is IPv4.
#[must_use]
pub fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    without_zeros(text)?.parse().ok()
}

/// A range as Kubernetes takes it, host bits cleared.
#[must_use]
pub fn range(text: &str) -> Option<IpNet> {
    let (host, length) = text.trim().split_once('/')?;
    let length: u8 = length.parse().ok()?;
    Some(IpNet::new(address(host)?, length).ok()?.trunc())
}

fn without_zeros(text: &str) -> Option<String> {
    let mut octets = Vec::new();
    for octet in text.split('.') {
        let is_decimal = !octet.is_empty() && octet.bytes().all(|digit| digit.is_ascii_digit());
        if !is_decimal {
            return None;
        }
        let short = octet.trim_start_matches('0');
        octets.push(if short.is_empty() { "0" } else { short });
    }
    Some(octets.join("."))
}
