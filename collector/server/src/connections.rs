//! How many connections there may be, and how long one may take to say what it wants.
//!
//! A connection that sends nothing costs a file descriptor, and a process without descriptors can write neither
//! checkpoint nor backup. So there are fewer connections than descriptors, and none waits for ever: the TLS handshake,
//! the first request and each HTTP/1 header have a time limit, and an HTTP/2 peer must answer pings.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::Server;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most connections at once: a fleet comes back spread over time, so that this is far more than 10,000 hosts need.
const MAX_CONNECTIONS: u64 = 4096;
/// File descriptors kept for everything that is no connection.
const OTHER_DESCRIPTORS: u64 = 128;
/// Longest a handshake, a first request or a header may take, and an answer to a ping.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an HTTP/2 peer that is silent is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Most requests of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 64;

/// A server of this listener with bounded connections.
///
/// # Errors
/// What the system says of the listener.
pub fn server(
    listener: std::net::TcpListener,
    tls: RustlsConfig,
) -> io::Result<Server<SocketAddr, RustlsAcceptor<Slots>>> {
    let acceptor = RustlsAcceptor::new(tls)
        .handshake_timeout(PATIENCE)
        .acceptor(Slots::new(limit()));
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(acceptor)
        .first_request_timeout(PATIENCE);
    let builder = server.http_builder();
    builder.http1().header_read_timeout(PATIENCE);
    builder
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PATIENCE);
    Ok(server)
}

/// Raises the number of descriptors to what the system allows, and takes what connections may have of it.
fn limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    let descriptors = limit.current.unwrap_or(u64::MAX);
    let connections = descriptors
        .saturating_sub(OTHER_DESCRIPTORS)
        .clamp(16, MAX_CONNECTIONS);
    usize::try_from(connections).unwrap_or(16)
}

/// Lets so many connections in.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Semaphore>);

impl Slots {
    /// So many.
    #[must_use]
    pub fn new(connections: usize) -> Slots {
        Slots(Arc::new(Semaphore::new(connections)))
    }
}

impl<S> Accept<TcpStream, S> for Slots {
    type Stream = Slotted;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Slotted, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(slot) = self.0.clone().try_acquire_owned() else {
            metrics::counter!("assay_connections_refused_total").increment(1);
            return std::future::ready(Err(io::Error::other("too many connections")));
        };
        // Answers are written whole: waiting to fill a packet only delays them.
        let slotted = stream.set_nodelay(true).map(|()| Slotted {
            stream,
            _slot: slot,
        });
        std::future::ready(slotted.map(|stream| (stream, service)))
    }
}

/// A connection with its slot, free again when it closes.
#[derive(Debug)]
pub struct Slotted {
    stream: TcpStream,
    _slot: OwnedSemaphorePermit,
}

impl AsyncRead for Slotted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Slotted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_slot_is_free_again_when_its_connection_closes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connect = async || {
            let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
            (client.unwrap(), server.unwrap().0)
        };
        let slots = Slots::new(1);
        let (_first, stream) = connect().await;
        let (held, ()) = slots.accept(stream, ()).await.unwrap();
        let (_second, stream) = connect().await;
        assert!(slots.accept(stream, ()).await.is_err());
        drop(held);
        let (_third, stream) = connect().await;
        assert!(slots.accept(stream, ()).await.is_ok());
    }

    #[test]
    fn descriptors_remain_for_files() {
        let connections = limit() as u64;
        assert!(connections <= MAX_CONNECTIONS);
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(connections + OTHER_DESCRIPTORS <= descriptors);
    }
}
