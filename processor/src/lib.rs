//! The processor: `[wulog.raw] -> entry -> Event -> [wulog.events]`, and beside it
//! `Signal -> [wulog.signals] -> Incident -> Alert -> [wulog.alerts]`.
//!
//! ```text
//!            parse      normalize                     detect
//! raw line  ------->  entry  ------->  Event, Signal  ------->  Incident, Alert
//!          \________ Normalizer (one a raw partition) ___/ \__ Detector (one) __/
//!                    both under one `shell`, over two `log`s: Kafka and SQLite
//! ```

pub mod machine;
pub mod parse;
pub mod normalize;
pub mod detect;
