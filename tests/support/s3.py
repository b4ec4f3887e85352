"""A real S3 server (moto's) on this machine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from pipelines.local_server import LOOPBACK, free_port

BUCKET = "dubl"
REGION = "us-east-1"
START_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class S3:
    """`environment` is what LanceDB's store reads; pyarrow is told by addresses."""

    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT": f"http://{LOOPBACK}:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def address(self, prefix: str) -> str:
        options = f"region={REGION}&scheme=http&endpoint_override={LOOPBACK}:{self.port}"
        return f"s3://{BUCKET}/{prefix}?{options}"

    @contextmanager
    def client(self) -> Iterator[Any]:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{LOOPBACK}:{self.port}",
            region_name=REGION,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            config=Config(retries={"max_attempts": 0}),
        )
        try:
            yield client
        finally:
            client.close()

    def buckets(self) -> list[str]:
        with self.client() as client:
            return [each["Name"] for each in client.list_buckets()["Buckets"]]

    def wait_ready(self) -> None:
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.buckets()
            except EndpointConnectionError:
                assert time.monotonic() < give_up_at
                time.sleep(0.1)
            else:
                return


@contextmanager
def running_s3(folder: Path, *, bucket: str | None = BUCKET) -> Iterator[S3]:
    store = S3(port=free_port())
    server = Path(sys.executable).with_name("moto_server")
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(
            [server, "-H", LOOPBACK, "-p", str(store.port)], stdout=log, stderr=log
        )
    try:
        store.wait_ready()
        if bucket:
            with store.client() as client:
                client.create_bucket(Bucket=bucket)
        yield store
    finally:
        process.terminate()
        process.wait(30)
