//! The Detector on small fleets whose cause is known.

mod certificates;
mod handling;
mod incidents;
mod laws;
mod lifecycle;
mod printed;
mod quiet;
mod recurrence;
mod rules;
mod signers;
mod state;
mod warnings;
mod world;
