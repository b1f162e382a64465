/**
 * DEL by the compiled executable where something cannot be deleted: the rest is,
 * the record keeps what is left, a retry finishes (state.md "DEL").
 */
import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { smallDisk } from "../support/disk.ts";
import type { Behaviour } from "../support/delegate.ts";
import { nothing } from "../support/node.ts";
import {
  scriptedResult,
  startScriptedNode,
  stdinOf,
  two,
} from "../support/scripted-node.ts";
import { failing, summary } from "../support/delegate.ts";

/** Shell text that writes 10 KiB with words at both ends that containerd takes for success. */
const words = (to: string) =>
  `(echo "first Not Found"; head -c 10000 /dev/zero | tr '\\0' x; echo "last no such file or directory") ${to}`;

const reverse = ["DEL beta eth1", "DEL alpha eth0"];

describe("DEL, a network fails", () => {
  const no = (msg: string, details?: string) => ({
    stdout: { code: 42, msg, ...(details !== undefined && { details }) },
    exit: 1,
  });

  test("all are tried, the first error comes first, a retry repeats the failed ones", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach({
      annotations: { cni: "alpha,beta,gamma" },
    });
    node.delegates.forget();
    node.delegates.behave("DEL gamma", no("first", "in detail"));
    node.delegates.behave("DEL alpha", no("second"));
    expect(await node.fail("DEL", pod)).toEqual({
      cniVersion: "1.0.0",
      code: 42,
      msg: '[shop/web:gamma] plugin "gamma" failed to delete eth2: first',
      details:
        'in detail; [shop/web:alpha] plugin "alpha" failed to delete eth0: second',
    });
    expect(node.delegates.executed()).toEqual([
      "DEL gamma eth2",
      "DEL beta eth1",
      "DEL alpha eth0",
    ]);
    expect(node.record(pod)["attachments"]).toMatchObject([
      { ifname: "eth0" },
      { ifname: "eth2" },
    ]);

    node.delegates.forget();
    node.delegates.behave("DEL alpha", {});
    expect(await node.fail("DEL", pod)).toMatchObject({
      code: 42,
      msg: '[shop/web:gamma] plugin "gamma" failed to delete eth2: first',
    });
    expect(node.delegates.executed()).toEqual([
      "DEL gamma eth2",
      "DEL alpha eth0",
    ]);

    node.delegates.forget();
    node.delegates.behave("DEL gamma", {});
    await node.succeed("DEL", pod, { env: { CNI_NETNS: "" } });
    const calls = node.delegates.calls();
    expect(calls.map(summary)).toEqual(["DEL gamma eth2"]);
    expect(stdinOf(calls[0])).toMatchObject({ prevResult: scriptedResult(2) });
    expect(calls[0]?.env["CNI_NETNS"] ?? "").toBe("");
    expect(await node.remains()).toEqual(nothing);
  });

  const swallowed: [string, string, string][] = [
    ["container not found", "container missing", "container not found"],
    ["Link Not Found", "Link missing", "Link Not Found"],
    [
      "open /x: no such file or directory",
      "open /x: ENOENT",
      "open /x: no such file or directory",
    ],
  ];
  test.each(swallowed)(
    "words that containerd takes for success: %s",
    async (said, told, original) => {
      await using node = await startScriptedNode();
      const pod = await node.attach(two);
      for (const type of ["alpha", "beta"])
        node.delegates.behave(`DEL ${type}`, no(said, said));
      const { exitCode, json, stderr } = await node.call("DEL", pod, {
        config: { logFile: undefined, log_level: "error" },
      });
      expect({ exitCode, json }).toEqual({
        exitCode: 1,
        json: {
          cniVersion: "1.0.0",
          code: 42,
          msg: `[shop/web:beta] plugin "beta" failed to delete eth1: ${told}`,
          details: `${told}; [shop/web:alpha] plugin "alpha" failed to delete eth0: ${told}; ${told}`,
        },
      });
      expect(stderr).toContain(original);
    },
  );

  test.each<[string, Behaviour]>([
    ["stderr", { sh: words(">&2"), stdout: "", exit: 1 }],
    ["stdout", { sh: words(""), stdout: "", exit: 1 }],
    ["both", { sh: `${words("")}; ${words(">&2")}`, stdout: "", exit: 1 }],
  ])("nor are they quoted from what it wrote to %s", async (_, behaviour) => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    node.delegates.behave("DEL beta", behaviour);
    const { stdout, json } = await node.call("DEL", pod, two);
    expect(json).toMatchObject({
      code: 999,
      msg: expect.stringMatching(/first missing.*last ENOENT/),
    });
    expect(stdout).not.toMatch(/not found|no such file or directory/i);
    expect(Buffer.byteLength(stdout)).toBeLessThan(10_000);
  });

  test("an executable that is gone", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    rmSync(join(node.delegates.bin, "beta"));
    const failure = await node.fail("DEL", pod, two);
    expect(failure).toMatchObject({
      code: 7,
      msg: expect.stringContaining('failed to find plugin "beta"'),
    });
    expect(`${failure.msg}${failure.details}`).not.toMatch(
      /not found|no such file/i,
    );
    expect(node.record(pod)["attachments"]).toMatchObject([{ ifname: "eth1" }]);
    node.delegates.install("beta");
    await node.succeed("DEL", pod, two);
    expect(await node.remains()).toEqual(nothing);
  });

  test("a chain stops where it fails, and begins again", async () => {
    await using node = await startScriptedNode();
    node.network("40-chain.conflist", {
      cniVersion: "1.0.0",
      name: "chain-net",
      plugins: [{ type: "alpha" }, { type: "beta" }, { type: "gamma" }],
    });
    const pod = await node.attach({ annotations: { cni: "chain" } });
    node.delegates.forget();
    node.delegates.behave("DEL beta", no("no"));
    await node.fail("DEL", pod);
    expect(node.delegates.executed()).toEqual([
      "DEL gamma eth0",
      "DEL beta eth0",
    ]);
    node.delegates.forget();
    node.delegates.behave("DEL beta", {});
    await node.succeed("DEL", pod);
    const calls = node.delegates.calls();
    expect(calls.map(summary)).toEqual([
      "DEL gamma eth0",
      "DEL beta eth0",
      "DEL alpha eth0",
    ]);
    // The last plugin's result for all of them.
    expect(calls.map(stdinOf)).toEqual(
      ["gamma", "beta", "alpha"].map((type) => ({
        cniVersion: "1.0.0",
        name: "chain-net",
        type,
        prevResult: scriptedResult(2),
      })),
    );
  });

  test("a left-over that cannot be deleted: ADD fails, nothing is added", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    node.delegates.forget();
    node.delegates.behave("DEL alpha", no("no"));
    expect(
      await node.fail("ADD", pod, { annotations: { cni: "gamma" } }),
    ).toMatchObject({ code: 11 });
    expect(node.delegates.executed()).toEqual(reverse);
    node.delegates.behave("DEL alpha", {});
    await node.succeed("DEL", pod);
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("DEL, the disk is full", () => {
  test("all is deleted", async () => {
    await using node = await startScriptedNode();
    await using disk = await smallDisk(node.dataDir);
    const pod = await node.attach(two);
    disk.fill();
    await node.succeed("DEL", pod, two);
    expect(await node.remains()).toEqual(nothing);
  });

  test("a record that cannot be rewritten stays as it was", async () => {
    await using node = await startScriptedNode();
    await using disk = await smallDisk(node.dataDir);
    const pod = await node.attach(two);
    const record = node.record(pod);
    disk.fill();
    node.delegates.behave("DEL alpha", failing());
    expect(await node.fail("DEL", pod, two)).toMatchObject({
      code: 42,
      msg: '[shop/web:alpha] plugin "alpha" failed to delete eth0: no',
    });
    expect(node.record(pod)).toEqual(record);
    node.delegates.forget();
    node.delegates.behave("DEL alpha", {});
    await node.succeed("DEL", pod, two);
    expect(node.delegates.executed()).toEqual(reverse);
    expect(await node.remains()).toEqual(nothing);
  });
});
