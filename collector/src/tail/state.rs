//! The state of a tail. Each state owns the fields that have a meaning only in that state, and each transition is one
//! function.

use std::fs::File;
use std::time::Instant;

use super::Tail;
use super::reader::VersionReader;
use super::versions::MovedFile;
use crate::checkpoint::FileEntry;
use crate::disk::reopen_moved;
use crate::follow::{Inode, Seen};

/// The work of the tail on its file, with the facts that only this work needs.
#[derive(Debug)]
pub(super) enum TailState {
    /// The position in the next version is not known yet.
    Locating(Locating),
    /// The version at the path is read.
    Following(Following),
    /// A version that has left the path is read to its end.
    Leaving(Leaving),
    /// The file is gone. The collector reuses the place of the tail for another file.
    Retired,
}

impl Default for TailState {
    fn default() -> TailState {
        TailState::Locating(Locating::default())
    }
}

/// The facts that are collected while the next version is located.
#[derive(Debug, Default)]
pub(super) struct Locating {
    /// True when the version before was read to its end. No line is lost then, even where no anchor of that version is
    /// found.
    pub(super) drained: bool,
    /// Set while a rewritten file may be incomplete.
    pub(super) settling: Option<Settling>,
    /// The binary file that was skipped, as the last look saw it; the file is examined again when it changes.
    pub(super) skipped: Option<Seen>,
}

/// A rewritten file that may be incomplete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settling {
    pub(super) since: Instant,
    pub(super) changed: Instant,
    pub(super) seen: Seen,
}

/// The version at the path is read.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) reader: VersionReader,
    /// Opened by the next read where there is none.
    pub(super) handle: Option<OpenFile>,
}

/// An open file, and when it was last read.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) used_ms: i64,
}

/// A version that has left the path.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) reader: VersionReader,
    /// See [`MovedFile::certain`].
    pub(super) certain: bool,
    pub(super) rest: Rest,
}

/// The rest of a version that has left the path.
#[derive(Debug)]
pub(super) enum Rest {
    /// The open file. Reading ends when a read after the last acknowledgement finds nothing new: until then the writer
    /// may have appended to the renamed file.
    Open(File),
    /// A read failed. The next read opens the file again, under the name that the file has by then.
    Lost,
    /// A read found the end of a deleted file, and the handle was closed: on Windows nobody can create a file of this
    /// name while the handle is open.
    Closed,
}

impl TailState {
    /// True while a version is read or waits for its last acknowledgement.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self, TailState::Following(_) | TailState::Leaving(_))
    }

    pub(super) fn can_read(&self) -> bool {
        self.is_reading() && !self.is_closed()
    }

    pub(super) fn holds_handle(&self) -> bool {
        match self {
            TailState::Following(following) => following.handle.is_some(),
            TailState::Leaving(leaving) => matches!(leaving.rest, Rest::Open(_)),
            TailState::Locating(_) | TailState::Retired => false,
        }
    }

    /// True when a version that has left the path waits only for acknowledgements.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, TailState::Leaving(Leaving { rest: Rest::Closed, .. }))
    }

    pub(super) fn reader(&self) -> Option<&VersionReader> {
        match self {
            TailState::Following(Following { reader, .. }) | TailState::Leaving(Leaving { reader, .. }) => Some(reader),
            TailState::Locating(_) | TailState::Retired => None,
        }
    }

    /// The reader and the open file that it reads.
    pub(super) fn open_reader(&mut self) -> Option<(&mut VersionReader, &File)> {
        match self {
            TailState::Following(Following { reader, handle: Some(handle) }) => Some((reader, &handle.file)),
            TailState::Leaving(Leaving { reader, rest: Rest::Open(file), .. }) => Some((reader, file)),
            _ => None,
        }
    }

    /// Closes the handle after a failed read.
    pub(super) fn lose_handle(&mut self) {
        match self {
            TailState::Following(following) => following.handle = None,
            TailState::Leaving(leaving) => leaving.rest = Rest::Lost,
            TailState::Locating(_) | TailState::Retired => {}
        }
    }
}

impl Tail {
    /// Locates the next version, after the present one was read to its end and acknowledged.
    pub(super) fn locate_next(&mut self) {
        self.state = TailState::Locating(Locating { drained: true, ..Locating::default() });
        self.more = true;
    }

    /// Locates the present version again, before all waiting versions, since its position is in doubt.
    pub(super) fn locate_again(&mut self) {
        self.put_first(self.entry.id);
        self.state = TailState::Locating(Locating::default());
        self.more = true;
    }

    /// Locates the present version again, after a read found other lines before the reading position.
    pub(super) fn misplaced(&mut self) {
        if let TailState::Leaving(Leaving { certain, rest: Rest::Open(file), .. }) = std::mem::take(&mut self.state) {
            self.moved.insert(self.entry.id, MovedFile { file, certain });
        }
        self.locate_again();
    }

    /// Reads the version at the path.
    pub(super) fn follow(&mut self, reader: VersionReader) {
        self.state = TailState::Following(Following { reader, handle: None });
        self.more = true;
    }

    /// Reads a version that has left the path to its end.
    pub(super) fn read_rest(&mut self, reader: VersionReader, moved: MovedFile) {
        let MovedFile { file, certain } = moved;
        self.state = TailState::Leaving(Leaving { reader, certain, rest: Rest::Open(file) });
        self.more = true;
    }

    /// Handles that the followed version `id` has left the path. The version is read to its end where its handle is
    /// open or the version is found under another name; otherwise the version is located again.
    pub(super) fn leave_path(&mut self, id: Inode) {
        let TailState::Following(Following { reader, handle }) = std::mem::take(&mut self.state) else {
            return self.locate_again();
        };
        let open = handle.map(|handle| MovedFile { file: handle.file, certain: true });
        match open.or_else(|| self.reopen(id)) {
            Some(moved) => self.read_rest(reader, moved),
            None => self.locate_again(),
        }
    }

    /// Opens a version that was renamed within its folder.
    pub(super) fn reopen(&self, id: Inode) -> Option<MovedFile> {
        reopen_moved(&self.entry.path, id, &self.fence).map(|(file, certain)| MovedFile { file, certain })
    }

    /// Stops following a file that is gone and returns its entry.
    pub(crate) fn retire(&mut self) -> FileEntry {
        self.state = TailState::Retired;
        self.more = false;
        self.moved.clear();
        std::mem::take(&mut self.entry)
    }

    /// Closes the handle where nothing is left to read.
    pub(crate) fn close_idle(&mut self) {
        if let TailState::Following(following) = &mut self.state
            && !self.more
        {
            following.handle = None;
        }
    }
}
