/** The process of `genie agent`: its parts, its end, its arguments (agent.md). */
import { describe, expect, jest, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { lineOf, runParts } from "../../lib/agent/agent.ts";
import type { Agent, Part } from "../../lib/agent/part.ts";
import { parts } from "../../lib/agent/parts.ts";
import { pause } from "../../lib/agent/timing.ts";
import { type LogLine, RunningAgent } from "../support/agent.ts";
import { startApiServer } from "../support/api-server.ts";
import { until } from "../support/delegate.ts";
import { NodeDirectory, ptpConf, type } from "../cli/fixtures.ts";
import { keptKubeconfig, startScriptedNode } from "../support/scripted-node.ts";
import { directoryOptions } from "../support/node.ts";

describe("genie agent", () => {
  test("an API server that never responds: the agent ends within 5 s of SIGTERM", async () => {
    await using api = await startApiServer();
    await using node = await startScriptedNode();
    api.inject({ kind: "stall", times: Infinity });
    await using agent = new RunningAgent(
      node,
      `--kubeconfig=${keptKubeconfig(node, api)}`,
      "--status",
    );
    await until(() => api.requests.length >= 2, "both watches");
    const began = performance.now();
    expect(await agent.end()).toBe(0);
    expect(performance.now() - began).toBeLessThan(4900);
    expect(agent.log.at(-1)?.msg).toBe("the agent ends");
  });

  test("the part that installs, does so before the others begin", async () => {
    using node = new NodeDirectory();
    await using agent = new RunningAgent(node, "--default=weave");
    const begun = await agent.said("the agent starts");
    expect(begun).toMatchObject({
      parts: ["due statuses", "cache", "install"],
    });
    const before = agent.log.slice(0, agent.log.indexOf(begun));
    expect(before).toContainEqual(
      expect.objectContaining({
        level: "info",
        install: "changed",
        msg: expect.stringContaining('default network "weave"') as string,
      }) as LogLine,
    );
    expect(existsSync(join(node.binDir, "genie"))).toBe(true);
    expect(await agent.end()).toBe(0);
  });

  test("the part that installs, begins again after its health file could not be written", async () => {
    using node = new NodeDirectory();
    const health = join(node.root, "health");
    await using agent = new RunningAgent(
      node,
      "--default=late",
      `--health=${health}`,
    );
    await agent.said("the agent starts");
    rmSync(health);
    mkdirSync(health);
    const { part } = await agent.said("a part failed and is started again");
    expect(part).toBe("install");
    rmdirSync(health);
    node.network("30-late.conf", { ...ptpConf, name: "late" });
    await until(() => existsSync(health), "the health file");
    expect(readFileSync(health, "utf8")).toBe("");
  }, 20_000);

  test("/readyz, not before genie is installed", async () => {
    using node = new NodeDirectory();
    await using api = await startApiServer();
    await using agent = new RunningAgent(
      node,
      "--default=late",
      "--no-cache",
      "--metrics=0",
      `--kubeconfig=${api.kubeconfig()}`,
    );
    const { url } = await agent.said("serving metrics");
    const get = (path: string) => fetch(`${String(url)}${path}`);
    const metrics = async () => (await get("metrics")).text();
    // The audit has begun: the pods are in sync.
    while (!/^genie_audit_findings/m.test(await metrics())) await Bun.sleep(10);
    expect((await get("readyz")).status).toBe(503);
    node.network("30-late.conf", { ...ptpConf, name: "late" });
    while ((await get("readyz")).status !== 200) await Bun.sleep(10);
    expect(existsSync(join(node.confDir, "00-genie.conflist"))).toBe(true);
  }, 20_000);

  test("without a credential, the parts that need none run", async () => {
    await using node = await startScriptedNode();
    await using agent = new RunningAgent(node, "--load");
    expect(await agent.said("the agent starts")).toMatchObject({
      node: "node1",
      parts: ["due statuses", "cache", "load"],
    });
    expect(
      await agent.said("failed to watch network-attachment-definitions"),
    ).toMatchObject({
      error: expect.stringContaining("no API server") as string,
    });
    expect(await agent.end()).toBe(0);
  });

  test("a configuration that is damaged, does not end it", async () => {
    await using node = await startScriptedNode();
    writeFileSync(join(node.confDir, "00-genie.conflist"), "{");
    await using agent = new RunningAgent(node, "--no-cache");
    await agent.said("the agent starts");
    expect(await agent.end()).toBe(0);
  });

  test.each<[words: string[], message: string]>([
    [["--cache", "--no-cache"], "--cache and --no-cache exclude each other"],
    [["--metrics=nowhere"], '--metrics: expected [HOST:]PORT, got "nowhere"'],
    [["--atach"], "unknown option --atach; did you mean --attach?"],
  ])("%j, is refused before anything is installed", async (words, message) => {
    await using node = await startScriptedNode();
    const { exitCode, stderr } = await type([
      "agent",
      ...directoryOptions(node),
      ...words,
    ]);
    expect(exitCode).toBeGreaterThan(0);
    expect(stderr).toContain(message);
    expect(existsSync(join(node.binDir, "genie"))).toBe(false);
  });

  test("--help, says of each part what it needs", async () => {
    const { stdout } = await type(["agent", "--help"]);
    for (const [name, { needs }] of parts)
      expect(stdout).toContain(`  --${name}: ${needs}\n`);
  });
});

describe("runParts", () => {
  const silent = { log: () => {} } as unknown as Agent;

  test("a part that fails is called again, the others are not touched", async () => {
    const controller = new AbortController();
    const calls: string[] = [];
    const part = (name: string, run: Part["run"]): Part => ({
      name,
      run(agent, signal) {
        calls.push(name);
        return run(agent, signal);
      },
    });
    const said: unknown[] = [];
    const agent = {
      log: (level: string, _message: string, fields: unknown) =>
        said.push([level, fields]),
    } as unknown as Agent;
    const running = runParts(
      [
        part("bad", () => Promise.reject(new Error("no"))),
        part("good", (_, signal) => pause(60_000, signal)),
      ],
      agent,
      controller.signal,
    );
    await until(() => calls.length === 3, "the second call");
    controller.abort();
    await running;
    expect(calls).toEqual(["bad", "good", "bad"]);
    expect(said[0]).toEqual(["error", { part: "bad", error: "no" }]);
  });

  test("a part that always fails: called each minute at least", async () => {
    const controller = new AbortController();
    let calls = 0;
    const run = () => Promise.reject(new Error(`call ${calls++}`));
    jest.useFakeTimers();
    try {
      void runParts([{ name: "bad", run }], silent, controller.signal);
      for (let minutes = 0; minutes < 15; minutes++) {
        for (let i = 0; i < 20; i++) await Promise.resolve();
        jest.advanceTimersByTime(60_000);
      }
      expect(calls).toBe(15);
    } finally {
      controller.abort();
      jest.useRealTimers();
    }
  });

  test("a part that does not end is left", async () => {
    const controller = new AbortController();
    const never = { name: "never", run: () => new Promise<void>(() => {}) };
    const running = runParts([never], silent, controller.signal, 50);
    controller.abort();
    await running;
  });
});

describe("lineOf", () => {
  test("a plugin's text, gives no orders to a terminal", () => {
    const fields = { error: "\u009b31m\u202e\u001b" };
    expect(lineOf("warn", "failed", fields, new Date(0))).toBe(
      String.raw`{"time":"1970-01-01T00:00:00.000Z","level":"warn","msg":"failed","error":"\u009b31m\u202e\u001b"}` +
        "\n",
    );
  });
});
