//! Writes JSON objects straight into a string. A page of repositories has ten thousand fields; building them as values
//! first would make the fake slower than what it tests.

/// An object that is being written.
pub(super) struct Object<'a> {
    out: &'a mut String,
    first: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, first: true }
    }

    pub(super) fn end(self) {
        self.out.push('}');
    }

    /// The key, after which a value has to follow.
    fn key(&mut self, key: &str) -> &mut String {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
        self.out
    }

    pub(super) fn text(&mut self, key: &str, value: &str) -> &mut Self {
        escape(self.key(key), value);
        self
    }

    /// An address made of parts. Nothing in an address needs escaping (names are checked where they come in), and most of
    /// a page is addresses.
    pub(super) fn parts(&mut self, key: &str, parts: &[&str]) -> &mut Self {
        let out = self.key(key);
        out.push('"');
        for part in parts {
            out.push_str(part);
        }
        out.push('"');
        self
    }

    pub(super) fn maybe(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(key, value),
            None => self.raw(key, "null"),
        }
    }

    pub(super) fn number(&mut self, key: &str, value: u64) -> &mut Self {
        let text = value.to_string();
        self.raw(key, &text)
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.raw(key, if value { "true" } else { "false" })
    }

    /// A value that is JSON already.
    pub(super) fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key).push_str(json);
        self
    }

    /// A value that the closure writes.
    pub(super) fn nest(&mut self, key: &str, write: impl FnOnce(&mut String)) -> &mut Self {
        write(self.key(key));
        self
    }
}

fn escape(out: &mut String, value: &str) {
    out.push('"');
    if value.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        escape_slowly(out, value);
    } else {
        out.push_str(value);
    }
    out.push('"');
}

fn escape_slowly(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let hard = "a\"b\\c\nd\te\r\u{1}\u{7f}ü🚀";
        let mut out = String::new();
        let mut object = Object::begin(&mut out);
        object.text("t", hard).parts("p", &["x", "/y"]).maybe("n", None).number("i", u64::MAX).flag("f", true);
        object.nest("o", |out| Object::begin(out).end());
        object.end();
        let read: serde_json::Value = serde_json::from_str(&out).unwrap();
        let wanted = serde_json::json!({"t": hard, "p": "x/y", "n": null, "i": u64::MAX, "f": true, "o": {}});
        assert_eq!(read, wanted);
    }
}
