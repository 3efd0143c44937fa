//! nginx as a bare reverse proxy that sets one header: the floor of what a proxy can cost.

use std::process::Command;

use super::{Place, Started, text};
use crate::install::{self, Missing};
use crate::upstream::REAL_KEY;

pub(super) fn start(place: &Place) -> Result<Started, Missing> {
    let program = install::from_debian("nginx")?;
    let version = install::run(Command::new(&program).arg("-v"))?;
    let version = version.trim().rsplit('/').next().unwrap_or_default().to_owned();
    let config = place.write("nginx.conf", &config(place))?;
    let folder = text(&place.folder)?;
    let process = place.run(&[text(&program)?, "-e", "stderr", "-p", folder, "-c", &config], &[])?;
    Ok(Started { version, process, key: String::new() })
}

/// Connections are kept on both sides, streams pass unbuffered, and nothing is written down.
fn config(place: &Place) -> String {
    let Place { folder, listen, upstream } = place;
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths = paths.map(|kind| format!("  {kind}_temp_path {};\n", folder.join(kind).display())).concat();
    format!(
        r#"daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 16384; }}
http {{
{paths}  access_log off;
  keepalive_requests 100000000;
  upstream model {{
    server {upstream};
    keepalive 256;
    keepalive_requests 100000000;
  }}
  server {{
    listen {listen} backlog=4096;
    location / {{
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer {REAL_KEY}";
      proxy_buffering off;
    }}
  }}
}}
"#,
        folder = folder.display()
    )
}
