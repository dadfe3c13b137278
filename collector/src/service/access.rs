//! The owner and the access list of the service's folder.
//!
//! The service reads a configuration from `C:\ProgramData`, where every user may create folders. A folder that a user
//! created before the installation belongs to that user, who could then control the service. So the service refuses a
//! configuration whose file or folder belongs to anybody but the system, and `service install` sets an access list on
//! the folder.

#![allow(unsafe_code)] // calls for which no crate has wrappers

use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{CloseHandle, ERROR_SUCCESS, HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW,
    SDDL_REVISION_1, SE_FILE_OBJECT, SetNamedSecurityInfoW,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetSecurityDescriptorDacl, GetTokenInformation, OWNER_SECURITY_INFORMATION,
    PROTECTED_DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// The account of the service. Windows derives it from the service's name; the account has no password and no rights of
/// its own.
pub(crate) const ACCOUNT: &str = r"NT SERVICE\wulog-collector";

/// The id of [`ACCOUNT`]: S-1-5-80 and the SHA-1 of the service's name in capitals, as UTF-16.
const SERVICE_SID: &str = "S-1-5-80-3606395428-3623889771-667825644-686750886-955581469";

/// Owners whose files the service trusts: SYSTEM, Administrators, Windows' installer, and the service.
const TRUSTED: [&str; 4] =
    ["S-1-5-18", "S-1-5-32-544", "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464", SERVICE_SID];

/// The access list of the service's folder, in Windows' notation: no inheritance, full access for SYSTEM and
/// Administrators, read access for the service.
fn folder_sddl() -> String {
    format!("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FRFX;;;{SERVICE_SID})")
}

/// The access list of the state directory: as that of the folder, with full access for the service.
fn state_sddl() -> String {
    format!("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{SERVICE_SID})")
}

/// Refuses a configuration that another user may have written: the file or its folder is a link, or belongs neither to
/// a trusted owner nor to the user of this process.
///
/// # Errors
/// The message names the path, its owner and the remedy.
pub(crate) fn check(config: &Path) -> Result<(), String> {
    let own = current_user().map_err(|error| format!("the user of this process cannot be asked for: {error}"))?;
    for path in [config.parent(), Some(config)].into_iter().flatten().filter(|path| !path.as_os_str().is_empty()) {
        let shown = path.display();
        let wrong = |why: String| {
            format!(
                "{shown} {why}: whoever owns it tells the service what to do. Look at what is in it; if it is yours, \
                 run as administrator: icacls \"{shown}\" /setowner *S-1-5-32-544 /t"
            )
        };
        let found = std::fs::symlink_metadata(path).map_err(|error| format!("{shown}: {error}"))?;
        if found.is_symlink() {
            return Err(wrong("is a link".to_owned()));
        }
        let owner = owner(path).map_err(|error| format!("{shown}: its owner cannot be asked for: {error}"))?;
        if owner != own && !TRUSTED.contains(&owner.as_str()) {
            return Err(wrong(format!("belongs to {owner}")));
        }
    }
    Ok(())
}

/// Gives the folder of a configuration, and the state directory, their access lists.
///
/// # Errors
/// When Windows refuses it.
pub(crate) fn protect(folder: &Path, state_dir: &Path) -> io::Result<()> {
    set_list(folder, &folder_sddl())?;
    wulog_files::private::create_folder(state_dir)?;
    set_list(state_dir, &state_sddl())
}

fn set_list(path: &Path, sddl: &str) -> io::Result<()> {
    let (name, sddl) = (wide(path.as_os_str()), wide(sddl.as_ref()));
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    // SAFETY: the text ends with a zero, and the descriptor is written only where the call succeeds.
    let made = unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            sddl.as_ptr(),
            SDDL_REVISION_1,
            &mut descriptor,
            null_mut(),
        )
    };
    if made == 0 {
        return Err(io::Error::last_os_error());
    }
    let (mut present, mut defaulted, mut list) = (0, 0, null_mut());
    // SAFETY: the descriptor was made just now; the list lies in it and is used before it is freed.
    let result = unsafe {
        if GetSecurityDescriptorDacl(descriptor, &mut present, &mut list, &mut defaulted) == 0 {
            Err(io::Error::last_os_error())
        } else {
            let what = DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION;
            code(SetNamedSecurityInfoW(name.as_ptr(), SE_FILE_OBJECT, what, null_mut(), null_mut(), list, null()))
        }
    };
    // SAFETY: Windows asks for the descriptor to be freed this way, once.
    unsafe { LocalFree(descriptor.cast()) };
    result
}

/// The owner of a file or folder, as `S-1-5-...`.
fn owner(path: &Path) -> io::Result<String> {
    let name = wide(path.as_os_str());
    let (mut sid, mut descriptor): (PSID, PSECURITY_DESCRIPTOR) = (null_mut(), null_mut());
    // SAFETY: the name ends with a zero; the id lies in the descriptor, which is freed after the id is turned into text.
    unsafe {
        code(GetNamedSecurityInfoW(
            name.as_ptr(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &mut sid,
            null_mut(),
            null_mut(),
            null_mut(),
            &mut descriptor,
        ))?;
        let text = sid_text(sid);
        LocalFree(descriptor.cast());
        text
    }
}

/// The user that this process runs as, as `S-1-5-...`.
fn current_user() -> io::Result<String> {
    let mut token: HANDLE = null_mut();
    // SAFETY: the handle of this process needs no closing; the token's is closed below.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // Room for TOKEN_USER and the longest id, aligned as the struct is.
    let mut buffer = [0u64; 32];
    let mut length = 0;
    // SAFETY: the buffer is as long as is said, and aligned.
    let asked = unsafe {
        GetTokenInformation(token, TokenUser, buffer.as_mut_ptr().cast(), size_of_val(&buffer) as u32, &mut length)
    };
    let user = if asked == 0 {
        Err(io::Error::last_os_error())
    } else {
        // SAFETY: Windows has written a TOKEN_USER at the start of the buffer, whose id lies in the buffer too.
        unsafe { sid_text((*buffer.as_ptr().cast::<TOKEN_USER>()).User.Sid) }
    };
    // SAFETY: the token was opened above, and is not used afterwards.
    unsafe { CloseHandle(token) };
    user
}

/// # Safety
/// The id must be one that Windows gave.
unsafe fn sid_text(sid: PSID) -> io::Result<String> {
    let mut text: *mut u16 = null_mut();
    // SAFETY: the caller vouches for the id; the text ends with a zero and is freed once.
    unsafe {
        if ConvertSidToStringSidW(sid, &mut text) == 0 {
            return Err(io::Error::last_os_error());
        }
        let length = (0..).take_while(|&at| *text.add(at) != 0).count();
        let owned = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text.cast());
        Ok(owned)
    }
}

fn code(code: u32) -> io::Result<()> {
    if code == ERROR_SUCCESS { Ok(()) } else { Err(io::Error::from_raw_os_error(code as i32)) }
}

fn wide(text: &std::ffi::OsStr) -> Vec<u16> {
    text.encode_wide().chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_our_own_is_trusted_and_a_link_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("collector.toml");
        std::fs::write(&config, "").unwrap();
        assert_eq!(check(&config), Ok(()));
        assert!(owner(&config).unwrap().starts_with("S-1-5-"));
        assert!(check(&dir.path().join("missing.toml")).is_err());
    }

    #[test]
    fn a_folder_gets_its_list() {
        let dir = tempfile::tempdir().unwrap();
        protect(dir.path(), &dir.path().join("collector")).unwrap();
        assert!(dir.path().join("collector").is_dir());
    }
}
