//! Signals -> Incidents and Alerts: the Detector.
