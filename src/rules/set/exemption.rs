//! Exemptions: for whom, from what, until when.

use std::net::IpAddr;

use super::Place;

/// Writers that a rule does not act upon: their violations are counted as exempt and logged.
///
/// What a client says of itself is no proof: an exemption that matches by `application_name`, with neither a role nor a client network beside it, does
/// not waive a rule that rejects, unless the role is one of [`super::RuleSet::trusted_roles`].
#[derive(Debug, PartialEq, Eq)]
pub struct Exemption {
    /// Names of the rules; each exists.
    pub rules: Vec<String>,
    /// Who is exempt. At least one is given; all that are must match.
    pub matches: Matches,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// From then on it does not apply.
    pub expires: jiff::Timestamp,
    /// Where it stands in its file.
    pub place: Place,
}

/// Whom an [`Exemption`] is for. In texts `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matches {
    /// `current_user` of the statement.
    pub role: Option<String>,
    /// The session's database.
    pub database: Option<String>,
    /// What the client calls itself.
    pub application_name: Option<String>,
    /// The client's address.
    pub client: Option<Network>,
}

impl Matches {
    /// Who the writer is rests on nothing but what the client calls itself.
    pub fn by_name_alone(&self) -> bool {
        self.application_name.is_some() && self.role.is_none() && self.client.is_none()
    }

    /// Whether a session may be the one: all but the role and the name, which change while it lasts.
    pub fn session(&self, database: &str, client: Option<IpAddr>) -> bool {
        self.database.as_ref().is_none_or(|pattern| like(pattern, database))
            && self.client.is_none_or(|network| client.is_some_and(|address| network.contains(address)))
    }

    /// Whether the role is the one.
    pub fn role(&self, role: &str) -> bool {
        self.role.as_ref().is_none_or(|pattern| like(pattern, role))
    }

    /// Whether the client calls itself so.
    pub fn application_name(&self, name: &str) -> bool {
        self.application_name.as_ref().is_none_or(|pattern| like(pattern, name))
    }
}

/// Whether a text is of a pattern in which `*` stands for any characters.
fn like(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut rest = rest;
    while let Some((part, more)) = rest.split_once('*') {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
        rest = more;
    }
    text.ends_with(rest)
}

/// An address range, `10.1.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// Leading bits that count.
    pub prefix: u8,
}

impl Network {
    /// The address with every bit behind the prefix cleared.
    pub fn first(&self) -> IpAddr {
        let prefix = u32::from(self.prefix);
        match self.address {
            IpAddr::V4(own) => {
                IpAddr::V4((u32::from(own) & u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0)).into())
            }
            IpAddr::V6(own) => {
                IpAddr::V6((u128::from(own) & u128::MAX.checked_shl(128 - prefix.min(128)).unwrap_or(0)).into())
            }
        }
    }

    /// Whether an address is in it. An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |own: u128, other: u128, width: u32| {
            let ignored = width.saturating_sub(u32::from(self.prefix));
            own.checked_shr(ignored).unwrap_or(0) == other.checked_shr(ignored).unwrap_or(0)
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => same(u32::from(own).into(), u32::from(other).into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.into(), other.into(), 128),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("app", "app", true),
            ("app", "apps", false),
            ("app*", "app", true),
            ("app*", "application", true),
            ("*app", "my app", true),
            ("*app", "my apps", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
            ("", "", true),
            ("", "x", false),
            ("*é*", "café au lait", true),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn everything_given_must_match() {
        let network = Network { address: [10, 1, 0, 0].into(), prefix: 16 };
        let all = Matches {
            role: Some("migrator".to_owned()),
            database: Some("app_*".to_owned()),
            application_name: Some("backfill-*".to_owned()),
            client: Some(network),
        };
        assert!(all.session("app_1", Some([10, 1, 2, 3].into())));
        assert!(!all.session("app", Some([10, 1, 2, 3].into())));
        assert!(!all.session("app_1", Some([10, 2, 2, 3].into())));
        assert!(!all.session("app_1", None), "an unknown address is in no network");
        assert!(all.role("migrator") && !all.role("app"));
        assert!(all.application_name("backfill-7") && !all.application_name("web"));
        assert!(Matches::default().session("any", None));
        assert!(!all.by_name_alone());
        assert!(Matches { role: None, client: None, ..all.clone() }.by_name_alone());
    }

    #[test]
    fn an_ipv4_address_is_the_same_however_it_is_written() {
        let network = |text: &str, prefix| Network { address: text.parse().unwrap(), prefix };
        for (network, address, expected) in [
            (network("10.0.0.0", 8), "10.255.0.1", true),
            (network("10.0.0.0", 8), "::ffff:10.255.0.1", true),
            (network("10.0.0.0", 8), "11.0.0.1", false),
            (network("0.0.0.0", 0), "203.0.113.7", true),
            (network("0.0.0.0", 0), "2001:db8::1", false),
            (network("2001:db8::", 32), "2001:db8:1::1", true),
            (network("2001:db8::", 32), "2001:db9::1", false),
            (network("::1", 128), "::1", true),
            (network("127.0.0.1", 32), "127.0.0.2", false),
        ] {
            assert_eq!(network.contains(address.parse().unwrap()), expected, "{network:?} {address}");
        }
    }
}
