/**
 * JSON of as many levels as are taken from outside, and of one more (state.md
 * "What ADD writes, DEL reads"): what the compiled executable accepts in ADD it
 * reads again in CHECK and DEL.
 */
import { describe, expect, test } from "bun:test";
import { isObject } from "../../lib/cni/json.ts";
import { nothing } from "../support/node.ts";
import { scriptedResult, startScriptedNode } from "../support/scripted-node.ts";
import { expectRefusal } from "../support/refusal.ts";

/** A value of so many levels, of arrays and objects. */
function nested(levels: number): unknown {
  if (levels === 0) return 1;
  return levels % 2 ? [nested(levels - 1)] : { a: nested(levels - 1) };
}

describe("a request", () => {
  test("of 101 levels is error 6", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const options = { annotations: {}, config: { x: nested(100) } };
    await expectRefusal(
      node,
      { pod, options },
      { code: 6, msg: "nested deeper than 100 levels" },
    );
  });
});

describe("a delegate's result", () => {
  test("of 100 levels comes back in CHECK and DEL, one level down in prevResult", async () => {
    await using node = await startScriptedNode();
    const stdout = { ...scriptedResult(0), x: nested(99) };
    node.delegates.behave("ADD alpha", { stdout });
    const pod = await node.pod();
    const prevResult = await node.succeed("ADD", pod, { annotations: {} });
    expect(isObject(prevResult) && prevResult["x"]).toEqual(nested(99));
    const options = { annotations: {}, config: { prevResult } };
    await node.succeed("CHECK", pod, options);
    await node.succeed("DEL", pod, options);
    const given = node.delegates
      .calls()
      .slice(1)
      .map(({ stdin }) => JSON.parse(stdin) as { prevResult: unknown });
    expect(given.map((request) => request.prevResult)).toEqual([
      prevResult,
      prevResult,
    ]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("of 101 levels is error 999 and undone", async () => {
    await using node = await startScriptedNode();
    const stdout = { ...scriptedResult(0), x: nested(100) };
    node.delegates.behave("ADD alpha", { stdout });
    const pod = await node.pod();
    expect(await node.fail("ADD", pod, { annotations: {} })).toMatchObject({
      code: 999,
      msg: expect.stringContaining("nested deeper than 100 levels"),
    });
    expect(node.delegates.executed()).toEqual([
      "ADD alpha eth0",
      "DEL alpha eth0",
    ]);
    expect(await node.remains()).toEqual(nothing);
  });
});
