//! The forms that user-data can have, which cloud-init tells by how it begins.

use std::fmt;

use super::yaml;

/// What user-data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `#cloud-config`: YAML.
    CloudConfig,
    /// Something else that cloud-init knows by this beginning.
    Known(&'static str),
    /// A message with headers, of one or many parts.
    Mime,
    /// Any of these, compressed.
    Gzip,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CloudConfig => "#cloud-config",
            Self::Known(beginning) => beginning,
            Self::Mime => "MIME",
            Self::Gzip => "gzip",
        })
    }
}

/// Those besides `#cloud-config`, the longer one first where one begins as another.
const BEGINNINGS: [&str; 10] = [
    "#cloud-config-archive",
    "#cloud-config-jsonp",
    "#cloud-boothook",
    "#include-once",
    "#include",
    "#part-handler",
    "#upstart-job",
    "## template: jinja",
    "#!",
    "content-type:",
];
/// As far as cloud-init looks for the headers of a message.
const HEADERS: usize = 4096;

/// Tells the form, and reads what is YAML.
pub(super) fn check(bytes: &[u8]) -> Result<Form, String> {
    if bytes.starts_with(b"\x1f\x8b") {
        return Ok(Form::Gzip);
    }
    let head = bytes.get(..HEADERS).unwrap_or(bytes).trim_ascii_start().to_ascii_lowercase();
    if head.starts_with(b"\xef\xbb\xbf") {
        return Err("it begins with a byte order mark, which hides its first line from cloud-init".into());
    }
    if let Some(beginning) = BEGINNINGS.iter().find(|beginning| head.starts_with(beginning.as_bytes())) {
        if *beginning == "#cloud-config-archive" {
            yaml::parse(bytes)?;
        }
        return Ok(Form::Known(beginning));
    }
    if head.starts_with(b"#cloud-config") {
        let document = yaml::parse(bytes)?;
        return if document.is_object() || document.is_null() {
            Ok(Form::CloudConfig)
        } else {
            Err("it is no mapping: cloud-config has keys, such as users: or packages:".into())
        };
    }
    if head.windows(b"mime-version:".len()).any(|window| window == b"mime-version:") {
        return Ok(Form::Mime);
    }
    Err("its first line says nothing to cloud-init: it takes #cloud-config, #!, #include, #cloud-boothook, \
         ## template: jinja or the headers of a MIME message"
        .into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str) -> String {
        check(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn forms_are_told_by_their_beginning() {
        for (text, form) in [
            ("#cloud-config\n", "#cloud-config"),
            ("\n #Cloud-Config\r\nusers: []\r\n", "#cloud-config"),
            ("#cloud-config-archive\n- content: x\n", "#cloud-config-archive"),
            ("## template: jinja\n#cloud-config\na: {% if x %}\n", "## template: jinja"),
            ("#!/bin/sh\necho: - [\n", "#!"),
            ("#include\nhttp://192.0.2.1/\n", "#include"),
            ("Content-Type: multipart/mixed; boundary=x\n", "content-type:"),
            ("From nobody\nMIME-Version: 1.0\n", "MIME"),
            ("\x1f\u{8b}", "MIME"),
        ] {
            let bytes = if text.starts_with('\x1f') { b"\x1f\x8b\x08" } else { text.as_bytes() };
            let form = if text.starts_with('\x1f') { "gzip" } else { form };
            assert_eq!(check(bytes).map(|form| form.to_string()).as_deref(), Ok(form), "{text}");
        }
    }

    #[test]
    fn what_cloud_init_would_pass_over_is_refused() {
        assert!(refused("").contains("#cloud-config"));
        assert!(refused("users:\n- name: x\n").contains("its first line"));
        assert!(refused("# cloud-config\n").contains("its first line"));
        assert!(refused("\u{feff}#cloud-config\n").contains("byte order mark"));
        assert!(refused("#cloud-config\n- a\n").contains("no mapping"));
    }

    #[test]
    fn mistakes_have_a_line_and_never_their_text() {
        for (text, line) in [
            ("#cloud-config\npassword: hunter2\n  chpasswd: {expire: false}\n", 3),
            ("#cloud-config\npassword: hunter2\npassword: hunter2\n", 3),
            ("#cloud-config\npassword: *hunter2\n", 2),
            ("#cloud-config\nusers:\n\t- hunter2\n", 3),
            ("#cloud-config\npassword: \"hunter2\n", 2),
            ("#cloud-config\nx: [hunter2\ny: 1\n", 2),
            ("#cloud-config\na: 1\n---\nhunter2: 1\n", 3),
            ("#cloud-config\npassword: !hunter2 [%hunter2]\n: hunter2 : hunter2\n", 2),
        ] {
            let why = refused(text);
            assert!(why.starts_with("line ") && !why.contains("hunter2"), "{text}: {why}");
            let told: usize = why[5..].split(',').next().unwrap().parse().unwrap();
            assert!(told.abs_diff(line) <= 1, "{text}: {why}");
        }
    }

    #[test]
    fn what_people_write_is_read() {
        let text = "#cloud-config\n# a comment\nusers:\n  - default\n  - {name: x, sudo: 'ALL=(ALL) NOPASSWD:ALL', lock_passwd: no}\n\
            write_files:\n- path: /etc/motd\n  encoding: b64\n  content: !!binary |\n    aGVsbG8=\n  permissions: 0644\n\
            - path: /x\n  content: |\n    a: b: c\n\nbase: &base {a: 1}\nmore:\n  <<: *base\n  2: two\n  when: 2026-11-21\n  nothing: ~\n  on: on\n";
        assert_eq!(check(text.as_bytes()), Ok(Form::CloudConfig));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, yaml in "[a-z:\\-\\[\\]{}&*!|>'\"#%@` \t\n]{0,60}") {
            let _ = (check(&bytes), check(format!("#cloud-config\n{yaml}").as_bytes()));
        }
    }
}
