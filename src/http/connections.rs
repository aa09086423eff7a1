//! Which connections are accepted: so many in all, so many from one peer's address, and a few more for health probes.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config::Http;
use crate::values::network::Network;

/// Connections beyond the limits that may still ask whether the server is alive. A probe is answered within milliseconds, so the
/// oldest of them makes room for the next.
const PROBES: usize = 16;

pub(super) struct Connections {
    most: usize,
    most_per_address: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_address: HashMap<Network, usize>,
    probes: VecDeque<CancellationToken>,
}

/// What a connection may be used for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Requests,
    /// Health probes alone, until the token is cancelled.
    Probes(CancellationToken),
}

/// An accepted connection; it no longer counts when this value is dropped.
pub(super) struct Accepted {
    connections: Arc<Connections>,
    address: Network,
    pub(super) purpose: Purpose,
}

impl Connections {
    pub(super) fn new(limits: &Http) -> Arc<Self> {
        let (most, most_per_address) = (limits.max_connections, limits.max_connections_per_address);
        Arc::new(Self { most, most_per_address, open: Mutex::default() })
    }

    pub(super) fn accept(self: &Arc<Self>, peer: IpAddr) -> Accepted {
        let (address, mut open) = (Network::of_client(peer), self.open.lock());
        let from_address = open.by_address.get(&address).copied().unwrap_or_default();
        let purpose = if open.all < self.most && from_address < self.most_per_address {
            open.all += 1;
            *open.by_address.entry(address).or_default() += 1;
            Purpose::Requests
        } else {
            let ended = CancellationToken::new();
            open.probes.push_back(ended.clone());
            if open.probes.len() > PROBES
                && let Some(oldest) = open.probes.pop_front()
            {
                oldest.cancel();
            }
            Purpose::Probes(ended)
        };
        drop(open);
        Accepted { connections: Arc::clone(self), address, purpose }
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if let Purpose::Probes(_) = self.purpose {
            return;
        }
        let mut open = self.connections.open.lock();
        open.all -= 1;
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(most: usize, most_per_address: usize) -> Arc<Connections> {
        Arc::new(Connections { most, most_per_address, open: Mutex::default() })
    }

    fn serves_requests(accepted: &Accepted) -> bool {
        matches!(accepted.purpose, Purpose::Requests)
    }

    #[test]
    fn one_address_cannot_take_all_connections() {
        let connections = connections(3, 2);
        let [one, two] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
        let (first, second) = (connections.accept(one), connections.accept(one));
        assert!(serves_requests(&first) && serves_requests(&second));
        assert!(!serves_requests(&connections.accept(one)));
        let other = connections.accept(two);
        assert!(serves_requests(&other));
        assert!(!serves_requests(&connections.accept(two)), "all are taken");
        drop(first);
        let again = connections.accept(one);
        assert!(serves_requests(&again));
        drop((second, other, again));
        let open = connections.open.lock();
        assert!(open.all == 0 && open.by_address.is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let connections = connections(10, 1);
        let _one = connections.accept("2001:db8::1".parse().unwrap());
        assert!(!serves_requests(&connections.accept("2001:db8::2".parse().unwrap())));
        assert!(serves_requests(&connections.accept("2001:db8:0:1::2".parse().unwrap())));
    }

    #[test]
    fn the_oldest_probe_makes_room_for_the_next() {
        let connections = connections(0, 0);
        let probes: Vec<_> = (0..=PROBES).map(|_| connections.accept("192.0.2.1".parse().unwrap())).collect();
        let is_ended = |probe: &Accepted| matches!(&probe.purpose, Purpose::Probes(ended) if ended.is_cancelled());
        assert_eq!(probes.iter().map(is_ended).filter(|ended| *ended).count(), 1);
        assert!(is_ended(&probes[0]));
    }
}
