//! Values about shared folders.

use std::path::Path;

use super::{Parsed, Refused, because, choice};
use crate::config::shares::{Share, ShareMode};

/// The longest tag that both ways have room for: 9p has 32 bytes, the last of which is zero.
const TAG_MAX: usize = 31;

/// The tag of a folder that was given none.
const TAG: &str = "share";

/// How a folder comes to the guest.
pub(in crate::config) fn share_mode(text: &str) -> Parsed<ShareMode> {
    choice(text, &[("virtiofs", ShareMode::Virtiofs), ("9p", ShareMode::Plan9)])
}

/// Folders: `/share`, `data:/srv/data:ro`.
pub(in crate::config) fn shares(text: &str) -> Parsed<Vec<Share>> {
    let mut shares: Vec<Share> = Vec::new();
    for item in text.split(',').filter(|_| !text.is_empty()) {
        let share = share(item.trim())?;
        if shares.iter().any(|other| other.tag == share.tag) {
            return because(format!("two folders have the tag {}", share.tag));
        }
        shares.push(share);
    }
    Ok(shares)
}

fn share(text: &str) -> Parsed<Share> {
    let (rest, read_only) = text.strip_suffix(":ro").map_or((text, false), |rest| (rest, true));
    let (tag, path) =
        if rest.starts_with('/') { (TAG, rest) } else { rest.split_once(':').ok_or(Refused::Form)? };
    if !Path::new(path).is_absolute() || path.contains('\0') {
        return because("a folder is said from the root, beginning with a slash");
    }
    if tag.is_empty()
        || tag.len() > TAG_MAX
        || !tag.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char))
    {
        return because(format!("a tag has 1 to {TAG_MAX} letters, digits, hyphens, underscores and dots"));
    }
    Ok(Share { tag: tag.into(), path: path.into(), read_only })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folders_have_tags_and_can_be_for_reading_alone() {
        let share =
            |tag: &str, path: &str, read_only| Share { tag: tag.into(), path: path.into(), read_only };
        assert_eq!(shares(""), Ok(Vec::new()));
        assert_eq!(shares("/share"), Ok(vec![share("share", "/share", false)]));
        assert_eq!(
            shares("/srv/a:b:ro, data:/srv/data,iso:/iso:ro"),
            Ok(vec![
                share("share", "/srv/a:b", true),
                share("data", "/srv/data", false),
                share("iso", "/iso", true)
            ])
        );
        for text in ["share", "data:srv", "/a,/b", ":/a", "a b:/a", &format!("{}:/a", "x".repeat(32))] {
            assert!(shares(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "[a-z:/,]*") {
            let _ = shares(&text);
        }
    }
}
