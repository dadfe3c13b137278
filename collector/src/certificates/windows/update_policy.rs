//! The policy for updates, as Group Policy writes it into the registry.

use windows_registry::{Key, LOCAL_MACHINE};
use windows_sys::Win32::System::Registry::KEY_WOW64_64KEY;
use wulog_schemas::certificate::Policy;

const KEY: &str = r"SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate";
const AUTOMATIC_KEY: &str = r"SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU";

/// `ERROR_FILE_NOT_FOUND` as an HRESULT: a key or a value does not exist.
const NOT_FOUND: i32 = 0x8007_0002_u32.cast_signed();

/// Returns the policy; `None` where it cannot be read. A missing key or value means that the policy is not set.
pub(crate) fn read() -> Option<Policy> {
    match try_read() {
        Ok(policy) => Some(policy),
        Err(error) => {
            tracing::warn!(key = KEY, %error, "the policy for updates cannot be read");
            None
        }
    }
}

fn try_read() -> windows_registry::Result<Policy> {
    let (update, automatic) = (open(KEY)?, open(AUTOMATIC_KEY)?);
    Ok(Policy {
        accept_trusted_publisher_certs: number(update.as_ref(), "AcceptTrustedPublisherCerts")? == Some(1),
        wu_server: text(update.as_ref(), "WUServer")?,
        wu_status_server: text(update.as_ref(), "WUStatusServer")?,
        use_wu_server: number(automatic.as_ref(), "UseWUServer")?.map(|value| value == 1),
    })
}

/// Opens the key that 64-bit programs see, as Windows Update does.
fn open(key: &str) -> windows_registry::Result<Option<Key>> {
    existing(LOCAL_MACHINE.options().read().access(KEY_WOW64_64KEY).open(key))
}

fn number(key: Option<&Key>, name: &str) -> windows_registry::Result<Option<u32>> {
    key.map_or(Ok(None), |key| existing(key.get_u32(name)))
}

fn text(key: Option<&Key>, name: &str) -> windows_registry::Result<Option<String>> {
    let text = key.map_or(Ok(None), |key| existing(key.get_hstring(name)))?;
    Ok(text.map(|text| text.to_string_lossy()).filter(|text| !text.is_empty()))
}

fn existing<T>(found: windows_registry::Result<T>) -> windows_registry::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code().0 == NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}
