/**
 * `calls.log` of the compiled executable (agent.md "Metrics"): one line for each call
 * while the file exists, and whatever the file is, no call fails or waits for it.
 */
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { startApiServer } from "../support/api-server.ts";
import { type Node, gcOfNone } from "../support/node.ts";
import {
  type ScriptedNode,
  startScriptedNode,
} from "../support/scripted-node.ts";

const ms: unknown = expect.any(Number);
const time: unknown = expect.any(String);
const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceparent = `00-${trace}-00f067aa0ba902b7-01`;

function pathOf({ dataDir }: Node): string {
  return join(dataDir, "calls.log");
}

/** As the agent makes it. */
function startLog(node: Node): string {
  mkdirSync(node.dataDir, { recursive: true, mode: 0o700 });
  writeFileSync(pathOf(node), "", { mode: 0o600 });
  return pathOf(node);
}

function linesOf(node: Node): Record<string, unknown>[] {
  const lines = readFileSync(pathOf(node), "utf8").split("\n");
  expect(lines.pop()).toBe("");
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function loggedNode(): Promise<ScriptedNode> {
  const node = await startScriptedNode("1.1.0");
  startLog(node);
  return node;
}

describe("calls.log, its lines", () => {
  test("ADD, CHECK, DEL, GC and STATUS: one line each", async () => {
    await using node = await loggedNode();
    const pod = await node.pod();
    const options = { annotations: { cni: "alpha,beta" } };
    await node.succeed("ADD", pod, options);
    await node.succeed("CHECK", pod, options);
    await node.succeed("DEL", pod, options);
    const config = gcOfNone;
    await node.succeed("GC", undefined, { config });
    await node.succeed("STATUS", undefined, { config });
    const { containerId } = pod;
    const of = { time, pod: "shop/web", containerId, ifname: "eth0" };
    const executed = (verb: string, name: string, ifname?: string) => ({
      plugin: name,
      verb,
      network: `${name}-net`,
      ...(ifname !== undefined && { ifname }),
      ms,
      code: 0,
    });
    const both = (verb: string) => [
      executed(verb, "alpha", "eth0"),
      executed(verb, "beta", "eth1"),
    ];
    const rest = { ms, code: 0, requests: [] };
    const networks = ["alpha-net", "beta-net"];
    expect(linesOf(node)).toEqual([
      { ...of, verb: "ADD", networks, ...rest, delegates: both("ADD") },
      { ...of, verb: "CHECK", networks, ...rest, delegates: both("CHECK") },
      {
        ...of,
        verb: "DEL",
        networks: networks.toReversed(),
        ...rest,
        delegates: both("DEL").toReversed(),
      },
      ...["GC", "STATUS"].map((verb) => ({
        time,
        verb,
        networks: ["alpha-net"],
        ...rest,
        delegates: [executed(verb, "alpha")],
      })),
    ]);
  });

  test("ADD that fails: code and error, also of an invalid configuration", async () => {
    await using node = await loggedNode();
    const pod = await node.pod();
    const no = { code: 42, msg: "no" };
    node.delegates.behave("ADD beta", { stdout: no, exit: 1 });
    await node.fail("ADD", pod, { annotations: { cni: "alpha,beta" } });
    await node.fail("ADD", pod, { annotations: {}, config: { strict: "yes" } });
    const [first, second] = linesOf(node);
    expect(first).toMatchObject({
      code: 42,
      error: expect.stringContaining('plugin "beta" failed to add eth1: no'),
      delegates: [
        { plugin: "alpha", verb: "ADD", code: 0 },
        { plugin: "beta", verb: "ADD", code: 42 },
        { plugin: "beta", verb: "DEL", code: 0 },
        { plugin: "alpha", verb: "DEL", code: 0 },
      ],
    });
    expect(second).toMatchObject({
      verb: "ADD",
      code: 7,
      error: expect.stringContaining("strict"),
      delegates: [],
    });
  });

  test("a call that is refused before its verb: its line, but for an invalid environment", async () => {
    await using node = await loggedNode();
    const pod = await node.pod();
    const of = { pod: "shop/web", containerId: pod.containerId, delegates: [] };
    await node.fail("ADD", pod, { config: { cniVersion: "9.9.9" } });
    await node.fail("DEL", pod, { config: { name: "a b" } });
    // Nobody knows its dataDir.
    await node.fail("ADD", pod, { env: { CNI_IFNAME: "a/b" } });
    expect(linesOf(node)).toMatchObject([
      { verb: "ADD", ...of, code: 1, error: "incompatible CNI versions" },
      { verb: "DEL", ...of, code: 7 },
    ]);
  });

  test.each(["debug", "error"])(
    "ADD, log_level %s: the API requests, and never the token",
    async (log_level) => {
      await using api = await startApiServer({
        tokens: { "s3cret-token": "g" },
      });
      await using node = await loggedNode();
      const pod = await node.pod();
      const { uid, name, namespace } = pod;
      const annotations = { cni: "alpha,beta" };
      api.pods.put({ metadata: { uid, name, namespace, annotations } });
      const kubeconfig = api.kubeconfig({ user: { token: "s3cret-token" } });
      await node.succeed("ADD", pod, {
        config: { log_level, kubernetes: { kubeconfig } },
      });
      expect(linesOf(node)).toMatchObject([
        {
          requests: [
            { verb: "get", resource: "pods", status: 200, ms },
            { verb: "patch", resource: "pods/status", status: 200, ms },
          ],
        },
      ]);
      expect(readFileSync(pathOf(node), "utf8")).not.toContain("s3cret");
    },
  );

  test("16 ADDs at once: 16 whole lines", async () => {
    await using node = await loggedNode();
    const pods = await Promise.all(
      Array.from({ length: 16 }, () => node.pod()),
    );
    await Promise.all(
      pods.map((pod) => node.succeed("ADD", pod, { annotations: {} })),
    );
    const seen = linesOf(node).map(({ containerId }) => String(containerId));
    expect(seen.toSorted()).toEqual(
      pods.map(({ containerId }) => containerId).toSorted(),
    );
  });
});

describe("calls.log, files that are none", () => {
  const cases: [name: string, make: (path: string) => void][] = [
    ["missing", () => {}],
    ["a symbolic link", (path) => symlinkSync("target", path)],
    ["a directory", (path) => mkdirSync(path)],
    ["a FIFO", (path) => void Bun.spawnSync(["mkfifo", path])],
    [
      "of 16 MiB: no agent rotates it",
      (path) => {
        writeFileSync(path, "");
        truncateSync(path, 16 << 20);
      },
    ],
  ];
  test.each(cases)("ADD succeeds, %s", async (name, make) => {
    await using node = await startScriptedNode();
    mkdirSync(node.dataDir, { mode: 0o700 });
    const target = join(node.dataDir, "target");
    writeFileSync(target, "");
    make(pathOf(node));
    const began = performance.now();
    const pod = await node.attach({ annotations: {} });
    await node.succeed("DEL", pod, { annotations: {} });
    expect(performance.now() - began).toBeLessThan(30_000);
    expect(readFileSync(target, "utf8")).toBe("");
    if (name === "missing") expect(existsSync(pathOf(node))).toBe(false);
    if (name.startsWith("of 16"))
      expect(statSync(pathOf(node)).size).toBe(16 << 20);
  });

  test("a directory that others may write to: nothing is written into a file of theirs", async () => {
    await using node = await loggedNode();
    const other = join(node.directory, "other");
    linkSync(pathOf(node), other);
    chmodSync(node.dataDir, 0o777);
    await node.fail("ADD", await node.pod(), { annotations: {} });
    expect(readFileSync(other, "utf8")).toBe("");
  });

  test("a full disk: ADD succeeds", async () => {
    await using node = await startScriptedNode();
    const config = { dataDir: node.dataDir };
    startLog(node);
    // A line does not fit below the limit on a file's size.
    writeFileSync(pathOf(node), "x".repeat(4096));
    const pod = await node.pod();
    const call = node.request("ADD", pod, { annotations: {}, config });
    const { exitCode } = Bun.spawnSync({
      cmd: ["prlimit", "--fsize=4096", call.binary],
      env: call.env,
      stdin: Buffer.from(JSON.stringify(call.config)),
    });
    expect([exitCode, statSync(pathOf(node)).size]).toEqual([0, 4096]);
  });
});

describe("TRACEPARENT and TRACESTATE", () => {
  test("reach delegates untouched; the trace ID is in calls.log and in the log", async () => {
    await using node = await loggedNode();
    const pod = await node.pod();
    const env = { TRACEPARENT: traceparent, TRACESTATE: "a=1, b=2 ,é=x" };
    const options = { annotations: {}, env };
    await node.succeed("ADD", pod, options);
    await node.succeed("DEL", pod, options);
    const given = node.delegates
      .calls()
      .map(({ env: { TRACEPARENT, TRACESTATE } }) => ({
        TRACEPARENT,
        TRACESTATE,
      }));
    expect(given).toEqual([env, env]);
    expect(linesOf(node)).toMatchObject([
      { traceId: trace },
      { traceId: trace },
    ]);
    const logged = node.log().trimEnd().split("\n");
    for (const line of logged) expect(line).toContain(`"traceId":"${trace}"`);
  });

  test.each([
    "",
    "junk",
    `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
    `ff-${trace}-00f067aa0ba902b7-01`,
    `00-${trace}-0000000000000000-01`,
    `00-${trace.toUpperCase()}-00f067aa0ba902b7-01`,
  ])("TRACEPARENT %p: no trace ID, and it reaches delegates", async (text) => {
    await using node = await loggedNode();
    const env = { TRACEPARENT: text };
    await node.succeed("ADD", await node.pod(), { annotations: {}, env });
    expect(node.delegates.calls()[0]?.env["TRACEPARENT"]).toBe(text);
    expect(linesOf(node)[0]).not.toHaveProperty("traceId");
  });
});
