//! The table of codes, `schemas/hresult/codes.tsv`, is what others define: the constants of crate `windows`, which is
//! generated from Microsoft's metadata, and the codes of certificate trust in `trust_hresults.csv`.
//!
//! The crate is read as text, since it does not build on Linux; its version is pinned and Cargo checks its hash. A code
//! that is missing is printed as a row, to be given a text and put into the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use wulog_schemas::hresult::{entries, find_hresult, lookup, parse_hresult};

/// Who names a row that the crate does not have.
const OTHER_SOURCES: [&str; 3] = ["learn", "do-client", "cbs.log"];

/// Modules of the crate that have codes which a client logs.
const MODULES: [&str; 11] = [
    "Foundation",
    "System/UpdateAgent",
    "System/Rpc",
    "System/Wmi",
    "System/Com/Urlmon",
    "Storage/Jet",
    "Networking/ActiveDirectory",
    "Networking/BackgroundIntelligentTransferService",
    "Networking/WinHttp",
    "Networking/WinInet",
    "Networking/WinSock",
];

/// Constants whose names begin so must all be in the table.
const COMPLETE: [&str; 14] = [
    "WU_E_",
    "WU_S_",
    "HTTP_E_STATUS_",
    "WS_E_",
    "BG_E_",
    "CERT_E_",
    "TRUST_E_",
    "DIGSIG_E_",
    "CRYPT_E_",
    "NTE_",
    "ERROR_WINHTTP_",
    "ERROR_SXS_",
    "ERROR_PATCH_",
    "PERSIST_E_",
];

/// Constants named so that are no failures of a client.
const NO_CODES: [&str; 4] = ["NTE_OP_OK", "ERROR_WINHTTP_RESERVED_189", "BG_E_HTTP_ERROR_1", "BG_E_HTTP_ERROR_2"];

/// Folder of the crate's source, wherever Cargo keeps it. Asks for a Windows target, since only there it is a
/// dependency.
fn windows_crate() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-pc-windows-msvc"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata failed; `cargo fetch --locked` gets what it needs: {stderr}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let package = packages
        .iter()
        .find(|package| package["name"] == "windows" && package["version"] == "0.62.2")
        .expect("crate windows 0.62.2 is a dev-dependency");
    Path::new(package["manifest_path"].as_str().expect("a path")).parent().expect("a folder").to_owned()
}

/// HRESULT by name of every constant of the modules.
fn constants() -> BTreeMap<String, u32> {
    let folder = windows_crate().join("src/Windows/Win32");
    let xml = "Data/Xml/MsXml";
    let mut constants = BTreeMap::new();
    for module in MODULES.into_iter().chain([xml]) {
        let path = folder.join(module).join("mod.rs");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        constants.extend(text.lines().filter_map(constant));
    }
    constants
}

/// `pub const NAME: TYPE = TYPE(VALUE);`, or without the parentheses.
fn constant(line: &str) -> Option<(String, u32)> {
    let (name, rest) = line.trim_start().strip_prefix("pub const ")?.split_once(": ")?;
    let (kind, value) = rest.split_once(" = ")?;
    let value = number(value.rsplit_once('(').map_or(value, |(_, value)| value))?;
    let code = match value {
        // The client logs an error of the database engine so: -1018 as C80003FA.
        _ if name.starts_with("JET_err") => 0xC800_0000 | u32::try_from(-value).ok()?,
        // HRESULT_FROM_WIN32
        0..=0xFFFF if !kind.ends_with("HRESULT") => 0x8007_0000 | u32::try_from(value).ok()?,
        ..0 => i32::try_from(value).ok()?.cast_unsigned(),
        _ => u32::try_from(value).ok()?,
    };
    Some((name.to_owned(), code))
}

/// `0x80240022_u32 as _);`, `12002u32;`, `-1018i32;`
fn number(text: &str) -> Option<i64> {
    if let Some(hex) = text.strip_prefix("0x") {
        return i64::from_str_radix(hex.split(|end: char| !end.is_ascii_hexdigit()).next()?, 16).ok();
    }
    let digits = text.len() - text.trim_start_matches(|digit: char| digit == '-' || digit.is_ascii_digit()).len();
    text[..digits].parse().ok()
}

/// Code, symbol and source of every row.
fn rows() -> Vec<(u32, &'static str, &'static str)> {
    let text = include_str!("../hresult/codes.tsv");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        (u32::from_str_radix(fields[0], 16).expect("hex digits"), fields[1], fields[3])
    })
    .collect()
}

#[test]
fn every_symbol_has_the_value_of_the_crate() {
    let constants = constants();
    let mut wrong = Vec::new();
    for (code, symbol, source) in rows() {
        let right = match constants.get(symbol) {
            Some(value) => *value == code && source == "windows",
            None => OTHER_SOURCES.contains(&source),
        };
        if !right {
            wrong.push(format!("{code:08X} {symbol} {source}, in the crate: {:08X?}", constants.get(symbol)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_of_the_client_is_known() {
    let constants = constants();
    assert_eq!(constants.keys().filter(|name| name.starts_with("WU_")).count(), 468);
    let known: BTreeSet<u32> = entries().iter().map(|entry| entry.code).collect();
    let mut missing = Vec::new();
    for (name, code) in &constants {
        let wanted = COMPLETE.iter().any(|prefix| name.starts_with(prefix));
        let here = if name.starts_with("WU_") {
            lookup(*code).is_some_and(|entry| entry.symbol == name)
        } else {
            known.contains(code)
        };
        if wanted && !here && !NO_CODES.iter().any(|no| name.starts_with(no)) {
            missing.push(format!("{code:08X}\t{name}\t-\twindows\t"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// That the client logs `-1018` as C80003FA is also how the backup interface of the directory defines it.
#[test]
fn errors_of_the_database_engine_are_hresults() {
    let constants = constants();
    let both = constants.iter().filter_map(|(name, code)| {
        let other = constants.get(&format!("hr{}", name.strip_prefix("JET_err")?))?;
        (other >> 16 == 0xC800).then_some((name, code, other))
    });
    let differ = ["JET_errSessionWriteConflict"];
    let count =
        both.inspect(|(name, code, other)| assert!(code == other || differ.contains(&name.as_str()), "{name}")).count();
    assert!(count > 100, "{count}");
}

#[test]
fn every_code_of_certificate_trust_is_known_and_read_in_decimal() {
    let mut count = 0;
    for line in include_str!("trust_hresults.csv").lines().skip(1) {
        let [code, signed, unsigned, _, symbols] = line.split(',').collect::<Vec<_>>()[..] else {
            panic!("five columns: {line}");
        };
        let value = parse_hresult(code).expect("a code");
        let entry = lookup(value).unwrap_or_else(|| panic!("missing: {line}"));
        assert!(symbols.split(' ').any(|symbol| symbol == entry.symbol), "{line}");
        assert_eq!(parse_hresult(signed), Some(value), "{line}");
        assert_eq!(parse_hresult(unsigned), Some(value), "{line}");
        assert_eq!(find_hresult(&format!("verification failed with {unsigned}")), Some(value), "{line}");
        assert_eq!(find_hresult(&format!("<Win32HResult>{signed}</Win32HResult>")), Some(value), "{line}");
        count += 1;
    }
    assert_eq!(count, 175);
}
