//! One connection, to a server or to a cluster.

use std::{future::poll_fn, pin::Pin};

use futures_core::Stream as _;
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection, PubSubSink, PubSubStream},
};
#[cfg(feature = "cluster")]
use {
    redis::{
        cluster::ClusterClient,
        cluster_async::ClusterConnection,
        cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo},
    },
    std::collections::HashMap,
};

use super::settings::{BadSettings, Settings};

/// Commands that may wait for their turn to be written. More of them wait outside, within their time.
const QUEUE: usize = 1024;

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Maker {
    /// The server, or the first of the cluster: any of them carries a channel.
    server: Client,
    #[cfg(feature = "cluster")]
    cluster: Option<ClusterClient>,
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
        let no_host = |_| BadSettings::Host;
        #[cfg(feature = "tls")]
        let authority = settings.authority()?;
        #[cfg(feature = "cluster")]
        let cluster = settings.is_cluster().then(|| {
            let builder = ClusterClient::builder(servers.clone());
            #[cfg(feature = "tls")]
            let builder = match &authority {
                Some(authority) => builder.certs(authority.clone()),
                None => builder,
            };
            builder
                .connection_timeout(settings.connect_timeout)
                .response_timeout(settings.timeout)
                // One more, after a slot has moved; the command's own time bounds it all.
                .retries(1)
                .tcp_settings(redis::io::tcp::TcpSettings::default().set_nodelay(true))
                .build()
        });
        let server = servers.into_iter().next().ok_or(BadSettings::Host)?;
        #[cfg(feature = "tls")]
        let server = match authority {
            Some(authority) => Client::build_with_tls(server, authority),
            None => Client::open(server),
        };
        #[cfg(not(feature = "tls"))]
        let server = Client::open(server);
        Ok(Self {
            server: server.map_err(no_host)?,
            #[cfg(feature = "cluster")]
            cluster: cluster.transpose().map_err(no_host)?,
        })
    }

    /// A new connection. Whoever waits for it bounds the time.
    pub(crate) async fn connect(&self) -> RedisResult<Connection> {
        #[cfg(feature = "cluster")]
        if let Some(cluster) = &self.cluster {
            return cluster.get_async_connection().await.map(Connection::Cluster);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        let made = self.server.get_multiplexed_async_connection_with_config(&config);
        made.await.map(Connection::Single)
    }

    /// A new connection that listens to a channel. Whoever waits for it bounds the time.
    pub(crate) async fn listen(&self, channel: &str) -> RedisResult<Listening> {
        let mut connection = self.server.get_async_pubsub().await?;
        connection.subscribe(channel).await?;
        let (sink, messages) = connection.split();
        Ok(Listening { sink, messages })
    }
}

/// Listens to a channel, until it is dropped.
pub(crate) struct Listening {
    sink: PubSubSink,
    messages: PubSubStream,
}

impl Listening {
    /// The next message that is text. `None` when the connection ended. Nothing is lost when this is dropped.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            let message = poll_fn(|cx| Pin::new(&mut self.messages).poll_next(cx)).await?;
            if let Ok(text) = message.get_payload() {
                return Some(text);
            }
        }
    }

    /// Whether the server is there. Whoever waits for it bounds the time.
    pub(crate) async fn ping(&mut self) -> RedisResult<()> {
        self.sink.ping::<Value>().await.map(drop)
    }
}

/// A server that holds keys of its own.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// The only one.
    Only,
    /// A primary of a cluster.
    #[cfg(feature = "cluster")]
    Primary { host: String, port: u16 },
}

impl Connection {
    /// Every server that holds keys.
    pub(crate) async fn nodes(&mut self) -> RedisResult<Vec<Node>> {
        match self {
            Self::Single(_) => Ok(vec![Node::Only]),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => {
                let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                let answers = connection.route_command(redis::cmd("PING"), all).await?;
                let answers: HashMap<String, Value> = redis::from_redis_value(answers)?;
                let primary = |address: String| {
                    let (host, port) = address.rsplit_once(':')?;
                    Some(Node::Primary { host: host.to_owned(), port: port.parse().ok()? })
                };
                Ok(answers.into_keys().filter_map(primary).collect())
            }
        }
    }

    /// Sends a command to one server, whatever keys it has.
    pub(crate) async fn at<T: FromRedisValue>(&mut self, node: &Node, cmd: &Cmd) -> RedisResult<T> {
        match (self, node) {
            #[cfg(feature = "cluster")]
            (Self::Cluster(connection), Node::Primary { host, port }) => {
                let to = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
                let answer = connection.route_command(cmd.clone(), RoutingInfo::SingleNode(to));
                Ok(redis::from_redis_value(answer.await?)?)
            }
            (connection, _) => cmd.query_async(connection).await,
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
