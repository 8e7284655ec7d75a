// Starts the programs under test, and says how their models are called.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export const MASTER_KEY = "sk-master-1234567890";
const PROVIDER_KEY = "sk-provider-0987654321";
/** Milliseconds that a program may take to start on a busy machine. */
const START = 30_000;

/** Providers that each speak another dialect, by the names that their models have in front of the gateway. */
export const BACKENDS = ["openai", "anthropic", "gemini"];

class Program {
  constructor(argv, log) {
    this.log = log;
    const sink = openSync(log, "w");
    this.process = spawn(argv[0], argv.slice(1), { stdio: ["ignore", sink, sink] });
  }

  async waitFor(what, ready) {
    const end = Date.now() + START;
    while (Date.now() < end && this.process.exitCode === null) {
      const found = await ready(readFileSync(this.log, "utf8"));
      if (found) return found;
      await sleep(20);
    }
    throw new Error(`no ${what}:\n${readFileSync(this.log, "utf8")}`);
  }

  async stop() {
    if (this.process.exitCode !== null) return;
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGTERM");
    await Promise.race([ended, sleep(10_000).then(() => this.process.kill("SIGKILL"))]);
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** The gateway with a provider of each dialect behind it. */
export class World {
  static async start() {
    const world = new World();
    world.directory = mkdtempSync(join(tmpdir(), "ziggurat-npm-"));
    world.programs = [];
    world.providers = {};
    const run = (argv, name) => {
      const program = new Program(argv, join(world.directory, `${name}.log`));
      world.programs.push(program);
      return program;
    };
    try {
      for (const dialect of BACKENDS) {
        const argv = [process.env.FAKE_PROVIDER_BIN, "--dialect", dialect, "--key", PROVIDER_KEY];
        const address = /listening on (http:\/\/\S+)\s/;
        const program = run(argv, dialect);
        world.providers[dialect] = await program.waitFor(
          "address",
          (output) => output.match(address)?.[1],
        );
      }
      const { openai, anthropic, gemini } = world.providers;
      const entry = (name, model, base) => ({
        model_name: name,
        litellm_params: { model, api_base: base, api_key: PROVIDER_KEY },
      });
      // JSON is YAML.
      const config = JSON.stringify({
        model_list: [
          entry("openai", "openai/gpt-4.1", `${openai}/v1`),
          entry("anthropic", "anthropic/claude-sonnet-4-5", anthropic),
          entry("gemini", "gemini/gemini-3-pro-preview", gemini),
          entry("dead", "openai/gpt-4.1", `http://127.0.0.1:${await freePort()}/v1`),
        ],
        router_settings: { num_retries: 0 },
        general_settings: { master_key: MASTER_KEY },
      });
      const file = join(world.directory, "config.yaml");
      writeFileSync(file, config);
      const port = await freePort();
      world.url = `http://127.0.0.1:${port}`;
      const argv = [process.env.ZIGGURAT_BIN, "--config", file, "--host", "127.0.0.1"];
      const gateway = run([...argv, "--port", String(port)], "gateway");
      await gateway.waitFor("answer of /health/liveliness", () =>
        fetch(`${world.url}/health/liveliness`).then(
          (response) => response.ok,
          () => false,
        ),
      );
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  /** The last request that reached a provider. */
  async sent(backend) {
    const requests = await (await fetch(`${this.providers[backend]}/__requests`)).json();
    return requests.at(-1);
  }

  async stop() {
    await Promise.all(this.programs.map((program) => program.stop()));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A tool in JSON Schema. */
export const WEATHER = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
