/**
 * What the compiled executable logs of a call at each level (configuration.md
 * "log_level"), and that a log never fails or delays one.
 */
import { describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { startApiServer } from "../support/api-server.ts";
import { type Pod, gcOfNone } from "../support/node.ts";
import { onlyValue, run } from "../support/runtime.ts";
import {
  type ScriptedNode,
  scriptedResult,
  startNode,
  startScriptedNode,
} from "../support/scripted-node.ts";
import { failing } from "../support/delegate.ts";
import { kubeconfigJson } from "../support/kubeconfig.ts";

const annotations = { cni: "alpha,beta" };
const ms: unknown = expect.any(Number);

interface Line {
  level: string;
  msg: string;
  [field: string]: unknown;
}

/** The lines of the log, which are removed; each must be one JSON object. */
function linesOf(node: ScriptedNode): Line[] {
  const lines = node.log().split("\n");
  expect(lines.pop()).toBe("");
  rmSync(node.logFile, { force: true });
  return lines.map((line) => {
    const value = JSON.parse(line) as Line & { time: string };
    expect(new Date(value.time).toISOString()).toBe(value.time);
    return value;
  });
}

/** The fields of every line of a call. */
function contextOf(verb: string, { containerId }: Pod) {
  const time: unknown = expect.any(String);
  return { time, verb, pod: "shop/web", containerId, ifname: "eth0" };
}

/** The line of a call, at level info. */
function callLine(verb: string, pod: Pod, networks: object[], code = 0) {
  const line = { level: "info", msg: verb, networks, ms, code };
  return { ...contextOf(verb, pod), ...line };
}

const alpha = {
  network: "alpha-net",
  ifname: "eth0",
  ips: ["10.1.0.2/24"],
  plugins: [{ plugin: "alpha", ms }],
};
const beta = {
  network: "beta-net",
  ifname: "eth1",
  ips: ["10.2.0.2/24"],
  plugins: [{ plugin: "beta", ms }],
};

describe("log_level info", () => {
  const config = { log_level: "info", kubernetes: undefined };

  test("ADD, CHECK, DEL and GC, one line each: pod, networks, addresses, milliseconds, code", async () => {
    await using node = await startScriptedNode("1.1.0");
    const pod = await node.attach({ annotations, config });
    await node.succeed("CHECK", pod, { annotations, config });
    await node.succeed("DEL", pod, { annotations, config });
    await node.succeed("GC", undefined, { config: { ...config, ...gcOfNone } });
    const lines = linesOf(node).filter(({ level }) => level === "info");
    const both = [alpha, beta];
    expect(lines).toEqual([
      callLine("ADD", pod, both),
      callLine("CHECK", pod, both),
      callLine("DEL", pod, both.toReversed()),
      {
        time: expect.any(String),
        level: "info",
        msg: "GC",
        verb: "GC",
        networks: [{ network: "alpha-net", plugins: alpha.plugins }],
        ms,
        code: 0,
      },
    ]);
  });

  test("ADD that is rolled back: its executions, its code, its error", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const no = { code: 42, msg: "no", details: "at all" };
    node.delegates.behave("ADD beta", { stdout: no, exit: 1 });
    await node.fail("ADD", pod, { annotations, config });
    const undone = (plugin: string) => ({ plugin, verb: "DEL", ms });
    const networks = [
      {
        network: "alpha-net",
        ifname: "eth0",
        plugins: [{ plugin: "alpha", ms }, undone("alpha")],
      },
      {
        network: "beta-net",
        ifname: "eth1",
        plugins: [{ plugin: "beta", ms, code: 42 }, undone("beta")],
      },
    ];
    expect(linesOf(node)).toEqual([
      callLine("ADD", pod, networks, 42),
      {
        ...contextOf("ADD", pod),
        level: "error",
        msg: "ADD failed",
        code: 42,
        error: expect.stringContaining("no"),
        details: "at all",
      },
    ]);
  });

  test("ADD, a chain: the milliseconds of each plugin, the addresses of the last", async () => {
    await using node = await startScriptedNode();
    node.network("40-chain.conflist", {
      cniVersion: "1.0.0",
      name: "chain-net",
      plugins: [{ type: "alpha" }, { type: "beta" }],
    });
    await node.succeed("ADD", await node.pod(), {
      annotations: { cni: "chain" },
      config,
    });
    expect(linesOf(node)).toMatchObject([
      {
        networks: [
          {
            network: "chain-net",
            ips: ["10.2.0.2/24"],
            plugins: [
              { plugin: "alpha", ms },
              { plugin: "beta", ms },
            ],
          },
        ],
      },
    ]);
  });

  test("GC that deletes a container: its ID", async () => {
    await using node = await startScriptedNode("1.1.0");
    const pod = await node.attach({ config, annotations: {} });
    linesOf(node);
    // A record younger than a minute is left alone.
    node.attachedEarlier([pod]);
    await node.succeed("GC", undefined, { config: { ...config, ...gcOfNone } });
    const line = linesOf(node).find(({ level }) => level === "info");
    expect(line).toMatchObject({
      msg: "GC",
      networks: [
        {
          network: "alpha-net",
          ifname: "eth0",
          containerId: pod.containerId,
          ips: ["10.1.0.2/24"],
          plugins: [{ plugin: "alpha", verb: "DEL", ms }],
        },
        { network: "alpha-net", plugins: [{ plugin: "alpha", ms }] },
      ],
    });
  });
});

describe("log_level debug", () => {
  test("ADD, the rule that chose each network", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach({ annotations });
    const lines = linesOf(node).filter(({ rule }) => rule !== undefined);
    expect(lines).toEqual(
      ["alpha", "beta"].map((name, i) => ({
        ...contextOf("ADD", pod),
        level: "debug",
        msg: "chose network",
        network: `${name}-net`,
        requested: name,
        ifname: `eth${i}`,
        rule: `annotation "cni" names "${name}": file key of "${i + 1}0-${name}.conf"`,
      })),
    );
  });

  test("DEL that finds nothing, as runtimes call it again: debug", async () => {
    await using node = await startScriptedNode();
    for (const [log_level, count] of [
      ["info", 0],
      ["debug", 1],
    ] as const) {
      const config = { log_level, confDir: join(node.directory, "nothing") };
      await node.succeed("DEL", await node.pod(), { config });
      const lines = linesOf(node).filter(({ msg }) => msg === "DEL");
      expect(lines.map(({ level }) => level)).toEqual(
        Array<string>(count).fill("debug"),
      );
    }
  });

  test("STATUS, its execution and its line are debug", async () => {
    await using node = await startScriptedNode("1.1.0");
    await node.succeed("STATUS", undefined, {
      config: { cniVersion: "1.1.0" },
    });
    expect(
      linesOf(node).map(({ level, msg, code }) => [level, msg, code]),
    ).toEqual([
      ["debug", "executed plugin", 0],
      ["debug", "STATUS", 0],
    ]);
  });

  test("text on stderr, without logFile: the same lines", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const { stderr } = await node.call("ADD", pod, {
      annotations: {},
      config: { logFile: undefined },
    });
    const context = `verb="ADD" pod="shop/web" containerId="${pod.containerId}" ifname="eth0"`;
    const lines = stderr.replaceAll(/(?<=ms"?[=:])[\d.]+/g, "1").split("\n");
    expect(lines.slice(-3)).toEqual([
      `genie: debug: executed plugin ${context} plugin="alpha" network="alpha-net" ms=1 code=0`,
      `genie: info: ADD ${context} networks=[{"network":"alpha-net","ifname":"eth0",` +
        `"ips":["10.1.0.2/24"],"plugins":[{"plugin":"alpha","ms":1}]}] ms=1 code=0`,
      "",
    ]);
  });
});

test.each(["/dev/stdout", "/proc/self/fd/1"])(
  "logFile %s: stdout, a pipe, has the result alone",
  async (logFile) => {
    await using node = await startScriptedNode();
    const { binary, env, config } = node.request("ADD", await node.pod(), {
      annotations: {},
      config: { logFile },
    });
    // The runtime's stdout is a pipe, that of other tests a socket.
    const { stdout, stderr } = await run(["sh", "-c", '"$0" | cat', binary], {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdin: JSON.stringify(config),
    });
    expect(onlyValue(stdout)).toMatchObject({ cniVersion: "1.0.0" });
    const problem = `genie: warn: failed to write logFile "${logFile}": it is stdout, which is the runtime's\n`;
    expect(stderr).toStartWith(problem);
    expect(stderr.slice(problem.length)).toContain("genie: info: ADD ");
  },
);

describe("docs/troubleshooting.md", () => {
  /** The names of all fields, whatever their values are. */
  const shapeOf = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shapeOf);
    if (typeof value !== "object" || value === null) return typeof value;
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]),
    );
  };

  test("its example has the lines that genie logs of such an ADD", async () => {
    await using api = await startApiServer();
    await using node = await startNode();
    const pod = await node.pod();
    const { uid, name, namespace } = pod;
    const metadata = {
      uid,
      name,
      namespace,
      annotations: { cni: "canal,weave" },
    };
    api.pods.put({ metadata });
    await node.succeed("ADD", pod, {
      config: { kubernetes: { kubeconfig: api.kubeconfig() } },
    });
    const page = join(import.meta.dir, "../../docs/troubleshooting.md");
    const [, example = ""] =
      /^```json log\n(.*?)^```$/ms.exec(readFileSync(page, "utf8")) ?? [];
    const read = (text: string): Line[] =>
      text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as Line);
    const shown = read(example);
    const logged = read(node.log());
    expect(shown.map(shapeOf)).toEqual(logged.map(shapeOf));
    expect(shown.map(({ level, msg, rule }) => [level, msg, rule])).toEqual(
      logged.map(({ level, msg, rule }) => [level, msg, rule]),
    );
  });
});

describe("log_level warn, the default", () => {
  const config = { log_level: undefined };

  test("ADD and DEL that do as asked: nothing on stderr, no file", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    for (const verb of ["ADD", "DEL", "DEL"] as const) {
      const answer = await node.call(verb, pod, { annotations: {}, config });
      expect([answer.exitCode, answer.stderr, node.log()]).toEqual([0, "", ""]);
    }
    expect(await Bun.file(node.logFile).exists()).toBe(false);
  });

  test("DEL that fails: the original words in the log and on stderr, other words to the runtime", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach({ annotations: {}, config });
    const no = { code: 42, msg: "link not found" };
    node.delegates.behave("DEL alpha", { stdout: no, exit: 1 });
    const { stderr, stdout } = await node.call("DEL", pod, { config });
    expect(stdout).toContain("link missing");
    expect(stderr).toMatch(/^genie: error: DEL failed .*link not found/m);
    expect(linesOf(node)).toEqual([
      {
        ...contextOf("DEL", pod),
        level: "error",
        msg: "DEL failed",
        code: 42,
        error: expect.stringContaining("link not found"),
      },
    ]);
  });

  test("ADD that fails with an error of 3 MB: each text of it in the log is bounded", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const msg = `first ${"x".repeat(3 << 20)} last`;
    node.delegates.behave("ADD alpha", failing(msg, 7));
    await node.call("ADD", pod, { annotations: {}, config });
    const log = node.log();
    expect(log).toMatch(/first x+…x+ last/);
    expect(log.length).toBeLessThan(64 << 10);
  });

  test("ADD with a configuration that is invalid: said in the file that it names", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    await node.fail("ADD", pod, { config: { ...config, strict: "yes" } });
    expect(linesOf(node)).toMatchObject([
      { level: "error", msg: "ADD failed", code: 7 },
    ]);
  });
});

describe("stderr of a plugin", () => {
  const words = `first\nsecond \u001b[31m${"x".repeat(100_000)}`;

  test.each([
    ["failed: warn", 1, "warn", undefined],
    ["failed, log_level error: not in the log", 1, undefined, "error"],
    ["succeeded: debug", 0, "debug", "debug"],
    ["succeeded, log_level info: not in the log", 0, undefined, "info"],
  ])("%s, and on our stderr", async (_, exit, level, log_level) => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    node.delegates.behave("ADD alpha", {
      stderr: words,
      stdout: exit === 0 ? scriptedResult(0) : { code: 42, msg: "no" },
      exit,
    });
    const { stderr } = await node.call("ADD", pod, {
      annotations: {},
      config: { log_level },
    });
    expect(stderr).toBe(words);
    const said = linesOf(node).filter((line) => "stderr" in line);
    expect(said).toEqual(
      level === undefined
        ? []
        : [
            {
              ...contextOf("ADD", pod),
              level,
              msg: "stderr of a plugin",
              plugin: "alpha",
              network: "alpha-net",
              stderr: words,
            },
          ],
    );
  });
});

describe("secrets", () => {
  test("debug, ADD with secrets in the whole configuration: none is logged", async () => {
    await using node = await startScriptedNode();
    const secret = "SECRET-of-the-configuration";
    const plugin = join(node.directory, "credential");
    await Bun.write(
      plugin,
      `#!/bin/sh\necho ${secret} >&2\necho '{"apiVersion":"client.authentication.k8s.io/v1","status":{"token":"${secret}"}}'\n`,
    );
    chmodSync(plugin, 0o755);
    const kubeconfig = join(node.directory, "kubeconfig");
    const user = {
      exec: { apiVersion: "client.authentication.k8s.io/v1", command: plugin },
    };
    await Bun.write(
      kubeconfig,
      kubeconfigJson({ server: "http://127.0.0.1:1" }, user),
    );
    node.network("10-alpha.conf", {
      cniVersion: "1.0.0",
      name: "alpha-net",
      type: "alpha",
      password: secret,
    });
    node.delegates.behave("ADD beta", failing());
    const pod = await node.pod();
    const config = {
      kubernetes: { kubeconfig },
      policy: { k8s_auth_token: undefined },
      unknownSecret: secret,
      apiTimeout: 1,
    };
    const runtimeConfig = { dns: { Servers: [secret] } };
    const options = { annotations, config, runtimeConfig };
    const answers = [
      await node.call("ADD", pod, options),
      await node.call("ADD", pod, { ...options, annotations: undefined }),
      await node.call("DEL", pod, options),
    ];
    const said = answers.map(({ stdout, stderr }) => stdout + stderr).join("");
    expect(said + readFileSync(node.logFile, "utf8")).not.toContain(secret);
  });
});
