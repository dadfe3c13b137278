//! TLS peers of channels that are not part of wulog: Python's servers, and certificates from OpenSSL.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::kafka::Skip;
use crate::process::Running;

/// A company's CA with certificates of a server at 127.0.0.1 and of a client, and an unrelated CA.
#[derive(Debug)]
pub struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    /// Creates the certificates.
    ///
    /// # Errors [`Skip`] where there is no OpenSSL.
    ///
    /// # Panics
    /// If OpenSSL is there and fails.
    pub fn make() -> Result<Certificates, Skip> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let script = "set -e
            key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
            for ca in ca other; do
              openssl req -x509 $key -keyout $ca.key -out $ca.pem -days 2 -subj /CN=$ca -addext keyUsage=critical,keyCertSign,cRLSign
            done
            for name in server client; do
              openssl req $key -keyout $name.key -out $name.csr -subj /CN=$name
              printf 'basicConstraints=CA:FALSE\\nsubjectAltName=IP:127.0.0.1,DNS:localhost\\nextendedKeyUsage=%sAuth\\n' $name > $name.ext
              openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem -days 2 -extfile $name.ext
            done";
        let made =
            Command::new("sh").arg("-c").arg(script).current_dir(folder.path()).output().expect("there is a shell");
        let said = String::from_utf8_lossy(&made.stderr);
        if said.contains("not found") {
            return Err(Skip::NoOpenssl);
        }
        assert!(made.status.success(), "{said}");
        Ok(Certificates { folder })
    }

    /// `ca.pem`, `other.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A running `peers/server.py`.
#[derive(Debug)]
pub struct Peer {
    running: Running,
    port: u16,
}

impl Peer {
    /// Starts a server: `https`, `smtps`, `starttls` or `smtp`. With `mutual` a client must show a certificate of the
    /// CA.
    ///
    /// # Panics
    /// If the server does not come up.
    #[must_use]
    pub fn start(mode: &str, certificates: &Certificates, mutual: bool) -> Peer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/server.py");
        let mut words = vec![script, mode.into(), certificates.path("server.pem"), certificates.path("server.key")];
        words.extend(mutual.then(|| certificates.path("ca.pem")));
        let mut running = Running::start_program(Path::new("python3"), &words);
        let port = |running: &Running| running.stdout().lines().next().and_then(|line| line.parse().ok());
        running.until("its port", Duration::from_secs(60), |running| port(running).is_some());
        let port = port(&running).expect("it was just there");
        Peer { running, port }
    }

    /// Its port at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The messages that the server has accepted.
    ///
    /// # Panics
    /// If the server's output is not JSON.
    #[must_use]
    pub fn taken(&self) -> Vec<Value> {
        let said = self.running.stdout();
        let parsed = said.lines().skip(1).map(|line| serde_json::from_str(line).expect("the script prints JSON"));
        parsed.filter(|value: &Value| value.get("failed").is_none()).collect()
    }
}
