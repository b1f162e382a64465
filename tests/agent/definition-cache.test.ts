/**
 * `--cache`, both sides, by the compiled executable: ADD makes no GET for definitions
 * while the cache is in sync, and nothing depends on it (agent.md).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { readFile } from "../../lib/linux/files.ts";
import { uptimeMs } from "../../lib/linux/libc.ts";
import { cachedDefinition } from "../../lib/state/cached-definition.ts";
import { RunningAgent } from "../support/agent.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { until } from "../support/delegate.ts";
import type { CallOptions } from "../support/node.ts";
import {
  type ScriptedNode,
  keptKubeconfig,
  startScriptedNode,
} from "../support/scripted-node.ts";

const bootId = readFile("/proc/sys/kernel/random/boot_id").trim();

interface Cached extends AsyncDisposable {
  api: ApiServer;
  node: ScriptedNode;
  kubeconfig: string;
  /** An ADD with the definition shop/extra; the GETs of definitions that it made. */
  add(): Promise<number>;
  /** The directory of the cache. */
  directory: string;
}

async function start(): Promise<Cached> {
  const api = await startApiServer();
  const node = await startScriptedNode();
  define(api, "extra");
  const kubeconfig = keptKubeconfig(node, api);
  const options: CallOptions = {
    annotations: { "k8s.v1.cni.cncf.io/networks": "extra" },
    config: { kubernetes: { kubeconfig } },
  };
  return {
    api,
    node,
    kubeconfig,
    directory: join(node.dataDir, "definitions"),
    async add() {
      const pod = await node.pod();
      const before = gets(api);
      await node.succeed("ADD", pod, options);
      await node.succeed("DEL", pod, options);
      return gets(api) - before;
    },
    async [Symbol.asyncDispose]() {
      await node[Symbol.asyncDispose]();
      await api.stop();
    },
  };
}

function define(api: ApiServer, name: string, type = "beta"): void {
  const config = JSON.stringify({ cniVersion: "1.0.0", name, type });
  const metadata = { name, namespace: "shop" };
  api.definitions.put({ metadata, spec: { config } });
}

const gets = ({ requests }: ApiServer) =>
  requests.filter(({ path }) =>
    path.includes("/network-attachment-definitions/"),
  ).length;

const inSync = (cached: Cached) =>
  until(() => existsSync(join(cached.directory, ".synced")), ".synced");

describe("--cache", () => {
  test("ADD, no GET while it is in sync, and none of them without it", async () => {
    await using cached = await start();
    expect(await cached.add()).toBe(1);
    await using agent = new RunningAgent(
      cached.node,
      `--kubeconfig=${cached.kubeconfig}`,
    );
    await inSync(cached);
    expect(await agent.said("definitions in the cache")).toMatchObject({
      written: 1,
    });
    expect(await cached.add()).toBe(0);
    expect(readdirSync(cached.directory).toSorted()).toEqual([
      ".synced",
      "shop:extra.json",
    ]);
    for (const file of readdirSync(cached.directory))
      expect(statSync(join(cached.directory, file)).mode & 0o7777).toBe(0o600);
    expect(await agent.end()).toBe(0);
  });

  test("a definition that comes, changes and goes, is so for the next ADD", async () => {
    await using cached = await start();
    const { api, directory, node } = cached;
    await using agent = new RunningAgent(
      cached.node,
      `--kubeconfig=${cached.kubeconfig}`,
    );
    await inSync(cached);
    await agent.said("definitions in the cache");
    await until(() => api.watches === 1, "the watch");
    define(api, "extra", "gamma");
    const path = join(directory, "shop:extra.json");
    await until(() => readFileSync(path, "utf8").includes("gamma"), "a change");
    node.delegates.forget();
    expect(await cached.add()).toBe(0);
    expect(node.delegates.calls().map(({ type }) => type)).toContain("gamma");
    define(api, "other");
    await until(
      () => existsSync(join(directory, "shop:other.json")),
      "one more",
    );
    api.definitions.delete("shop", "extra");
    await until(() => !existsSync(path), "one less");
    const pod = await cached.node.pod();
    const { code, msg } = await cached.node.fail("ADD", pod, {
      annotations: { "k8s.v1.cni.cncf.io/networks": "extra" },
      config: { kubernetes: { kubeconfig: cached.kubeconfig } },
    });
    expect({ code, msg }).toEqual({
      code: 7,
      msg: expect.stringContaining('"shop/extra"') as string,
    });
  });

  test("the API server is away: the file is renewed, also by an agent that starts then", async () => {
    await using cached = await start();
    const { api, node, directory } = cached;
    const words = [`--kubeconfig=${cached.kubeconfig}`];
    await using agent = new RunningAgent(node, ...words);
    await inSync(cached);
    await api.stop();
    await agent.end("SIGKILL");
    const before = readFileSync(join(directory, ".synced"), "utf8");
    await using next = new RunningAgent(node, ...words);
    await next.said("failed to watch network-attachment-definitions");
    await until(
      () => readFileSync(join(directory, ".synced"), "utf8") !== before,
      "a new .synced",
    );
    expect(cachedDefinition(node.dataDir, "shop", "extra")?.spec).toEqual({
      config: expect.stringContaining("beta") as string,
    });
  });

  test("401, is not renewed", async () => {
    await using cached = await start();
    const { api, directory } = cached;
    api.tokens.clear();
    await using agent = new RunningAgent(
      cached.node,
      `--kubeconfig=${cached.kubeconfig}`,
    );
    await agent.said("failed to watch network-attachment-definitions");
    expect(existsSync(join(directory, ".synced"))).toBe(false);
  });

  test("an agent that starts, rewrites what is damaged and removes what is gone", async () => {
    await using cached = await start();
    const { directory } = cached;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(join(directory, "shop:extra.json"), "torn");
    writeFileSync(join(directory, "shop:gone.json"), "{}");
    writeFileSync(join(directory, ".shop:old.json.new"), "");
    symlinkSync("/etc/passwd", join(directory, "shop:link.json"));
    await using agent = new RunningAgent(
      cached.node,
      `--kubeconfig=${cached.kubeconfig}`,
    );
    expect(await agent.said("definitions in the cache")).toMatchObject({
      written: 1,
      removed: 3,
    });
    await inSync(cached);
    expect(await cached.add()).toBe(0);
  });

  test("--no-cache, no ADD trusts the files of an earlier agent", async () => {
    await using cached = await start();
    const words = [`--kubeconfig=${cached.kubeconfig}`];
    await using agent = new RunningAgent(cached.node, ...words);
    await inSync(cached);
    await agent.end();
    await using next = new RunningAgent(cached.node, ...words, "--no-cache");
    await next.said("the agent starts");
    expect(existsSync(join(cached.directory, ".synced"))).toBe(false);
    expect(await cached.add()).toBe(1);
  });
});

describe("a cache that is not to be trusted", () => {
  let cached: Cached;
  /** The directory as an agent left it. */
  let good: string;
  beforeAll(async () => {
    cached = await start();
    good = join(cached.node.directory, "definitions");
    await using agent = new RunningAgent(
      cached.node,
      `--kubeconfig=${cached.kubeconfig}`,
    );
    await inSync(cached);
    await agent.end();
    cpSync(cached.directory, good, { recursive: true });
  });
  afterAll(() => cached[Symbol.asyncDispose]());
  const synced = (path: string, ageMs: number, boot = bootId): void =>
    writeFileSync(
      path,
      JSON.stringify({ bootId: boot, uptimeMs: uptimeMs() - ageMs }),
    );

  test.each<[what: string, spoil: (directory: string) => void]>([
    ["nothing", () => {}],
    ["no .synced", (at) => rmSync(join(at, ".synced"))],
    ["an old .synced", (at) => synced(join(at, ".synced"), 15_001)],
    ["a .synced of the future", (at) => synced(join(at, ".synced"), -60_000)],
    [
      "a .synced of another boot",
      (at) => synced(join(at, ".synced"), 0, crypto.randomUUID()),
    ],
    ["a torn .synced", (at) => writeFileSync(join(at, ".synced"), '{"boot')],
    [
      "a .synced that is a link",
      (at) => {
        renameSync(join(at, ".synced"), join(at, "real"));
        symlinkSync("real", join(at, ".synced"));
      },
    ],
    ["no file", (at) => rmSync(join(at, "shop:extra.json"))],
    [
      "a torn file",
      (at) => {
        const path = join(at, "shop:extra.json");
        writeFileSync(path, readFileSync(path, "utf8").slice(0, -9));
      },
    ],
    [
      "the file of another definition",
      (at) =>
        writeFileSync(
          join(at, "shop:extra.json"),
          readFileSync(join(at, "shop:extra.json"), "utf8").replace(
            '"name":"extra"',
            '"name":"other"',
          ),
        ),
    ],
    [
      "a directory in place of the file",
      (at) => {
        rmSync(join(at, "shop:extra.json"));
        mkdirSync(join(at, "shop:extra.json"));
      },
    ],
    [
      "a file of another user",
      (at) => chownSync(join(at, "shop:extra.json"), 65_534, 0),
    ],
    [
      "a file that others may write",
      (at) => chmodSync(join(at, "shop:extra.json"), 0o666),
    ],
    [
      "a .synced of another user",
      (at) => chownSync(join(at, ".synced"), 65_534, 0),
    ],
    ["a directory of another user", (at) => chownSync(at, 65_534, 0)],
    ["a directory that others may write to", (at) => chmodSync(at, 0o777)],
  ])("%s, ADD asks the API server", async (what, spoil) => {
    rmSync(cached.directory, { recursive: true });
    cpSync(good, cached.directory, { recursive: true });
    synced(join(cached.directory, ".synced"), 0);
    spoil(cached.directory);
    expect(await cached.add()).toBe(what === "nothing" ? 0 : 1);
  });
});
