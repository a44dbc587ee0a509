//! Sets of new inbound packets, by protocol and destination port.

/// Protocols with ports, in the order of [`Space::ported`].
const PORTED: [&str; 5] = ["tcp", "udp", "sctp", "dccp", "udplite"];
/// Protocols without ports, in the order of [`Space::plain`]; the last stands for all that have no name here.
const PLAIN: [&str; 7] = ["icmp", "icmpv6", "igmp", "esp", "ah", "gre", "other"];

/// A set of ports: disjoint ranges in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ports(Vec<(u16, u16)>);

impl Ports {
    pub(super) fn all() -> Ports {
        Ports(vec![(0, u16::MAX)])
    }

    pub(super) fn range(first: u16, last: u16) -> Ports {
        if first <= last {
            Ports(vec![(first, last)])
        } else {
            Ports::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.0
            .iter()
            .map(|(first, last)| u32::from(*last) - u32::from(*first) + 1)
            .sum()
    }

    pub(super) fn and(&self, other: &Ports) -> Ports {
        let mut both = Vec::new();
        for (a, b) in &self.0 {
            for (c, d) in &other.0 {
                let (first, last) = (*a.max(c), *b.min(d));
                if first <= last {
                    both.push((first, last));
                }
            }
        }
        both.sort_unstable();
        Ports(both)
    }

    pub(super) fn or(&self, other: &Ports) -> Ports {
        let mut ranges = self.0.clone();
        ranges.extend(&other.0);
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::new();
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if u32::from(first) <= u32::from(*end) + 1 => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Ports(merged)
    }

    pub(super) fn complement(&self) -> Ports {
        let mut outside = Vec::new();
        let mut next = 0_u32;
        for (first, last) in &self.0 {
            if let Some(before) = u32::from(*first).checked_sub(1)
                && next <= before
            {
                outside.push((next as u16, before as u16));
            }
            next = u32::from(*last) + 1;
        }
        if next <= u32::from(u16::MAX) {
            outside.push((next as u16, u16::MAX));
        }
        Ports(outside)
    }
}

/// A set of packets: for each protocol with ports the destination ports, for each without whether it is in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Space {
    ported: [Ports; 5],
    plain: [bool; 7],
}

impl Space {
    pub(super) fn all() -> Space {
        Space {
            ported: std::array::from_fn(|_| Ports::all()),
            plain: [true; 7],
        }
    }

    /// All packets of a protocol, by name or number; the second value says whether the set is exactly that.
    pub(super) fn of_protocol(name: &str) -> (Space, bool) {
        let name = match name {
            "0" | "ip" | "ipv6" | "all" => return (Space::all(), true),
            "1" => "icmp",
            "2" => "igmp",
            "6" => "tcp",
            "17" => "udp",
            "33" => "dccp",
            "47" => "gre",
            "50" => "esp",
            "51" => "ah",
            "58" | "ipv6-icmp" | "icmp6" => "icmpv6",
            "132" => "sctp",
            "136" => "udplite",
            other => other,
        };
        let mut space = Space::default();
        if let Some(at) = PORTED.iter().position(|known| *known == name) {
            space.ported[at] = Ports::all();
            return (space, true);
        }
        let known = PLAIN.iter().position(|known| *known == name);
        space.plain[known.unwrap_or(PLAIN.len() - 1)] = true;
        (space, known.is_some_and(|at| at + 1 < PLAIN.len()))
    }

    /// All packets with one of these destination ports.
    pub(super) fn of_ports(ports: &Ports) -> Space {
        Space {
            ported: std::array::from_fn(|_| ports.clone()),
            plain: [false; 7],
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ported.iter().all(Ports::is_empty) && self.plain.iter().all(|is_in| !is_in)
    }

    pub(super) fn and(&self, other: &Space) -> Space {
        Space {
            ported: std::array::from_fn(|at| self.ported[at].and(&other.ported[at])),
            plain: std::array::from_fn(|at| self.plain[at] && other.plain[at]),
        }
    }

    pub(super) fn or(&self, other: &Space) -> Space {
        Space {
            ported: std::array::from_fn(|at| self.ported[at].or(&other.ported[at])),
            plain: std::array::from_fn(|at| self.plain[at] || other.plain[at]),
        }
    }

    pub(super) fn complement(&self) -> Space {
        Space {
            ported: std::array::from_fn(|at| self.ported[at].complement()),
            plain: std::array::from_fn(|at| !self.plain[at]),
        }
    }

    pub(super) fn without(&self, other: &Space) -> Space {
        self.and(&other.complement())
    }

    /// More than half of the ports of TCP or UDP are in: what was not thought of is let through.
    pub(super) fn is_wide(&self) -> bool {
        self.ported[..2].iter().any(|ports| ports.count() > 32_768)
    }

    /// The set as people write it: `any`, or `tcp/22`, `udp/8000-8100`, `icmp`.
    pub(super) fn names(&self) -> Vec<String> {
        if *self == Space::all() {
            return vec!["any".to_owned()];
        }
        let mut names = Vec::new();
        for (name, ports) in PORTED.iter().zip(&self.ported) {
            if *ports == Ports::all() {
                names.push((*name).to_owned());
                continue;
            }
            names.extend(ports.0.iter().map(|(first, last)| {
                if first == last {
                    format!("{name}/{first}")
                } else {
                    format!("{name}/{first}-{last}")
                }
            }));
        }
        let plain = PLAIN.iter().zip(self.plain);
        names.extend(
            plain
                .filter(|(_, is_in)| *is_in)
                .map(|(name, _)| (*name).to_owned()),
        );
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_ports_add_up() {
        let some = Ports::range(22, 22)
            .or(&Ports::range(80, 90))
            .or(&Ports::range(85, 100));
        assert_eq!(some.count(), 22);
        assert_eq!(some.complement().count() + some.count(), 65_536);
        assert_eq!(some.and(&some.complement()), Ports::default());
        assert_eq!(some.or(&some.complement()), Ports::all());
        assert_eq!(Ports::all().complement(), Ports::default());
        assert_eq!(Ports::default().complement(), Ports::all());
        assert_eq!(Ports::range(0, 5).complement(), Ports::range(6, u16::MAX));
        assert_eq!(Ports::range(2, 1), Ports::default());
    }

    #[test]
    fn packets_are_named() {
        let (tcp, exact) = Space::of_protocol("6");
        assert!(exact);
        let web = tcp.and(&Space::of_ports(&Ports::range(80, 81)));
        assert_eq!(web.names(), ["tcp/80-81"]);
        assert_eq!(Space::all().names(), ["any"]);
        assert_eq!(tcp.names(), ["tcp"]);
        assert!(Space::all().without(&web).is_wide() && !web.is_wide());
        assert_eq!(
            Space::of_protocol("vrrp"),
            (Space::of_protocol("112").0, false)
        );
        assert!(Space::all().without(&Space::all()).is_empty());
    }
}
