//! Whether Windows finds the texts of our Event Log entries in the program. Reading the Event Log itself is nothing that
//! Wine can do.

#![allow(unsafe_code)] // two calls that no crate wraps

use windows_sys::Win32::Foundation::HMODULE;
use windows_sys::Win32::System::Diagnostics::Debug::{
    FORMAT_MESSAGE_ARGUMENT_ARRAY, FORMAT_MESSAGE_FROM_HMODULE, FormatMessageW,
};
use windows_sys::Win32::System::LibraryLoader::{LOAD_LIBRARY_AS_DATAFILE, LoadLibraryExW};

/// What the Event Viewer shows for an entry of `id` with the one string `text`.
fn shown(module: HMODULE, id: u32, text: &str) -> Option<String> {
    let text: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let arguments = [text.as_ptr()];
    let mut buffer = [0u16; 512];
    // SAFETY: the buffer is as long as said; the one argument that the text names is there and ends with a zero.
    let length = unsafe {
        FormatMessageW(
            FORMAT_MESSAGE_FROM_HMODULE | FORMAT_MESSAGE_ARGUMENT_ARRAY,
            module.cast_const(),
            id,
            0,
            buffer.as_mut_ptr(),
            buffer.len() as u32,
            arguments.as_ptr().cast(),
        )
    };
    (length > 0).then(|| String::from_utf16_lossy(&buffer[..length as usize]).trim_end().to_owned())
}

#[test]
fn the_program_has_the_texts_of_its_entries() {
    let path: Vec<u16> = env!("CARGO_BIN_EXE_wulog-collector").encode_utf16().chain([0]).collect();
    // SAFETY: the path ends with a zero. The module stays loaded until the test ends.
    let module = unsafe { LoadLibraryExW(path.as_ptr(), std::ptr::null_mut(), LOAD_LIBRARY_AS_DATAFILE) };
    assert!(!module.is_null());
    for id in 1..=3 {
        assert_eq!(shown(module, id, "positions cannot be kept").as_deref(), Some("positions cannot be kept"), "{id}");
    }
    assert_eq!(shown(module, 4, "x"), None);
}
