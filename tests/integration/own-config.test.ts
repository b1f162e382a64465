/**
 * Our own configuration with mistakes in it, by the compiled executable: they
 * refuse an ADD, and never keep a pod from being deleted (configuration.md,
 * state.md "DEL").
 */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { temporaryDirectory } from "../support/delegate.ts";
import { nothing } from "../support/node.ts";
import { callPlugin } from "../support/runtime.ts";
import { startScriptedNode } from "../support/scripted-node.ts";

const wrong = {
  allowedNetworks: "weave",
  strict: "yes",
  deleteGiveUp: "never",
  delegateTimeout: 0,
  policy: { k8s_auth_token: ["TOPSECRET"] },
};

describe("wrong values", () => {
  test("ADD is one error 7 that names all of them, and no secret", async () => {
    await using node = await startScriptedNode();
    const options = { annotations: {}, config: wrong };
    const { code, msg } = await node.fail("ADD", await node.pod(), options);
    expect(code).toBe(7);
    expect(msg).toBe(
      "invalid configuration: " +
        [
          "delegateTimeout: expected a number above 0, at most 86400, got the number 0",
          'deleteGiveUp: expected a number of at least 0, got "never"',
          "policy.k8s_auth_token: expected a string, got an array",
          'strict: expected a bool, got "yes"',
          'allowedNetworks: expected an array of strings, got "weave"',
        ].join(", "),
    );
    expect(node.delegates.events()).toEqual([]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("STATUS is 50", async () => {
    await using node = await startScriptedNode("1.1.0");
    const config = { ...wrong, cniVersion: "1.1.0" };
    expect(await node.fail("STATUS", undefined, { config })).toMatchObject({
      code: 50,
      msg: expect.stringContaining(
        "allowedNetworks: expected an array of strings",
      ),
    });
  });

  test("DEL, CHECK and GC do their work and warn of the keys that they use", async () => {
    await using node = await startScriptedNode("1.1.0");
    const config = { cniVersion: "1.1.0" };
    const pod = await node.attach({ annotations: {}, config });
    const mistaken = { ...config, ...wrong };
    await node.succeed("CHECK", pod, { config: mistaken });
    const valid = [{ containerID: pod.containerId, ifname: "eth0" }];
    await node.succeed("GC", undefined, {
      config: { ...mistaken, "cni.dev/valid-attachments": valid },
    });
    await node.succeed("DEL", pod, { config: mistaken });
    expect(node.delegates.executed()).toEqual([
      "ADD alpha eth0",
      "CHECK alpha eth0",
      "GC alpha",
      "DEL alpha eth0",
    ]);
    expect(await node.remains()).toEqual(nothing);
    const log = node.log();
    for (const key of ["delegateTimeout", "deleteGiveUp"])
      expect(log).toContain(
        `invalid configuration, the default is used: ${key}: expected`,
      );
    for (const key of ["allowedNetworks: ", "strict: ", "policy", "TOPSECRET"])
      expect(log).not.toContain(`used: ${key}`);
  });

  test("DEL finds its records where dataDir is wrong: in the default directory, with a warning", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const config = { dataDir: "data", log_level: ["debug"] };
    await node.succeed("DEL", pod, { config });
    expect(node.log()).toContain(
      'dataDir: expected an absolute path, got \\"data\\"',
    );
    expect(node.log()).toContain(
      'log_level: expected \\"error\\", \\"warn\\", \\"info\\" or \\"debug\\", got an array',
    );
  });
});

test("a relative logFile: the error is on stderr, and no file is written", async () => {
  await using node = await startScriptedNode();
  using cwd = temporaryDirectory();
  const options = { annotations: {}, config: { logFile: "genie.log" } };
  const { exitCode, stderr } = await callPlugin({
    ...node.request("ADD", await node.pod(), options),
    cwd: cwd.path,
  });
  expect(exitCode).toBe(1);
  expect(stderr).toContain("logFile: expected an absolute path");
  expect(readdirSync(cwd.path)).toEqual([]);
});

test("a relative binDir: error 7, and no plugin of the working directory is executed", async () => {
  await using node = await startScriptedNode();
  using cwd = temporaryDirectory();
  const marker = join(cwd.path, "executed");
  const plugin = join(cwd.path, "bin", "alpha");
  mkdirSync(dirname(plugin));
  writeFileSync(plugin, `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 });
  const options = { annotations: {}, config: { binDir: ["bin"] } };
  const request = node.request("ADD", await node.pod(), options);
  const { exitCode, json } = await callPlugin({
    ...request,
    env: { ...request.env, CNI_PATH: "/nonexistent" },
    cwd: cwd.path,
  });
  expect(exitCode).toBe(1);
  expect(json).toMatchObject({
    code: 7,
    msg: 'invalid configuration: binDir.0: expected an absolute path or "", got "bin"',
  });
  expect(existsSync(marker)).toBe(false);
});

describe("unknown keys", () => {
  test("one warning at ADD with the nearest keys; nothing fails, DEL says nothing", async () => {
    await using node = await startScriptedNode();
    const config = {
      alowedPlugins: [],
      namespaceIsolaton: true,
      kubernetes: { kubeconfg: "/x" },
      vendor: 1,
      log_level: "warn",
    };
    const pod = await node.attach({ annotations: {}, config });
    const lines = node.log().trim().split("\n");
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      level: "warn",
      msg: 'unknown configuration keys are ignored: "alowedPlugins" (did you mean "allowedPlugins"?), "namespaceIsolaton" (did you mean "namespaceIsolation"?), "kubernetes.kubeconfg" (did you mean "kubernetes.kubeconfig"?), "vendor"',
    });
    await node.succeed("DEL", pod, { config });
    expect(node.log().trim().split("\n")).toEqual(lines);
  });
});

test.each([{}, { by: "traffic" }, { networks: [] }, { networks: null }])(
  "automatic %j, which names no network: a warning at ADD, the default network",
  async (automatic) => {
    await using node = await startScriptedNode();
    const config = { automatic, log_level: "warn" };
    const pod = await node.attach({ annotations: { cni: "" }, config });
    const lines = node.log().trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      {
        level: "warn",
        msg: '"automatic" has no effect without "automatic.networks": a pod with a blank "cni" gets the default network',
      },
    ]);
    await node.succeed("DEL", pod, { config });
    expect(node.log().trim().split("\n")).toEqual(lines);
  },
);
