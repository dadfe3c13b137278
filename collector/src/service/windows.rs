//! The collector as a Windows service: registration, start and stop by hand, and the service itself.
//!
//! The service does the same as `wulog-collector run`. A stop, and a shutdown of the machine, end it as SIGTERM does on
//! other systems: reading stops, records on their way are flushed within [`DRAIN_GRACE`], positions are written. After
//! an error the Event Log holds the reason, and Windows restarts the service later.

#![allow(unsafe_code)] // in what `define_windows_service` writes: the entry that Windows calls

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tracing::{error, info};
use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceControl, ServiceControlAccept,
    ServiceErrorControl, ServiceExitCode, ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo,
    ServiceStartType, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{define_windows_service, service_dispatcher};

use super::command::ServiceCommand;
use super::event_log::{NAME, TARGET};
use super::{access, event_log};
use crate::run::{self, BadConfig, CommandOutcome, DRAIN_GRACE};

const DISPLAY_NAME: &str = "wulog collector";
const DESCRIPTION: &str = "Ships the lines of WindowsUpdate.log to Kafka";

/// How long the commands wait for the service; Windows itself gives up after 30 s.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// How long Windows waits for the next step of a start or a stop.
const WAIT_HINT: Duration = Duration::from_secs(DRAIN_GRACE.as_secs() + 5);
/// Waits before a restart after an error. The last wait holds for all later errors: trying every minute does not repair
/// a fault that needs a person.
const RESTART_AFTER: [Duration; 3] = [Duration::from_secs(30), Duration::from_secs(300), Duration::from_secs(900)];
const FORGET_ERRORS_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Error codes of winerror.h.
const ERROR_ACCESS_DENIED: i32 = 5;
const ERROR_SERVICE_ALREADY_RUNNING: i32 = 1056;
const ERROR_FAILED_SERVICE_CONTROLLER_CONNECT: i32 = 1063;
const ERROR_SERVICE_DOES_NOT_EXIST: i32 = 1060;
const ERROR_SERVICE_EXISTS: i32 = 1073;

pub(super) fn execute(command: &ServiceCommand, stop: &Arc<AtomicBool>) -> Result<CommandOutcome> {
    match command {
        ServiceCommand::Install(file) => install(&file.config)?,
        ServiceCommand::Secure(file) => installed(&file.config)?,
        ServiceCommand::Uninstall => uninstall()?,
        ServiceCommand::Start => start()?,
        ServiceCommand::Stop => stop_service(&open(ServiceAccess::QUERY_STATUS | ServiceAccess::STOP)?)?,
        ServiceCommand::Run(file) => run(&file.config, stop)?,
    }
    Ok(CommandOutcome::Well)
}

fn install(config: &Path) -> Result<()> {
    // Checked now, since nobody notices soon that a service cannot start.
    let settings = run::load(config)?;
    run::sink(config, &settings)?;
    let config = std::path::absolute(config).with_context(|| format!("{}: no such path", config.display()))?;
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let info = ServiceInfo {
        name: NAME.into(),
        display_name: DISPLAY_NAME.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program.clone(),
        launch_arguments: vec!["service".into(), "run".into(), "--config".into(), config.clone().into_os_string()],
        dependencies: Vec::new(),
        // Not LocalSystem: an attacker who takes over the collector gets no more rights than a user who may read the
        // logs.
        account_name: Some(access::ACCOUNT.into()),
        account_password: None,
    };
    let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    let service = manager.create_service(&info, ServiceAccess::CHANGE_CONFIG).map_err(explain)?;
    if let Err(error) = restart_after_errors() {
        println!("Windows will not start the service again after an error: {error:#}");
    }
    secure(&config, &settings.state_dir)?;
    event_log::register_source(&program).context("the source of the Event Log cannot be registered")?;
    service.set_description(DESCRIPTION).map_err(explain)?;
    println!("service {NAME} is installed; start it with: wulog-collector service start");
    Ok(())
}

/// Finishes an installation: the installer calls this command once its files are in place and the service is
/// registered.
fn installed(config: &Path) -> Result<()> {
    let state_dir = config.with_file_name("collector");
    secure(config, &state_dir)?;
    if let Err(error) = restart_after_errors() {
        println!("Windows will not start the service again after an error: {error:#}");
    }
    Ok(())
}

/// Refuses a configuration of another user, and restricts the folder that the installer creates to SYSTEM,
/// administrators and the service. Any other folder is an administrator's choice, with an access list of its own.
fn secure(config: &Path, state_dir: &Path) -> Result<()> {
    access::check(config).map_err(anyhow::Error::msg)?;
    let Some(folder) = config.parent() else { return Ok(()) };
    let ours = std::env::var_os("ProgramData").map(|data| Path::new(&data).join("wulog"));
    if ours.as_deref() == Some(folder) {
        access::protect(folder, state_dir).with_context(|| format!("{}: its access list", folder.display()))?;
    }
    Ok(())
}

fn uninstall() -> Result<()> {
    let service = open(ServiceAccess::QUERY_STATUS | ServiceAccess::STOP | ServiceAccess::DELETE)?;
    stop_service(&service)?;
    service.delete().map_err(explain)?;
    if let Err(error) = event_log::unregister_source() {
        println!("the source of the Event Log cannot be removed: {error}");
    }
    println!("service {NAME} is removed; its configuration and its state directory stay");
    Ok(())
}

fn start() -> Result<()> {
    let service = open(ServiceAccess::QUERY_STATUS | ServiceAccess::START)?;
    if service.query_status().map_err(explain)?.current_state == ServiceState::StopPending {
        wait_for(&service, ServiceState::Stopped)?;
    }
    match service.start::<&OsStr>(&[]) {
        // Windows returns this error also while the service is starting.
        Err(error) if code(&error) == Some(ERROR_SERVICE_ALREADY_RUNNING) => {}
        started => started.map_err(explain)?,
    }
    wait_for(&service, ServiceState::Running)?;
    println!("service {NAME} runs");
    Ok(())
}

fn stop_service(service: &Service) -> Result<()> {
    if service.query_status().map_err(explain)?.current_state != ServiceState::Stopped {
        service.stop().map_err(explain)?;
        wait_for(service, ServiceState::Stopped)?;
    }
    println!("service {NAME} is stopped");
    Ok(())
}

/// Waits for a state. A service that stops while it should run is an error.
fn wait_for(service: &Service, wished: ServiceState) -> Result<()> {
    let begun = Instant::now();
    loop {
        let status = service.query_status().map_err(explain)?;
        match status.current_state {
            state if state == wished => return Ok(()),
            ServiceState::Stopped => {
                bail!("service {NAME} stopped with {:?}: the Event Log says why", status.exit_code)
            }
            state if begun.elapsed() > PATIENCE => {
                bail!("service {NAME} is {state:?} after {} s: look into the Event Log", PATIENCE.as_secs())
            }
            _ => std::thread::sleep(POLL),
        }
    }
}

fn open(access: ServiceAccess) -> Result<Service> {
    manager(ServiceManagerAccess::CONNECT)?.open_service(NAME, access).map_err(explain)
}

fn manager(access: ServiceManagerAccess) -> Result<ServiceManager> {
    ServiceManager::local_computer(None::<&OsStr>, access).map_err(explain)
}

fn code(error: &windows_service::Error) -> Option<i32> {
    match error {
        windows_service::Error::Winapi(error) => error.raw_os_error(),
        _ => None,
    }
}

/// Returns the error with a hint that says what to do.
fn explain(error: windows_service::Error) -> anyhow::Error {
    let hint = match code(&error) {
        Some(ERROR_ACCESS_DENIED) => "not allowed: run this as administrator",
        Some(ERROR_SERVICE_DOES_NOT_EXIST) => "it is not installed: use `wulog-collector service install`",
        Some(ERROR_SERVICE_EXISTS) => "it is installed already: use `wulog-collector service uninstall` first",
        Some(ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) => {
            "only Windows starts this: use `wulog-collector service start` or `wulog-collector run`"
        }
        _ => return anyhow::Error::new(error).context(format!("service {NAME}")),
    };
    anyhow::anyhow!("service {NAME}: {hint}")
}

/// The arguments of the service and its handle for status reports. A static, since Windows calls `service_main` without
/// them.
struct Task {
    config: PathBuf,
    stop: Arc<AtomicBool>,
    status: OnceLock<ServiceStatusHandle>,
}

static TASK: OnceLock<Task> = OnceLock::new();

define_windows_service!(ffi_service_main, service_main);

/// Turns this process into the service; returns when the service has stopped.
fn run(config: &Path, stop: &Arc<AtomicBool>) -> Result<()> {
    let task = Task { config: config.to_owned(), stop: stop.clone(), status: OnceLock::new() };
    if TASK.set(task).is_err() {
        bail!("service {NAME} runs in this process already");
    }
    service_dispatcher::start(NAME, ffi_service_main).map_err(explain)
}

fn service_main(_: Vec<OsString>) {
    let Some(task) = TASK.get() else { return };
    match service_control_handler::register(NAME, |control| task.control(control)) {
        // The cell is empty, since Windows calls this function once for each process.
        Ok(status) => _ = task.status.set(status),
        Err(error) => return error!(target: TARGET, %error, "Windows does not take this process as a service"),
    }
    task.tell(ServiceState::StartPending, ServiceExitCode::NO_ERROR);
    let exit_code = match task.collect() {
        Ok(_) => {
            info!(target: TARGET, "service stopped");
            ServiceExitCode::NO_ERROR
        }
        Err(error) => {
            error!(target: TARGET, "service stopped: {error:#}");
            // The same exit codes as those of the other commands.
            ServiceExitCode::ServiceSpecific(if error.is::<BadConfig>() { 2 } else { 1 })
        }
    };
    task.tell(ServiceState::Stopped, exit_code);
}

/// Configures Windows to restart the service after an error. Only an administrator may.
fn restart_after_errors() -> Result<()> {
    let service = open(ServiceAccess::CHANGE_CONFIG | ServiceAccess::START)?;
    let restart = |delay| ServiceAction { action_type: ServiceActionType::Restart, delay };
    let actions = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(FORGET_ERRORS_AFTER),
        reboot_msg: None,
        command: None,
        actions: Some(RESTART_AFTER.map(restart).to_vec()),
    };
    service.update_failure_actions(actions).map_err(explain)?;
    // The service ends with an exit code, which Windows alone does not count as a failure, unlike a crash.
    service.set_failure_actions_on_non_crash_failures(true).map_err(explain)
}

impl Task {
    fn collect(&self) -> Result<CommandOutcome> {
        access::check(&self.config).map_err(anyhow::Error::msg)?;
        let config = run::load(&self.config)?;
        let sink = run::ranked_sink(&self.config, &config)?;
        run::run(config, sink, &self.stop, || {
            self.tell(ServiceState::Running, ServiceExitCode::NO_ERROR);
            let (version, config) = (env!("CARGO_PKG_VERSION"), self.config.display());
            info!(target: TARGET, version, %config, "service started");
        })
    }

    fn control(&self, control: ServiceControl) -> ServiceControlHandlerResult {
        match control {
            ServiceControl::Stop | ServiceControl::Preshutdown => {
                self.stop.store(true, Ordering::Release);
                self.tell(ServiceState::StopPending, ServiceExitCode::NO_ERROR);
                ServiceControlHandlerResult::NoError
            }
            ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
            _ => ServiceControlHandlerResult::NotImplemented,
        }
    }

    fn tell(&self, current_state: ServiceState, exit_code: ServiceExitCode) {
        let pending = matches!(current_state, ServiceState::StartPending | ServiceState::StopPending);
        // PRESHUTDOWN, since at the shutdown itself only seconds are left.
        let accepted = ServiceControlAccept::STOP | ServiceControlAccept::PRESHUTDOWN;
        let status = ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state,
            controls_accepted: if pending { ServiceControlAccept::empty() } else { accepted },
            exit_code,
            checkpoint: u32::from(pending),
            wait_hint: if pending { WAIT_HINT } else { Duration::ZERO },
            process_id: None,
        };
        if let Some(handle) = self.status.get()
            && let Err(error) = handle.set_service_status(status)
        {
            error!(target: TARGET, %error, "Windows does not take the state of the service");
        }
    }
}
