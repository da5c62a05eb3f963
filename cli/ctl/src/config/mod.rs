//! Reading a daemon's configuration file: what is the same for both.
//!
//! A file is TOML, read field by field with the place of everything ([`Table`], [`Field`]); every
//! fault has its line, what is wrong and what to write instead ([`Diagnostics`]), and all of them
//! come out at once. Unknown keys are errors with the nearest known one. What the keys mean is the
//! daemon's business; what its file is like in general it says in a [`Dialect`].

mod diagnostic;
mod nearest;
mod read;
mod values;

use std::path::Path;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use nearest::{did_you_mean, nearest};
pub use read::{At, Dialect, Field, Many, Sink, Table, Value};
pub use values::{duration_text, parse_net};

/// The text of the file at `path`.
///
/// # Errors
/// It cannot be read or is no text, as the only fault of the file.
pub fn read_text(path: &Path) -> Result<String, Diagnostics> {
    let unreadable = |message: String| {
        let mut faults = Diagnostics::new(&path.display().to_string(), "");
        faults.file_error(
            message,
            "name another file with --config, or fix its permissions",
        );
        faults
    };
    let bytes = std::fs::read(path).map_err(|error| unreadable(format!("cannot read: {error}")))?;
    String::from_utf8(bytes).map_err(|error| unreadable(format!("not UTF-8 text: {error}")))
}
