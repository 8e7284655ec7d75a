use std::{fmt, time::Duration};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo};
#[cfg(feature = "tls")]
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use ziggurat_core::{Secret, Str};

/// Where Redis is, who asks, and how long it is waited for.
///
/// | option | default |
/// | --- | --- |
/// | [`new`](Self::new), [`from_url`](Self::from_url) | one of them |
/// | [`username`](Self::username), [`password`](Self::password) | none |
/// | [`database`](Self::database) | 0 |
/// | [`tls`](Self::tls) | off; `rediss://` turns it on; needs the feature `tls` |
/// | [`authority_pem`](Self::authority_pem) | those that the system trusts |
/// | [`node`](Self::node) | none: a single server; needs the feature `cluster` |
/// | [`timeout`](Self::timeout) | 250 ms |
/// | [`connect_timeout`](Self::connect_timeout) | 1 s |
/// | [`prefix`](Self::prefix) | `ziggurat:` |
#[derive(Clone)]
pub struct Settings {
    host: String,
    port: u16,
    username: Option<Secret>,
    password: Option<Secret>,
    database: i64,
    tls: bool,
    unix: Option<ConnectionAddr>,
    nodes: Vec<(String, u16)>,
    authority: Option<String>,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) prefix: Str,
}

/// Settings that no connection can be made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSettings {
    /// The URL is none of Redis's.
    // Without the URL: it may hold a password.
    #[error("this is no URL of a Redis: expected redis://host:port/database")]
    Url,
    /// TLS was asked for and is not built in.
    #[error("TLS to Redis is not built in: the feature `tls` of ziggurat-store is off")]
    NoTls,
    /// Cluster nodes were given and clusters are not built in.
    #[error("Redis Cluster is not built in: the feature `cluster` of ziggurat-store is off")]
    NoCluster,
    /// A cluster has one database, and is not reached through a Unix socket.
    #[error("a Redis Cluster has hosts, ports and database 0 only")]
    Cluster,
    /// What must vouch for the server is no certificate.
    #[error("this is no certificate in PEM that can vouch for a Redis")]
    Authority,
    /// The host's name is empty or too strange to connect to.
    #[error("this is no host of a Redis")]
    Host,
}

impl Settings {
    /// The server at `host` and `port`.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            username: None,
            password: None,
            database: 0,
            tls: false,
            unix: None,
            nodes: Vec::new(),
            authority: None,
            timeout: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(1),
            prefix: Str::from_static("ziggurat:"),
        }
    }

    /// What a URL says: `redis://[[user]:password@]host[:port][/database]`, `rediss://` for TLS, `unix:///path` for a socket.
    ///
    /// # Errors
    ///
    /// It is no such URL, or it asks for TLS, which is not built in.
    pub fn from_url(url: &str) -> Result<Self, BadSettings> {
        let tls = ["rediss:", "valkeys:"].iter().any(|scheme| url.starts_with(scheme));
        if tls && !cfg!(feature = "tls") {
            return Err(BadSettings::NoTls);
        }
        let info = url.into_connection_info().map_err(|_| BadSettings::Url)?;
        let mut settings = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Self::new(host, *port),
            ConnectionAddr::TcpTls { insecure: true, .. } => return Err(BadSettings::Url),
            ConnectionAddr::TcpTls { host, port, .. } => Self::new(host, *port).tls(true),
            address @ ConnectionAddr::Unix(path) => {
                let path = path.display().to_string();
                Self { unix: Some(address.clone()), ..Self::new(path, 0) }
            }
            _ => return Err(BadSettings::Url),
        };
        let redis = info.redis_settings();
        settings.username = redis.username().map(Secret::new);
        settings.password = redis.password().map(Secret::new);
        settings.database = redis.db();
        Ok(settings)
    }

    /// The user, where Redis knows several.
    #[must_use]
    pub fn username(mut self, username: Secret) -> Self {
        self.username = Some(username);
        self
    }

    /// The password.
    #[must_use]
    pub fn password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// The number of the database.
    #[must_use]
    pub fn database(mut self, database: u32) -> Self {
        self.database = database.into();
        self
    }

    /// Whether to speak TLS. The process's default provider of cryptography is
    /// used; where none is installed, ring becomes it.
    #[must_use]
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Who must vouch for the server, in place of those that the system trusts: one certificate or several, in PEM.
    #[must_use]
    pub fn authority_pem(mut self, pem: impl Into<String>) -> Self {
        self.authority = Some(pem.into());
        self
    }

    /// Another node of a cluster, and so that this is one. User, password and TLS are those of the first.
    #[must_use]
    pub fn node(mut self, host: impl Into<String>, port: u16) -> Self {
        self.nodes.push((host.into(), port));
        self
    }

    /// How long a command waits for its answer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long a connection may take to be made.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// What every key begins with. Gateways that share have the same; gateways that shall not share differ.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Str>) -> Self {
        self.prefix = prefix.into();
        self
    }

    pub(super) fn is_cluster(&self) -> bool {
        !self.nodes.is_empty()
    }

    #[cfg(feature = "tls")]
    pub(super) fn is_tls(&self) -> bool {
        self.tls
    }

    /// Who must vouch for the server.
    #[cfg(feature = "tls")]
    pub(super) fn authority(&self) -> Result<Option<redis::TlsCertificates>, BadSettings> {
        let Some(pem) = self.authority.as_ref().filter(|_| self.tls) else { return Ok(None) };
        let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
        let mut roots = rustls::RootCertStore::empty();
        for certificate in certificates {
            let certificate = certificate.map_err(|_| BadSettings::Authority)?;
            roots.add(certificate).map_err(|_| BadSettings::Authority)?;
        }
        if roots.is_empty() {
            return Err(BadSettings::Authority);
        }
        let root_cert = Some(pem.clone().into_bytes());
        Ok(Some(redis::TlsCertificates { client_tls: None, root_cert }))
    }

    /// Where to connect to: one server, or the nodes of a cluster to begin with.
    pub(super) fn servers(&self) -> Result<Vec<ConnectionInfo>, BadSettings> {
        if self.tls && !cfg!(feature = "tls") {
            return Err(BadSettings::NoTls);
        }
        if self.is_cluster() && !cfg!(feature = "cluster") {
            return Err(BadSettings::NoCluster);
        }
        if self.is_cluster() && (self.unix.is_some() || self.database != 0) {
            return Err(BadSettings::Cluster);
        }
        let first = (&self.host, self.port);
        let rest = self.nodes.iter().map(|(host, port)| (host, *port));
        std::iter::once(first).chain(rest).map(|(host, port)| self.server(host, port)).collect()
    }

    fn server(&self, host: &str, port: u16) -> Result<ConnectionInfo, BadSettings> {
        let mut redis = RedisConnectionInfo::default()
            .set_db(self.database)
            .set_lib_name("ziggurat", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &self.username {
            redis = redis.set_username(username.expose());
        }
        if let Some(password) = &self.password {
            redis = redis.set_password(password.expose());
        }
        let address = match &self.unix {
            Some(address) => address.clone(),
            None if host.is_empty() => return Err(BadSettings::Host),
            None if self.tls => ConnectionAddr::TcpTls {
                host: host.to_owned(),
                port,
                insecure: false,
                tls_params: None,
            },
            None => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        // Any pair of host and port converts; what was in it is replaced.
        let info = ("localhost", 6379).into_connection_info().map_err(|_| BadSettings::Host)?;
        // Left alone, Nagle's algorithm holds a command back until the one before it is acknowledged.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        Ok(info.set_addr(address).set_redis_settings(redis).set_tcp_settings(tcp))
    }
}

impl fmt::Display for Settings {
    /// Host and port, of all nodes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unix.is_some() {
            return f.write_str(&self.host);
        }
        write!(f, "{}:{}", self.host, self.port)?;
        self.nodes.iter().try_for_each(|(host, port)| write!(f, ",{host}:{port}"))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Settings").field(&format_args!("{self}")).finish()
    }
}
