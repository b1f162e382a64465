/**
 * Metrics of the compiled executable (agent.md "Metrics"): served, written as a file, and
 * printed once.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { RunningAgent } from "../support/agent.ts";
import { until } from "../support/delegate.ts";
import type { Node } from "../support/node.ts";
import { startScriptedNode } from "../support/scripted-node.ts";

/** The samples without buckets and sums, whose values are times. */
function samplesOf(text: string): string[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !/^#|_bucket|_sum/.test(line));
}

async function get(agent: RunningAgent, path: string, method = "GET") {
  const { url } = await agent.said("serving metrics");
  const response = await fetch(new URL(path, String(url)), { method });
  return {
    status: response.status,
    text: await response.text(),
    type: response.headers.get("content-type"),
  };
}

function printed(node: Node): string {
  const { stdout, stderr, exitCode } = node.command("metrics");
  expect([exitCode, stderr]).toEqual([0, ""]);
  return stdout;
}

const expected = [
  'genie_calls_total{verb="ADD",code="0"} 1',
  'genie_calls_total{verb="ADD",code="42"} 1',
  'genie_call_seconds_count{verb="ADD"} 2',
  'genie_delegate_seconds_count{plugin="alpha",verb="ADD"} 2',
  'genie_delegate_seconds_count{plugin="alpha",verb="DEL"} 1',
  'genie_delegate_seconds_count{plugin="beta",verb="ADD"} 2',
  'genie_delegate_seconds_count{plugin="beta",verb="DEL"} 1',
  'genie_delegate_failures_total{plugin="beta",verb="ADD",code="42"} 1',
  'genie_attachments{network="alpha"} 1',
  'genie_attachments{network="beta"} 1',
  "genie_abandoned_attachments 0",
  'genie_hostlocal_free{network="local"} 253',
];

describe("metrics", () => {
  test("--metrics and --textfile: counters, over a restart of the agent; genie metrics prints the same", async () => {
    await using node = await startScriptedNode();
    node.network("50-local.conflist", {
      cniVersion: "1.0.0",
      name: "local-net",
      plugins: [{ type: "ptp", ipam: node.ipam("10.9.0.0/24") }],
    });
    // As `install` writes it: with the name of the default network.
    node.network("00-genie.conflist", {
      cniVersion: "1.0.0",
      name: "alpha-net",
      plugins: [{ type: "genie", logFile: node.logFile }],
    });
    const annotations = { cni: "alpha,beta" };
    const directory = join(node.directory, "textfile");
    const file = join(directory, "genie.prom");
    mkdirSync(directory);
    // A strict umask, as a hardened unit has it.
    const words = [
      "sh",
      "-c",
      'umask 077; exec "$0" "$@"',
      "--",
      "--no-cache",
      "--metrics=0",
      `--textfile=${directory}`,
    ];
    {
      await using agent = new RunningAgent(node, ...words);
      await agent.said("serving metrics");
      await node.succeed("ADD", await node.pod(), { annotations });
      const no = { code: 42, msg: "no" };
      node.delegates.behave("ADD beta", { stdout: no, exit: 1 });
      await node.fail("ADD", await node.pod("other"), { annotations });
      const served = await get(agent, "/metrics");
      expect({ ...served, text: samplesOf(served.text) }).toEqual({
        status: 200,
        type: "text/plain; version=0.0.4; charset=utf-8",
        text: expected,
      });
      expect(samplesOf(printed(node))).toEqual(expected);
      // There is no API server whose pods it could watch.
      expect(await get(agent, "/readyz")).toMatchObject({ status: 503 });
      expect(await get(agent, "/")).toMatchObject({ status: 404 });
      expect(await get(agent, "/metrics", "POST")).toMatchObject({
        status: 405,
      });
      expect(await agent.end()).toBe(0);
    }
    expect(existsSync(file)).toBe(true);
    await using agent = new RunningAgent(node, ...words);
    const { text } = await get(agent, "/metrics");
    expect(samplesOf(text)).toEqual(expected);
    expect([text, statSync(file).mode & 0o777]).toEqual([
      readFileSync(file, "utf8"),
      0o644,
    ]);
    {
      // Without a part that reads it, calls must not append to it.
      await using other = new RunningAgent(node, "--no-cache");
      await other.said("the agent starts");
      expect(existsSync(join(node.dataDir, "calls.log"))).toBe(false);
    }
    // Labels never have a pod's name.
    expect(text).not.toMatch(/web|other|shop/);
  });

  test("genie metrics without an agent and without a log: the records", async () => {
    await using node = await startScriptedNode();
    await node.succeed("ADD", await node.pod(), { annotations: {} });
    expect(samplesOf(printed(node))).toEqual([
      'genie_attachments{network="alpha"} 1',
      "genie_abandoned_attachments 0",
    ]);
    expect(existsSync(join(node.dataDir, "calls.log"))).toBe(false);
  });

  test("a host-local directory that cannot be read: only its network has no number", async () => {
    await using node = await startScriptedNode();
    const local = (key: string, dataDir?: string) =>
      node.network(`50-${key}.conflist`, {
        cniVersion: "1.0.0",
        name: key,
        plugins: [
          {
            type: "ptp",
            ipam: node.ipam("10.9.0.0/24", dataDir ? { dataDir } : {}),
          },
        ],
      });
    local("long", `/${"a".repeat(5000)}`);
    local("nul", "/a\0b");
    local("whole");
    expect(samplesOf(printed(node))).toEqual([
      "genie_abandoned_attachments 0",
      'genie_hostlocal_free{network="whole"} 253',
    ]);
  });

  test("an address in use, a directory that is missing: the log names them", async () => {
    await using node = await startScriptedNode();
    using other = Bun.serve({ port: 0, fetch: () => new Response() });
    const directory = join(node.directory, "missing");
    await using agent = new RunningAgent(
      node,
      "--no-cache",
      `--metrics=0.0.0.0:${other.port}`,
      `--textfile=${directory}`,
    );
    const failed = (part: string) =>
      agent.log.find((line) => line["part"] === part)?.["error"];
    const isTold = (part: string) => failed(part) !== undefined;
    await until(() => isTold("metrics") && isTold("textfile"), "both failures");
    expect(failed("metrics")).toStartWith(
      `failed to listen at "0.0.0.0", port ${other.port}: `,
    );
    expect(failed("textfile")).toBe(
      `failed to write "${directory}/genie.prom": no such file or directory`,
    );
  });

  test.each([
    ["--metrics", "x:y", '--metrics: expected [HOST:]PORT, got "x:y"'],
    ["--metrics", "65536", '--metrics: expected [HOST:]PORT, got "65536"'],
    ["--textfile", "a/b", '--textfile: expected an absolute path, got "a/b"'],
  ])("%s %s: refused", async (option, value, message) => {
    await using node = await startScriptedNode();
    const { exitCode, stderr } = node.command(
      "agent",
      "--no-install",
      `${option}=${value}`,
    );
    expect([exitCode, stderr.split("\n")[0]]).toEqual([
      2,
      `genie agent: ${message}`,
    ]);
  });
});
