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
  summary,
  two,
} from "../support/scripted-node.ts";
import { failing } from "../support/delegate.ts";

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
    await using scripted = await startScriptedNode();
    const { node, delegates } = scripted;
    const pod = await node.pod();
    await node.succeed("ADD", pod, {
      annotations: { cni: "alpha,beta,gamma" },
    });
    delegates.forget();
    delegates.behave({ type: "gamma", verb: "DEL" }, no("first", "in detail"));
    delegates.behave({ type: "alpha", verb: "DEL" }, no("second"));
    expect(await node.fail("DEL", pod)).toEqual({
      cniVersion: "1.0.0",
      code: 42,
      msg: '[shop/web:gamma] plugin "gamma" failed to delete eth2: first',
      details:
        'in detail; [shop/web:alpha] plugin "alpha" failed to delete eth0: second',
    });
    expect(delegates.calls().map(summary)).toEqual([
      "DEL gamma eth2",
      "DEL beta eth1",
      "DEL alpha eth0",
    ]);
    expect(node.record(pod)["attachments"]).toMatchObject([
      { ifname: "eth0" },
      { ifname: "eth2" },
    ]);

    delegates.forget();
    delegates.behave({ type: "alpha", verb: "DEL" }, {});
    expect(await node.fail("DEL", pod)).toMatchObject({
      code: 42,
      msg: '[shop/web:gamma] plugin "gamma" failed to delete eth2: first',
    });
    expect(delegates.calls().map(summary)).toEqual([
      "DEL gamma eth2",
      "DEL alpha eth0",
    ]);

    delegates.forget();
    delegates.behave({ type: "gamma", verb: "DEL" }, {});
    await node.succeed("DEL", pod, { env: { CNI_NETNS: "" } });
    const calls = delegates.calls();
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
      await using scripted = await startScriptedNode();
      const { node, delegates } = scripted;
      const pod = await node.pod();
      await node.succeed("ADD", pod, two);
      for (const type of ["alpha", "beta"])
        delegates.behave({ type, verb: "DEL" }, no(said, said));
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
    await using scripted = await startScriptedNode();
    const { node, delegates } = scripted;
    const pod = await node.pod();
    await node.succeed("ADD", pod, two);
    delegates.behave({ type: "beta", verb: "DEL" }, behaviour);
    const { stdout, json } = await node.call("DEL", pod, two);
    expect(json).toMatchObject({
      code: 999,
      msg: expect.stringMatching(/first missing.*last ENOENT/),
    });
    expect(stdout).not.toMatch(/not found|no such file or directory/i);
    expect(Buffer.byteLength(stdout)).toBeLessThan(10_000);
  });

  test("an executable that is gone", async () => {
    await using scripted = await startScriptedNode();
    const { node, delegates } = scripted;
    const pod = await node.pod();
    await node.succeed("ADD", pod, two);
    rmSync(join(delegates.bin, "beta"));
    const failure = await node.fail("DEL", pod, two);
    expect(failure).toMatchObject({
      code: 7,
      msg: expect.stringContaining('failed to find plugin "beta"'),
    });
    expect(`${failure.msg}${failure.details}`).not.toMatch(
      /not found|no such file/i,
    );
    expect(node.record(pod)["attachments"]).toMatchObject([{ ifname: "eth1" }]);
    delegates.install("beta");
    await node.succeed("DEL", pod, two);
    expect(await node.remains()).toEqual(nothing);
  });

  test("a chain stops where it fails, and begins again", async () => {
    await using scripted = await startScriptedNode();
    const { node, delegates } = scripted;
    node.network("40-chain.conflist", {
      cniVersion: "1.0.0",
      name: "chain-net",
      plugins: [{ type: "alpha" }, { type: "beta" }, { type: "gamma" }],
    });
    const pod = await node.pod();
    await node.succeed("ADD", pod, { annotations: { cni: "chain" } });
    delegates.forget();
    delegates.behave({ type: "beta", verb: "DEL" }, no("no"));
    await node.fail("DEL", pod);
    expect(delegates.calls().map(summary)).toEqual([
      "DEL gamma eth0",
      "DEL beta eth0",
    ]);
    delegates.forget();
    delegates.behave({ type: "beta", verb: "DEL" }, {});
    await node.succeed("DEL", pod);
    const calls = delegates.calls();
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
    await using scripted = await startScriptedNode();
    const { node, delegates } = scripted;
    const pod = await node.pod();
    await node.succeed("ADD", pod, two);
    delegates.forget();
    delegates.behave({ type: "alpha", verb: "DEL" }, no("no"));
    expect(
      await node.fail("ADD", pod, { annotations: { cni: "gamma" } }),
    ).toMatchObject({ code: 11 });
    expect(delegates.calls().map(summary)).toEqual(reverse);
    delegates.behave({ type: "alpha", verb: "DEL" }, {});
    await node.succeed("DEL", pod);
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("DEL, the disk is full", () => {
  test("all is deleted", async () => {
    await using scripted = await startScriptedNode();
    const { node } = scripted;
    await using disk = await smallDisk(node.dataDir);
    const pod = await node.pod();
    await node.succeed("ADD", pod, two);
    disk.fill();
    await node.succeed("DEL", pod, two);
    expect(await node.remains()).toEqual(nothing);
  });

  test("a record that cannot be rewritten stays as it was", async () => {
    await using scripted = await startScriptedNode();
    const { node, delegates } = scripted;
    await using disk = await smallDisk(node.dataDir);
    const pod = await node.pod();
    await node.succeed("ADD", pod, two);
    const record = node.record(pod);
    disk.fill();
    delegates.behave({ type: "alpha", verb: "DEL" }, failing());
    expect(await node.fail("DEL", pod, two)).toMatchObject({
      code: 42,
      msg: '[shop/web:alpha] plugin "alpha" failed to delete eth0: no',
    });
    expect(node.record(pod)).toEqual(record);
    delegates.forget();
    delegates.behave({ type: "alpha", verb: "DEL" }, {});
    await node.succeed("DEL", pod, two);
    expect(delegates.calls().map(summary)).toEqual(reverse);
    expect(await node.remains()).toEqual(nothing);
  });
});
