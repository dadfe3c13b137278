//! Entry -> Event and Signals: the Normalizer.
