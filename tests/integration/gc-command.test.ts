/**
 * `genie gc` by the compiled executable: what is left of containers that are
 * gone, on a node whose runtime never calls GC (state.md "CHECK, GC, STATUS").
 */
import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { mountNamespace } from "../../lib/linux/netns.ts";
import { genieBinary } from "../support/build.ts";
import { type Node, type Pod, nothing } from "../support/node.ts";
import {
  startNode,
  startScriptedNode,
  stdinOf,
  two,
} from "../support/scripted-node.ts";
import { failing, summary } from "../support/delegate.ts";

/** The default of `--grace`, in milliseconds. */
const graceMs = 300_000;

function genieGc(node: Node, ...words: string[]) {
  return genieGcBy([], node, ...words);
}

/** By another program, which executes it. */
function genieGcBy(by: readonly string[], node: Node, ...words: string[]) {
  return node.commandBy(by, "gc", ...words);
}

/** How it ends, saying what it deleted and how many wait. */
function deleted(pods: readonly Pod[], waiting = 0) {
  const lines = pods
    .map(({ containerId }) => `deleted ${containerId} eth0`)
    .toSorted();
  const last = `${pods.length} deleted, ${waiting} waiting, 0 failed`;
  return { exitCode: 0, stdout: [...lines, last, ""].join("\n"), stderr: "" };
}

/** As if the node had been started again since. */
function rebooted(node: Node, pod: Pod): void {
  node.changeRecord(pod, { bootId: crypto.randomUUID() });
}

/** Where the time is written at which a namespace was first seen to be gone. */
function notePath(node: Node, pod: Pod): string {
  return node.recordPath(pod).replace(/json$/, "gone");
}

describe("genie gc, records of an earlier boot", () => {
  test("are deleted, however new; the others stay", async () => {
    await using node = await startScriptedNode();
    const [old, live] = [await node.pod("old"), await node.pod("live")];
    await node.succeed("ADD", old, two);
    await node.succeed("ADD", live, two);
    const files = await filesOf(node, live);
    rebooted(node, old);
    // Namespaces do not survive a boot.
    await old.netns.remove();
    node.delegates.forget();
    expect(genieGc(node)).toEqual(deleted([old]));
    const calls = node.delegates.calls();
    expect(calls.map(summary)).toEqual(["DEL beta eth1", "DEL alpha eth0"]);
    expect(calls.map(({ env }) => env["CNI_NETNS"] ?? "")).toEqual(["", ""]);
    expect(calls.map(stdinOf)).toMatchObject([
      { prevResult: { ips: [{ address: "10.2.0.2/24" }] } },
      { prevResult: { ips: [{ address: "10.1.0.2/24" }] } },
    ]);
    expect(await filesOf(node, live)).toEqual(files);
    expect((await node.remains()).records).toEqual(Object.keys(files));
  });

  test("another namespace has that name: the record is deleted", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    rebooted(node, pod);
    expect(genieGc(node)).toEqual(deleted([pod]));
    expect(await node.remains()).toEqual(nothing);
  });

  test("real networks: the addresses are free again", async () => {
    await using node = await startNode();
    const [old, live] = [await node.pod("old"), await node.pod("live")];
    for (const pod of [old, live])
      await node.succeed("ADD", pod, { annotations: { cni: "canal,weave" } });
    await old.netns.remove();
    rebooted(node, old);
    rmSync(node.confDir, { recursive: true });
    mkdirSync(node.confDir);
    expect(genieGc(node)).toEqual(deleted([old]));
    expect((await node.remains()).interfaces).toEqual([
      "live:eth0",
      "live:eth1",
    ]);
    expect(node.addresses()).toHaveLength(2);
    await node.succeed("DEL", live);
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("genie gc, a namespace that is gone", () => {
  test("a plain file where it was is no namespace", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const path = join(node.directory, "netns");
    await node.succeed("ADD", pod, two);
    writeFileSync(path, "");
    node.changeRecord(pod, { netns: path });
    node.delegates.forget();
    expect(genieGc(node, "--grace", "0")).toEqual(deleted([pod]));
    expect(
      node.delegates.calls().map(({ env }) => env["CNI_NETNS"] ?? ""),
    ).toEqual(["", ""]);
  });

  test("by default it waits until that is five minutes ago", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    await pod.netns.remove();
    node.delegates.forget();
    expect(genieGc(node)).toEqual(deleted([], 1));
    const note = notePath(node, pod);
    const since = readFileSync(note, "utf8");
    expect(since).toMatch(/^\d+(\.\d+)?$/);
    // The first time counts, not the last.
    expect(genieGc(node)).toEqual(deleted([], 1));
    expect(readFileSync(note, "utf8")).toBe(since);
    // A minute is not enough; then it is as if five had passed.
    writeFileSync(note, String(Number(since) - 60_000));
    expect(genieGc(node)).toEqual(deleted([], 1));
    expect(node.delegates.calls()).toEqual([]);
    writeFileSync(note, String(Number(since) - graceMs));
    expect(genieGc(node)).toEqual(deleted([pod]));
    expect(node.delegates.executed()).toEqual([
      "DEL beta eth1",
      "DEL alpha eth0",
    ]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("it is there again: the note goes, and the pod is live", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    const files = await filesOf(node, pod);
    writeFileSync(notePath(node, pod), "0");
    expect(genieGc(node)).toEqual(deleted([]));
    expect(existsSync(notePath(node, pod))).toBe(false);
    expect(await filesOf(node, pod)).toEqual(files);
  });
});

describe("genie gc, in another mount namespace", () => {
  /** A process with mounts of its own; with `--pid` also with a process 1 that has them too. */
  const unshare = ["unshare", "--mount", "--propagation=private"];
  const asFirst = [...unshare, "--pid", "--fork", "--mount-proc"];

  test("than the ADD's: exit 1 and how to run it, nothing is executed or noted", async () => {
    await using node = await startScriptedNode();
    const [live, gone] = [await node.pod("live"), await node.pod("gone")];
    for (const pod of [live, gone]) await node.succeed("ADD", pod, two);
    await gone.netns.remove();
    node.delegates.forget();
    const before = await node.remains();
    expect(genieGcBy(unshare, node, "--grace", "0")).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: expect.stringMatching(
        new RegExp(
          `^genie gc: cannot tell which network namespaces are gone: this mount namespace is \\d+, that of the newest attachment ${mountNamespace()}.*: run it as \`nsenter -t 1 -m -- ${node.binDir}/genie gc\`\\n$`,
        ),
      ),
    });
    expect(node.delegates.calls()).toEqual([]);
    expect(await node.remains()).toEqual(before);
    expect(genieGc(node, "--grace", "0")).toEqual(deleted([gone]));
    await node.succeed("DEL", live);
  });

  test("than process 1's, no attachment tells one: exit 1", async () => {
    await using node = await startScriptedNode();
    const inside = ["sh", "-c", `${unshare.join(" ")} "$@"`, "sh"];
    expect(genieGcBy([...asFirst, ...inside], node)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(
        /this mount namespace is (\d+), that of process 1 (?!\1)\d+: run it as `nsenter/,
      ),
    });
  });

  test("which is process 1's: it works there", async () => {
    await using node = await startScriptedNode();
    const inside = genieGcBy([...asFirst], node);
    expect(inside).toEqual(deleted([]));
  });

  test("--drop needs to see none", async () => {
    await using node = await startScriptedNode();
    await node.attach(two);
    expect(genieGcBy(unshare, node, "--drop-all")).toMatchObject({
      exitCode: 0,
    });
  });
});

describe("genie gc, exit code", () => {
  test("1: a failed deletion is named and stays, the rest goes", async () => {
    await using node = await startScriptedNode();
    const [bad, good] = [await node.pod("bad"), await node.pod("good")];
    await node.succeed("ADD", bad, two);
    await node.succeed("ADD", good, { annotations: { cni: "alpha" } });
    for (const pod of [bad, good]) await pod.netns.remove();
    node.delegates.behave("DEL beta", failing("busy\n9 deleted, \u001b[2J"));
    expect(genieGc(node, "--grace", "0")).toEqual({
      exitCode: 1,
      stdout: `deleted ${good.containerId} eth0
failed ${bad.containerId}:eth0: [shop/bad:beta] plugin "beta" failed to delete eth1: busy\\n9 deleted, \\u001b[2J
1 deleted, 0 waiting, 1 failed
`,
      stderr: "",
    });
    expect(node.record(bad)["attachments"]).toMatchObject([{ ifname: "eth1" }]);
    node.delegates.behave("DEL beta", {});
    node.delegates.forget();
    expect(genieGc(node, "--grace", "0")).toEqual(deleted([bad]));
    expect(node.delegates.executed()).toEqual(["DEL beta eth1"]);
    expect(await node.remains()).toEqual(nothing);
  });

  test.each<[string, (record: object) => string, RegExp]>([
    ["unreadable", () => "{", /^failed .*: unexpected end/m],
    [
      "of a newer genie",
      (record) => JSON.stringify({ ...record, formatVersion: 999 }),
      /^failed .*: attachment record has format 999/m,
    ],
  ])(
    "1: a record that is %s is named and left alone",
    async (_, text, line) => {
      await using node = await startScriptedNode();
      const pod = await node.attach(two);
      const written = text(node.record(pod));
      writeFileSync(node.recordPath(pod), written);
      node.delegates.forget();
      const { exitCode, stdout } = genieGc(node, "--grace", "0");
      expect(exitCode).toBe(1);
      expect(stdout).toMatch(line);
      expect(stdout).toContain(pod.containerId);
      expect(stdout).toEndWith("0 deleted, 0 waiting, 1 failed\n");
      expect(node.delegates.calls()).toEqual([]);
      expect(readFileSync(node.recordPath(pod), "utf8")).toBe(written);
    },
  );

  test("0: nothing was ever attached", async () => {
    await using node = await startScriptedNode();
    expect(genieGc(node)).toEqual(deleted([]));
    expect(existsSync(node.dataDir)).toBe(false);
  });

  test("2: an unknown option, and nothing is done", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    await pod.netns.remove();
    node.delegates.forget();
    expect(genieGc(node, "--gracious", "0")).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: expect.stringContaining("genie gc"),
    });
    expect(node.delegates.calls()).toEqual([]);
  });
});

test("genie gc, the directories are those of genie's own configuration", async () => {
  await using node = await startScriptedNode();
  const pod = await node.pod();
  const { dataDir } = node;
  node.network("00-genie.conflist", {
    cniVersion: "1.0.0",
    name: "alpha-net",
    plugins: [{ type: "genie", dataDir }],
  });
  await node.succeed("ADD", pod, two);
  await pod.netns.remove();
  const { exitCode, stdout } = Bun.spawnSync({
    cmd: [genieBinary(), "gc", "--conf-dir", node.confDir, "--grace", "0"],
    env: { PATH: process.env["PATH"] ?? "" },
    cwd: "/",
  });
  expect({ exitCode, stdout: stdout.toString(), stderr: "" }).toEqual(
    deleted([pod]),
  );
  expect(await node.remains()).toEqual(nothing);
});

/** The files of a pod's record, by name. */
async function filesOf(
  node: Node,
  { containerId }: Pod,
): Promise<Record<string, string>> {
  const { records } = await node.remains();
  return Object.fromEntries(
    records
      .filter((name) => name.startsWith(containerId))
      .map((name) => [
        name,
        readFileSync(join(node.dataDir, "attachments", name), "utf8"),
      ]),
  );
}
