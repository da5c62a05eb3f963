//! Scripts that say something the daemon can do itself.
//!
//! Most checks of the field are three commands: is a process there (`killall -0`, `pidof`,
//! `pgrep`), does a port answer (`</dev/tcp/host/port`, `nc -z`), does the API server say it is
//! ready (`curl -k https://…:6443/healthz`, or the `check_apiserver.sh` of kubeadm's guide). A
//! check of our own starts no process, cannot hang, and is not confused by a shell that is not
//! bash. Whatever has more to it (pipes, several commands, patterns) stays a script.

use super::draft::Target;
use super::lexer::command_words;

/// What a command was recognised as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idiom {
    /// The check.
    pub target: Target,
    /// What differs from the command.
    pub differs: &'static str,
}

const CURL: &str = "an HTTP check: any status but 2xx fails, where curl without -f is content";
const PROCESS: &str = "a process check";
const PATTERN: &str = "a process check: of exactly this name, where pgrep without -x is content \
                       with one that has it inside";
const PORT: &str = "a TCP check";
const APISERVER: &str =
    "taken for the script of kubeadm's guide: see that port and path are those in it";

/// Recognises `command`.
pub fn recognise(command: &[String]) -> Option<Idiom> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let (program, arguments) = words.split_first()?;
    if let Some(target) = dev_tcp(&words) {
        return Some(idiom(target, PORT));
    }
    let name = program.rsplit('/').next().unwrap_or(program);
    match name {
        // One word is a whole command line in quotes.
        _ if arguments.is_empty() && program.contains(' ') => recognise(&command_words(program)),
        "sh" | "bash" | "dash" if arguments.first() == Some(&"-c") && arguments.len() == 2 => {
            recognise(&command_words(arguments.last()?))
        }
        "killall" | "pidof" | "pgrep" => process(name, arguments),
        "nc" | "ncat" => port(arguments),
        "curl" => curl(arguments),
        "check_apiserver.sh" | "check-apiserver.sh" | "chk_apiserver.sh" => Some(idiom(
            Target::Http {
                url: "https://127.0.0.1:6443/readyz".to_owned(),
                insecure: true,
            },
            APISERVER,
        )),
        _ => None,
    }
}

fn idiom(target: Target, differs: &'static str) -> Idiom {
    Idiom { target, differs }
}

/// `</dev/tcp/HOST/PORT`, with or without blanks, and `exec 3<>/dev/tcp/…`.
fn dev_tcp(words: &[&str]) -> Option<Target> {
    let joined = words.join(" ");
    let rest = joined
        .trim_start_matches("exec ")
        .trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = rest.strip_prefix("<>").or(rest.strip_prefix('<'))?;
    let (host, port) = rest
        .trim_start()
        .strip_prefix("/dev/tcp/")?
        .split_once('/')?;
    endpoint(host, port)
}

fn endpoint(host: &str, port: &str) -> Option<Target> {
    let number: u16 = port.parse().ok().filter(|it| *it > 0)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let numeric = host.parse::<std::net::Ipv6Addr>().is_ok();
    if host.is_empty() || (!numeric && !host.chars().all(plain)) {
        return None;
    }
    // The daemon asks no resolver; this name has one meaning everywhere.
    let host = match host {
        "localhost" => "127.0.0.1",
        host => host,
    };
    Some(Target::Tcp(match host.contains(':') {
        true => format!("[{host}]:{number}"),
        false => format!("{host}:{number}"),
    }))
}

fn process(program: &str, arguments: &[&str]) -> Option<Idiom> {
    let (flags, names): (Vec<&str>, Vec<&str>) =
        arguments.iter().partition(|word| word.starts_with('-'));
    let known: &[&str] = match program {
        "killall" => &["-0", "-q", "-s0"],
        "pidof" => &["-q", "-s", "-x"],
        _ => &["-x", "-q"],
    };
    let asks_only = program != "killall" || flags.iter().any(|flag| ["-0", "-s0"].contains(flag));
    let [name] = *names.as_slice() else {
        return None;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+:@/".contains(c);
    if !asks_only || !flags.iter().all(|flag| known.contains(flag)) || !name.chars().all(plain) {
        return None;
    }
    let name = name.rsplit('/').next().unwrap_or(name);
    let differs = match program {
        "pgrep" if !flags.contains(&"-x") => PATTERN,
        _ => PROCESS,
    };
    Some(idiom(Target::Process(name.to_owned()), differs))
}

/// `nc -z HOST PORT`.
fn port(arguments: &[&str]) -> Option<Idiom> {
    let (flags, rest): (Vec<&str>, Vec<&str>) =
        arguments.iter().partition(|word| word.starts_with('-'));
    let [host, port] = *rest.as_slice() else {
        return None;
    };
    let known = ["-z", "-n", "-4", "-6", "-nz", "-zn", "-zv", "-vz"];
    let asks_only = flags.iter().any(|flag| flag.contains('z'));
    if !asks_only || !flags.iter().all(|flag| known.contains(flag)) {
        return None;
    }
    Some(idiom(endpoint(host, port)?, PORT))
}

/// `curl [options] URL [-o /dev/null] [|| exit 1]`.
fn curl(arguments: &[&str]) -> Option<Idiom> {
    let mut url = None;
    let mut insecure = false;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "-o" | "--output" | "-m" | "--max-time" | "--connect-timeout" | "-w" => {
                words.next()?;
            }
            "--insecure" => insecure = true,
            "--silent" | "--fail" | "--show-error" => {}
            ">" | "2>" | "&>" => {
                words.next()?;
            }
            ">/dev/null" | "2>/dev/null" | "&>/dev/null" | "2>&1" => {}
            "||" if words.as_slice() == ["exit", "1"] => break,
            word if word.starts_with("http://") || word.starts_with("https://") => {
                if url.replace(word).is_some() {
                    return None;
                }
            }
            word => {
                let flags = word.strip_prefix('-').filter(|it| !it.starts_with('-'))?;
                if flags.is_empty() || !flags.chars().all(|c| "skfS".contains(c)) {
                    return None;
                }
                insecure |= flags.contains('k');
            }
        }
    }
    let url = url?;
    if !askable(url) {
        return None;
    }
    let url = url.replacen("//localhost", "//127.0.0.1", 1);
    Some(idiom(Target::Http { url, insecure }, CURL))
}

/// Whether the daemon can ask it: host, port and path, and nothing for a shell.
fn askable(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |it| it.1);
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    let named = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let plain = |c: char| c.is_ascii_graphic() && !"$`|&;<>\"'#\\".contains(c);
    !host.is_empty()
        && host.chars().all(named)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
        && path.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &str) -> Option<String> {
        let found = recognise(&command_words(command))?;
        let (key, value) = found.target.key();
        let insecure = matches!(found.target, Target::Http { insecure: true, .. });
        Some(format!(
            "{key} {value}{}",
            if insecure { " insecure" } else { "" }
        ))
    }

    #[test]
    fn the_three_commands_of_the_field_are_recognised() {
        for (command, wanted) in [
            ("killall -0 haproxy", "process haproxy"),
            ("\"/usr/bin/killall -0 haproxy\"", "process haproxy"),
            ("pidof nginx", "process nginx"),
            ("/bin/pgrep -x kube-apiserver", "process kube-apiserver"),
            ("</dev/tcp/127.0.0.1/80", "tcp 127.0.0.1:80"),
            ("bash -c '</dev/tcp/localhost/443'", "tcp 127.0.0.1:443"),
            ("nc -z 127.0.0.1 80", "tcp 127.0.0.1:80"),
            (
                "/usr/bin/curl -sk --max-time 2 https://localhost:6443/healthz -o /dev/null",
                "http https://127.0.0.1:6443/healthz insecure",
            ),
            ("curl -f http://10.0.0.1/x", "http http://10.0.0.1/x"),
            (
                "/etc/keepalived/check_apiserver.sh",
                "http https://127.0.0.1:6443/readyz insecure",
            ),
        ] {
            assert_eq!(of(command).as_deref(), Some(wanted), "{command}");
        }
    }

    #[test]
    fn whatever_has_more_to_it_stays_a_script() {
        for command in [
            "killall haproxy",
            "pgrep -f 'java -jar'",
            "pidof a b",
            "nc -l 1 2",
            "curl -d x https://a/",
            "curl https://a/$X",
            "curl https://user@a/",
            "curl https://a:0/",
            "curl https://a/ | grep ok",
            "</dev/tcp/$HOST/80",
            "/etc/keepalived/check.sh",
            "sh -c 'pidof a || pidof b'",
            "",
        ] {
            assert_eq!(of(command), None, "{command}");
        }
    }
}
