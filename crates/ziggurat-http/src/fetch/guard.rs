//! Which addresses may be asked.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

use ziggurat_core::BoxError;

/// A network, by its first address and the length of its prefix: `10.1.0.0/16`, `fd00::/8`, or one address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// That a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadNetwork;

impl fmt::Display for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a network such as `10.1.0.0/16` or `fd00::/8`, or an address, is expected")
    }
}

impl std::error::Error for BadNetwork {}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (first, bits) = match text.split_once('/') {
            Some((first, bits)) => (first, Some(bits.parse::<u8>().map_err(|_| BadNetwork)?)),
            None => (text, None),
        };
        let first: IpAddr = first.parse().map_err(|_| BadNetwork)?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(BadNetwork) } else { Ok(Self { first, bits }) }
    }
}

impl Network {
    /// Whether an address is in it.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let rest = |width: u8| u32::from(width.saturating_sub(self.bits));
        match (self.first, plain(address)) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let shift = |ip: Ipv4Addr| ip.to_bits().checked_shr(rest(32)).unwrap_or(0);
                shift(first) == shift(address)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let shift = |ip: Ipv6Addr| ip.to_bits().checked_shr(rest(128)).unwrap_or(0);
                shift(first) == shift(address)
            }
            _ => false,
        }
    }
}

/// An address of IPv4 that is written as one of IPv6 (RFC 4291, 2.5.5).
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Whether an address can be reached by everybody (IANA's registries of special-purpose addresses).
fn is_public(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(four) => is_public_v4(four),
        IpAddr::V6(six) => is_public_v6(six),
    }
}

fn is_public_v4(four: Ipv4Addr) -> bool {
    let [a, b, c, _] = four.octets();
    !(four.is_private()
        || four.is_loopback()
        || four.is_link_local()
        || four.is_documentation()
        || four.is_multicast()
        // "This network", and the broadcast address with all that is reserved.
        || a == 0
        || a >= 240
        // Shared by carriers (RFC 6598).
        || (a == 100 && (64..128).contains(&b))
        // Protocol assignments, 6to4 relays, benchmarks.
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(six: Ipv6Addr) -> bool {
    let segments = six.segments();
    let [first, second, ..] = segments;
    let four = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match first {
        // Translated (RFC 6052): the address of IPv4 is what is asked. The same prefix for local use is not public.
        0x0064 if second == 0xff9b => segments[2] == 0 && four(segments[6], segments[7]),
        // 6to4 (RFC 3056).
        0x2002 => four(second, segments[2]),
        // Teredo and other assignments of protocols, documentation.
        0x2001 => second >= 0x0200 && second != 0x0db8,
        0x3fff => false,
        // Global unicast.
        0x2000..=0x3fff => true,
        _ => false,
    }
}

/// Which addresses may be asked: those that everybody reaches, and exceptions.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    pub(super) private: bool,
    pub(super) allowed: Vec<Network>,
}

impl Guard {
    pub(super) fn permits(&self, address: IpAddr) -> bool {
        self.private
            || is_public(address)
            || self.allowed.iter().any(|network| network.holds(address))
    }
}

/// That an address may not be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forbidden;

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not on the public internet")
    }
}

impl std::error::Error for Forbidden {}

/// Resolves names, to what may be asked alone. The connection is made to what this gives, so that a name cannot mean something else
/// a moment later.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    inner: GaiResolver,
    guard: Arc<Guard>,
}

impl Resolver {
    pub(super) fn new(guard: Arc<Guard>) -> Self {
        Self { inner: GaiResolver::new(), guard }
    }
}

type Resolving =
    Pin<Box<dyn Future<Output = Result<std::vec::IntoIter<SocketAddr>, BoxError>> + Send>>;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Resolving;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Resolving {
        let (resolving, guard) = (self.inner.call(name), Arc::clone(&self.guard));
        Box::pin(async move {
            let mut found = false;
            let mut permitted = Vec::new();
            for address in resolving.await? {
                found = true;
                if guard.permits(address.ip()) {
                    permitted.push(address);
                }
            }
            if found && permitted.is_empty() {
                return Err(BoxError::from(Forbidden));
            }
            Ok(permitted.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_we_could_reach_is_not_public() {
        for private in [
            "127.0.0.1",
            "127.255.0.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            // The metadata of most clouds.
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "240.0.0.1",
            "224.0.0.1",
            "198.18.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "8.8.8.8",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn networks_are_exceptions() {
        let guard = Guard {
            private: false,
            allowed: ["10.1.0.0/16", "fd12::/16", "127.0.0.1"].map(|n| n.parse().unwrap()).to_vec(),
        };
        for (address, permitted) in [
            ("10.1.2.3", true),
            ("10.2.0.1", false),
            ("::ffff:10.1.2.3", true),
            ("fd12::9", true),
            ("fd13::9", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
        ] {
            assert_eq!(guard.permits(address.parse().unwrap()), permitted, "{address}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.holds("9.9.9.9".parse().unwrap()));
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "host", "10.0.0.0/"] {
            assert_eq!(wrong.parse::<Network>(), Err(BadNetwork), "{wrong}");
        }
    }
}
