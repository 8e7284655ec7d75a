//! Where Redis is.

use std::fmt::Write;

use super::Secret;
use super::env::Environment;
use super::fields::Fields;
use super::read::{At, Reader};

/// A Redis server, as `router_settings.redis_…`, `cache_params`, `coordination_redis` or the variables
/// `REDIS_…` tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisSettings {
    /// `url`: everything at once; over the rest.
    pub url: Option<Secret>,
    /// `host`.
    pub host: Option<String>,
    /// `port`; 6379 when absent.
    pub port: Option<u16>,
    /// `username`.
    pub username: Option<String>,
    /// `password`.
    pub password: Option<Secret>,
    /// `db`: the number of the database; 0 when absent.
    pub db: Option<u32>,
    /// `ssl`: speak TLS.
    pub ssl: bool,
}

/// What the keys of one section are called.
pub(super) struct Names {
    url: &'static str,
    host: &'static str,
    port: &'static str,
    username: &'static str,
    password: &'static str,
    db: &'static str,
    ssl: &'static str,
}

/// In `cache_params` and `coordination_redis`.
pub(super) const PLAIN: Names = Names {
    url: "url",
    host: "host",
    port: "port",
    username: "username",
    password: "password",
    db: "db",
    ssl: "ssl",
};

/// In `router_settings`.
pub(super) const PREFIXED: Names = Names {
    url: "redis_url",
    host: "redis_host",
    port: "redis_port",
    username: "redis_username",
    password: "redis_password",
    db: "redis_db",
    ssl: "redis_ssl",
};

// === impl RedisSettings ===

impl RedisSettings {
    /// The address, with all there is to know, for a client to connect to; nothing when no server is named.
    #[must_use]
    pub fn address(&self) -> Option<Secret> {
        if let Some(url) = &self.url {
            return Some(url.clone());
        }
        let host = self.host.as_ref()?;
        let mut url = String::from(if self.ssl { "rediss://" } else { "redis://" });
        if self.username.is_some() || self.password.is_some() {
            escape(&mut url, self.username.as_deref().unwrap_or_default());
            if let Some(password) = &self.password {
                url.push(':');
                escape(&mut url, password.expose());
            }
            url.push('@');
        }
        // An IPv6 address stands in brackets, whether or not they were written.
        let bare = host.contains(':') && !host.starts_with('[');
        let (open, close) = if bare { ("[", "]") } else { ("", "") };
        // Writing to a string does not fail.
        let _ = write!(url, "{open}{host}{close}:{}", self.port.unwrap_or(6379));
        if let Some(db) = self.db {
            let _ = write!(url, "/{db}");
        }
        Some(Secret::new(url))
    }

    /// Reads the keys out of a section; nothing when it names no server.
    pub(super) fn read(fields: &mut Fields<'_, '_, '_>, names: &Names) -> Option<Self> {
        let settings = Self {
            url: fields.read(names.url, url),
            host: fields.read(names.host, host),
            port: fields.read(names.port, |reader, at| {
                reader.whole(at, 1..=i128::from(u16::MAX), "a port, from 1 to 65535")
            }),
            username: fields.read(names.username, Reader::word),
            password: fields.read(names.password, Reader::password),
            db: fields.read(names.db, |reader, at| {
                reader.whole(at, 0..=i128::from(u16::MAX), "an integer from 0 to 65535")
            }),
            ssl: fields.read(names.ssl, Reader::boolean).unwrap_or_default(),
        };
        (settings.url.is_some() || settings.host.is_some()).then_some(settings)
    }

    /// Reads a mapping that is nothing but a server.
    pub(super) fn read_alone(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = reader.fields(at)?;
        let settings = Self::read(&mut fields, &PLAIN);
        fields.finish(UNSUPPORTED, |_| None);
        if settings.is_none() {
            reader.error(at, "expected the `host` or the `url` of a Redis server");
        }
        settings
    }

    /// What LiteLLM takes from the environment when the file names no server.
    pub(super) fn of_environment(env: &dyn Environment) -> Option<Self> {
        let variable = |name: &str| env.var(name).ok().filter(|value| !value.is_empty());
        let settings = Self {
            url: variable("REDIS_URL").map(Secret::new),
            host: variable("REDIS_HOST"),
            port: variable("REDIS_PORT").and_then(|port| port.parse().ok()),
            username: variable("REDIS_USERNAME"),
            password: variable("REDIS_PASSWORD").map(Secret::new),
            db: variable("REDIS_DB").and_then(|db| db.parse().ok()),
            ssl: variable("REDIS_SSL").is_some_and(|ssl| ssl.eq_ignore_ascii_case("true")),
        };
        (settings.url.is_some() || settings.host.is_some()).then_some(settings)
    }
}

/// Of a server, and not supported yet.
pub(super) const UNSUPPORTED: &[&str] = &[
    "startup_nodes",
    "redis_startup_nodes",
    "sentinel_nodes",
    "sentinel_password",
    "service_name",
    "socket_timeout",
    "max_connections",
    "redis_flush_size",
    "ssl_cert_reqs",
    "ssl_check_hostname",
    "gcp_service_account",
    "gcp_ssl_ca_certs",
    "azure_redis_ad_token",
    "aws_iam_auth",
];

fn url(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Secret> {
    let url = reader.secret(at)?;
    let known = ["redis://", "rediss://"]
        .iter()
        .any(|scheme| url.expose().strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
    if !known {
        reader.error(at, "expected a URL that begins with redis:// or rediss://");
        return None;
    }
    Some(url)
}

fn host(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let host = reader.word(at)?;
    let strange = |c: char| c.is_whitespace() || c.is_control() || "/@?#".contains(c);
    if host.contains(strange) {
        reader.error(at, "expected the name or the address of a host");
        return None;
    }
    Some(host)
}

/// Percent-encodes what has a meaning in a URL.
fn escape(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_all_there_is_to_know() {
        let settings = RedisSettings {
            host: Some("::1".to_owned()),
            port: Some(7),
            username: Some("me".to_owned()),
            password: Some(Secret::new("p@ss/wörd")),
            db: Some(3),
            ssl: true,
            url: None,
        };
        let address = settings.address().unwrap();
        assert_eq!(address.expose(), "rediss://me:p%40ss%2Fw%C3%B6rd@[::1]:7/3");
        assert!(!format!("{settings:?}").contains("p@ss"));
        let plain = RedisSettings { host: Some("cache".to_owned()), ..RedisSettings::default() };
        assert_eq!(plain.address().unwrap().expose(), "redis://cache:6379");
        assert_eq!(RedisSettings::default().address(), None);
    }
}
