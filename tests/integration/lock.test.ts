/**
 * The locks of the compiled executable: what holds one, what merely looks as if,
 * and a kernel that cannot lock (state.md "Processes and locks").
 */
import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { genieBinary } from "../support/build.ts";
import { isRunning, until } from "../support/delegate.ts";
import { type Command, type Node, type Pod, nothing } from "../support/node.ts";
import {
  type PluginCall,
  callPlugin,
  startPlugin,
} from "../support/runtime.ts";
import {
  scriptedResult,
  type ScriptedNode,
  startScriptedNode,
  waits,
} from "../support/scripted-node.ts";

const alpha = { annotations: { cni: "alpha" } };

/** Executed by other programs. */
function by(
  node: Node,
  words: readonly string[],
  call: PluginCall,
): PluginCall {
  const script = `#!/bin/sh\nexec ${words.join(" ")} ${call.binary}\n`;
  return { ...call, binary: node.plugin("by-another", script) };
}

/** A plugin that goes on although its genie was killed; all its processes. */
async function orphaned(
  node: ScriptedNode,
  pod: Pod,
  command: Command = "ADD",
): Promise<number[]> {
  node.delegates.behave(`${command} alpha`, { hang: true });
  const genie = startPlugin(node.request(command, pod, alpha));
  await until(() => node.delegates.left().length > 0, "the plugin");
  genie.kill("SIGKILL");
  await genie.exited;
  node.delegates.behave(`${command} alpha`, {});
  const [plugin] = node.delegates.calls().slice(-1);
  return [plugin?.pid ?? 0, ...node.delegates.left()];
}

describe("a flock that fails for another reason than an owner", () => {
  const faults = ["ENOLCK", "EINVAL", "EIO", "ENOSYS"];
  /** The locks that an ADD takes, one after the other; the other verbs take the first. */
  const places: [Command, number, string][] = [
    ["ADD", 1, "/locks/"],
    ["ADD", 2, "/locks/"],
    ["ADD", 3, "/attachments"],
    ["DEL", 1, "/locks/"],
    ["CHECK", 1, "/locks/"],
  ];
  test.each(
    faults.flatMap((errno) =>
      places.map((place) => [errno, ...place] as const),
    ),
  )(
    "%s, %s, lock %d: 5 at once, nothing is executed",
    async (errno, command, n, path) => {
      await using node = await startScriptedNode();
      const pod = await node.pod();
      if (command !== "ADD") await node.succeed("ADD", pod, alpha);
      node.delegates.forget();
      const before = await node.remains();
      const inject = `inject=flock:error=${errno}:when=${n}`;
      const strace = ["strace", "-qq", "-o", "/dev/null", "-e", inject];
      const { exitCode, json } = await callPlugin(
        by(node, strace, node.request(command, pod, alpha)),
      );
      expect({ exitCode, json }).toMatchObject({
        exitCode: 1,
        json: { code: 5 },
      });
      const { msg } = json as { msg: string };
      expect(msg).toStartWith(`failed to take lock "${node.dataDir}${path}`);
      expect(msg).toEndWith(`(${errno})`);
      expect(node.delegates.calls()).toEqual([]);
      // The file of the lock may stay: who has not locked it cannot remove it.
      const { locks } = await node.remains();
      expect(await node.remains()).toEqual({ ...before, locks });
      await node.succeed("DEL", pod, alpha);
      expect(await node.remains()).toEqual(nothing);
    },
  );
});

test.each<[string, (path: string) => unknown]>([
  ["a symbolic link", (path) => symlinkSync(`${path}.target`, path)],
  ["a named pipe", (path) => Bun.spawnSync(["mkfifo", path])],
])(
  "%s has the name of a lock: no verb fails, and nothing is left",
  async (_, make) => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    mkdirSync(join(node.dataDir, "locks"), { recursive: true, mode: 0o700 });
    const path = join(node.dataDir, "locks", pod.containerId);
    for (const command of ["ADD", "CHECK", "DEL"] as const) {
      make(path);
      await node.succeed(command, pod, alpha);
    }
    expect(node.delegates.executed()).toEqual([
      "ADD alpha eth0",
      "CHECK alpha eth0",
      "DEL alpha eth0",
    ]);
    expect(existsSync(`${path}.target`)).toBe(false);
    expect(await node.remains()).toEqual(nothing);
  },
);

describe("an orphan holds the lock", () => {
  test("descriptors of other processes are not followed: a dead network file system would hang genie", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const orphans = await orphaned(node, pod);
    const trace = join(node.directory, "trace");
    const strace = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=%file"];
    const { exitCode } = await callPlugin(
      by(node, strace, node.request("DEL", pod, alpha)),
    );
    expect([exitCode, orphans.map(isRunning)]).toEqual([
      0,
      orphans.map(() => false),
    ]);
    const calls = readFileSync(trace, "utf8")
      .split("\n")
      .filter((line) => /"\/proc\/\d+\/fd\/\d+"/.test(line));
    expect(calls.length).toBeGreaterThan(0);
    expect(calls.filter((line) => !/^\d+ +readlink/.test(line))).toEqual([]);
  });

  test("it ignores signals and has daemonised children: all are ended", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    node.delegates.behave("ADD alpha", {
      sh: `trap '' TERM INT HUP
setsid sleep 60 & echo $! >>"$log/left"`,
      hang: true,
    });
    const genie = startPlugin(node.request("ADD", pod, alpha));
    await until(() => node.delegates.left().length > 1, "the plugin");
    genie.kill("SIGKILL");
    await genie.exited;
    const [plugin] = node.delegates.calls().slice(-1);
    const orphans = [plugin?.pid ?? 0, ...node.delegates.left()];
    expect(orphans.map(isRunning)).toEqual(orphans.map(() => true));
    node.delegates.behave("ADD alpha", {});
    await node.succeed("DEL", pod, alpha);
    expect(orphans.map(isRunning)).toEqual(orphans.map(() => false));
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("a living genie under another file name", () => {
  function copy(node: Node): string {
    const path = join(node.directory, "cni-meta-plugin-2");
    copyFileSync(genieBinary(), path);
    return path;
  }

  test("owns the lock: genie waits and kills nothing", async () => {
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const gate = join(node.directory, "gate");
    node.delegates.behave("ADD alpha", {
      sh: `while [ ! -e '${gate}' ]; do sleep 0.01; done`,
      stdout: scriptedResult(0),
    });
    const add = startPlugin({
      ...node.request("ADD", pod, alpha),
      binary: copy(node),
    });
    await until(() => node.delegates.events().length > 0, "the plugin");
    const del = startPlugin(node.request("DEL", pod, alpha));
    await until(() => waits(del.pid), "DEL at the lock");
    await Bun.write(gate, "");
    expect([await add.exited, await del.exited]).toEqual([0, 0]);
    expect(node.delegates.executed()).toEqual([
      "ADD alpha eth0",
      "DEL alpha eth0",
    ]);
    expect(await node.remains()).toEqual(nothing);
  });
});
