/**
 * DEL by the compiled executable of a container whose record is missing or of no
 * use (state.md "DEL").
 */
import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { nothing } from "../support/node.ts";
import { startScriptedNode, stdinOf, two } from "../support/scripted-node.ts";

describe("DEL, a record that cannot be used", () => {
  const unreadable: [string, string, string][] = [
    ["empty", "", "unexpected end of JSON input"],
    [
      "torn",
      '{"formatVersion":1,"containerId":"',
      "unexpected end of JSON input",
    ],
    ["not an object", "[]", "expected an object, got an array"],
    [
      "incomplete",
      '{"formatVersion":1}',
      "containerId: expected a string, got nothing",
    ],
  ];
  test.each(unreadable)(
    "%s: moved aside, noticed once",
    async (_, text, why) => {
      await using node = await startScriptedNode();
      const pod = await node.attach(two);
      writeFileSync(node.recordPath(pod), text);
      // As the runtime has it: it executed genie.
      node.cache(pod, { name: "genie-net", plugins: [{ type: "genie" }] });
      node.delegates.forget();
      const failure = await node.fail("DEL", pod, {
        annotations: { cni: "beta" },
      });
      expect(failure).toMatchObject({
        code: 5,
        msg: expect.stringMatching(
          new RegExp(`${pod.containerId} was moved aside: ${why}`),
        ),
      });
      expect(node.delegates.executed()).toEqual([
        "DEL beta eth0",
        "DEL alpha eth0",
      ]);
      rmSync(node.cacheDir, { recursive: true });
      expect((await node.remains()).records).toEqual([
        `${pod.containerId}:eth0.json.corrupt`,
      ]);
      expect(readFileSync(`${node.recordPath(pod)}.corrupt`, "utf8")).toBe(
        text,
      );
      expect(
        await node.succeed("DEL", pod, { annotations: {} }),
      ).toBeUndefined();
      expect((await node.remains()).records).toEqual([
        `${pod.containerId}:eth0.json.corrupt`,
      ]);
    },
  );

  test("left over, at the next ADD: 5 once, nothing is executed", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    writeFileSync(node.recordPath(pod), "{");
    node.delegates.forget();
    expect(await node.fail("ADD", pod, two)).toMatchObject({ code: 5 });
    expect(node.delegates.calls()).toEqual([]);
    await node.succeed("ADD", pod, two);
    await node.succeed("DEL", pod, two);
  });

  test("of a newer genie: left alone", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    const newer = JSON.stringify({
      ...node.record(pod),
      formatVersion: 999,
      shape: "another",
    });
    writeFileSync(node.recordPath(pod), newer);
    node.delegates.forget();
    expect(await node.fail("DEL", pod, two)).toMatchObject({ code: 11 });
    expect(await node.fail("ADD", pod, two)).toMatchObject({ code: 11 });
    expect(await node.fail("CHECK", pod, two)).toMatchObject({ code: 11 });
    expect(node.delegates.calls()).toEqual([]);
    expect(readFileSync(node.recordPath(pod), "utf8")).toBe(newer);
  });

  test.each([
    ["missing", undefined],
    ["torn", '{"formatVersion":1,"results":[{"ifname":"eth0","res'],
  ])("its result is %s: no prevResult", async (_, text) => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    const result = node.resultPath(pod);
    if (text === undefined) rmSync(result);
    else writeFileSync(result, text);
    node.delegates.forget();
    await node.succeed("DEL", pod, two);
    expect(node.delegates.calls().map(stdinOf)).toEqual([
      { cniVersion: "1.0.0", name: "beta-net", type: "beta" },
      { cniVersion: "1.0.0", name: "alpha-net", type: "alpha" },
    ]);
    expect(await node.remains()).toEqual(nothing);
  });

  test.each<[string, number, (record: string, lock: string) => string]>([
    ["record", 5, (record) => record],
    ["file of results", 0, (record) => record.replace(/json$/, "result.json")],
    ["lock", 0, (_, lock) => lock],
  ])(
    "its %s is a directory: moved aside, no DEL fails for ever",
    async (_, code, pathOf) => {
      await using node = await startScriptedNode();
      const pod = await node.attach(two);
      const lock = `${node.dataDir}/locks/${pod.containerId}`;
      const path = pathOf(node.recordPath(pod), lock);
      rmSync(path, { force: true });
      mkdirSync(`${path}/within`, { recursive: true });
      node.delegates.forget();
      if (code === 0) {
        await node.succeed("DEL", pod, two);
        expect(node.delegates.executed()).toEqual([
          "DEL beta eth1",
          "DEL alpha eth0",
        ]);
      } else expect(await node.fail("DEL", pod, two)).toMatchObject({ code });
      await node.succeed("DEL", pod, two);
      expect(existsSync(path)).toBe(false);
      expect(existsSync(`${path}.corrupt/within`)).toBe(true);
    },
  );
});
