//! The event: one ECS-shaped JSON document for each log line.
