//! The Detector on small fleets whose cause is known.

mod incidents;
mod laws;
mod printed;
mod quiet;
mod world;
