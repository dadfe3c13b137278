//! The public API of each crate is the list of docs/public-api.md, so a name becomes public on purpose only.
//!
//! `WULOG_BLESS=1 cargo test --release --workspace --test public_api` writes the list.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::fs;

use wulog_tests::root;

/// Crates by their folders, in the order of the data path.
const CRATES: [&str; 8] = [
    "schemas",
    "schemas/crates/lines",
    "schemas/crates/files",
    "schemas/crates/settings",
    "schemas/crates/kafka",
    "schemas/crates/service",
    "collector",
    "processor",
];

const HEAD: &str = "\
# Public API

The names that each crate offers to the other crates, as its `lib.rs` has them. A module is listed as `module::`. All
other modules are private. `tests/tests/public_api.rs` compares this page with the source and recreates it with
`WULOG_BLESS=1`.
";

fn is_public(visibility: &syn::Visibility) -> bool {
    matches!(visibility, syn::Visibility::Public(_))
}

/// The names at the ends of a `use` tree.
fn names_of(tree: &syn::UseTree, names: &mut Vec<String>) {
    match tree {
        syn::UseTree::Path(path) => names_of(&path.tree, names),
        syn::UseTree::Name(name) => names.push(name.ident.to_string()),
        syn::UseTree::Rename(name) => names.push(name.rename.to_string()),
        syn::UseTree::Glob(_) => names.push("*".to_owned()),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| names_of(tree, names)),
    }
}

/// The public names of a library, sorted.
fn public_names(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    for item in syn::parse_file(source).unwrap().items {
        match item {
            syn::Item::Mod(module) if is_public(&module.vis) => names.push(format!("{}::", module.ident)),
            syn::Item::Use(import) if is_public(&import.vis) => names_of(&import.tree, &mut names),
            syn::Item::Const(constant) if is_public(&constant.vis) => names.push(constant.ident.to_string()),
            syn::Item::Fn(function) if is_public(&function.vis) => names.push(function.sig.ident.to_string()),
            syn::Item::Struct(structure) if is_public(&structure.vis) => names.push(structure.ident.to_string()),
            syn::Item::Enum(enumeration) if is_public(&enumeration.vis) => names.push(enumeration.ident.to_string()),
            _ => {}
        }
    }
    names.sort();
    names
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for folder in CRATES {
        let names = public_names(&fs::read_to_string(root().join(folder).join("src/lib.rs")).unwrap());
        let listed: Vec<String> = names.iter().map(|name| format!("- `{name}`")).collect();
        write!(page, "\n## `{folder}`\n\n{}\n", listed.join("\n")).unwrap();
    }
    page
}

#[test]
fn the_public_api_is_the_list() {
    let path = root().join("docs/public-api.md");
    let page = page();
    if std::env::var_os("WULOG_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let listed = fs::read_to_string(&path).unwrap();
    assert_eq!(page, listed, "the API differs from docs/public-api.md; run again with WULOG_BLESS=1 if that is meant");
}

/// The check sees each kind of item, and no private one.
#[test]
fn public_items_are_seen() {
    let source = "pub mod a; mod b; pub use b::{C, d as D}; pub(crate) use b::E; pub const F: u8 = 0; fn g() {}";
    assert_eq!(public_names(source), ["C", "D", "F", "a::"]);
}
