import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { NodeDirectory, bridgeList, type as run } from "./fixtures.ts";
import { attachmentOf } from "../support/records.ts";

/** Runs the command with --watch: a round after each action. */
async function watch(
  node: NodeDirectory,
  command: string,
  actions: ((health: string) => void)[],
) {
  const file = join(node.root, "health");
  const health: string[] = [];
  const pauses: number[] = [];
  let stopped = false;
  const ended = await node.type(command, ["--watch", `--health=${file}`], {
    sleep: async (ms) => {
      pauses.push(ms);
      health.push(readFileSync(file, "utf8").replaceAll(node.root, ""));
      const action = actions.shift();
      if (action) action(file);
      else stopped = true;
      await Promise.resolve();
    },
    stopped: () => stopped,
  });
  const short = (text: string) => text.replaceAll(node.root, "");
  return {
    exitCode: ended.exitCode,
    stdout: short(ended.stdout),
    stderr: short(ended.stderr),
    health,
    pauses,
  };
}

describe("install --watch on a fresh node", () => {
  test("it waits for the first network, says so once, and then installs", async () => {
    using node = new NodeDirectory();
    for (const file of ["10-canal.conflist", "20-weave.conf"])
      rmSync(join(node.confDir, file));
    const waiting =
      "no default network: /etc/cni/net.d holds no other CNI configuration";
    expect(
      await watch(node, "install", [
        () => {},
        () => {
          expect(existsSync(join(node.binDir, "genie"))).toBe(false);
          node.network("10-canal.conflist", bridgeList);
        },
      ]),
    ).toEqual({
      exitCode: 0,
      stdout: expect.stringContaining(
        'changed   /etc/cni/net.d/00-genie.conflist: default network "canal"\n',
      ),
      stderr: `genie install: waiting: ${waiting}\n`,
      health: [waiting, waiting, ""],
      pauses: [2000, 2000, 10_000],
    });
  });
});

describe("uninstall --watch", () => {
  test("it waits for the pods that need genie, then removes it, then rests", async () => {
    using node = new NodeDirectory();
    const before = Object.keys(node.inodes());
    await node.type("install");
    const record = node.record({
      attachments: [
        attachmentOf("canal-net", "eth0"),
        attachmentOf("weave-net", "net1"),
      ],
    });
    const { exitCode, stdout, stderr, health } = await watch(
      node,
      "uninstall",
      [
        () => {
          expect(existsSync(join(node.confDir, "00-genie.conflist"))).toBe(
            true,
          );
          rmSync(join(node.dataDir, "attachments", recordFile(node)));
          expect(record.containerId).toBe("c1");
        },
        () => {},
      ],
    );
    expect({ exitCode, stderr }).toEqual({
      exitCode: 0,
      stderr: expect.stringMatching(
        /^genie uninstall: waiting: network "canal-net".*cannot delete all attachments/,
      ),
    });
    expect(stdout.match(/^removed \S+/gm)).toEqual([
      "removed /etc/cni/net.d/00-genie.conflist",
      "removed /opt/cni/bin/genie",
    ]);
    expect(health.map((text) => text === "")).toEqual([false, true, true]);
    expect(
      Object.keys(node.inodes()).filter((file) => !before.includes(file)),
    ).toEqual(["/health"]);
  });

  function recordFile(node: NodeDirectory): string {
    const [file = ""] = [
      ...new Bun.Glob("*").scanSync(join(node.dataDir, "attachments")),
    ];
    return file;
  }
});

describe("health", () => {
  test.each<
    [
      what: string,
      content: string | undefined,
      ageSeconds: number,
      words: string[],
      exitCode: number,
      stderr: string,
    ]
  >([
    ["no round yet", undefined, 0, [], 1, "the first round has not ended"],
    ["a good round", "", 0, ["--ready"], 0, ""],
    ["a problem", "no network", 0, ["--ready"], 1, "no network"],
    ["a problem, but alive", "no network", 0, [], 0, ""],
    ["a stalled process", "", 200, [], 1, "the last round ended 200 s ago"],
    ["an age that is allowed", "", 200, ["--age=300"], 0, ""],
  ])("%s", async (_, content, ageSeconds, words, exitCode, stderr) => {
    using node = new NodeDirectory();
    const file = join(node.root, "health");
    const now = new Date();
    if (content !== undefined) {
      node.write("health", content);
      const time = now.getTime() / 1000 - ageSeconds;
      utimesSync(file, time, time);
    }
    const ended = await run(["health", file, ...words], { now: () => now });
    expect(ended).toMatchObject({
      exitCode,
      stderr: stderr === "" ? "" : expect.stringContaining(stderr),
    });
  });
});
