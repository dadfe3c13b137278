//! What can be asked of the Windows service.

use clap::Subcommand;

use crate::run::ConfigFile;

/// What can be done with the service.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Registers the service, to be started with Windows, and its source in the Event Log.
    Install(ConfigFile),
    /// For the installer: refuses a folder that is somebody else's, and gives it its access list.
    #[command(hide = true)]
    Secure(ConfigFile),
    /// Stops and removes the service.
    Uninstall,
    /// Starts the service and waits until it runs.
    Start,
    /// Stops the service and waits until it has flushed what is on its way.
    Stop,
    /// What Windows starts; by hand use `wulog-collector run`.
    #[command(hide = true)]
    Run(ConfigFile),
}
