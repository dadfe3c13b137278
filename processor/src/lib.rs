//! The processor: `[wulog.raw] -> entry -> Event -> [wulog.events]`, and beside it
//! `Signal -> [wulog.signals] -> Incident -> Alert -> [wulog.alerts]`.
//!
//! ```text
//!            parse      normalize                     detect
//! raw line  ------->  entry  ------->  Event, Signal  ------->  Incident, Alert  -> report
//!          \________ Normalizer (one a raw partition) ___/ \__ Detector (one) __/
//!                                        \- format -> ECS, OCSF, OTLP, HEC
//!
//! live:    `run`, `standalone`  = a `shell` around each machine, over a `log` (Kafka or SQLite)
//! again:   `replay`, `parse`    = both machines in memory, a thread for each stage; `explain` = a `pipeline` in one thread
//! read:    `alerts`             = the incidents on `wulog.alerts`, listed or shown
//!          `certificates`       = inventories of `certificates`, listed or shown
//!          `report`             = the `postmortem` of one incident, as files
//!          `[http] listen`      = the `status` page and its API; a `question` asks the Detector about hosts
//!          `replay --compare`   = `compare` shows the incidents of two runs side by side
//! told:    `channels`           = `deliver` brings alerts to people; `http` serves health and metrics
//! apart:   `test-patterns`      = a `pattern_test` of the operator's patterns over lines
//! ```

pub mod machine;
pub mod question;
pub mod bounds;
mod log_time;
pub mod parse;
pub mod normalize;
pub mod format;
pub mod detect;
pub mod report;
mod html;
pub mod language;
pub mod metrics;
pub mod log;
mod deliver;
pub mod alerts;
mod certificates;
pub mod postmortem;
pub mod status;
mod http;
mod compare;
mod snapshot;
pub mod shell;
pub mod pipeline;
pub mod replay;
pub mod explain;
mod gather;
pub mod topics;
pub mod config;
mod dimension_check;
mod channels;
mod run;
pub mod standalone;
mod pattern_test;
pub mod cli;
