//! The components of Windows Update, as in the component column.

/// Components that Windows 2000 to 11 write, sorted; other names are accepted where the columns leave no doubt.
const COMPONENTS: [&str; 55] = [
    "AGENT",
    "AU",
    "AUCLNT",
    "AUClnt",
    "Agent",
    "CDM",
    "CMPRESS",
    "COMAPI",
    "ComApi",
    "DRIVER",
    "DTASTOR",
    "DWNLDMGR",
    "DataStore",
    "DnldMgr",
    "DownloadManager",
    "Driver",
    "DtaStor",
    "EEHNDLER",
    "EEHandler",
    "EEHndler",
    "EP",
    "HANDLER",
    "Handler",
    "IdleTimer",
    "IdleTmr",
    "MISC",
    "Misc",
    "OFFLSNC",
    "OfflSnc",
    "Orchestrator",
    "PARSER",
    "PT",
    "Parser",
    "ProtocolTalker",
    "REPORT",
    "Report",
    "Reporter",
    "SERVICE",
    "SETUP",
    "SHUTDWN",
    "SLS",
    "Service",
    "Setup",
    "Shared",
    "Shutdwn",
    "UpdAgent",
    "UpdateSession",
    "WS",
    "WUAUCLNT",
    "WUREDIR",
    "WUWEB",
    "WebServices",
    "WuRedir",
    "WuTask",
    "WuWeb",
];

/// True for the name of a component that Windows Update writes.
pub(crate) fn is_component(name: &str) -> bool {
    COMPONENTS.binary_search(&name).is_ok()
}

/// Returns the longest component at the start of `text`.
pub(super) fn known_prefix(text: &str) -> Option<&'static str> {
    let first = text.as_bytes().first();
    let names = COMPONENTS.iter().copied().filter(|name| name.as_bytes().first() == first);
    names.filter(|name| text.starts_with(name)).max_by_key(|name| name.len())
}
