//! The packages of wulog: licences, sources and duplicates, checked against the lists of `deny.toml`. This is the part
//! of `cargo deny` that needs no advisory database, so it runs on every machine; `.ci/run` runs the rest where `cargo
//! deny` is installed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use wulog_tests::root;

/// The lists of `deny.toml` that are checked here.
struct Lists {
    licences: Vec<String>,
    duplicates: BTreeSet<String>,
}

fn lists() -> Lists {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let deny: toml::Table = toml::from_str(&text).unwrap();
    let texts = |table: &str, key: &str| -> Vec<String> {
        deny[table][key].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let skipped = deny["bans"]["skip"].as_array().unwrap().iter();
    Lists {
        licences: texts("licenses", "allow"),
        duplicates: skipped.map(|entry| entry["crate"].as_str().unwrap().to_owned()).collect(),
    }
}

fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let metadata = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether an SPDX expression allows a permitted licence. `AND` binds stronger than `OR`, and old manifests write `/`
/// for `OR`.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "+WITH+");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (met, rest) = any_of(&words, allowed);
    met && rest.is_empty()
}

fn any_of<'a, 'b>(words: &'b [&'a str], allowed: &[String]) -> (bool, &'b [&'a str]) {
    let (mut met, mut rest) = all_of(words, allowed);
    while let ["OR", more @ ..] = rest {
        let (other, left) = all_of(more, allowed);
        (met, rest) = (met || other, left);
    }
    (met, rest)
}

fn all_of<'a, 'b>(words: &'b [&'a str], allowed: &[String]) -> (bool, &'b [&'a str]) {
    let (mut met, mut rest) = one(words, allowed);
    while let ["AND", more @ ..] = rest {
        let (other, left) = one(more, allowed);
        (met, rest) = (met && other, left);
    }
    (met, rest)
}

fn one<'a, 'b>(words: &'b [&'a str], allowed: &[String]) -> (bool, &'b [&'a str]) {
    match words {
        ["(", inner @ ..] => {
            let (met, rest) = any_of(inner, allowed);
            (met && rest.first() == Some(&")"), rest.get(1..).unwrap_or_default())
        }
        [licence, rest @ ..] => (allowed.iter().any(|allowed| allowed == licence), rest),
        [] => (false, words),
    }
}

#[test]
fn an_expression_of_licences_is_met_or_not() {
    let allowed = ["MIT", "BSD-3-Clause"].map(str::to_owned);
    let check = |expression, expect| assert_eq!(is_allowed(expression, &allowed), expect, "{expression}");
    check("MIT", true);
    check("MIT OR GPL-3.0-only", true);
    check("GPL-3.0-only/MIT", true);
    check("GPL-3.0-only", false);
    check("MIT AND GPL-3.0-only", false);
    check("(MIT OR Apache-2.0) AND BSD-3-Clause", true);
    check("(MIT OR Apache-2.0) AND GPL-3.0-only", false);
    check("MIT AND BSD-3-Clause OR GPL-3.0-only", true);
    check("Apache-2.0 WITH LLVM-exception OR Apache-2.0", false);
    check("(MIT", false);
    check("", false);
}

#[test]
fn every_package_has_an_allowed_licence_and_comes_from_an_allowed_registry() {
    let (lists, packages) = (lists(), packages());
    assert!(packages.len() > 100, "{} packages are too few to be all", packages.len());
    let (mut wrong, mut first) = (Vec::new(), None::<String>);
    for package in &packages {
        let name = format!("{} {}", package["name"], package["version"]);
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_allowed(licence, &lists.licences) {
            wrong.push(format!("{name}: licence {licence}"));
        }
        // A package of this workspace has no source.
        let Some(source) = package["source"].as_str() else { continue };
        // The manifest names no registry, so all packages come from Cargo's default one: any other is a second source.
        if !source.starts_with("registry+") || *first.get_or_insert_with(|| source.to_owned()) != *source {
            wrong.push(format!("{name}: source {source}"));
        }
    }
    assert!(wrong.is_empty(), "deny.toml does not allow:\n{}", wrong.join("\n"));
}

#[test]
fn no_package_comes_in_two_versions_without_a_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        versions.entry(text("name")).or_default().insert(text("version"));
    }
    let twice: BTreeSet<String> =
        versions.into_iter().filter(|(_, versions)| versions.len() > 1).map(|(name, _)| name).collect();
    assert_eq!(
        twice,
        lists().duplicates,
        "left: packages in two versions; right: those that deny.toml has a reason for"
    );
}
