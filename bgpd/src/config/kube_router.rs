//! `kube-router-args`: kube-router's flags, as its manifest writes them.
//!
//! What kube-router would refuse is an error of the file, at the word; what does not concern
//! routing is ignored as kube-router's own: `wayfare convert kube-router` has told. The file of
//! passwords is read here, like the key of a neighbor: one that is missing must be found before
//! the reload and not when the session next comes up.

use std::path::Path;

use cluster::dialect::kube_router::{Flags, Verdict};
use ctl::config::{At, Many};

use super::settings::Scope;

/// The file of passwords is one line; more octets are something else.
const FILE_LEN_MAX: u64 = 64 * 1024;

/// Reads the flags; what is wrong goes to the scope's sink.
pub(super) fn flags(args: Option<&At<Many<String>>>, scope: &Scope<'_>) -> Flags {
    let Some(args) = args else {
        return Flags::default();
    };
    let words: Vec<&str> = args.value.iter().map(|at| at.value.as_str()).collect();
    let (mut flags, readings) = Flags::parse(&words);
    let mut is_good = true;
    for reading in readings {
        let Verdict::Refused(text) = &reading.verdict else {
            continue;
        };
        is_good = false;
        let word = reading.at.and_then(|at| args.value.get(at));
        let span = word.map_or(&args.span, |at| &at.span);
        let message = format!(
            "`{}` is not a flag of kube-router that can be followed",
            reading.word
        );
        scope.sink.error(span, message, text);
    }
    let file = flags.passwords_file.clone().filter(|_| is_good);
    if let Some(file) = file.filter(|_| flags.peers.iter().all(|peer| peer.password.is_none())) {
        let path = scope.directory.join(&*file);
        let read = read(&path).and_then(|text| flags.set_passwords(&text));
        if let Err(message) = read {
            let cure = "the file has a password in base64 for each router, between commas";
            scope.sink.error(&args.span, message, cure);
        }
    }
    flags
}

fn read(path: &Path) -> Result<String, String> {
    use std::io::Read;

    let shown = path.display();
    let told = |error| format!("cannot read {shown}: {error}");
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(told)?;
    file.take(FILE_LEN_MAX)
        .read_to_string(&mut text)
        .map_err(told)?;
    Ok(text)
}
