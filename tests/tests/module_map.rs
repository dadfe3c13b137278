//! The structure of the source. The module map of ARCHITECTURE.md against the imports: each module stands in the map once,
//! imports lead only to rows above, and no two modules import each other. A module has one file, and a type name one
//! meaning.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use wulog_tests::root;

/// Modules by path, such as `detect::fleet`, with the modules that each imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// The files of a crate by the module that each holds; `lib.rs` and `main.rs` only join modules.
fn files(source: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(source).unwrap().with_extension("");
                let mut parts: Vec<&str> = below.iter().map(|part| part.to_str().unwrap()).collect();
                if parts.last() == Some(&"mod") {
                    parts.pop();
                }
                if !matches!(parts[..], ["lib" | "main"]) && parts.last() != Some(&"tests") {
                    found.insert(parts.join("::"), path);
                }
            }
        }
    }
    found
}

/// Collects the paths of one file that begin with `crate`, `super` or `self`.
struct Paths {
    /// The module that is read: of the file, and of modules written inside of the file.
    module: Vec<String>,
    found: Vec<Vec<String>>,
}

impl Paths {
    /// Resolves a path against the module that is read; a path to another crate is left out.
    fn add(&mut self, parts: &[String]) {
        let mut base = match parts[0].as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            _ => return,
        };
        for part in parts.iter().skip(usize::from(parts[0] != "super")) {
            if part == "super" {
                base.pop();
            } else {
                base.push(part.clone());
            }
        }
        self.found.push(base);
    }

    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                let before = [before, &[path.ident.to_string()]].concat();
                self.add_tree(&before, &path.tree);
            }
            syn::UseTree::Name(name) => self.add(&[before, &[name.ident.to_string()]].concat()),
            syn::UseTree::Rename(name) => self.add(&[before, &[name.ident.to_string()]].concat()),
            syn::UseTree::Glob(_) => self.add(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
        }
    }
}

/// Tests may import what they like.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() && !is_for_tests(&item.attrs) {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.add_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if parts.len() > 1 {
            self.add(&parts);
        }
        visit::visit_path(self, path);
    }
}

fn imports(source: &Path) -> Imports {
    let files = files(source);
    let is_module = |parts: &[String]| files.contains_key(&parts.join("::"));
    let mut imports = Imports::new();
    for (module, path) in &files {
        let mut paths = Paths { module: module.split("::").map(str::to_owned).collect(), found: Vec::new() };
        paths.visit_file(&syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap());
        let resolved = paths.found.iter().filter_map(|parts| {
            (1..=parts.len()).rev().map(|length| &parts[..length]).find(|parts| is_module(parts)).map(|p| p.join("::"))
        });
        // A module is made of its parts, so parts that use its types make no cycle.
        let own = format!("{module}::");
        let is_other = |import: &String| import != module && !import.starts_with(&own);
        imports.insert(module.clone(), resolved.filter(is_other).collect());
    }
    imports
}

/// A way from `from` back to `from`, if there is one.
fn cycle(imports: &Imports, from: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in imports.get(way.last()?).into_iter().flatten() {
            let longer = [way.as_slice(), std::slice::from_ref(next)].concat();
            if next == from {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}

fn top(module: &str) -> &str {
    module.split("::").next().unwrap()
}

/// The imports between modules that stand directly in the crate.
fn between_tops(imports: &Imports) -> Imports {
    let mut tops = Imports::new();
    for (module, imported) in imports {
        let of_top = tops.entry(top(module).to_owned()).or_default();
        of_top.extend(imported.iter().map(|import| top(import).to_owned()).filter(|import| import != top(module)));
    }
    tops
}

/// The rows of the table of ARCHITECTURE.md whose head names the crate, each the names in its first column.
fn map(of: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let head = format!("| {of} |");
    let rows =
        text.lines().skip_while(|line| !line.starts_with(&head)).skip(2).take_while(|line| line.starts_with('|'));
    let names = |row: &str| -> Vec<String> {
        let column = row.split('|').nth(1).unwrap();
        column.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    rows.map(names).collect()
}

/// What is wrong with the modules of a crate, in sentences.
fn findings(name: &str, imports: &Imports, rows: &[Vec<String>]) -> Vec<String> {
    let mut found = Vec::new();
    let tops = between_tops(imports);
    for (kind, graph) in [("modules", imports), ("top-level modules", &tops)] {
        for module in graph.keys() {
            if let Some(way) = cycle(graph, module) {
                found.push(format!("{name}: {kind} import each other: {}", way.join(" -> ")));
            }
        }
    }
    let row_of = |module: &str| rows.iter().position(|row| row.iter().any(|name| name == module));
    for module in tops.keys().filter(|module| row_of(module).is_none()) {
        found.push(format!("{name}: the map of ARCHITECTURE.md has no module `{module}`"));
    }
    for module in rows.iter().flatten().filter(|module| !tops.contains_key(*module)) {
        found.push(format!("{name}: the map of ARCHITECTURE.md names `{module}`, which is no module"));
    }
    for (module, imported) in tops.iter().filter(|(module, _)| row_of(module).is_some()) {
        for import in imported.iter().filter(|import| row_of(import) > row_of(module)) {
            found.push(format!("{name}: `{module}` imports `{import}`, which stands below it in the map"));
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn imports_follow_the_module_map() {
    let mut found = Vec::new();
    for name in ["schemas", "collector", "processor"] {
        let imports = imports(&root().join(name).join("src"));
        assert!(imports.len() > 10, "{name} has only {} modules: they were not found", imports.len());
        found.extend(findings(name, &imports, &map(name)));
    }
    for name in ["lines", "files", "settings", "kafka", "service"] {
        let imports = imports(&root().join("schemas/crates").join(name).join("src"));
        let rows = vec![between_tops(&imports).into_keys().collect()];
        found.extend(findings(name, &imports, &rows));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// A module has one file: `foo.rs`, or `foo/mod.rs` beside its parts.
#[test]
fn modules_have_one_layout() {
    let mut found = Vec::new();
    for source in ["schemas/src", "collector/src", "processor/src", "tests/src"] {
        for path in files(&root().join(source)).into_values() {
            // A folder of templates or words holds no module.
            let beside = fs::read_dir(path.with_extension("")).into_iter().flatten();
            let has_parts = beside.flatten().any(|entry| entry.path().extension().is_some_and(|end| end == "rs"));
            if path.file_name().is_none_or(|name| name != "mod.rs") && has_parts {
                found.push(path.display().to_string());
            }
        }
    }
    assert!(found.is_empty(), "a folder stands beside its module; rename to mod.rs: {found:#?}");
}

/// Names of which each of the two programs has its own.
const OF_EACH_PROGRAM: [&str; 5] = ["Cli", "Command", "Config", "Metrics", "RawConfig"];

/// The names of the types and traits at the top of a file, and in its inner modules; those of tests are left out.
fn type_names(items: &[syn::Item]) -> Vec<String> {
    let mut names = Vec::new();
    for item in items {
        let name = match item {
            syn::Item::Struct(item) => &item.ident,
            syn::Item::Enum(item) => &item.ident,
            syn::Item::Trait(item) => &item.ident,
            syn::Item::Type(item) => &item.ident,
            syn::Item::Mod(module) if !is_for_tests(&module.attrs) => {
                names.extend(module.content.iter().flat_map(|(_, items)| type_names(items)));
                continue;
            }
            _ => continue,
        };
        names.push(name.to_string());
    }
    names
}

#[test]
fn a_type_name_has_one_meaning() {
    // By file, since a system may have a definition of its own in the same file.
    let mut places = BTreeMap::<String, BTreeSet<String>>::new();
    let crates = ["lines", "files", "settings", "kafka", "service"].map(|name| format!("schemas/crates/{name}/src"));
    let sources = ["schemas/src", "collector/src", "processor/src"].map(str::to_owned).into_iter().chain(crates);
    for source in sources {
        for path in files(&root().join(source)).into_values() {
            for name in type_names(&syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap().items) {
                places.entry(name).or_default().insert(path.strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    assert!(places.len() > 500, "only {} types were found", places.len());
    let of_program = |places: &BTreeSet<String>| {
        let first: BTreeSet<_> = places.iter().filter_map(|place| place.split('/').next()).collect();
        first.len() == places.len()
    };
    places.retain(|name, places| places.len() > 1 && !(OF_EACH_PROGRAM.contains(&name.as_str()) && of_program(places)));
    assert!(places.is_empty(), "types of one name: rename all but one: {places:#?}");
}

/// The checks above find what they are for.
#[test]
fn a_cycle_and_an_arrow_against_the_path_are_found() {
    let of = |text: &str, module: &str| {
        let mut paths = Paths { module: vec![module.to_owned()], found: Vec::new() };
        paths.visit_file(&syn::parse_file(text).unwrap());
        paths.found.into_iter().map(|parts| parts.join("::")).collect::<Vec<_>>()
    };
    assert_eq!(of("use crate::{a::X, b::{self, Y}};", "m"), ["a::X", "b::self", "b::Y"]);
    assert_eq!(of("use super::n::Z; fn f() { self::o::g() }", "m"), ["n::Z", "m::o::g"]);
    assert_eq!(of("mod inner { use super::super::n::Z; }", "m"), ["n::Z"]);
    assert_eq!(of("#[cfg(test)] mod tests { use crate::a::X; }", "m"), [""; 0]);
    let text = "struct A; mod inner { enum B {} } #[cfg(test)] mod tests { struct C; } type D = A; trait E {}";
    assert_eq!(type_names(&syn::parse_file(text).unwrap().items), ["A", "B", "D", "E"]);
    let graph = |edges: &[(&str, &str)]| {
        let mut imports = Imports::new();
        for (from, to) in edges {
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            imports.entry((*to).to_owned()).or_default();
        }
        imports
    };
    let rows = vec![vec!["a".to_owned()], vec!["b".to_owned()]];
    assert_eq!(findings("x", &graph(&[("b", "a")]), &rows), [""; 0]);
    let against = findings("x", &graph(&[("a", "b")]), &rows);
    assert_eq!(against, ["x: `a` imports `b`, which stands below it in the map"]);
    let through = findings("x", &graph(&[("b::p", "a"), ("a", "b::q")]), &rows);
    assert!(through.iter().any(|said| said.contains("import each other: a -> b -> a")), "{through:?}");
    assert!(findings("x", &graph(&[("b", "a"), ("c", "a")]), &rows)[0].contains("no module `c`"));
}
