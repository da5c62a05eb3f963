//! Words of an entry: hosts with ports, URLs, status codes, weights, commands.
//!
//! A URL is read by hand: of its grammar (RFC 3986) only scheme, host, port, path and query mean
//! anything to a check, and user names and fragments are refused rather than ignored.

use ctl::config::{Field, Value};
use toml::de::DeValue;

use super::super::check::{Endpoint, Weight};

/// Host and port.
pub(super) struct EndpointWord(pub Endpoint);

/// A URL, taken apart.
#[derive(Clone)]
pub(super) struct UrlWord {
    pub text: String,
    pub https: bool,
    pub endpoint: Endpoint,
    pub port_given: bool,
    pub path: String,
}

/// Accepted status codes.
#[derive(Clone, Copy)]
pub(super) struct StatusWord(pub (u16, u16));

/// `weight`.
#[derive(Clone, Copy)]
pub(super) struct WeightWord(pub Weight);

impl Value for EndpointWord {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write host and port, such as \"127.0.0.1:443\" or \"[::1]:443\"";
        let text = field.text("a host with a port", cure)?;
        match endpoint(text) {
            Some((endpoint, true)) => Some(Self(endpoint)),
            _ => field.fault(format!("\"{text}\" is no host with a port"), cure),
        }
    }
}

/// `host[:port]`; `false`: no port was given, and it is 0.
fn endpoint(text: &str) -> Option<(Endpoint, bool)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (host, rest) = inner.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => {
            let at = text.find(':').unwrap_or(text.len());
            text.split_at(at)
        }
    };
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.is_empty() || (!host.contains(':') && !host.chars().all(named)) {
        return None;
    }
    let host = host.to_owned();
    if rest.is_empty() {
        return Some((Endpoint { host, port: 0 }, false));
    }
    let port = rest.strip_prefix(':')?.parse().ok().filter(|it| *it != 0)?;
    Some((Endpoint { host, port }, true))
}

impl Value for UrlWord {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write a URL such as \"https://127.0.0.1:6443/readyz\"";
        let text = field.text("a URL", cure)?;
        let found = url(text);
        found.or_else(|| field.fault(format!("\"{text}\" is no URL that can be asked"), cure))
    }
}

fn url(text: &str) -> Option<UrlWord> {
    let (https, rest) = match text.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("http://")?),
    };
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let printable = |c: char| c.is_ascii_graphic() && c != '#';
    if !path.chars().all(printable) {
        return None;
    }
    let path = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    };
    let (mut endpoint, port_given) = endpoint(authority)?;
    if !port_given {
        endpoint.port = if https { 443 } else { 80 };
    }
    Some(UrlWord {
        text: text.to_owned(),
        https,
        endpoint,
        port_given,
        path,
    })
}

impl Value for StatusWord {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write 200, \"200-299\", or a list of those";
        let range = match field.value.get_ref() {
            DeValue::Integer(integer) => {
                let code = integer.as_str().parse::<u16>().ok();
                code.map(|code| (code, code))
            }
            DeValue::String(text) => {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                first.trim().parse().ok().zip(last.trim().parse().ok())
            }
            _ => return field.wrong_kind("a status code or a range of them", cure),
        };
        let valid = range.filter(|(a, b)| *a >= 100 && a <= b && *b <= 599);
        valid
            .map(Self)
            .or_else(|| field.fault("these are no status codes of HTTP", cure))
    }
}

impl Value for WeightWord {
    fn read(field: &Field<'_>) -> Option<Self> {
        let cure = "write a number from -253 to 253, or leave it out: bad is a fault then";
        match field.value.get_ref() {
            DeValue::Integer(integer) => {
                let number = i32::from_str_radix(integer.as_str(), integer.radix()).ok();
                match number.filter(|it| (-253..=253).contains(it)) {
                    Some(0) => field.fault("`weight` 0 changes nothing", cure),
                    Some(points) => Some(Self(Weight::Points(points))),
                    None => field.fault("`weight` is out of range", cure),
                }
            }
            DeValue::String(text) if text == "content" => Some(Self(Weight::Content)),
            _ => field.wrong_kind("a number, or \"content\" with `file`", cure),
        }
    }
}

/// A program with arguments, split at blanks as keepalived does; a list is taken as it is.
pub(super) fn words(list: &[String]) -> Vec<String> {
    match list {
        [one] => one.split_whitespace().map(ToOwned::to_owned).collect(),
        many => many.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let parts = |text: &str| {
            let url = url(text)?;
            Some((url.https, url.endpoint.to_string(), url.path))
        };
        for (text, expected) in [
            (
                "https://127.0.0.1:6443/readyz",
                Some((true, "127.0.0.1:6443", "/readyz")),
            ),
            (
                "https://[::1]:6443/readyz?verbose",
                Some((true, "[::1]:6443", "/readyz?verbose")),
            ),
            (
                "http://ready.example",
                Some((false, "ready.example:80", "/")),
            ),
            (
                "https://ready.example?x",
                Some((true, "ready.example:443", "/?x")),
            ),
            ("https://user@ready.example/", None),
            ("https://ready.example/#part", None),
            ("https://ready.example/a b", None),
            ("https://:443/", None),
            ("https://a:0/", None),
            ("https://[10.0.0.1]/", None),
            ("ftp://a/", None),
        ] {
            let expected = expected.map(|(s, e, p)| (s, e.to_owned(), p.to_owned()));
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn a_command_is_split_at_blanks_and_a_list_is_not() {
        assert_eq!(
            words(&["/bin/check  a b".to_owned()]),
            ["/bin/check", "a", "b"]
        );
        let list = ["/bin/check".to_owned(), "a b".to_owned()];
        assert_eq!(words(&list), list);
    }
}
