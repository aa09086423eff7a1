//! Networks: ranges of addresses that begin with the same bits (RFC 4632).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// Without the bits that do not count.
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// What counts as one client: an address of IPv4, or the network of 64 bits of IPv6, all of which one client has.
    #[must_use]
    pub fn of_client(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self { address: address.into(), prefix: 32 },
            address @ IpAddr::V6(_) => Self { address: masked(address, 64), prefix: 64 },
        }
    }

    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

/// The address with only its first bits.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let dropped = |width: u8| u32::from(width.saturating_sub(prefix));
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(dropped(32)).unwrap_or(0)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(dropped(128)).unwrap_or(0)).into(),
    }
}

impl FromStr for Network {
    type Err = String;

    /// Reads `10.0.0.0/8`; an address alone is a network of one.
    fn from_str(text: &str) -> Result<Self, String> {
        let unfit = || format!("{text} is neither an address nor a network such as 10.0.0.0/8 or 2001:db8::/32");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| unfit())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(width), |prefix| prefix.parse().map_err(|_| unfit()))?;
        let network = Self { address: masked(address, prefix), prefix };
        if prefix <= width && network.address == address { Ok(network) } else { Err(unfit()) }
    }
}

/// As Postgres reads a `cidr`.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Networks that are trusted alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client behind trusted proxies: each of them has added the address that it was asked from to the end of the hops, so
    /// the last address that is not trusted is the client's. What stands before it, the client may have written.
    #[must_use]
    pub fn client_behind<'a>(&self, peer: IpAddr, hops: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut client = peer.to_canonical();
        for hop in hops.rev() {
            if !self.contain(client) {
                break;
            }
            // A proxy that adds no address hides its client.
            let Some(address) = address_of(hop.trim()) else { break };
            client = address.to_canonical();
        }
        client
    }
}

/// The address of a hop, which may have a port: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
fn address_of(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
}

impl FromStr for Networks {
    type Err = String;

    /// Reads networks that are separated by commas; none from an empty text.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_contains_what_begins_with_its_bits() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.128/25", "192.0.2.200", "192.0.2.100"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("127.0.0.1", "::ffff:127.0.0.1", "::1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(ip(inside)) && !network.contains(ip(outside)), "{network}");
        }
        for unfit in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0/8", "localhost", "10.0.0.0/", "2001:db8::/129", "10.0.0.0/-1"] {
            assert!(unfit.parse::<Network>().is_err(), "{unfit}");
        }
        assert_eq!("".parse(), Ok(Networks::default()));
        assert!("10.0.0.0/8, ::1".parse::<Networks>().unwrap().contain(ip("::1")));
    }

    #[test]
    fn a_client_has_an_address_or_a_network_of_64_bits() {
        for (address, network) in
            [("192.0.2.1", "192.0.2.1/32"), ("::ffff:192.0.2.1", "192.0.2.1/32"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64")]
        {
            assert_eq!(Network::of_client(ip(address)).to_string(), network);
        }
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_not_trusted() {
        let trusted: Networks = "10.0.0.0/8,::1".parse().unwrap();
        for (peer, hops, client) in [
            ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
            ("10.0.0.1", "198.51.100.7, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("::ffff:10.0.0.1", " 192.0.2.1:4711 ", "192.0.2.1"),
            ("::1", "[2001:db8::1]:4711", "2001:db8::1"),
            ("::1", "[2001:db8::1]", "2001:db8::1"),
            ("::1", "2001:db8::1", "2001:db8::1"),
            // Not through a proxy: what a client says of itself counts for nothing.
            ("192.0.2.9", "198.51.100.7", "192.0.2.9"),
            ("192.0.2.9", "10.0.0.1", "192.0.2.9"),
            ("10.0.0.1", "198.51.100.7, unknown", "10.0.0.1"),
            ("10.0.0.1", "198.51.100.7, unknown, 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ] {
            assert_eq!(trusted.client_behind(ip(peer), hops.split(',')), ip(client), "{peer} {hops}");
        }
    }
}
