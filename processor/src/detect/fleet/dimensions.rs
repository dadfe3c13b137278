//! The dimensions of hosts and of their operations.

use super::{Fleet, HostIndex, Knows};
use crate::detect::config::DetectorLimits;
use crate::detect::dimension_sets::DimensionValue;

/// Dimensions of an operation that are kept of a host. `update` and `file` are the subject itself, and `kb` and `title`
/// are other names of it.
const OPERATION_DIMENSIONS: [&str; 3] = ["caller", "service", "signer"];
/// Dimensions that hold an address. Only the first bytes of an address are compared, since hosts of one network share
/// them.
const ADDRESS_DIMENSIONS: [&str; 4] = ["address", "ip", "label.address", "label.ip"];

impl Fleet {
    /// Sets a host's dimensions, which come in the order of their names.
    pub(in crate::detect) fn set_dimensions(
        &mut self,
        host: HostIndex,
        dimensions: &[(&str, &str)],
        limits: &DetectorLimits,
    ) {
        self.hosts[host as usize].dimensions_cut = dimensions.len() > limits.dimensions_per_host;
        let kept = &dimensions[..dimensions.len().min(limits.dimensions_per_host)];
        let before = self.hosts[host as usize].traits;
        if self.are_texts(self.sets.pairs(before), kept) {
            return;
        }
        let mut pairs = Vec::with_capacity(kept.len());
        for (name, value) in kept {
            match value.parse::<std::net::Ipv4Addr>() {
                Ok(address) if ADDRESS_DIMENSIONS.contains(name) => {
                    let [a, b, c, _] = address.octets();
                    for (net, value) in [("/16", format!("{a}.{b}")), ("/24", format!("{a}.{b}.{c}"))] {
                        pairs.push((self.string(&format!("{name}{net}"), limits), self.string(&value, limits)));
                    }
                }
                _ => pairs.push((self.string(name, limits), self.string(value, limits))),
            }
        }
        self.hosts[host as usize].traits = self.sets.change(before, &pairs);
    }

    /// Whether `pairs` have these texts. Nearly always they do, and a comparison is quicker than a lookup.
    fn are_texts(&self, pairs: &[DimensionValue], texts: &[(&str, &str)]) -> bool {
        pairs.len() == texts.len()
            && pairs
                .iter()
                .zip(texts)
                .all(|(pair, text)| self.strings.text(pair.1) == text.1 && self.strings.text(pair.0) == text.0)
    }

    /// Notes the dimensions of an operation, which come in the order of their names.
    pub(in crate::detect) fn add_operation(
        &mut self,
        host: HostIndex,
        dimensions: &[(&str, &str)],
        limits: &DetectorLimits,
    ) {
        for (name, value) in dimensions.iter().filter(|(name, _)| OPERATION_DIMENSIONS.contains(name)) {
            let before = self.hosts[host as usize].operations;
            let known = self.sets.pairs(before);
            if known.iter().any(|pair| self.are_texts(&[*pair], &[(name, value)])) {
                continue;
            }
            if known.len() >= limits.dimensions_per_host {
                self.hosts[host as usize].dimensions_cut = true;
                continue;
            }
            let mut pairs = known.to_vec();
            pairs.push((self.string(name, limits), self.string(value, limits)));
            // The order of arrival tells nothing, and sorted sets are fewer.
            pairs.sort_unstable();
            pairs.dedup();
            self.hosts[host as usize].operations = self.sets.change(before, &pairs);
        }
    }

    /// The host's own dimensions.
    pub(in crate::detect) fn traits_of(&self, host: HostIndex) -> &[DimensionValue] {
        self.sets.pairs(self.hosts[host as usize].traits)
    }

    /// Whether a host has a value; unknown where the host never reported the dimension.
    pub(in crate::detect) fn knows(&self, host: HostIndex, pair: DimensionValue) -> Knows {
        let traits = self.traits_of(host);
        match traits.iter().find(|(name, _)| *name == pair.0) {
            Some(_) if traits.contains(&pair) => Knows::Yes,
            Some(_) => Knows::No,
            None => Knows::Unknown,
        }
    }

    /// The dimensions of its operations; several values of one dimension are usual.
    pub(in crate::detect) fn operations_of(&self, host: HostIndex) -> &[DimensionValue] {
        self.sets.pairs(self.hosts[host as usize].operations)
    }
}

#[cfg(test)]
mod tests {
    use wulog_schemas::signal::HostRefRef;

    use super::*;

    #[test]
    fn addresses_are_known_by_their_beginnings() {
        let (mut fleet, limits) = (Fleet::new(), DetectorLimits::default());
        let host = fleet.host(HostRefRef { id: "a", name: "" }, 0, &limits).unwrap();
        fleet.set_dimensions(host, &[("label.ip", "10.20.30.40"), ("wsus", "10.0.0.5")], &limits);
        let texts: Vec<(&str, &str)> =
            fleet.traits_of(host).iter().map(|pair| (fleet.strings.text(pair.0), fleet.strings.text(pair.1))).collect();
        assert_eq!(texts, [("label.ip/16", "10.20"), ("label.ip/24", "10.20.30"), ("wsus", "10.0.0.5")]);
    }
}
