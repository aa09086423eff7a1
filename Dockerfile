# syntax=docker/dockerfile:1
# The program alone in an image: no shell, no package manager, an unprivileged user, nothing written below /.

FROM rust:1.94-bookworm AS build
WORKDIR /src
COPY . .
# The cache mounts live outside the image, so the program is copied out of them in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/collections /collections

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /collections /collections
USER nonroot
ENV HOST=0.0.0.0 PORT=3000 APP_ENV=production
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/collections", "health"]
ENTRYPOINT ["/collections"]
CMD ["serve"]
