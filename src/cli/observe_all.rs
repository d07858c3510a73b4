//! `chronoguard observe-all`: the kill switch, thrown or lifted through the admin server.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use super::{Error, Exit, Outcome, print};

/// How long the admin server may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Admin address of the running chronoguard
    #[arg(long, value_name = "ADDR", env = "CHRONOGUARD_ADMIN", default_value = "127.0.0.1:9187")]
    admin: String,
    /// Let the rules act again
    #[arg(long)]
    lift: bool,
}

pub(super) fn observe_all(arguments: &Arguments) -> Outcome {
    let Arguments { admin, lift } = arguments;
    let method = if *lift { "DELETE" } else { "POST" };
    let reply = request(admin, method).map_err(|e| Error(format!("{method} http://{admin}/-/observe: {e}")))?;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    if head.split(' ').nth(1) != Some("200") {
        return Err(Error(format!("{admin} answers {}: {}", head.lines().next().unwrap_or_default(), body.trim())));
    }
    let changed = body.contains("\"changed\":true");
    print(match (lift, changed) {
        (false, true) => "every rule only observes now\n",
        (false, false) => "every rule only observed already\n",
        (true, true) => "the rules act again\n",
        (true, false) => "the kill switch was not on\n",
    })?;
    Ok(Exit::Done)
}

/// One request without a body; head and body of the reply.
fn request(admin: &str, method: &str) -> std::io::Result<String> {
    let mut last = std::io::Error::other("the name has no address");
    for address in admin.to_socket_addrs()? {
        let mut stream = match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => stream,
            Err(error) => {
                last = error;
                continue;
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let request =
            format!("{method} /-/observe HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        return Ok(reply);
    }
    Err(last)
}
