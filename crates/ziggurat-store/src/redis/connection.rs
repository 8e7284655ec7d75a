//! One connection, to a server or to a cluster.

use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
#[cfg(feature = "cluster")]
use redis::{cluster::ClusterClient, cluster_async::ClusterConnection};

use super::settings::{BadSettings, Settings};

/// Commands that may wait for their turn to be written. More of them wait outside, within their time.
const QUEUE: usize = 1024;

/// Makes connections.
#[derive(Clone)]
pub(crate) enum Maker {
    Single(Client),
    #[cfg(feature = "cluster")]
    Cluster(Box<ClusterClient>),
}

/// Carries commands. Its clones share it; it closes with the last.
#[derive(Clone)]
pub(crate) enum Connection {
    Single(MultiplexedConnection),
    #[cfg(feature = "cluster")]
    Cluster(ClusterConnection),
}

impl Maker {
    pub(crate) fn new(settings: &Settings) -> Result<Self, BadSettings> {
        let servers = settings.servers()?;
        #[cfg(feature = "tls")]
        if settings.is_tls() && rustls::crypto::CryptoProvider::get_default().is_none() {
            // An error says that somebody else was first, which is as good.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        #[cfg(feature = "cluster")]
        if settings.is_cluster() {
            let client = ClusterClient::builder(servers)
                .connection_timeout(settings.connect_timeout)
                .response_timeout(settings.timeout)
                // One more, after a slot has moved; the command's own time bounds it all.
                .retries(1)
                .tcp_settings(redis::io::tcp::TcpSettings::default().set_nodelay(true))
                .build();
            return client
                .map(|client| Self::Cluster(Box::new(client)))
                .map_err(|_| BadSettings::Host);
        }
        let server = servers.into_iter().next().ok_or(BadSettings::Host)?;
        Client::open(server).map(Self::Single).map_err(|_| BadSettings::Host)
    }

    /// A new connection. Whoever waits for it bounds the time.
    pub(crate) async fn connect(&self) -> RedisResult<Connection> {
        match self {
            Self::Single(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(None)
                    .set_response_timeout(None)
                    .set_pipeline_buffer_size(QUEUE);
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await
                    .map(Connection::Single)
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
