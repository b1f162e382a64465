/**
 * `dataDir` is ours alone (state.md "The record"): the compiled executable uses no
 * directory that others may write to, and writes nothing through what they put there.
 */
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
} from "node:fs";
import { join } from "node:path";
import { smallDisk } from "../support/disk.ts";
import { callPlugin } from "../support/runtime.ts";
import { gcOfNone, nothing } from "../support/node.ts";
import { startScriptedNode, two } from "../support/scripted-node.ts";

describe("a directory that is not ours alone", () => {
  const open = (directory: string) => chmodSync(directory, 0o777);
  const group = (directory: string) => chmodSync(directory, 0o770);
  const foreign = (directory: string) => chownSync(directory, 1234, 0);
  const written = "group or others may write to it";
  const cases: [string, (directory: string) => void, string][] = [
    ["", open, `${written} (mode 0777)`],
    ["", group, `${written} (mode 0770)`],
    ["", foreign, "it belongs to user 1234, expected user 0"],
    ["/attachments", open, `${written} (mode 0777)`],
    ["/attachments", foreign, "it belongs to user 1234, expected user 0"],
    ["/locks", open, `${written} (mode 0777)`],
  ];
  test.each(cases)(
    "dataDir%s: 5 for every verb, 50 for STATUS",
    async (below, spoil, why) => {
      await using node = await startScriptedNode("1.1.0");
      const pod = await node.attach({ annotations: null });
      const directory = `${node.dataDir}${below}`;
      spoil(directory);
      node.delegates.forget();
      const config = { cniVersion: "1.1.0" };
      const text = `refusing directory "${directory}": ${why}`;
      const told = { code: 5, msg: expect.stringContaining(text) };
      for (const verb of ["ADD", "CHECK", "DEL"] as const)
        expect(
          await node.fail(verb, pod, { annotations: null, config }),
        ).toMatchObject(told);
      const gc = { ...config, "cni.dev/valid-attachments": [] };
      expect(await node.fail("GC", undefined, { config: gc })).toMatchObject(
        told,
      );
      expect(await node.fail("STATUS", undefined, { config })).toMatchObject({
        ...told,
        code: 50,
      });
      expect(node.delegates.calls()).toEqual([]);
      chmodSync(directory, 0o700);
      chownSync(directory, 0, 0);
      await node.succeed("DEL", pod, { annotations: null });
      expect(await node.remains()).toEqual(nothing);
    },
  );
});

test.each([
  ["too long", `/${"long".repeat(100)}`, ": file name too long"],
  ["nobody can make it", "/proc/genie", ": no such file or directory (ENOENT)"],
  ["below a file", "/dev/null/genie", ": not a directory (ENOTDIR)"],
  ["a file", "/dev/null", ": it is not a directory"],
])(
  "dataDir, %s: 5 at once, nothing is executed; DEL succeeds with a warning",
  async (_, dataDir, why) => {
    await using node = await startScriptedNode();
    const config = { dataDir, logFile: undefined };
    const options = { annotations: null, config };
    const pod = await node.pod();
    const { code, msg } = await node.fail("ADD", pod, options);
    expect([code, msg.endsWith(why) ? why : msg]).toEqual([5, why]);
    expect(msg).toContain(dataDir.slice(0, 100));
    const { exitCode, stderr } = await node.call("DEL", pod, options);
    expect(exitCode).toBe(0);
    expect(stderr).toStartWith("genie: warn: ");
    expect(node.delegates.calls()).toEqual([]);
  },
);

describe("a disk without a free inode", () => {
  test("before the first ADD: 5, and its DEL succeeds", async () => {
    await using node = await startScriptedNode();
    await using disk = await smallDisk(node.dataDir);
    using _ = disk.fillNames();
    const pod = await node.pod();
    expect(await node.fail("ADD", pod, two)).toMatchObject({
      code: 5,
      msg: expect.stringContaining("(ENOSPC)"),
    });
    await node.succeed("DEL", pod, two);
    expect(node.delegates.calls()).toEqual([]);
  });

  test("CHECK and DEL of a pod go on, an ADD is refused", async () => {
    await using node = await startScriptedNode();
    await using disk = await smallDisk(node.dataDir);
    const pod = await node.attach(two);
    const names = disk.fillNames();
    node.delegates.forget();
    const other = await node.pod("other");
    expect(await node.fail("ADD", other, two)).toMatchObject({ code: 5 });
    await node.succeed("CHECK", pod, two);
    await node.succeed("DEL", pod, two);
    expect(node.delegates.executed()).toEqual([
      "CHECK alpha eth0",
      "CHECK beta eth1",
      "DEL beta eth1",
      "DEL alpha eth0",
    ]);
    names[Symbol.dispose]();
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("a record that is no regular file", () => {
  const mkfifo = (path: string) => {
    Bun.spawnSync({ cmd: ["mkfifo", path] });
  };
  const cases: [string, (path: string, target: string) => void][] = [
    ["a symbolic link", (path, target) => symlinkSync(target, path)],
    ["a named pipe", mkfifo],
  ];
  test.each(cases)(
    "%s: DEL fails once, the next one succeeds",
    async (_, make) => {
      await using node = await startScriptedNode();
      const pod = await node.attach({ annotations: null });
      const path = node.recordPath(pod);
      const target = join(node.directory, "moved");
      renameSync(path, target);
      make(path, target);
      expect(await node.fail("DEL", pod, { annotations: null })).toMatchObject({
        code: 5,
        msg: expect.stringContaining("not a regular file"),
      });
      await node.succeed("DEL", pod, { annotations: null });
      expect((await node.remains()).records).toEqual([
        `${pod.containerId}:eth0.json.corrupt`,
      ]);
    },
  );

  test("a record of 8 GiB, as a damaged disk shows it: noticed once, by DEL and by GC", async () => {
    await using node = await startScriptedNode("1.1.0");
    const [first, second] = [await node.pod(), await node.pod("other")];
    for (const pod of [first, second]) {
      await node.succeed("ADD", pod, { annotations: null });
      truncateSync(node.recordPath(pod), 8 * 2 ** 30);
    }
    expect(await node.fail("DEL", first, { annotations: null })).toMatchObject({
      code: 5,
      msg: expect.stringContaining("larger than 67108864 bytes"),
    });
    await node.succeed("DEL", first, { annotations: null });
    // It may be of an ADD that is about to end: GC leaves it, and comes to an end.
    const config = gcOfNone;
    await node.call("GC", undefined, { config });
    await node.fail("DEL", second, { annotations: null });
    await node.succeed("DEL", second, { annotations: null });
    expect((await node.remains()).records).toEqual(
      [first, second]
        .map(({ containerId }) => `${containerId}:eth0.json.corrupt`)
        .toSorted(),
    );
  });

  test("a record on damaged sectors: DEL fails once, the next one succeeds", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    const request = node.request("DEL", pod, two);
    const inject = "inject=read:error=EIO";
    const strace = `strace -qq -o /dev/null -P ${node.recordPath(pod)} -e ${inject}`;
    const binary = node.plugin(
      "damaged",
      `#!/bin/sh\nexec ${strace} ${request.binary}\n`,
    );
    expect((await callPlugin({ ...request, binary })).json).toMatchObject({
      code: 5,
      msg: expect.stringContaining("was moved aside: input/output error"),
    });
    await node.succeed("DEL", pod, two);
  });

  test("a result that is a named pipe: no prevResult, no wait", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach({ annotations: null });
    const path = node.resultPath(pod);
    rmSync(path);
    mkfifo(path);
    node.delegates.forget();
    await node.succeed("DEL", pod, { annotations: null });
    expect(node.delegates.calls()).toHaveLength(1);
    expect(await node.remains()).toEqual(nothing);
  });
});
