//! The alert: one document for each transition of an incident.
