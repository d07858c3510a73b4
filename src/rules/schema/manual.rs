//! What the manual says of a key: the tables of `docs/rules.md` and the pages below it, whose rows are `` | `key`, `key` | means | default | ``.

use std::{fs, path::Path, sync::LazyLock};

/// The pages of the manual.
static PAGES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let below = fs::read_dir(docs.join("rules")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = below.collect();
    paths.sort();
    paths.insert(0, docs.join("rules.md"));
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
});

/// What a key means, by the tables of a section, with its default.
pub fn means(section: &str, key: &str) -> Option<String> {
    let wanted = format!("`{key}`");
    let row = self::section(section)?.1.find_map(|line| {
        let mut cells = line.strip_prefix("| `")?.trim_end().trim_end_matches('|').split(" | ");
        let keys = format!("`{}", cells.next()?);
        keys.split(", ").any(|key| key.trim() == wanted).then(|| cells.map(str::trim).collect::<Vec<_>>())
    })?;
    let (means, default) = (row.first()?, row.get(1).filter(|default| !default.is_empty() && **default != "none"));
    Some(default.map_or((*means).to_owned(), |default| format!("{means}. Default: {default}")))
}

/// What stands in the heading of a section behind its name: `` `order`: points in time that … ``.
pub fn title(section: &str) -> Option<String> {
    self::section(section)?.0.strip_prefix(": ").map(str::to_owned)
}

/// The rest of the heading of a section, and its lines with those of the sections below it.
fn section(name: &str) -> Option<(&'static str, impl Iterator<Item = &'static str>)> {
    PAGES.iter().find_map(|page| {
        let mut lines = page.lines();
        let (level, rest) = lines.find_map(|line| {
            let heading = line.trim_start_matches('#');
            let rest = heading.strip_prefix(' ')?.strip_prefix(name)?;
            let level = line.len() - heading.len();
            (level > 0 && (rest.is_empty() || rest.starts_with(": "))).then_some((level, rest))
        })?;
        Some((rest, lines.take_while(move |line| heading_level(line).is_none_or(|other| other > level))))
    })
}

/// How deep a heading is; `None`: it is no heading.
fn heading_level(line: &str) -> Option<usize> {
    let rest = line.trim_start_matches('#');
    (rest.len() < line.len() && rest.starts_with(' ')).then_some(line.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_their_sections() {
        assert_eq!(means("A table", "unguardable").unwrap().find("what happens"), Some(0));
        assert!(means("A table", "on_violation").unwrap().ends_with(". Default: `observe`"));
        // In a row with others, and not of another section.
        assert_eq!(means("A table", "runbook"), means("A table", "owner"));
        assert_ne!(means("A rule", "description"), means("A table", "description"));
        assert_eq!(means("A table", "tolerance"), None);
        assert_eq!(title("`order`").as_deref(), Some("points in time that follow each other"));
        assert_eq!(title("`nothing`"), None);
    }
}
