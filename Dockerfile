# syntax=docker/dockerfile:1

# One program, built on Debian 12 and run on distroless Debian 12: the same C library on both sides, and CA certificates,
# which TLS to the outside needs. Everything else (SQLite, cryptography) is linked into the program.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --bin doorward \
    && install -D -m 0755 target/release/doorward /out/doorward \
    && install -d -m 0700 /out/state \
    && install -d -m 0755 /out/secrets/tuwunel /out/secrets/postgres /out/secrets/s3

# Only for docker-compose.yml: the program and a shell, to write what the parts need at their first start. It runs once and ends.
FROM gcr.io/distroless/cc-debian12:debug-nonroot AS setup
COPY --from=build /out/doorward /usr/local/bin/doorward
COPY --chmod=0555 deploy/setup.sh /usr/local/bin/setup.sh
COPY --from=build --chown=65532:65532 /out/state /var/lib/doorward
COPY --from=build --chown=65532:65532 /out/secrets /secrets
USER 65532:65532
ENTRYPOINT ["/busybox/sh", "/usr/local/bin/setup.sh"]

FROM gcr.io/distroless/cc-debian12:nonroot AS doorward
COPY --from=build /out/doorward /usr/local/bin/doorward
# A new volume that is mounted here takes over the owner and the mode.
COPY --from=build --chown=65532:65532 /out/state /var/lib/doorward
USER 65532:65532
WORKDIR /var/lib/doorward
ENTRYPOINT ["/usr/local/bin/doorward"]
CMD ["up"]
