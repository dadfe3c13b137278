//! Findings about a configuration that parses: paths that name no file, files that cannot be read.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wulog_files::{Fence, private, unreadable};

use crate::config::Config;
use crate::discover::Discovery;
use crate::search::search;

/// How much of a file is read to see whether it looks like a log.
const HEAD_BYTES: u64 = 4096;

/// Returns all findings, one sentence each.
#[must_use]
pub(crate) fn findings(config: &Config) -> Vec<String> {
    let mut found: Vec<String> =
        config.inputs.iter().flat_map(|input| &input.paths).filter_map(|path| pattern(path)).collect();
    found.extend(files(config).into_iter().filter_map(|(path, fence)| {
        let error = fence.open(&path).err()?;
        Some(format!("{} {}", path.display(), unreadable(&error)))
    }));
    found.extend(state_dir(&config.state_dir));
    if config.get_windows_update_log.is_some() && !cfg!(windows) {
        found.push("[get_windows_update_log]: only Windows has Get-WindowsUpdateLog; here nothing is made".to_owned());
    }
    found
}

/// Returns each file with a description of its first bytes.
#[must_use]
pub(crate) fn read_heads(config: &Config) -> Vec<(PathBuf, String)> {
    files(config)
        .into_iter()
        .map(|(path, fence)| (head(&path, &fence), path))
        .map(|(found, path)| (path, found))
        .collect()
}

fn files(config: &Config) -> Vec<(PathBuf, Fence)> {
    let mut discovery = Discovery::new(config.inputs.clone(), Duration::ZERO);
    // No log messages, since the findings name the same faults.
    let silent = tracing::subscriber::NoSubscriber::default();
    let found = tracing::subscriber::with_default(silent, || discovery.scan(&HashMap::new()));
    found.into_iter().map(|file| (file.path, file.fence)).filter(|(path, _)| !path.is_dir()).collect()
}

fn pattern(pattern: &str) -> Option<String> {
    if Path::new(pattern).is_dir() {
        return Some(format!("{pattern}: is a directory; name the files in it, such as {pattern}/*.log"));
    }
    let any = Path::new(pattern).exists()
        || search(pattern, &Fence::none()).is_ok_and(|paths| paths.iter().any(Result::is_ok));
    (!any).then(|| format!("{pattern}: no file matches; files that appear later are found"))
}

fn state_dir(dir: &Path) -> Option<String> {
    // The first run creates the directory where it is missing, so its nearest existing parent must be writable.
    let existing = dir.ancestors().find(|dir| dir.exists())?;
    if !existing.is_dir() {
        return Some(format!("state_dir {}: {} is no directory", dir.display(), existing.display()));
    }
    let probe = existing.join(format!(".wulog-probe-{}", std::process::id()));
    let written = private::create(&probe);
    // A probe file that cannot be removed is harmless.
    let _ = fs::remove_file(&probe);
    let error = written.err()?;
    Some(format!("state_dir {}: cannot be written: {error}", dir.display()))
}

fn head(path: &Path, fence: &Fence) -> String {
    let mut bytes = Vec::new();
    match fence.open(path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut bytes)) {
        Err(error) => unreadable(&error),
        Ok(0) => "is empty".to_owned(),
        Ok(_) => match wulog_lines::EncodingChoice::Auto.sniff(&bytes) {
            Some((encoding, _)) => {
                let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
                let text = String::from_utf8_lossy(&encoding.decode(line, true).bytes).into_owned();
                format!("{encoding:?}, starts with {:?}", text.chars().take(80).collect::<String>())
            }
            None => "is too short to tell".to_owned(),
        },
    }
}
