//! `show metrics` for people and scrapers: the text exposition, octet for octet what the exporter
//! serves. Its JSON is the view itself.
//!
//! A family is written when it has come, with the writer that the exporter uses too, so that a
//! script which reads one reads the other. Of several daemons each has its own names, and what
//! stands between them is a comment.

use std::io::{self, Write};

use proto_codec::control::{Head, View};

use super::{Renderer, unexpected};

/// The text form.
#[derive(Debug)]
pub struct Text;

impl Renderer for Text {
    fn head(&mut self, _: &mut dyn Write, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, view: View) -> io::Result<()> {
        let View::MetricFamily(family) = view else {
            return unexpected(&view);
        };
        let mut text = String::new();
        ctl::metrics::exposition(&family, &mut text);
        out.write_all(text.as_bytes())
    }
}
