//! Writing JSON as it comes: a stack of open objects, members appended one by one.
//!
//! A table of a million routes must not be built in memory to be printed, so the containers are
//! opened and closed by hand and only the rows are values. Members are indented by two spaces as
//! FRR does for small answers; a row stands on one line.

use std::io::{self, Write};

use serde_json::Value;

/// JSON in the making.
#[derive(Debug, Default)]
pub struct Stream {
    /// Open containers: their closing character and whether they have a member.
    open: Vec<(char, bool)>,
}

impl Stream {
    /// Opens an object; `key` is its name in the container around it, if that is an object.
    pub fn open_object(&mut self, out: &mut dyn Write, key: Option<&str>) -> io::Result<()> {
        self.separate(out, key)?;
        self.open.push(('}', false));
        out.write_all(b"{")
    }

    /// Opens an array.
    pub fn open_array(&mut self, out: &mut dyn Write, key: Option<&str>) -> io::Result<()> {
        self.separate(out, key)?;
        self.open.push((']', false));
        out.write_all(b"[")
    }

    /// Closes what was opened last.
    pub fn close(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if let Some((end, has_member)) = self.open.pop() {
            if has_member {
                self.line(out)?;
            }
            write!(out, "{end}")?;
        }
        if self.open.is_empty() {
            writeln!(out)?;
        }
        Ok(())
    }

    /// Whether anything is open.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Adds a value on one line.
    pub fn value(
        &mut self,
        out: &mut dyn Write,
        key: Option<&str>,
        value: &Value,
    ) -> io::Result<()> {
        self.separate(out, key)?;
        serde_json::to_writer(&mut *out, value)?;
        if self.open.is_empty() {
            writeln!(out)?;
        }
        Ok(())
    }

    /// Adds the members of an object, or an object, over several lines.
    pub fn members(&mut self, out: &mut dyn Write, value: &Value) -> io::Result<()> {
        if let Value::Object(members) = value {
            for (key, value) in members {
                self.tree(out, Some(key), value)?;
            }
        }
        Ok(())
    }

    /// Adds a value, a line for each member.
    pub fn tree(
        &mut self,
        out: &mut dyn Write,
        key: Option<&str>,
        value: &Value,
    ) -> io::Result<()> {
        match value {
            Value::Object(_) => {
                self.open_object(out, key)?;
                self.members(out, value)?;
                self.close(out)
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                self.open_array(out, key)?;
                for item in items {
                    self.tree(out, None, item)?;
                }
                self.close(out)
            }
            other => self.value(out, key, other),
        }
    }

    fn separate(&mut self, out: &mut dyn Write, key: Option<&str>) -> io::Result<()> {
        if let Some((_, has_member)) = self.open.last_mut() {
            if std::mem::replace(has_member, true) {
                out.write_all(b",")?;
            }
            self.line(out)?;
        }
        if let Some(key) = key {
            serde_json::to_writer(&mut *out, key)?;
            out.write_all(b":")?;
        }
        Ok(())
    }

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "\n{:width$}", "", width = self.open.len() * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_streamed_reads_back() {
        let mut out = Vec::new();
        let mut stream = Stream::default();
        stream.open_object(&mut out, None).unwrap();
        stream
            .members(&mut out, &json!({"a": 1, "b": {"c": []}}))
            .unwrap();
        stream.open_object(&mut out, Some("rows")).unwrap();
        for number in 0..3 {
            stream
                .value(&mut out, Some(&number.to_string()), &json!([{"n": number}]))
                .unwrap();
        }
        stream.close(&mut out).unwrap();
        stream.value(&mut out, Some("total"), &json!(3)).unwrap();
        stream.close(&mut out).unwrap();
        let read: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read["rows"]["2"][0]["n"], 2);
        assert_eq!(read["total"], 3);
        assert!(!stream.is_open());
    }
}
