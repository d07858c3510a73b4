//! A relay that forwards each byte in a segment of its own, in both directions.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

/// Starts a dripping relay before `upstream`; it lives until the process ends.
pub fn drip(upstream: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(upstream) else { continue };
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let (client2, server2) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || trickle(client, server));
            thread::spawn(move || trickle(server2, client2));
        }
    });
    addr
}

fn trickle(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if buffer[..n].iter().any(|byte| to.write_all(&[*byte]).is_err()) {
            break;
        }
    }
    to.shutdown(std::net::Shutdown::Write).ok();
}
