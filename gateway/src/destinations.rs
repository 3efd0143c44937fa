//! Addresses that are never dialled: those of cloud metadata services, which give the machine's own credentials to whoever asks.
//!
//! Loopback and private addresses are allowed, for models and tools of one's own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Names under which metadata services are known. Where they point to is checked as well.
const FORBIDDEN_NAMES: [&str; 6] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Something led to an address of a cloud metadata service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{host}` is an address of a cloud metadata service, which the gateway never dials")]
pub(crate) struct ForbiddenDestination {
    host: String,
}

/// Whether a cloud's metadata service answers there: AWS, Azure, Google and most others (the whole link-local network), Alibaba,
/// Azure's wire server, Oracle, and the IPv6 addresses of AWS, Google and Scaleway; also in forms of IPv6 that carry such an IPv4.
pub(crate) fn is_forbidden_destination(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_forbidden_v4(ip),
        IpAddr::V6(ip) => is_forbidden_v6(ip),
    }
}

fn is_forbidden_v4(ip: Ipv4Addr) -> bool {
    ip.is_link_local() || matches!(ip.octets(), [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192])
}

fn is_forbidden_v6(ip: Ipv6Addr) -> bool {
    let own = match ip.segments() {
        // fd00:ec2::254 is AWS's metadata service, fd00:ec2::23 that for containers.
        [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254] | [0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042] => {
            true
        }
        [first, ..] => first & 0xffc0 == 0xfe80,
    };
    own || carried_v4(ip).is_some_and(is_forbidden_v4)
}

/// The IPv4 address in a mapped or compatible address (RFC 4291, section 2.5.5), in one that NAT64 translates (RFC 6052 and RFC 8215)
/// and in one of 6to4 (RFC 3056).
fn carried_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x0064, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => from(high, low),
        _ => None,
    }
}

fn is_forbidden_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    FORBIDDEN_NAMES.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name))
}

/// Refuses a configured URL whose host is a forbidden address or name. An address in a URL is dialled without being resolved, so
/// this is the only check of it.
pub(crate) fn check_url(url: &Url) -> Result<(), ForbiddenDestination> {
    let forbidden = match url.host() {
        Some(Host::Ipv4(ip)) => is_forbidden_destination(ip.into()),
        Some(Host::Ipv6(ip)) => is_forbidden_destination(ip.into()),
        Some(Host::Domain(name)) => is_forbidden_name(name),
        None => false,
    };
    if forbidden { Err(ForbiddenDestination { host: url.host_str().unwrap_or_default().to_owned() }) } else { Ok(()) }
}

/// Resolves names as the machine does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Refuses names that lead to a forbidden address. The addresses that are checked are those that are dialled: a name that changes its
/// mind between two questions gains nothing.
pub(crate) struct GuardedResolver(Arc<dyn Resolve>);

impl GuardedResolver {
    pub(crate) fn new(inner: impl Resolve + 'static) -> Self {
        Self(Arc::new(inner))
    }
}

impl Default for GuardedResolver {
    fn default() -> Self {
        Self::new(SystemResolver)
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let inner = self.0.clone();
        Box::pin(async move {
            if is_forbidden_name(&host) {
                return Err(ForbiddenDestination { host }.into());
            }
            let found: Vec<SocketAddr> = inner.resolve(name).await?.collect();
            if found.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
            }
            // One forbidden address among good ones is an attempt, too.
            if found.iter().any(|address| is_forbidden_destination(address.ip())) {
                return Err(ForbiddenDestination { host }.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use wiremock::matchers::any;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    /// Says for every name what it was made to say.
    struct Says(Vec<IpAddr>);

    impl Resolve for Says {
        fn resolve(&self, _: Name) -> Resolving {
            let found: Vec<_> = self.0.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
            Box::pin(async move { Ok(Box::new(found.into_iter()) as Addrs) })
        }
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn metadata_services_are_forbidden_in_every_form_of_their_address() {
        for ip in ips(&[
            "169.254.169.254",
            "169.254.170.2",
            "169.254.42.42",
            "169.254.0.0",
            "169.254.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "::ffff:100.100.100.200",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:42::42",
            "fe80::1",
            "febf::1",
        ]) {
            assert!(is_forbidden_destination(ip), "{ip}");
        }
    }

    #[test]
    fn everything_else_is_allowed_with_loopback_and_private_networks() {
        for ip in ips(&[
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "100.100.100.201",
            "168.63.129.17",
            "192.0.0.191",
            "8.8.8.8",
            "::1",
            "fd00::1",
            "fd00:ec3::254",
            "fec0::1",
            "2606:4700::1111",
            "::ffff:10.0.0.1",
        ]) {
            assert!(!is_forbidden_destination(ip), "{ip}");
        }
    }

    #[test]
    fn a_configured_url_is_checked_however_the_address_is_written() {
        for url in [
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[fd00:ec2::254]/",
            "http://metadata.google.internal/",
            "http://METADATA.google.internal./",
            "http://１６９.254.169.254/",
        ] {
            let error = check_url(&url.parse().unwrap()).unwrap_err();
            assert!(error.to_string().contains("never dials"), "{url}: {error}");
        }
        for url in
            ["http://127.0.0.1:8080/v1", "http://[::1]/", "https://api.openai.com/v1", "http://metadata.example/"]
        {
            assert_eq!(check_url(&url.parse().unwrap()), Ok(()), "{url}");
        }
    }

    async fn get(resolver: GuardedResolver, url: &str) -> Result<u16, String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().dns_resolver(resolver).build().unwrap();
        client.get(url).send().await.map(|answer| answer.status().as_u16()).map_err(|error| {
            let causes = std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source());
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        })
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_metadata_service_is_not_dialled() {
        let server = MockServer::start().await;
        let port = server.address().port();
        Mock::given(any()).respond_with(ResponseTemplate::new(200)).expect(0).mount(&server).await;
        for found in [&["169.254.169.254"][..], &["127.0.0.1", "169.254.169.254"], &["::ffff:169.254.169.254"]] {
            let resolver = GuardedResolver::new(Says(ips(found)));
            let error = get(resolver, &format!("http://rebinding.example:{port}/")).await.unwrap_err();
            assert!(error.contains("`rebinding.example` is an address of a cloud metadata service"), "{error}");
        }
        let resolver = GuardedResolver::new(Says(ips(&["127.0.0.1"])));
        let error = get(resolver, &format!("http://metadata.google.internal:{port}/")).await.unwrap_err();
        assert!(error.contains("never dials"), "{error}");
    }

    #[tokio::test]
    async fn other_names_are_dialled_where_the_resolver_says() {
        let server = MockServer::start().await;
        let port = server.address().port();
        Mock::given(any()).respond_with(ResponseTemplate::new(204)).mount(&server).await;
        let says = GuardedResolver::new(Says(ips(&["127.0.0.1"])));
        assert_eq!(get(says, &format!("http://model.example:{port}/")).await, Ok(204));
        assert_eq!(get(GuardedResolver::default(), &format!("http://localhost:{port}/")).await, Ok(204));
        let nowhere = GuardedResolver::new(Says(Vec::new()));
        assert!(get(nowhere, &format!("http://model.example:{port}/")).await.unwrap_err().contains("no address"));
    }
}
