//! One connection: requests in, scripts out, with an eye on whether the client is still there.

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header};
use socket2::SockRef;
use tokio::{
    io::AsyncReadExt,
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
};

use super::{
    http1::{self, Incoming},
    play::{self, After, Wire},
    record::{Ledger, Recorded},
    vendor::Vendor,
};
use crate::{
    Script,
    script::{Answer, Reply},
};

/// What a client may send ahead while its answer is under way, in bytes.
const MOST_PIPELINED: usize = 1 << 20;

/// Where the requests are shown to tests outside this process.
const REQUESTS: &str = "/__requests";
/// Where they are told how many clients left in the middle of an answer.
const DISCONNECTS: &str = "/__disconnects";

pub(super) async fn serve(mut stream: TcpStream, vendor: Arc<dyn Vendor>, ledger: Arc<Ledger>) {
    let (connection, _open) = ledger.connect();
    // A refusal here only makes the line slower.
    let _ = stream.set_nodelay(true);
    let mut buffer = BytesMut::new();
    loop {
        let (mut reader, mut writer) = stream.split();
        let incoming = match http1::read(&mut reader, &mut writer, &mut buffer).await {
            Ok(Some(incoming)) => incoming,
            Ok(None) => return,
            Err(refusal) => {
                refusal.tell(&mut writer).await;
                return;
            }
        };
        let keep_alive = incoming.keep_alive;
        let chunks = incoming.chunks;
        let (number, script) = arrive(incoming, connection, &ledger, &*vendor);
        let wire = Wire::new(script, keep_alive, chunks, || vendor.error_event(number));
        match exchange(&mut reader, &mut writer, &mut buffer, wire, &ledger).await {
            After::KeepAlive => {}
            After::Close => return,
            After::Reset => {
                // With no time to linger, closing discards what is unsent and sends RST.
                let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                return;
            }
        }
    }
}

/// Records a request and finds what to do with it.
fn arrive(
    incoming: Incoming,
    connection: u64,
    ledger: &Ledger,
    vendor: &dyn Vendor,
) -> (u64, Script) {
    let Incoming { method, target, headers, body, .. } = incoming;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target, None),
    };
    match path.as_str() {
        REQUESTS => return (0, control(&method, ledger)),
        DISCONNECTS => {
            return (0, Script::of(Reply::json(StatusCode::OK, ledger.disconnects().to_string())));
        }
        _ => {}
    }
    let request = Recorded { method, path, query, headers, body, connection };
    let (number, script) = ledger.arrive(&request);
    let Script { answer, manner } = script;
    let below = match answer {
        Answer::Vendor => vendor.answer(&request, number),
        Answer::VendorError(status) => vendor.error(status, number),
        answer @ (Answer::Reply(_) | Answer::Raw(_) | Answer::Never) => {
            return (number, Script { answer, manner });
        }
    };
    (number, Script { answer: below.answer, manner: manner.over(below.manner) })
}

fn control(method: &Method, ledger: &Ledger) -> Script {
    let mut reply = match *method {
        Method::GET => Reply::json(StatusCode::OK, ledger.requests_json()),
        Method::DELETE => {
            ledger.forget_requests();
            Reply::json(StatusCode::OK, "{}".to_owned())
        }
        _ => Reply::json(StatusCode::METHOD_NOT_ALLOWED, "{}".to_owned()),
    };
    reply.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Script::of(reply)
}

/// Plays an answer for as long as the client is there.
async fn exchange(
    reader: &mut ReadHalf<'_>,
    writer: &mut WriteHalf<'_>,
    buffer: &mut BytesMut,
    wire: Wire,
    ledger: &Ledger,
) -> After {
    let played = tokio::select! {
        // An answer that is complete is complete, though the client left in the same moment.
        biased;
        played = play::play(writer, wire, |bytes| ledger.add_sent(bytes)) => played,
        () = gone(reader, buffer) => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    played.unwrap_or_else(|_| {
        ledger.disconnect();
        After::Close
    })
}

/// Returns when the client has closed its side.
async fn gone(reader: &mut ReadHalf<'_>, buffer: &mut BytesMut) {
    while buffer.len() < MOST_PIPELINED {
        match reader.read_buf(buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    std::future::pending::<()>().await;
}

/// A refusal below any dialect: the request was no HTTP that this server reads.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) StatusCode, pub(super) &'static str);

impl Refusal {
    async fn tell(self, writer: &mut WriteHalf<'_>) {
        let Self(status, reason) = self;
        let reply = Script::reply(
            status.as_u16(),
            &[("content-type", "text/plain"), ("connection", "close")],
            reason,
        );
        // Whoever sends garbage may well be gone already.
        let _ = play::play(writer, Wire::new(reply, false, true, Bytes::new), |_| ()).await;
    }
}
