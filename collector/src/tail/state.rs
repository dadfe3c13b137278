//! What is done with a file now. Each state owns what has a meaning only there, and each transition is one function.

use std::fs::File;
use std::time::Instant;

use super::Tail;
use super::reader::Reader;
use super::versions::MovedFile;
use crate::checkpoint::FileEntry;
use crate::disk::reopen_moved;
use crate::follow::{FileId, Seen};

/// What is done with a file now.
#[derive(Debug)]
pub(super) enum State {
    /// The position in the next version is not known yet.
    Locating(Locating),
    /// The version at the path is read.
    Following(Following),
    /// A version that has left the path is read to its end.
    Leaving(Leaving),
    /// The file is gone. The tail is an empty place, which the collector uses again.
    Retired,
}

impl Default for State {
    fn default() -> State {
        State::Locating(Locating::default())
    }
}

/// The facts that are collected while the next version is located.
#[derive(Debug, Default)]
pub(super) struct Locating {
    /// The version before was read to its end, so that no line was lost where nothing of it is found.
    pub(super) drained: bool,
    /// Set while a rewritten file may not be complete.
    pub(super) settling: Option<Settling>,
    /// A binary file, as it was seen; it is examined again when it changes.
    pub(super) skipped: Option<Seen>,
}

/// A rewritten file that may not be complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settling {
    pub(super) since: Instant,
    pub(super) changed: Instant,
    pub(super) seen: Seen,
}

/// The version at the path is read.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) reader: Reader,
    /// Opened by the next read where there is none.
    pub(super) handle: Option<Handle>,
}

/// An open file, and when it was last read.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) file: File,
    pub(super) used_ms: i64,
}

/// A version that has left the path.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) reader: Reader,
    /// See [`MovedFile::certain`].
    pub(super) certain: bool,
    pub(super) rest: Rest,
}

/// The rest of a version that has left the path.
#[derive(Debug)]
pub(super) enum Rest {
    /// Its handle. The version is left when a read finds nothing new after the last acknowledgement: its writer may have
    /// gone on in it meanwhile.
    Open(File),
    /// A read failed. The next read opens the file again, under the name that the file has by then.
    Lost,
    /// A read found the end, and the handle was closed: while it is open, nobody can create a file of this name.
    Closed,
}

impl State {
    /// True while a version is read or waits for its last acknowledgement.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self, State::Following(_) | State::Leaving(_))
    }

    pub(super) fn can_read(&self) -> bool {
        self.is_reading() && !self.is_closed()
    }

    pub(super) fn holds_handle(&self) -> bool {
        match self {
            State::Following(following) => following.handle.is_some(),
            State::Leaving(leaving) => matches!(leaving.rest, Rest::Open(_)),
            State::Locating(_) | State::Retired => false,
        }
    }

    /// True when only acknowledgements are awaited of a version that has left the path.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, State::Leaving(Leaving { rest: Rest::Closed, .. }))
    }

    pub(super) fn reader(&self) -> Option<&Reader> {
        match self {
            State::Following(Following { reader, .. }) | State::Leaving(Leaving { reader, .. }) => Some(reader),
            State::Locating(_) | State::Retired => None,
        }
    }

    /// The reader and the open file that it reads.
    pub(super) fn open_reader(&mut self) -> Option<(&mut Reader, &File)> {
        match self {
            State::Following(Following { reader, handle: Some(handle) }) => Some((reader, &handle.file)),
            State::Leaving(Leaving { reader, rest: Rest::Open(file), .. }) => Some((reader, file)),
            _ => None,
        }
    }

    /// Closes the handle after a failed read.
    pub(super) fn lose_handle(&mut self) {
        match self {
            State::Following(following) => following.handle = None,
            State::Leaving(leaving) => leaving.rest = Rest::Lost,
            State::Locating(_) | State::Retired => {}
        }
    }
}

impl Tail {
    /// The version so far was read to its end and acknowledged: locates the next one.
    pub(super) fn locate_next(&mut self) {
        self.state = State::Locating(Locating { drained: true, ..Locating::default() });
        self.more = true;
    }

    /// The position in the version so far is in doubt: locates that version again, before all others.
    pub(super) fn locate_again(&mut self) {
        self.put_first(self.entry.id);
        self.state = State::Locating(Locating::default());
        self.more = true;
    }

    /// The lines before the reading position are not there any more.
    pub(super) fn misplaced(&mut self) {
        if let State::Leaving(Leaving { certain, rest: Rest::Open(file), .. }) = std::mem::take(&mut self.state) {
            self.moved.insert(self.entry.id, MovedFile { file, certain });
        }
        self.locate_again();
    }

    /// Reads the version at the path.
    pub(super) fn follow(&mut self, reader: Reader) {
        self.state = State::Following(Following { reader, handle: None });
        self.more = true;
    }

    /// Reads a version that has left the path to its end.
    pub(super) fn read_rest(&mut self, reader: Reader, moved: MovedFile) {
        let MovedFile { file, certain } = moved;
        self.state = State::Leaving(Leaving { reader, certain, rest: Rest::Open(file) });
        self.more = true;
    }

    /// The followed version `id` has left the path. It is read to its end where its handle is open or it is found under
    /// another name; otherwise it is located again.
    pub(super) fn leave_path(&mut self, id: FileId) {
        let State::Following(Following { reader, handle }) = std::mem::take(&mut self.state) else {
            return self.locate_again();
        };
        let open = handle.map(|handle| MovedFile { file: handle.file, certain: true });
        match open.or_else(|| self.reopen(id)) {
            Some(moved) => self.read_rest(reader, moved),
            None => self.locate_again(),
        }
    }

    /// Opens a version that was renamed within its folder.
    pub(super) fn reopen(&self, id: FileId) -> Option<MovedFile> {
        reopen_moved(&self.entry.path, id, &self.fence).map(|(file, certain)| MovedFile { file, certain })
    }

    /// Gives up a file that is gone and returns the entry of the file.
    pub(crate) fn retire(&mut self) -> FileEntry {
        self.state = State::Retired;
        self.more = false;
        self.moved.clear();
        std::mem::take(&mut self.entry)
    }

    /// Closes the handle where nothing is left to read.
    pub(crate) fn close_idle(&mut self) {
        if let State::Following(following) = &mut self.state
            && !self.more
        {
            following.handle = None;
        }
    }
}
