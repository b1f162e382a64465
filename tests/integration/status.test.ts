/**
 * STATUS by the compiled executable, with plugins that speak 1.1.0 (state.md
 * "CHECK, GC, STATUS").
 */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { startApiServer } from "../support/api-server.ts";
import { smallDisk } from "../support/disk.ts";
import { type CallOptions, annotationsKey, nothing } from "../support/node.ts";
import {
  scriptedResult,
  startScriptedNode,
  stdinOf,
} from "../support/scripted-node.ts";
import { summary } from "../support/delegate.ts";

const version = "1.1.0";

describe("STATUS", () => {
  const ready: CallOptions = { config: { cniVersion: version } };

  test("ready: the default network is asked", async () => {
    await using node = await startScriptedNode(version);
    expect(await node.call("STATUS", undefined, ready)).toMatchObject({
      exitCode: 0,
      stdout: "",
    });
    const calls = node.delegates.calls();
    expect(calls.map(summary)).toEqual(["STATUS alpha"]);
    expect(calls.map(stdinOf)).toEqual([
      { cniVersion: version, name: "alpha-net", type: "alpha" },
    ]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("default_plugin, a chain: all are asked in order", async () => {
    await using node = await startScriptedNode(version);
    node.network("40-chain.conflist", {
      cniVersion: version,
      name: "chain-net",
      plugins: [{ type: "beta" }, { type: "gamma" }],
    });
    const config = { cniVersion: version, default_plugin: "chain" };
    await node.succeed("STATUS", undefined, { config });
    expect(node.delegates.executed()).toEqual(["STATUS beta", "STATUS gamma"]);
  });

  test("ready, and a pod is added: the daemon of the plugin has the IPAM", async () => {
    await using node = await startScriptedNode(version);
    node.network("05-azure.conflist", {
      cniVersion: version,
      name: "azure",
      plugins: [{ type: "azure-vnet", ipam: { type: "azure-cns" } }],
    });
    node.delegates.install("azure-vnet");
    node.delegates.behave("ADD azure-vnet", {
      stdout: scriptedResult(0, version),
    });
    await node.succeed("STATUS", undefined, ready);
    const pod = await node.pod();
    await node.succeed("ADD", pod, { ...ready, annotations: {} });
    await node.succeed("DEL", pod, ready);
    expect(node.delegates.executed()).toEqual([
      "STATUS azure-vnet",
      "ADD azure-vnet eth0",
      "DEL azure-vnet eth0",
    ]);
  });

  test.each([50, 51, 11])("the plugin's own code: %d", async (code) => {
    await using node = await startScriptedNode(version);
    const stdout = { code, msg: "no daemon", details: "since noon" };
    node.delegates.behave("STATUS alpha", { stdout, exit: 1 });
    expect(await node.fail("STATUS", undefined, ready)).toEqual({
      cniVersion: version,
      code,
      msg: '[alpha] plugin "alpha" failed the status check: no daemon',
      details: "since noon",
    });
  });

  test("a network below 1.1.0 is not asked", async () => {
    await using node = await startScriptedNode("1.0.0");
    await node.succeed("STATUS", undefined, ready);
    expect(node.delegates.calls()).toEqual([]);
  });

  const notReady: [string, Record<string, unknown>, string][] = [
    ["no network", { confDir: "/var/empty" }, "no default network"],
    [
      "a confDir that is a file",
      { confDir: "/dev/null" },
      "failed to read directory /dev/null: not a directory",
    ],
    ["an unknown default", { default_plugin: "nowhere" }, '"nowhere"'],
    [
      "a missing plugin",
      { default_plugin: "absent" },
      'failed to find plugin "absent"',
    ],
    [
      "a missing plugin of its ipam",
      { default_plugin: "addresses" },
      'failed to find plugin "absent-ipam"',
    ],
    [
      "a missing kubeconfig, which is needed",
      { capabilities: {}, kubernetes: { kubeconfig: "/nowhere/kubeconfig" } },
      "/nowhere/kubeconfig",
    ],
    [
      "a dataDir that cannot be made",
      { dataDir: "/dev/null/genie" },
      'failed to use directory "/dev/null/genie/attachments": not a directory',
    ],
  ];
  test.each(notReady)("50: %s", async (_, config, msg) => {
    await using node = await startScriptedNode(version);
    node.network("91-addresses.conf", {
      cniVersion: version,
      name: "addresses",
      type: "alpha",
      ipam: { type: "absent-ipam" },
    });
    node.network("90-absent.conf", {
      cniVersion: version,
      name: "absent-net",
      type: "absent",
    });
    const options = { config: { cniVersion: version, ...config } };
    expect(await node.fail("STATUS", undefined, options)).toEqual({
      cniVersion: version,
      code: 50,
      msg: expect.stringContaining(msg),
    });
    expect(node.delegates.calls()).toEqual([]);
  });

  test("50: the disk of dataDir is read-only", async () => {
    await using node = await startScriptedNode(version);
    await using disk = await smallDisk(node.dataDir);
    await node.succeed("STATUS", undefined, ready);
    node.delegates.forget();
    await disk.makeReadOnly();
    expect(await node.fail("STATUS", undefined, ready)).toMatchObject({
      code: 50,
      msg: `failed to use directory "${node.dataDir}/attachments": read-only file system`,
    });
    expect(node.delegates.calls()).toEqual([]);
  });

  test("the API server is never asked", async () => {
    await using api = await startApiServer();
    await using node = await startScriptedNode(version);
    const kubernetes = { kubeconfig: api.kubeconfig() };
    for (const capabilities of [{}, { [annotationsKey]: true }]) {
      const config = { cniVersion: version, capabilities, kubernetes };
      await node.succeed("STATUS", undefined, { config });
    }
    expect(api.requests).toEqual([]);
  });

  test("a credential plugin is not executed", async () => {
    await using api = await startApiServer();
    await using node = await startScriptedNode(version);
    const executed = join(node.directory, "executed");
    const command = node.plugin("login", `#!/bin/sh\ntouch ${executed}\n`);
    const exec = {
      apiVersion: "client.authentication.k8s.io/v1",
      interactiveMode: "Never",
      command,
    };
    const kubernetes = { kubeconfig: api.kubeconfig({ user: { exec } }) };
    const config = { cniVersion: version, capabilities: {}, kubernetes };
    await node.succeed("STATUS", undefined, { config });
    expect([existsSync(executed), api.requests]).toEqual([false, []]);
  });

  test("a kubeconfig that is not needed is not read", async () => {
    await using node = await startScriptedNode(version);
    const config = {
      cniVersion: version,
      kubernetes: { kubeconfig: "/nowhere/kubeconfig" },
    };
    await node.succeed("STATUS", undefined, { config });
  });

  test("a plugin that hangs", async () => {
    await using node = await startScriptedNode(version);
    node.delegates.behave("STATUS alpha", { hang: true });
    const config = { cniVersion: version, delegateTimeout: 1 };
    expect(await node.fail("STATUS", undefined, { config })).toMatchObject({
      code: 11,
    });
  });
});
