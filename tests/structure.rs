//! Structure of the runtime: imports point downward, and no two files import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files in the root of the runtime; each imports only later ones.
const ORDER: [&str; 14] = [
    "macro_support",
    "api",
    "protocol",
    "backend",
    "registry",
    "near_cache",
    "values",
    "entry",
    "invalidation",
    "overrides",
    "telemetry",
    "key",
    "process",
    "error",
];

type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn imports_point_downward() {
    let place = |module: &str| {
        let root = module
            .split("::")
            .next()
            .expect("a path has a first segment");
        let place = ORDER.iter().position(|known| *known == root);
        place.unwrap_or_else(|| panic!("`{root}` has no place in the order"))
    };
    for (module, imports) in imports() {
        for import in imports {
            assert!(
                place(&module) <= place(&import),
                "`{module}` imports `{import}`, which is above it"
            );
        }
    }
}

#[test]
fn no_files_import_each_other() {
    let imports = imports();
    for module in imports.keys() {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&String> = imports[module].iter().collect();
        while let Some(import) = next.pop() {
            assert!(
                import != module,
                "`{module}` imports itself by way of others"
            );
            if reached.insert(import) {
                next.extend(imports.get(import).into_iter().flatten());
            }
        }
    }
}

#[test]
fn the_finder_finds_both_kinds_of_imports() {
    let imports = imports();
    assert!(imports["protocol::seek"].contains("protocol::call"));
    assert!(imports["protocol::seek"].contains("backend::contract"));
    assert!(imports["backend::redis::start"].contains("backend::redis::batcher::send"));
}

/// Modules of the runtime, each with the modules that its code names.
fn imports() -> Imports {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cache-runtime/src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let modules: BTreeMap<String, PathBuf> = files
        .into_iter()
        .map(|file| (name(&root, &file), file))
        .filter(|(name, _)| name != "lib" && !name.starts_with("fuzz") && !name.ends_with("tests"))
        .collect();
    let known: BTreeSet<&str> = modules.keys().map(String::as_str).collect();
    let of = |module: &str, file: &Path| {
        let text = fs::read_to_string(file).expect("the file is readable");
        let mut found: BTreeSet<String> = paths(module, &code(&text))
            .iter()
            .filter_map(|path| longest(&known, path))
            .collect();
        found.remove(module);
        found
    };
    let all = modules
        .iter()
        .map(|(module, file)| (module.clone(), of(module, file)));
    all.collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the entry is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn name(root: &Path, file: &Path) -> String {
    let file = file
        .strip_prefix(root)
        .expect("it is below")
        .with_extension("");
    let segments: Vec<_> = file
        .iter()
        .map(|segment| segment.to_string_lossy())
        .collect();
    segments.join("::")
}

/// Code without comments and unit tests.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    let end = match text[end..].contains("mod tests") {
        true => end,
        false => text.len(),
    };
    let lines = text[..end].lines();
    let lines = lines.map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Paths that begin with `crate::` or `super::`, resolved from the root.
fn paths(module: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, word) in ["crate::", "super::"]
        .into_iter()
        .flat_map(|word| code.match_indices(word))
    {
        // `$crate::` is a path in generated code; a second `super::` belongs to the first.
        if code[..start].ends_with(['$', ':']) {
            continue;
        }
        let mut rest = &code[start..];
        let mut base: Vec<&str> = module.split("::").collect();
        match rest.strip_prefix("crate::") {
            Some(path) => {
                base.clear();
                rest = path;
            }
            None => {
                while let Some(path) = rest.strip_prefix(word) {
                    base.pop();
                    rest = path;
                }
            }
        }
        let end = rest.find(|c: char| c != ':' && c != '_' && !c.is_ascii_alphanumeric());
        let path = &rest[..end.unwrap_or(rest.len())];
        base.extend(path.split("::").filter(|segment| !segment.is_empty()));
        found.push(base.join("::"));
    }
    found
}

/// Longest prefix of a path that is a module.
fn longest(known: &BTreeSet<&str>, path: &str) -> Option<String> {
    let mut path = path;
    loop {
        if known.contains(path) {
            return Some(path.to_owned());
        }
        path = path.rsplit_once("::")?.0;
    }
}
