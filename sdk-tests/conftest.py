"""The vendors' own SDKs, through the gateway, against fake providers of both dialects.

Run it by `cargo xtask sdk`, which builds the programs and sets `ZIGGURAT_BIN` and
`FAKE_PROVIDER_BIN`. A module or class says in `CLIENT` whose SDK it uses; the fixture `backend`
runs each test once per provider behind the gateway. With `DIRECT=1` there is no gateway and every
client talks to the fake of its own vendor.
"""

from dataclasses import dataclass

import anthropic
import google.genai
import openai
import pytest

from harness import DIRECT, MASTER_KEY, PROVIDER_KEY, Fake, Gateway, config_over

GATEWAY = pytest.StashKey[Gateway]()


def pytest_report_header():
    return "without the gateway (DIRECT=1)" if DIRECT else "through the gateway"


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """A failure is half told without what the gateway said of it."""
    gateway = config.stash.get(GATEWAY, None)
    if exitstatus and gateway:
        terminalreporter.section("the end of the gateway's log")
        for line in gateway.program.output().splitlines()[-60:]:
            terminalreporter.line(line)


@dataclass
class Backend:
    """A provider behind the gateway, with the names its models go by in front of it."""

    name: str
    fake: Fake
    # An ordinary model.
    model: str
    # A model that thinks, steered by effort.
    thinker: str

    def sent(self) -> dict:
        """The body of the last request that reached the provider."""
        return self.fake.last().body


@pytest.fixture(scope="session")
def fakes(tmp_path_factory):
    directory = tmp_path_factory.mktemp("fakes")
    fakes = {}
    try:
        for dialect in ("openai", "anthropic"):
            fakes[dialect] = Fake(dialect, directory)
        yield fakes
    finally:
        for fake in fakes.values():
            fake.program.stop()


@pytest.fixture(scope="session")
def gateway(request, fakes, tmp_path_factory):
    if DIRECT:
        pytest.skip("DIRECT=1: no gateway")
    gateway = Gateway(config_over(fakes), tmp_path_factory.mktemp("gateway"))
    request.config.stash[GATEWAY] = gateway
    yield gateway
    gateway.program.stop()


@pytest.fixture(autouse=True)
def only_with_a_gateway(request):
    if DIRECT and request.node.get_closest_marker("gateway_only"):
        pytest.skip("DIRECT=1: only the gateway does this")


@pytest.fixture(params=["openai", "anthropic"])
def backend(request, fakes):
    name = request.param
    if DIRECT and name != (request.cls or request.module).CLIENT:
        pytest.skip("DIRECT=1: a client talks to its own vendor only")
    names = {
        ("openai", False): ("gpt", "o-model"),
        ("anthropic", False): ("claude", "claude-new"),
        ("openai", True): ("gpt-4.1", "o4-mini"),
        ("anthropic", True): ("claude-sonnet-4-5", "claude-opus-4-8"),
    }
    model, thinker = names[name, DIRECT]
    fakes[name].clear()
    return Backend(name, fakes[name], model, thinker)


@pytest.fixture(scope="session")
def openai_options(request, fakes):
    """What to make an OpenAI client with. Its own retries are off, or errors would come late."""
    url = fakes["openai"].url if DIRECT else request.getfixturevalue("gateway").url
    key = PROVIDER_KEY if DIRECT else MASTER_KEY
    return {"base_url": url + "/v1", "api_key": key, "max_retries": 0, "timeout": 30.0}


@pytest.fixture(scope="session")
def anthropic_options(request, fakes):
    """What to make an Anthropic client with."""
    url = fakes["anthropic"].url if DIRECT else request.getfixturevalue("gateway").url
    key = PROVIDER_KEY if DIRECT else MASTER_KEY
    return {"base_url": url, "api_key": key, "max_retries": 0, "timeout": 30.0}


@pytest.fixture(scope="session")
def gemini_options(request, fakes):
    """What to make a Gemini client with."""
    url = request.getfixturevalue("gateway").url
    options = google.genai.types.HttpOptions(base_url=url, timeout=30_000)
    return {"api_key": MASTER_KEY, "http_options": options}


@pytest.fixture
def oai(openai_options):
    with openai.OpenAI(**openai_options) as client:
        yield client


@pytest.fixture
def ant(anthropic_options):
    with anthropic.Anthropic(**anthropic_options) as client:
        yield client


@pytest.fixture
def gem(gemini_options):
    with google.genai.Client(**gemini_options) as client:
        yield client
