/**
 * The executable in a working directory and an environment made by somebody
 * else: it runs as root for every pod, so nothing of either may count
 * (container-runtimes.md K-9).
 */
import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { latestVersion, supportedVersions } from "../../lib/cni/version.ts";
import { startApiServer } from "../support/api-server.ts";
import { genieBinary } from "../support/build.ts";
import { onlyValue, run as runCommand } from "../support/runtime.ts";
import { NoopNode, pod } from "../../scripts/noop-node.ts";
import { Traps } from "./traps.ts";

const genie = genieBinary();
const node = new NoopNode();
const traps = new Traps();
afterAll(() => {
  node[Symbol.dispose]();
  traps[Symbol.dispose]();
});

interface Place {
  cwd: string;
  env: Record<string, string>;
}

function run({
  args = [],
  ...options
}: Place & { stdin?: string; args?: string[] }) {
  return runCommand([genie, ...args], options);
}

const quiet: Place = { cwd: "/", env: {} };
const hostile: Place = { cwd: traps.directory, env: traps.env() };

/** In the order of a container's life: each call needs the state of the previous one. */
const life = ["STATUS", "ADD", "CHECK", "DEL", "DEL"];

describe("the executable, in a hostile place", () => {
  test("every verb: the same response as elsewhere", async () => {
    const lives = async (place: Place) => {
      const answers = [];
      for (const command of life) {
        const env = { ...place.env, ...node.env(command, "hostile") };
        answers.push(
          await run({ cwd: place.cwd, env, stdin: node.withAnnotations() }),
        );
      }
      return answers;
    };
    const before = traps.listing();
    const expected = await lives(quiet);
    expect(expected.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0, 0]);
    expect(await lives(hostile)).toEqual(expected);
    expect({ marks: traps.marks(), listing: traps.listing() }).toEqual({
      marks: [],
      listing: before,
    });
  });

  test.each([
    ["VERSION", { CNI_COMMAND: "VERSION" }, []],
    ["about text", {}, []],
    ["an unknown verb", { CNI_COMMAND: "NOPE" }, []],
    ["arguments", {}, ["no-such-command"]],
    ["arguments that Bun has itself", {}, ["--version"]],
    ["a file as the argument", {}, ["./preload.ts"]],
  ])("%s is the same, no trap works", async (_name, env, args) => {
    const stdin = node.withAnnotations();
    const expected = await run({ cwd: "/", env, stdin, args });
    const answer = await run({
      cwd: hostile.cwd,
      env: { ...hostile.env, ...env },
      stdin,
      args,
    });
    expect({ ...answer, marks: traps.marks() }).toEqual({
      ...expected,
      marks: [],
    });
  });

  test("executed from the hostile directory itself, VERSION", async () => {
    const { directory } = traps;
    copyFileSync(genie, join(directory, "genie"));
    const child = Bun.spawn(["./genie"], {
      cwd: directory,
      env: { CNI_COMMAND: "VERSION" },
    });
    expect({
      answer: onlyValue(await child.stdout.text()),
      marks: traps.marks(),
    }).toEqual({
      answer: {
        cniVersion: latestVersion,
        supportedVersions: [...supportedVersions],
      },
      marks: [],
    });
  });
});

describe("the executable asking the API server, in a hostile place", () => {
  const token = "s3cret-t0ken";

  async function add(caOf: "ca" | "foreignCa") {
    await using api = await startApiServer({ tokens: { [token]: "genie" } });
    api.pods.put({ metadata: { ...pod, annotations: { cni: "noop" } } });
    const ca = Buffer.from(api.certs[caOf].cert).toString("base64");
    const kubeconfig = api.kubeconfig({
      cluster: { "certificate-authority-data": ca },
    });
    const env = {
      ...hostile.env,
      // A program that reads these trusts the authority.
      NODE_EXTRA_CA_CERTS: api.certs.ca.certFile,
      SSL_CERT_FILE: api.certs.ca.certFile,
      ...node.env("ADD", `api-${caOf}`),
    };
    const stdin = node.withoutAnnotations({ kubernetes: { kubeconfig } });
    const answer = await run({ cwd: hostile.cwd, env, stdin });
    return {
      ...answer,
      requests: api.requests.map(({ method, path }) => `${method} ${path}`),
    };
  }

  test("no proxy and no noise: one GET, one result", async () => {
    const { stdout, ...rest } = await add("ca");
    expect({ ...rest, result: onlyValue(stdout) }).toEqual({
      exitCode: 0,
      stderr: "",
      requests: ["GET /api/v1/namespaces/default/pods/p"],
      result: {
        cniVersion: "1.1.0",
        interfaces: [{ name: "eth0", sandbox: node.netns }],
        ips: [{ address: "10.1.2.3/24", interface: 0 }],
      },
    });
  });

  test("another authority is refused, and the token is not sent", async () => {
    const { exitCode, stdout, stderr, requests } = await add("foreignCa");
    const { code } = onlyValue(stdout) as { code?: unknown };
    expect({ exitCode, requests, code }).toEqual({
      exitCode: 1,
      requests: [],
      code: 11,
    });
    expect(stdout + stderr).not.toContain(token);
  });
});
