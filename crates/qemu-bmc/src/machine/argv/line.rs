//! Options and their values, put together so that nothing of somebody's text is taken for QEMU's syntax.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
};

/// A piece of an option's value.
pub(super) enum Part<'a> {
    /// QEMU's own syntax, as it is.
    Text(&'a str),
    /// Somebody's text: a comma in it is doubled, which is how QEMU reads a comma that separates nothing.
    Value(&'a str),
    /// Somebody's path.
    Path(&'a Path),
}

#[derive(Default)]
pub(super) struct Line(pub(super) Vec<OsString>);

impl Line {
    pub(super) fn words(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    pub(super) fn pair(&mut self, option: &str, parts: &[Part<'_>]) {
        let mut value = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) => value.extend_from_slice(text.as_bytes()),
                Part::Value(text) => push_doubling_commas(&mut value, text.as_bytes()),
                Part::Path(path) => push_doubling_commas(&mut value, path.as_os_str().as_bytes()),
            }
        }
        self.0.push(option.into());
        self.0.push(OsString::from_vec(value));
    }

    /// A value that is a path and nothing else, in which QEMU looks for no syntax.
    pub(super) fn file(&mut self, option: &str, path: &Path) {
        self.0.extend([option.into(), path.into()]);
    }

    /// Block devices are said in JSON, which needs no escaping of our own.
    pub(super) fn blockdev(&mut self, node: serde_json::Value) {
        self.words(&["-blockdev", &node.to_string()]);
    }
}

fn push_doubling_commas(to: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        to.push(*byte);
        if *byte == b',' {
            to.push(b',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_names_and_paths_separate_nothing() {
        let mut line = Line::default();
        line.pair("-name", &[Part::Text("guest="), Part::Value("a,id=b")]);
        line.pair("-chardev", &[Part::Text("socket,path="), Part::Path(Path::new("/tmp/a, b=c"))]);
        assert_eq!(line.0, ["-name", "guest=a,,id=b", "-chardev", "socket,path=/tmp/a,, b=c"]);
        let mut line = Line::default();
        line.file("-readconfig", Path::new("/tmp/a,b"));
        assert_eq!(line.0, ["-readconfig", "/tmp/a,b"]);
    }
}
