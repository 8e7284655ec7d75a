"""Where AWS's own clients look for credentials, the gateway finds them: nothing of them is in its configuration."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest

from bedrock import KEYS, REGION, Bedrock
from harness import MASTER_KEY, Gateway

pytestmark = pytest.mark.gateway_only
CLIENT = "openai"

CONFIG = """\
model_list:
  - model_name: chained
    litellm_params:
      model: bedrock/anthropic.claude-haiku-4-5-20251001-v1:0
      aws_bedrock_runtime_endpoint: {bedrock}
      aws_region_name: {region}
general_settings:
  master_key: {master}
"""

UNTIL = "2099-01-01T00:00:00Z"
TOLD = {
    "Code": "Success",
    "Type": "AWS-HMAC",
    "LastUpdated": "2026-01-01T00:00:00Z",
    "AccessKeyId": KEYS.access_key,
    "SecretAccessKey": KEYS.secret_key,
    "Token": KEYS.token,
    "Expiration": UNTIL,
}
ROLE = f"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{KEYS.access_key}</AccessKeyId>
<SecretAccessKey>{KEYS.secret_key}</SecretAccessKey><SessionToken>{KEYS.token}</SessionToken>
<Expiration>{UNTIL}</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn>
<AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


class Cloud(BaseHTTPRequestHandler):
    """What answers inside of a container, on an instance, and for a role."""

    def log_message(self, *_):
        pass

    def answer(self, text: str, headers=()):
        self.send_response(200)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self):
        assert self.path == "/latest/api/token"
        self.answer("imds-token", [("x-aws-ec2-metadata-token-ttl-seconds", "600")])

    def do_GET(self):
        if self.path == "/container":
            assert self.headers["authorization"] == "task-token"
            self.answer(json.dumps(TOLD))
            return
        assert self.headers["x-aws-ec2-metadata-token"] == "imds-token"
        name = self.path.removeprefix("/latest/meta-data/iam/security-credentials")
        name = name.removeprefix("-extended").strip("/")
        self.answer(json.dumps(TOLD) if name else "role")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        assert "Action=AssumeRoleWithWebIdentity" in body and "WebIdentityToken=word" in body
        self.answer(ROLE, [("content-type", "text/xml")])


@pytest.fixture(scope="module")
def cloud():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture(scope="module")
def provider():
    provider = Bedrock()
    yield provider
    provider.stop()


def surroundings(source: str, cloud: str, directory) -> dict[str, str]:
    nothing = {
        "AWS_SHARED_CREDENTIALS_FILE": str(directory / "none"),
        "AWS_CONFIG_FILE": str(directory / "none"),
    }
    off = nothing | {"AWS_EC2_METADATA_DISABLED": "true"}
    if source == "environment":
        return off | {
            "AWS_ACCESS_KEY_ID": KEYS.access_key,
            "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
            "AWS_SESSION_TOKEN": KEYS.token,
        }
    if source == "profile":
        file = directory / "credentials"
        file.write_text(
            f"[work]\naws_access_key_id = {KEYS.access_key}\n"
            f"aws_secret_access_key = {KEYS.secret_key}\naws_session_token = {KEYS.token}\n"
        )
        return off | {"AWS_PROFILE": "work", "AWS_SHARED_CREDENTIALS_FILE": str(file)}
    if source == "web identity":
        word = directory / "word"
        word.write_text("word")
        return off | {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(word),
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
            "AWS_ENDPOINT_URL_STS": cloud,
            "AWS_REGION": REGION,
        }
    if source == "container":
        return off | {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{cloud}/container",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "task-token",
        }
    assert source == "instance"
    return nothing | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": cloud}


@pytest.mark.parametrize(
    "source", ["environment", "profile", "web identity", "container", "instance"]
)
def test_credentials_are_found_where_aws_looks(source, cloud, provider, tmp_path, monkeypatch):
    for name, value in surroundings(source, cloud, tmp_path).items():
        monkeypatch.setenv(name, value)
    text = CONFIG.format(bedrock=provider.url, region=REGION, master=MASTER_KEY)
    gateway = Gateway(text, tmp_path)
    try:
        client = openai.OpenAI(
            base_url=gateway.url + "/v1", api_key=MASTER_KEY, max_retries=0
        )
        answer = client.chat.completions.create(
            model="chained", messages=[{"role": "user", "content": "Hello"}]
        )
        assert answer.choices[0].message.content
    finally:
        gateway.program.stop()
