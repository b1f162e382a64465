/**
 * An ADD of several networks that fails in the middle is undone by the compiled
 * executable: everything touched is deleted, in reverse, and what cannot be
 * deleted stays on record (state.md "ADD").
 */
import { describe, expect, test } from "bun:test";
import { smallDisk } from "../support/disk.ts";
import { nothing } from "../support/node.ts";
import {
  scriptedResult,
  startNode,
  startScriptedNode,
} from "../support/scripted-node.ts";
import { failing } from "../support/delegate.ts";

const three = { annotations: { cni: "alpha,beta,gamma" } };

const boom = { code: 42, msg: "boom", details: "in the night" };

const undone = [
  "ADD alpha eth0",
  "ADD beta eth1",
  "ADD gamma eth2",
  "DEL gamma eth2",
  "DEL beta eth1",
  "DEL alpha eth0",
];

describe("ADD, a network fails", () => {
  test("all before it are deleted in reverse, its error is kept", async () => {
    await using node = await startScriptedNode();
    node.delegates.behave("ADD gamma", { stdout: boom, exit: 1 });
    const pod = await node.pod();
    expect(await node.fail("ADD", pod, three)).toEqual({
      cniVersion: "1.0.0",
      ...boom,
      msg: '[shop/web:gamma] plugin "gamma" failed to add eth2: boom',
    });
    expect(node.delegates.executed()).toEqual(undone);
    expect(await node.remains()).toEqual(nothing);
  });

  const noNeed = { code: 3, msg: "unknown", details: "in detail" };

  test.each([
    ["nothing is left: no DEL is needed", false, 3],
    ["something is left: 3 would keep the DEL away", true, 999],
  ])("code 3, %s", async (_, fails, code) => {
    await using node = await startScriptedNode();
    node.delegates.behave("ADD gamma", { stdout: noNeed, exit: 1 });
    if (fails) node.delegates.behave("DEL beta", { exit: 1 });
    const pod = await node.pod();
    expect(await node.fail("ADD", pod, three)).toEqual({
      cniVersion: "1.0.0",
      code,
      msg: '[shop/web:gamma] plugin "gamma" failed to add eth2: unknown',
      details: "in detail",
    });
    expect((await node.remains()).records).toEqual(
      fails ? [`${pod.containerId}:eth0.json`] : [],
    );
    node.delegates.behave("DEL beta", {});
    await node.succeed("DEL", pod);
    expect(await node.remains()).toEqual(nothing);
  });

  test("real networks", async () => {
    await using node = await startNode();
    node.network("30-full.conf", {
      cniVersion: "1.0.0",
      name: "full-net",
      type: "bridge",
      bridge: "br1",
      ipam: node.ipam("10.69.0.0/30", {
        ranges: [
          [
            {
              subnet: "10.69.0.0/30",
              rangeStart: "10.69.0.2",
              rangeEnd: "10.69.0.2",
            },
          ],
        ],
      }),
    });
    const [first, second] = [await node.pod("first"), await node.pod("second")];
    await node.succeed("ADD", first, { annotations: { cni: "full" } });
    const failure = await node.fail("ADD", second, {
      annotations: { cni: "canal,weave,full" },
    });
    expect(failure.msg).toStartWith(
      '[shop/second:full] plugin "bridge" failed to add eth2: failed to allocate for range 0',
    );
    expect(await node.remains()).toEqual({
      ...nothing,
      records: [
        `${first.containerId}:eth0.json`,
        `${first.containerId}:eth0.result.json`,
      ],
      addresses: ["10.69.0.2"],
      interfaces: ["first:eth0"],
    });
    await node.succeed("DEL", second);
    await node.succeed("DEL", first);
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("ADD, a rollback fails", () => {
  test.each([
    ["of the network that failed", "gamma", "eth2"],
    ["of one before it", "beta", "eth1"],
  ])("%s: a later DEL finishes", async (_, type, ifname) => {
    await using node = await startScriptedNode();
    node.delegates.behave("ADD gamma", { stdout: boom, exit: 1 });
    node.delegates.behave(`DEL ${type}`, failing("busy", 11));
    const pod = await node.pod();
    expect(await node.fail("ADD", pod, three)).toMatchObject({
      code: 42,
      msg: '[shop/web:gamma] plugin "gamma" failed to add eth2: boom',
    });
    expect(node.delegates.executed()).toEqual(undone);
    expect(node.record(pod)["attachments"]).toMatchObject([
      { ifname, list: { name: `${type}-net` } },
    ]);

    node.delegates.forget();
    node.delegates.behave(`DEL ${type}`, {});
    await node.succeed("DEL", pod);
    expect(node.delegates.executed()).toEqual([`DEL ${type} ${ifname}`]);
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("ADD, a failure after the networks: undone too", () => {
  test("the result cannot be converted to the version of the request", async () => {
    await using node = await startScriptedNode();
    node.delegates.behave("ADD alpha", { stdout: { cniVersion: "1.0.0" } });
    const pod = await node.pod();
    const failure = await node.fail("ADD", pod, {
      ...three,
      config: { cniVersion: "0.2.0" },
    });
    expect(failure).toMatchObject({
      cniVersion: "0.2.0",
      code: 999,
      msg: expect.stringContaining("no valid IP addresses"),
    });
    expect(node.delegates.executed()).toEqual(undone);
    expect(await node.remains()).toEqual(nothing);
  });

  test("the results cannot be written", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const result = node.resultPath(pod);
    node.delegates.behave("ADD gamma", {
      sh: `mkdir '${result}'`,
      stdout: scriptedResult(2),
    });
    expect(await node.fail("ADD", pod, three)).toMatchObject({ code: 5 });
    expect(node.delegates.executed()).toEqual(undone);
  });
});

describe("ADD, the record cannot be written: nothing is executed", () => {
  test("the disk is full", async () => {
    await using node = await startScriptedNode();
    await using disk = await smallDisk(node.dataDir);
    disk.fill();
    expect(await node.fail("ADD", await node.pod(), three)).toMatchObject({
      code: 5,
      msg: expect.stringContaining("attachment record"),
    });
    expect(node.delegates.calls()).toEqual([]);
    expect(await node.remains()).toEqual(nothing);
  });
});
