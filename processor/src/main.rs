//! `wulog-processor`: the command line, then the library.

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use wulog_processor::cli::{Cli, exit_code_of};
use wulog_processor::replay::progress::BeforeLogLines;
use wulog_schemas::visible::visible;
use wulog_service::log_format::{self, LogFormat};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("WULOG_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(cli.log_filter()));
    tracing_subscriber::registry().with(filter).with(BeforeLogLines).with(log_format::layer(cli.log_format)).init();
    let log_format = cli.log_format;
    match cli.run().await {
        Ok(code) => code,
        Err(error) => {
            let code = exit_code_of(&error);
            let lines = format!("{error:#}");
            if log_format == LogFormat::Json {
                tracing::error!("{lines}");
                return code;
            }
            // Lines of ours stay lines; what others have put into them is made visible.
            let lines: Vec<_> = lines.split('\n').map(visible).collect();
            eprintln!("wulog-processor: {}", lines.join("\n"));
            code
        }
    }
}
