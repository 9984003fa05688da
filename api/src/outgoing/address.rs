//! Which addresses the server may call: public ones, and those that `[outgoing] allow` lists.
//!
//! Whoever can name a URL must not reach through it what only this machine can: its own services, its neighbours, the cloud's metadata.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The ranges of addresses that may be called beside public ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Admitted(Vec<Net>);

/// A range of addresses: `10.0.0.0/8`, `127.0.0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Net {
    first: IpAddr,
    bits: u8,
}

impl Admitted {
    /// Reads `[outgoing] allow`.
    pub(crate) fn of(allow: &[String]) -> Result<Admitted, String> {
        allow.iter().map(|net| net.parse()).collect::<Result<_, _>>().map(Admitted)
    }

    /// Refuses an address that is neither public nor listed. One of IPv4 inside one of IPv6 counts as what it leads to.
    pub(crate) fn admit(&self, ip: IpAddr) -> Result<(), String> {
        let ip = leads_to(ip);
        if is_public(ip) || self.0.iter().any(|net| net.holds(ip)) {
            return Ok(());
        }
        Err(format!("the address {ip} is not public; list it in `[outgoing] allow` if it may be called"))
    }
}

impl Net {
    fn holds(&self, ip: IpAddr) -> bool {
        match (self.first, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                (u32::from(net) ^ u32::from(ip)).leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                (u128::from(net) ^ u128::from(ip)).leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no range of addresses: write \"10.0.0.0/8\" or \"127.0.0.1\"");
        let (first, bits) = text.split_once('/').map_or((text, None), |(first, bits)| (first, Some(bits)));
        let first: IpAddr = first.trim().parse().map_err(|_| wrong())?;
        let first = first.to_canonical();
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.trim().parse().map_err(|_| wrong()))?;
        if bits > most { Err(wrong()) } else { Ok(Net { first, bits }) }
    }
}

/// The address of IPv4 to which one of IPv6 leads (mapped, compatible, NAT64, 6to4); else the address itself.
fn leads_to(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip.to_canonical() else { return ip.to_canonical() };
    let part = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if v6 != Ipv6Addr::LOCALHOST && v6 != Ipv6Addr::UNSPECIFIED => part(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => part(high, low),
        [0x2002, high, low, ..] => part(high, low),
        _ => IpAddr::V6(v6),
    }
}

/// True for addresses that anybody on the Internet can reach.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let special = a == 0 || a >= 240 || (a, b, c) == (192, 0, 0) || (a == 198 && (b == 18 || b == 19));
            let local = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_broadcast();
            !(local || shared || special || ip.is_multicast() || ip.is_documentation())
        }
        // Of IPv6 only 2000::/3 is given out; Teredo and documentation lie in it.
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            first & 0xe000 == 0x2000 && !(first == 0x2001 && (second == 0 || second == 0xdb8))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(admitted: &Admitted, ip: &str) -> bool {
        admitted.admit(ip.parse().unwrap()).is_ok()
    }

    #[test]
    fn only_public_addresses_are_admitted_by_themselves() {
        let nobody = Admitted::default();
        for ip in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
            assert!(admits(&nobody, ip), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(!admits(&nobody, ip), "{ip}");
        }
    }

    #[test]
    fn what_is_listed_is_admitted_and_its_neighbours_are_not() {
        let listed = Admitted::of(&["10.0.0.0/8".into(), "127.0.0.1".into(), "fd00::/8".into()]).unwrap();
        for ip in ["10.255.0.1", "127.0.0.1", "::ffff:127.0.0.1", "fd12::1"] {
            assert!(admits(&listed, ip), "{ip}");
        }
        for ip in ["127.0.0.2", "192.168.0.1", "::1", "fe80::1"] {
            assert!(!admits(&listed, ip), "{ip}");
        }
        assert!(admits(&Admitted::of(&["0.0.0.0/0".into()]).unwrap(), "192.168.0.1"));
    }

    #[test]
    fn what_is_no_range_is_refused_with_an_example() {
        for text in ["localhost", "10.0.0.0/33", "10.0.0.0/x", ""] {
            let refused = Admitted::of(&[text.to_owned()]).unwrap_err();
            assert!(refused.contains("10.0.0.0/8") && refused.contains(text), "{refused}");
        }
    }
}
