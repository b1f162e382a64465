/**
 * CHECK by the compiled executable, which CRI-O calls after every ADD (state.md
 * "CHECK, GC, STATUS").
 */
import { describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { nothing } from "../support/node.ts";
import {
  scriptedResult,
  startNode,
  startScriptedNode,
  two,
} from "../support/scripted-node.ts";
import { summary } from "../support/delegate.ts";

test("CHECK, every attachment with its own result, whatever is configured now", async () => {
  await using node = await startScriptedNode();
  const pod = await node.attach(two);
  node.delegates.forget();
  rmSync(node.confDir, { recursive: true });
  expect(
    await node.call("CHECK", pod, { annotations: { cni: "gamma" } }),
  ).toMatchObject({ exitCode: 0, stdout: "" });
  const calls = node.delegates.calls();
  expect(calls.map(summary)).toEqual(["CHECK alpha eth0", "CHECK beta eth1"]);
  expect(calls.map(({ stdin }) => JSON.parse(stdin) as unknown)).toEqual([
    {
      cniVersion: "1.0.0",
      name: "alpha-net",
      type: "alpha",
      prevResult: scriptedResult(0),
    },
    {
      cniVersion: "1.0.0",
      name: "beta-net",
      type: "beta",
      prevResult: scriptedResult(1),
    },
  ]);
});

test("CHECK, a delegate's error is passed on", async () => {
  await using node = await startScriptedNode();
  const pod = await node.attach(two);
  const stdout = { code: 101, msg: "interface is gone", details: "eth1" };
  node.delegates.behave("CHECK beta", { stdout, exit: 1 });
  expect(await node.fail("CHECK", pod, two)).toEqual({
    cniVersion: "1.0.0",
    code: 101,
    msg: '[shop/web:beta] plugin "beta" failed to check eth1: interface is gone',
    details: "eth1",
  });
  // The record is not CHECK's to change.
  node.delegates.behave("CHECK beta", {});
  await node.succeed("CHECK", pod, two);
  await node.succeed("DEL", pod, two);
  expect(await node.remains()).toEqual(nothing);
});

describe("CHECK, no record", () => {
  test("the rest of a failed DEL, without a primary: 100", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    node.delegates.behave("DEL beta", { exit: 1 });
    await node.fail("DEL", pod, two);
    expect(await node.fail("CHECK", pod, two)).toMatchObject({ code: 100 });
    node.delegates.behave("DEL beta", {});
    await node.succeed("DEL", pod, two);
    expect(await node.remains()).toEqual(nothing);
  });

  test("never added", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    expect(await node.fail("CHECK", pod, two)).toEqual({
      cniVersion: "1.0.0",
      code: 100,
      msg: expect.stringContaining(pod.containerId),
    });
    expect(node.delegates.calls()).toEqual([]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("unreadable: left for DEL", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    writeFileSync(node.recordPath(pod), "{");
    expect(await node.fail("CHECK", pod, two)).toMatchObject({ code: 5 });
    expect(await node.fail("DEL", pod, two)).toMatchObject({ code: 5 });
    await node.succeed("DEL", pod, two);
  });
});

describe("CHECK, real networks", () => {
  test("an address that is gone is noticed", async () => {
    await using node = await startNode();
    const pod = await node.pod();
    const options = { annotations: { cni: "canal,weave" } };
    await node.succeed("ADD", pod, options);
    await node.succeed("CHECK", pod, options);
    await pod.netns.ip("address flush dev eth1");
    const failure = await node.fail("CHECK", pod, options);
    expect(failure.msg).toStartWith("[shop/web:weave] ");
    await node.succeed("DEL", pod, options);
    expect(await node.remains()).toEqual(nothing);
  });
});
