//! Marks of template engines: `{{ value }}`, `{% statement %}` and `{# comment #}`.
//!
//! Configurations are often kept as templates of Ansible (Jinja) or Go. keepalived never sees them
//! so, and nobody can tell here what they will be; but most of such a file is plain, and the plain
//! lines deserve a verdict too. So the line with a mark is refused, what it would open or close is
//! kept, and a comment over several lines is skipped.

/// Where in the file we are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Template {
    in_comment: bool,
}

/// A line after its marks were taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plain {
    /// It had a mark.
    pub marked: bool,
    /// It is in a comment of the template.
    pub comment: bool,
    /// What is left to read; `None`: nothing.
    pub text: Option<String>,
}

impl Template {
    /// Judges the next line.
    pub fn strip(&mut self, line: &str) -> Plain {
        if self.in_comment {
            self.in_comment = !line.contains("#}");
            return Plain::commented();
        }
        if line.trim_start().starts_with("{#") {
            self.in_comment = !line.contains("#}");
            return Plain::commented();
        }
        let visible = line.split(['#', '!']).next().unwrap_or_default();
        if !visible.contains("{{") && !visible.contains("{%") {
            return Plain {
                text: Some(line.to_owned()),
                ..Plain::default()
            };
        }
        let rest = without_marks(visible);
        let opens = rest.trim_end().ends_with('{');
        let word = rest.split_whitespace().next().unwrap_or_default();
        // The name of the block is what the template makes of it: any will do to go on.
        let text = (opens && word != "{").then(|| format!("{word} template {{"));
        Plain {
            marked: true,
            comment: false,
            text,
        }
    }
}

impl Plain {
    fn commented() -> Self {
        Self {
            comment: true,
            ..Self::default()
        }
    }
}

fn without_marks(line: &str) -> String {
    let mut left = String::new();
    let mut rest = line;
    while let Some(start) = [rest.find("{{"), rest.find("{%")]
        .into_iter()
        .flatten()
        .min()
    {
        left.push_str(rest.get(..start).unwrap_or_default());
        let inside = rest.get(start..).unwrap_or_default();
        let end = [inside.find("}}"), inside.find("%}")].into_iter().flatten();
        match end.min() {
            Some(end) => rest = inside.get(end + 2..).unwrap_or_default(),
            None => return left,
        }
    }
    left + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_marked_and_the_block_kept() {
        let mut template = Template::default();
        let opened = template.strip("vrrp_instance {{ name }} {");
        assert!(opened.marked);
        assert_eq!(opened.text.as_deref(), Some("vrrp_instance template {"));
        assert_eq!(template.strip("{% if x %}").text, None);
        assert_eq!(template.strip("  priority {{ p }} # {{").text, None);
        assert!(!template.strip("priority 100 # {{ old }}").marked);
        for line in ["{# one", "two {", "-#}"] {
            assert_eq!(template.strip(line), Plain::commented());
        }
        assert_eq!(template.strip("x {").text.as_deref(), Some("x {"));
    }
}
