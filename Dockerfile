# The analyzer, with the filter's module and the dashboard inside: docker build -t serin .
FROM rust:1.90-alpine AS build
# hadolint ignore=DL3018
RUN apk add --no-cache bash build-base ca-certificates nodejs npm && rustup target add wasm32-unknown-unknown
WORKDIR /serin
COPY . .
RUN scripts/build-filter && scripts/build-dashboard && cargo build --release --locked -p serin

# On Alpine the program is static: it needs nothing but the authorities for gates on https.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /serin/target/release/serin /usr/bin/serin
USER 65532:65532
EXPOSE 9090
ENTRYPOINT ["/usr/bin/serin"]
