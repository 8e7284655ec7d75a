//! As much of Redis's protocol as tests need, so that they can look without the client they test.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(super) fn open(
        address: SocketAddr,
        password: Option<&str>,
        patience: Duration,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        let mut connection = Self { stream: BufReader::new(stream) };
        if let Some(password) = password {
            connection.ask(&["AUTH", password])?;
        }
        Ok(connection)
    }

    pub(super) fn ask(&mut self, words: &[&str]) -> io::Result<Value> {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(command.as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let line = line.trim_end();
        let Some((kind, rest)) = line.split_at_checked(1) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let number = || rest.parse::<i64>().map_err(io::Error::other);
        match kind {
            "+" => Ok(rest.into()),
            "-" => Err(io::Error::other(rest)),
            ":" => Ok(number()?.into()),
            "$" => {
                let Ok(length) = usize::try_from(number()?) else { return Ok(Value::Null) };
                let mut bytes = vec![0; length + 2];
                self.stream.read_exact(&mut bytes)?;
                Ok(String::from_utf8_lossy(&bytes[..length]).into())
            }
            "*" => {
                let Ok(length) = usize::try_from(number()?) else { return Ok(Value::Null) };
                (0..length).map(|_| self.answer()).collect::<io::Result<Vec<_>>>().map(Value::Array)
            }
            _ => Err(io::Error::other(format!("no answer of Redis: {line:?}"))),
        }
    }
}
