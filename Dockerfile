# qemu-bmc: one program that runs a QEMU guest and is its BMC.
#
#   docker build -t qemu-bmc:latest .
#
# Needs the base image, Debian's mirrors, the registry of Rust's crates for the dependencies, and no BuildKit.

# The manifests alone, each with an empty program: a layer that changes only when the dependencies do.
FROM debian:trixie-slim AS manifests
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY bench bench
COPY crates crates
RUN find bench crates -type f ! -name Cargo.toml -delete \
    && for crate in bench crates/*; do mkdir -p "$crate/src" && touch "$crate/src/lib.rs" && echo 'fn main() {}' >"$crate/src/main.rs"; done

FROM debian:trixie-slim AS builder
# A Rust toolchain that is new enough comes from Debian's backports. Certificates that the base image was given
# in /usr/local/share/ca-certificates are trusted once ca-certificates is installed.
RUN sed -i 's/^Suites: trixie trixie-updates$/& trixie-backports/' /etc/apt/sources.list.d/debian.sources \
    && apt-get update \
    && apt-get install -y --no-install-recommends -t trixie-backports cargo rustc \
    && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev \
    && update-ca-certificates \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The dependencies. This is but a cache: what fails here is reported by the build of the program below.
COPY --from=manifests /src .
RUN { cargo build --release --locked -p qemu-bmc || true; } && rm -r bench crates
# The program. Its files are older than the empty ones, which are to be seen as changed.
COPY Cargo.toml Cargo.lock ./
COPY bench bench
COPY crates crates
RUN find crates -name '*.rs' -exec touch {} + \
    && cargo build --release --locked -p qemu-bmc \
    && strip -o /qemu-bmc target/release/qemu-bmc

FROM debian:trixie-slim
ARG VERSION=dev
LABEL org.opencontainers.image.title="qemu-bmc" \
      org.opencontainers.image.description="A QEMU virtual machine with a real BMC: IPMI 2.0 over LAN, serial over LAN, VNC" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.base.name="debian:trixie-slim"
# Debian's QEMU without the parts that a server never opens; that QEMU starts shows that none of them is missed. The
# program itself has no use for iproute2, but who builds labs has: `docker exec … ip link`, containerlab's `exec`.
COPY docker/runtime-excludes /etc/dpkg/dpkg.cfg.d/qemu-bmc
RUN apt-get update \
    && apt-get install -y --no-install-recommends qemu-system-x86 qemu-block-extra qemu-utils ca-certificates ovmf seabios ipxe-qemu swtpm virtiofsd iproute2 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* \
    && qemu-img --version \
    && swtpm --version \
    && echo quit | qemu-system-x86_64 -S -machine q35 -vga std -vnc unix:/tmp/vnc -nic user,model=virtio-net-pci -monitor stdio
COPY --from=builder /qemu-bmc /usr/bin/qemu-bmc

VOLUME /vm /iso
EXPOSE 5900/tcp 623/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 CMD ["/usr/bin/qemu-bmc", "healthcheck"]
ENTRYPOINT ["/usr/bin/qemu-bmc", "init"]
