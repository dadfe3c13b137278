//! Texts that are looked for in nearly every line. Each search is prepared once, which takes longer than the search.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// A text to look for.
pub(crate) struct Needle(LazyLock<Finder<'static>>);

/// Defines a [`Needle`] for each name.
macro_rules! needles {
    ($($name:ident = $text:literal;)*) => {
        $(pub(crate) static $name: Needle = Needle(LazyLock::new(|| Finder::new($text)));)*
    };
}

needles! {
    POSTPROCESSING = "failed postprocessing";
    POST_PROCESSING = "failed post processing";
    LOGGING_INITIALIZED = "Logging initialized";
    LOGGING_INITIALIZED_WITH = "Logging initialized (";
    DOWNLOAD_SUCCEEDED = "DownloadSucceeded";
    SCHEME_END = "://";
    XIT_CODE = "xit code";
    RETURNED_CODE = "returned 0x";
}

impl Needle {
    pub(crate) fn find(&self, text: &str) -> Option<usize> {
        self.0.find(text.as_bytes())
    }

    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.find(text).is_some()
    }
}
