/**
 * What is read of `confDir` for a choice, and what a choice may not be, by the
 * compiled executable (selection.md §4, §5, §8).
 */
import { describe, expect, test } from "bun:test";
import { readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type Node, nothing } from "../support/node.ts";
import { startScriptedNode } from "../support/scripted-node.ts";
import { expectRefusal } from "../support/refusal.ts";

/** Devices and named pipes as files of networks, before and after those of the node. */
function addOddFiles({ confDir }: Node): void {
  symlinkSync("/dev/zero", join(confDir, "01-zero.conf"));
  symlinkSync("/dev/urandom", join(confDir, "02-random.conflist"));
  Bun.spawnSync(["mkfifo", join(confDir, "03-fifo.json")]);
  symlinkSync("/dev/zero", join(confDir, "99-zero.conf"));
}

describe("files that are none", () => {
  test("every verb goes on without them", async () => {
    await using node = await startScriptedNode("1.1.0");
    addOddFiles(node);
    const config = { cniVersion: "1.1.0" };
    const pod = await node.pod();
    const annotations = { cni: "gamma-net" };
    await node.succeed("ADD", pod, { annotations, config });
    await node.succeed("CHECK", pod, { config });
    await node.succeed("STATUS", undefined, { config });
    await node.succeed("GC", undefined, {
      config: { ...config, "cni.dev/valid-attachments": null },
    });
    await node.succeed("DEL", pod, { config });
    expect(node.delegates.executed()).toContain("ADD gamma eth0");
    expect(await node.remains()).toEqual(nothing);
  });

  test("a name that is not there: they are listed with the reason", async () => {
    await using node = await startScriptedNode();
    addOddFiles(node);
    node.network("50-torn.conf", '{\n  "name": x');
    const reason = "failed to read file: not a regular file";
    await expectRefusal(
      node,
      {
        pod: await node.pod(),
        options: { annotations: { cni: "nowhere" } },
      },
      {
        code: 7,
        msg: `have alpha, beta, gamma; invalid: 01-zero.conf (${reason}), 02-random.conflist (${reason}), 03-fifo.json (${reason}), 50-torn.conf (error parsing configuration: invalid character 'x' looking for beginning of value at line 2, column 11), 99-zero.conf (${reason})`,
      },
    );
  });
});

describe("a directory of 100 networks", () => {
  /** The files of `confDir` that an ADD opens. */
  async function opened(
    annotations: Record<string, string>,
  ): Promise<string[]> {
    await using node = await startScriptedNode();
    for (let i = 0; i < 100; i++)
      node.network(`${100 + i}-n${i}.conf`, {
        cniVersion: "1.0.0",
        name: `net${i}`,
        type: "beta",
      });
    const { binary, env, config } = node.request("ADD", await node.pod(), {
      annotations,
    });
    const trace = join(node.directory, "trace");
    const { exitCode } = Bun.spawnSync(
      ["strace", "-f", "-qq", "-e", "trace=openat", "-o", trace, binary],
      { env, stdin: Buffer.from(JSON.stringify(config)) },
    );
    expect(exitCode).toBe(0);
    const files = readFileSync(trace, "utf8").matchAll(
      /openat\(AT_FDCWD, "([^"]+)"/g,
    );
    return Array.from(files, ([, file = ""]) => file)
      .filter((file) => file.startsWith(`${node.confDir}/`))
      .map((file) => file.slice(node.confDir.length + 1));
  }

  test.each<[string, Record<string, string>, string[]]>([
    ["the default network", {}, ["10-alpha.conf"]],
    ["a file key", { cni: "n77" }, ["177-n77.conf"]],
    ["two of them", { cni: "gamma,n3" }, ["30-gamma.conf", "103-n3.conf"]],
  ])("%s: no other file is opened", async (_, annotations, files) => {
    expect(await opened(annotations)).toEqual(files);
  });
});

describe("a choice that cannot be met", () => {
  test("a plugin that serves a container once, twice: error 7, nothing executed", async () => {
    await using node = await startScriptedNode();
    for (const file of ["40-calico.conf", "50-canal.conf"])
      node.network(file, {
        cniVersion: "1.0.0",
        name: file.slice(3, -5),
        type: "calico",
      });
    node.plugin("calico", "#!/bin/sh\nexit 1\n");
    await expectRefusal(
      node,
      {
        pod: await node.pod(),
        options: { annotations: { cni: "calico,beta,canal" } },
      },
      {
        code: 7,
        msg: 'networks "calico" (eth0) and "canal" (eth2) both use plugin "calico", which serves a container once: it names the interface of the host after the pod',
      },
    );
  });

  test("a file without a name is invalid", async () => {
    await using node = await startScriptedNode();
    node.network("40-delta.conf", { type: "beta" });
    await expectRefusal(
      node,
      { pod: await node.pod(), options: { annotations: { cni: "delta" } } },
      {
        code: 7,
        msg: `no network "delta" in ${node.confDir}: have alpha, beta, gamma; invalid: 40-delta.conf (missing network name)`,
      },
    );
  });
});

test("cni: default, the default network beside another one", async () => {
  await using node = await startScriptedNode();
  const config = { default_plugin: "beta" };
  const annotations = { cni: "gamma,default" };
  await node.succeed("ADD", await node.pod(), { annotations, config });
  expect(node.delegates.executed()).toEqual([
    "ADD gamma eth0",
    "ADD beta eth1",
  ]);
});
