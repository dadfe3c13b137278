//! The files that an input may read: regular files in its own folder.
//!
//! The owner of a folder on a share chooses its contents: a FIFO that never ends, a link to `/dev/zero`, a link to a
//! file that only the collector may read. The decision is made on the opened handle, since a name that was checked may
//! lead elsewhere a moment later. Rejected: `openat2` with `RESOLVE_BENEATH`, which only newer Linux has and which
//! refuses links within the folder too, if they are absolute.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use glob::Pattern;

use crate::regular::{final_path, open_regular};

/// The folder in which the files of an input must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    /// `None`: links may lead anywhere.
    folder: Option<Arc<Path>>,
    /// The globs of the input. A file that matches one of them has a reader of its own.
    named: Arc<[Pattern]>,
}

impl Fence {
    /// Returns no fence: links may lead anywhere.
    #[must_use]
    pub fn none() -> Fence {
        Fence::default()
    }

    /// Returns the fence of a glob: the folder before its first wildcard. A path without wildcards is fenced by its
    /// folder. Links in the name of that folder itself are followed, since the author of the configuration chose them.
    #[must_use]
    pub fn of_glob(glob: &str) -> Fence {
        let is_plain = |component: &Component| {
            let name = component.as_os_str().to_string_lossy();
            !name.contains(['*', '?', '[', char::REPLACEMENT_CHARACTER])
        };
        let plain: PathBuf = Path::new(glob).components().take_while(is_plain).collect();
        if plain == Path::new(glob) { Fence::of_file(&plain) } else { Fence::at(&plain) }
    }

    /// Returns the fence of one file: its folder.
    #[must_use]
    pub fn of_file(path: &Path) -> Fence {
        Fence::at(path.parent().unwrap_or(path))
    }

    /// Returns the fence of all files in a folder and below it.
    #[must_use]
    pub fn at(folder: &Path) -> Fence {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        Fence { folder: Some(folder.into()), ..Fence::default() }
    }

    /// Adds the globs of the input.
    #[must_use]
    pub fn of_input(self, globs: &[String]) -> Fence {
        Fence { named: globs.iter().filter_map(|glob| Pattern::new(glob).ok()).collect(), ..self }
    }

    /// Whether the input names the file, so that it has a reader of its own.
    #[must_use]
    pub fn names(&self, path: &Path) -> bool {
        self.named.iter().any(|glob| glob.matches_path(path))
    }

    /// Opens a regular file for reading. Does not block, even where the path names a FIFO or a device.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a file that is not regular or lies outside of the fence.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        let file = open_regular(path)?;
        let Some(folder) = &self.folder else { return Ok(file) };
        let inside = match final_path(&file, path) {
            Ok(real) => real.starts_with(folder.canonicalize()?),
            // Wine returns no name for a path of more than 260 characters; a path without links is its own final path.
            Err(_) if cfg!(windows) => has_no_link_below(path, folder),
            Err(error) => return Err(error),
        };
        if inside {
            return Ok(file);
        }
        // The message leaves out the target of the link, since the log would tell its reader which secret files exist.
        let why = format!(
            "a link leads out of {}; only `follow_links_outside = true` in this [[input]] allows it",
            folder.display()
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, why))
    }

    /// Whether a folder that is a link may be searched.
    #[must_use]
    pub fn may_enter(&self, folder: &Path) -> bool {
        let Some(fence) = &self.folder else { return true };
        match (folder.canonicalize(), fence.canonicalize()) {
            (Ok(folder), Ok(fence)) => folder.starts_with(fence),
            _ => false,
        }
    }
}

/// Whether a path lies in a folder and no part of the path below the folder is a link.
fn has_no_link_below(path: &Path, folder: &Path) -> bool {
    let Ok(below) = path.strip_prefix(folder) else { return false };
    let is_link = |at: &Path| std::fs::symlink_metadata(at).map_or(true, |found| found.is_symlink());
    let is_plain = |part: Component| matches!(part, Component::Normal(_));
    below.components().all(is_plain) && below.ancestors().all(|part| !is_link(&folder.join(part)))
}

/// Returns why a file is not read, and what to do about it.
#[must_use]
pub fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::InvalidInput => format!("is not read: {error}"),
        _ => format!("cannot be read: {error}; allow the collector to read it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_of_a_glob_is_the_folder_before_its_first_wildcard() {
        let check = |glob: &str, expect: &str| assert_eq!(Fence::of_glob(glob), Fence::at(Path::new(expect)), "{glob}");
        check("/srv/wulogs/*/*.log", "/srv/wulogs");
        check("/srv/wulogs/**/*.log", "/srv/wulogs");
        check("/srv/pc-[12]/a.log", "/srv");
        check("/var/log/WindowsUpdate.log", "/var/log");
        check("WindowsUpdate.log", ".");
        check("*.log", ".");
    }

    #[cfg(unix)]
    mod unix {
        use std::os::unix::fs::symlink;

        use super::super::*;

        struct Bench {
            dir: tempfile::TempDir,
            fence: Fence,
        }

        /// Returns a share with `PC-1/real.log`, and a secret beside the share.
        fn bench() -> Bench {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(dir.path().join("share/PC-1")).unwrap();
            std::fs::write(dir.path().join("share/PC-1/real.log"), "a line\n").unwrap();
            std::fs::write(dir.path().join("secret"), "hunter2\n").unwrap();
            let fence = Fence::of_glob(&format!("{}/share/*/*.log", dir.path().display()));
            Bench { dir, fence }
        }

        impl Bench {
            /// Puts a link to `target` at `share/NAME` and opens it.
            fn open_link(&self, target: impl AsRef<Path>, name: &str) -> io::Result<File> {
                let link = self.dir.path().join("share").join(name);
                symlink(target, &link).unwrap();
                self.fence.open(&link)
            }

            #[track_caller]
            fn refused(&self, opened: io::Result<File>, part: &str) {
                let said = unreadable(&opened.expect_err("it must not be opened"));
                assert!(said.contains(part) && said.contains("is not read"), "{said}");
                assert!(!said.contains("secret"), "{said} says where the link leads");
            }
        }

        #[test]
        fn a_link_within_the_folder_is_followed_and_one_out_of_it_is_not() {
            let bench = bench();
            let path = |name: &str| bench.dir.path().join(name);
            assert!(bench.fence.open(&path("share/PC-1/real.log")).is_ok());
            assert!(bench.open_link("real.log", "PC-1/relative.log").is_ok());
            assert!(bench.open_link(path("share/PC-1/real.log"), "PC-1/absolute.log").is_ok());
            bench.refused(bench.open_link(path("secret"), "PC-1/secret.log"), "follow_links_outside");
            bench.refused(bench.open_link("../../secret", "PC-1/up.log"), "follow_links_outside");
            bench.refused(bench.open_link("up.log", "PC-1/chain.log"), "follow_links_outside");
            symlink(bench.dir.path(), path("share/PC-2")).unwrap();
            bench.refused(bench.fence.open(&path("share/PC-2/secret")), "follow_links_outside");
            assert!(Fence::none().open(&path("share/PC-1/secret.log")).is_ok());
            // A folder whose name begins like the name of the share lies outside of the share.
            std::fs::create_dir(path("share-2")).unwrap();
            std::fs::write(path("share-2/a.log"), "secret\n").unwrap();
            bench.refused(bench.open_link("../../share-2/a.log", "PC-1/sibling.log"), "follow_links_outside");
        }

        #[test]
        fn what_is_not_a_regular_file_is_refused_without_waiting() {
            let mut bench = bench();
            bench.fence = Fence::none();
            bench.refused(bench.open_link("/dev/zero", "PC-1/zero.log"), "regular");
            bench.refused(bench.open_link("/", "PC-1/folder.log"), "regular");
            let fifo = bench.dir.path().join("share/PC-1/fifo.log");
            rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
            bench.refused(bench.fence.open(&fifo), "regular");
            let socket = bench.dir.path().join("share/PC-1/socket.log");
            let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            bench.refused(bench.fence.open(&socket), "regular");
        }

        /// A thread exchanges a regular file and a link to the secret as fast as possible, by renaming; no opened file
        /// may be the secret.
        #[test]
        fn a_link_that_is_exchanged_while_the_file_is_opened_gives_nothing_away() {
            use std::io::Read;
            use std::sync::atomic::{AtomicBool, Ordering};
            use std::time::{Duration, Instant};

            let bench = bench();
            let at = |name: &str| bench.dir.path().join("share/PC-1").join(name);
            symlink("../../secret", at("link")).unwrap();
            let stop = AtomicBool::new(false);
            let (mut honest, mut refused) = (0, 0);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        std::fs::hard_link(at("real.log"), at("real.tmp")).unwrap();
                        std::fs::rename(at("real.tmp"), at("swapped.log")).unwrap();
                        symlink("../../secret", at("link.tmp")).unwrap();
                        std::fs::rename(at("link.tmp"), at("swapped.log")).unwrap();
                    }
                });
                let until = Instant::now() + Duration::from_millis(500);
                while Instant::now() < until {
                    match bench.fence.open(&at("swapped.log")) {
                        Ok(mut file) => {
                            let mut text = String::new();
                            file.read_to_string(&mut text).unwrap();
                            assert_eq!(text, "a line\n");
                            honest += 1;
                        }
                        Err(_) => refused += 1,
                    }
                }
                stop.store(true, Ordering::Relaxed);
            });
            assert!(honest > 0 && refused > 0, "{honest} opened, {refused} refused: nothing was exchanged");
        }
    }
}
