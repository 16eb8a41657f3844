# The proxy in a container; docs/container.md says how to use it.
FROM python:3.13-slim
COPY pyproject.toml README.md LICENSE /src/
COPY addons /src/addons
COPY metering /src/metering
COPY scripts/vertex_tap.py /src/scripts/
RUN pip install --no-cache-dir /src && rm -r /src
# The ledger, and the certificates that mitmproxy makes.
RUN useradd --uid 10001 --home-dir /data --create-home tap
USER tap
WORKDIR /data
VOLUME /data
ENV HOME=/data PYTHONUNBUFFERED=1
EXPOSE 8080
HEALTHCHECK CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8080/-/health')"]
ENTRYPOINT ["vertex-tap", "serve", "--host", "0.0.0.0"]
CMD ["--set", "gateway_config=/config/gateway.yaml"]
