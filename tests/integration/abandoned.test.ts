/**
 * Never stuck, never forgotten (state.md "DEL"), by the compiled executable: a
 * network that cannot be deleted does not keep the pod, and is kept to be tried
 * again.
 */
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { smallDisk } from "../support/disk.ts";
import { type Node, type Pod, gcOfNone, nothing } from "../support/node.ts";
import {
  type ScriptedNode,
  startNode,
  startScriptedNode,
  two,
} from "../support/scripted-node.ts";
import { failing } from "../support/delegate.ts";

/** The files of `abandoned`, decoded. */
function abandoned({ dataDir }: Node): Record<string, unknown>[] {
  const directory = join(dataDir, "abandoned");
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => !name.endsWith(".result.json"))
    .map(
      (name) =>
        JSON.parse(readFileSync(join(directory, name), "utf8")) as Record<
          string,
          unknown
        >,
    );
}

/** As if the failures of the record had begun so much earlier. */
function backdate(node: Node, pod: Pod, ms: number): void {
  const failures = node.record(pod)["failures"] as { uptimeMs: number };
  const uptimeMs = failures.uptimeMs - ms;
  node.changeRecord(pod, { failures: { ...failures, uptimeMs } });
}

/** A pod with alpha and beta whose ADD failed in beta, and of which beta could not be rolled back. */
async function failedAdd(node: ScriptedNode): Promise<Pod> {
  const pod = await node.pod();
  for (const verb of ["ADD", "DEL"])
    node.delegates.behave(`${verb} beta`, failing("no such master"));
  await node.fail("ADD", pod, two);
  node.delegates.forget();
  return pod;
}

/** A pod whose beta could not be deleted: its ADD failed, its DEL gave up. */
async function abandonedPod(node: ScriptedNode): Promise<Pod> {
  const pod = await failedAdd(node);
  await node.succeed("DEL", pod, two);
  node.delegates.forget();
  return pod;
}

/** A pod of which only alpha has a result; neither network can be deleted. */
async function halfCompletedPod(node: ScriptedNode): Promise<Pod> {
  const pod = await node.attach(two);
  const results = node.results(pod).results.slice(0, 1);
  writeFileSync(node.resultPath(pod), JSON.stringify({ results }));
  for (const type of ["alpha", "beta"])
    node.delegates.behave(`DEL ${type}`, failing(`no ${type}`));
  return pod;
}

describe("an attachment without a recorded result", () => {
  test("is tried once more; a failure is logged, kept, and no error", async () => {
    await using node = await startScriptedNode();
    const pod = await failedAdd(node);
    expect(node.record(pod)["attachments"]).toMatchObject([{ ifname: "eth1" }]);
    rmSync(node.logFile);
    await node.succeed("DEL", pod, {
      ...two,
      config: { log_level: "error" },
    });
    expect(node.delegates.executed()).toEqual(["DEL beta eth1"]);
    expect(node.log()).toContain("no such master");
    expect((await node.remains()).records).toEqual([]);
    expect(abandoned(node)).toMatchObject([
      {
        containerId: pod.containerId,
        attachments: [{ ifname: "eth1" }],
        abandoned: {
          time: expect.stringMatching(/^20.*Z$/) as string,
          errors: [
            {
              ifname: "eth1",
              network: "beta",
              error: 'plugin "beta" failed to delete eth1: no such master',
            },
          ],
        },
      },
    ]);
    node.delegates.forget();
    await node.succeed("DEL", pod, two);
    expect(node.delegates.calls()).toEqual([]);
  });

  test("real: macvlan without its master, ADD fails, no DEL does, nothing else is left", async () => {
    await using node = await startNode();
    node.network("30-bad.conf", {
      cniVersion: "1.0.0",
      name: "bad",
      type: "macvlan",
      master: "nosuch",
      ipam: node.ipam("10.6.0.0/24"),
    });
    for (let sandbox = 0; sandbox < 3; sandbox++) {
      const pod = await node.pod();
      await node.fail("ADD", pod, { annotations: { cni: "canal,bad" } });
      await node.succeed("DEL", pod);
      await node.succeed("DEL", pod);
    }
    expect(await node.remains()).toMatchObject({
      records: [],
      addresses: [],
      interfaces: [],
    });
  });

  test("one beside a completed one that fails: kept apart at once", async () => {
    await using node = await startScriptedNode();
    const pod = await halfCompletedPod(node);
    expect(await node.fail("DEL", pod, two)).toEqual({
      cniVersion: "1.0.0",
      code: 42,
      msg: '[shop/web:alpha] plugin "alpha" failed to delete eth0: no alpha',
    });
    expect(node.record(pod)["attachments"]).toMatchObject([{ ifname: "eth0" }]);
    expect(abandoned(node)).toMatchObject([
      { attachments: [{ ifname: "eth1" }] },
    ]);
    // Later given up as well: with the other one in one file.
    backdate(node, pod, 1_000_000);
    await node.fail("DEL", pod, two);
    await node.succeed("DEL", pod, two);
    expect(abandoned(node)).toMatchObject([
      {
        attachments: [{ ifname: "eth1" }, { ifname: "eth0" }],
        abandoned: {
          errors: [
            {
              ifname: "eth1",
              error: expect.stringContaining("no beta") as string,
            },
            {
              ifname: "eth0",
              error: expect.stringContaining("no alpha") as string,
            },
          ],
        },
      },
    ]);
  });

  test("an unreadable one of the same ADD: replaced, with the errors", async () => {
    await using node = await startScriptedNode();
    const pod = await halfCompletedPod(node);
    await node.fail("DEL", pod, two);
    const directory = join(node.dataDir, "abandoned");
    const [file = ""] = readdirSync(directory);
    writeFileSync(join(directory, file), "torn");
    backdate(node, pod, 1_000_000);
    await node.fail("DEL", pod, two);
    await node.succeed("DEL", pod, two);
    expect(abandoned(node)).toMatchObject([
      {
        attachments: [{ ifname: "eth0" }],
        abandoned: { errors: [{ ifname: "eth0" }] },
      },
    ]);
  });

  test("a left-over of this container: ADD goes on", async () => {
    await using node = await startScriptedNode();
    const pod = await failedAdd(node);
    await node.succeed("ADD", pod, { annotations: { cni: "gamma" } });
    expect(node.delegates.executed()).toEqual([
      "DEL beta eth1",
      "ADD gamma eth0",
    ]);
    expect(abandoned(node)).toHaveLength(1);
    // The container lives: its interfaces are another network's now.
    node.delegates.behave("DEL beta", {});
    node.delegates.forget();
    expect(node.command("gc").stdout).toContain(
      `still abandoned ${pod.containerId}:eth0: container ${pod.containerId} is attached again`,
    );
    expect(node.delegates.calls()).toEqual([]);
    await node.succeed("DEL", pod);
    expect(node.command("gc").stdout).toBe(
      `deleted ${pod.containerId} eth0\n1 deleted, 0 waiting, 0 failed\n`,
    );
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("an attachment that ADD completed", () => {
  async function completed(node: ScriptedNode): Promise<Pod> {
    const pod = await node.attach(two);
    node.delegates.behave("DEL beta", failing());
    node.delegates.forget();
    return pod;
  }

  test("fails until three DELs have, the first of them deleteGiveUp ago", async () => {
    await using node = await startScriptedNode();
    const pod = await completed(node);
    for (const count of [1, 2, 3, 4]) {
      expect(await node.fail("DEL", pod, two)).toMatchObject({ code: 42 });
      expect(node.record(pod)).toMatchObject({
        attachments: [{ ifname: "eth1" }],
        failures: { count },
      });
    }
    backdate(node, pod, 240_000);
    await node.fail("DEL", pod, two);
    backdate(node, pod, 60_000);
    await node.succeed("DEL", pod, two);
    expect((await node.remains()).records).toEqual([]);
    expect(abandoned(node)).toMatchObject([
      { attachments: [{ ifname: "eth1" }] },
    ]);
    // With its result, for the plugins' sake.
    const { abandoned: files } = await node.remains();
    expect(files).toHaveLength(2);
  });

  test("DELs of a runtime's GC and of `genie gc` count too", async () => {
    await using node = await startScriptedNode("1.1.0");
    const config = gcOfNone;
    const pod = await node.attach(two);
    node.delegates.behave("DEL beta", failing());
    node.changeRecord(pod, { uptimeMs: 1 });
    await pod.netns.remove();
    expect(await node.fail("GC", undefined, { config })).toMatchObject({
      code: 42,
    });
    expect(node.command("gc", "--grace", "0")).toMatchObject({ exitCode: 1 });
    expect(node.record(pod)).toMatchObject({ failures: { count: 2 } });
    backdate(node, pod, 300_000);
    expect(node.command("gc", "--grace", "0")).toEqual({
      exitCode: 0,
      stdout: `abandoned ${pod.containerId} eth0\n0 deleted, 0 waiting, 0 failed, 1 abandoned\n`,
      stderr: expect.stringContaining("gave up deleting") as string,
    });
    expect((await node.remains()).records).toEqual([]);
  });

  test("the disk is full: the record's age counts", async () => {
    await using node = await startScriptedNode();
    await using disk = await smallDisk(node.dataDir);
    const pod = await completed(node);
    node.attachedEarlier([pod]);
    mkdirSync(join(node.dataDir, "abandoned"), { mode: 0o700 });
    disk.fill();
    await node.fail("DEL", pod, two);
    await node.fail("DEL", pod, { ...two, config: { deleteGiveUp: 0 } });
    const config = { deleteGiveUp: 60 };
    await node.succeed("DEL", pod, { ...two, config });
    expect(node.log()).toContain(
      `gave up deleting an attachment: kept in ${node.dataDir}/abandoned`,
    );
    expect((await node.remains()).records).toEqual([]);
    node.delegates.behave("DEL beta", {});
    expect(node.command("gc").stdout).toContain("1 deleted");
    expect((await node.remains()).abandoned).toEqual([]);
  });

  test("abandoned is a disk of its own: the record moves there all the same", async () => {
    await using node = await startScriptedNode();
    await using disks = new AsyncDisposableStack();
    disks.use(await smallDisk(`${node.dataDir}/abandoned`));
    const pod = await completed(node);
    for (let i = 0; i < 2; i++) await node.fail("DEL", pod, two);
    backdate(node, pod, 300_000);
    await node.succeed("DEL", pod, two);
    expect((await node.remains()).records).toEqual([]);
    node.delegates.behave("DEL beta", {});
    expect(node.command("gc").stdout).toContain("1 deleted");
    expect((await node.remains()).abandoned).toEqual([]);
  });

  test("the disk is read-only: the record's age counts, here too", async () => {
    await using node = await startScriptedNode();
    await using disk = await smallDisk(node.dataDir);
    const pod = await completed(node);
    node.attachedEarlier([pod]);
    const record = node.record(pod);
    await disk.makeReadOnly();
    expect(await node.fail("DEL", pod, two)).toMatchObject({
      code: 42,
      details: expect.stringContaining("read-only file system"),
    });
    const config = { deleteGiveUp: 60 };
    await node.succeed("DEL", pod, { ...two, config });
    // It stays where it is, and GC meets it when the container is gone.
    expect(node.record(pod)).toEqual(record);
    expect(node.log()).toContain(
      `gave up deleting an attachment: nothing can be written to ${node.dataDir}/abandoned, so its record stays`,
    );
    expect(node.log()).not.toContain("kept in");
    node.delegates.behave("DEL beta", {});
    expect(await node.fail("DEL", pod, two)).toMatchObject({
      code: 5,
      msg: expect.stringContaining("read-only file system"),
    });
    await node.succeed("DEL", pod, { ...two, config });
    node.delegates.forget();
    const other = await node.pod("other");
    await node.succeed("DEL", other, two);
    expect(await node.fail("ADD", other, two)).toMatchObject({ code: 5 });
    expect(node.delegates.calls()).toEqual([]);
  });

  test.each([
    ["a file", (path: string) => writeFileSync(path, "")],
    [
      "of everybody",
      (path: string) => (mkdirSync(path), chmodSync(path, 0o777)),
    ],
  ])("abandoned is %s: the record stays, and DEL gives up", async (_, make) => {
    await using node = await startScriptedNode();
    const pod = await completed(node);
    for (let i = 0; i < 2; i++) await node.fail("DEL", pod, two);
    backdate(node, pod, 300_000);
    make(`${node.dataDir}/abandoned`);
    await node.succeed("DEL", pod, two);
    expect(existsSync(node.recordPath(pod))).toBe(true);
    expect(node.log()).toContain(
      `gave up deleting an attachment: nothing can be written to ${node.dataDir}/abandoned, so its record stays`,
    );
  });

  test.each([
    ["works", {}],
    ["fails", { exit: 1 }],
  ])(
    "the disk is read-only, DEL of the plugin %s: `genie gc` says neither deleted nor abandoned",
    async (_, behaviour) => {
      await using node = await startScriptedNode();
      await using disk = await smallDisk(node.dataDir);
      const pod = await completed(node);
      node.attachedEarlier([pod], 300_000);
      await pod.netns.remove();
      node.delegates.behave("DEL beta", behaviour);
      await disk.makeReadOnly();
      expect(node.command("gc", "--grace", "0")).toMatchObject({
        exitCode: 1,
        stdout: `failed ${pod.containerId}:eth0: the record cannot be removed or moved\n0 deleted, 0 waiting, 1 failed\n`,
      });
    },
  );

  test("the disk is read-only and the record unreadable: its file's age counts", async () => {
    await using node = await startScriptedNode();
    await using disk = await smallDisk(node.dataDir);
    const pod = await node.attach(two);
    writeFileSync(node.recordPath(pod), "{");
    const minuteAgo = Date.now() / 1000 - 60;
    utimesSync(node.recordPath(pod), minuteAgo, minuteAgo);
    await disk.makeReadOnly();
    node.delegates.forget();
    for (const deleteGiveUp of [0, 300])
      expect(
        await node.fail("DEL", pod, { ...two, config: { deleteGiveUp } }),
      ).toMatchObject({
        code: 5,
        msg: expect.stringContaining("read-only file system"),
      });
    const config = { deleteGiveUp: 60 };
    await node.succeed("DEL", pod, { ...two, config });
    expect(node.delegates.calls()).toEqual([]);
  });

  test("an unreadable record cannot be moved aside: it stays, its file's age counts", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    writeFileSync(node.recordPath(pod), "{");
    mkdirSync(`${node.recordPath(pod)}.corrupt`);
    expect((await node.fail("DEL", pod, two)).code).toBe(5);
    utimesSync(node.recordPath(pod), 1, 1);
    await node.succeed("DEL", pod, two);
    expect(readFileSync(node.recordPath(pod), "utf8")).toBe("{");
  });

  test("of Multus: counted from its first DEL, its file goes with it", async () => {
    await using node = await startScriptedNode();
    const { pod, file, options } = await podOfMultus(node);
    for (let i = 0; i < 2; i++) await node.fail("DEL", pod, options);
    expect(node.delegates.executed()).toEqual([
      "DEL beta net1",
      "DEL alpha eth0",
      "DEL beta net1",
    ]);
    backdate(node, pod, 300_000);
    await node.succeed("DEL", pod, options);
    expect(existsSync(file)).toBe(false);
    expect(abandoned(node)).toMatchObject([{ adopted: true }]);
  });

  test("of Multus, on a read-only disk: its file's age counts, and it stays until everything is deleted", async () => {
    await using node = await startScriptedNode();
    await using disk = await smallDisk(node.dataDir);
    const { pod, file, options } = await podOfMultus(node);
    await disk.makeReadOnly();
    expect((await node.fail("DEL", pod, options)).code).toBe(42);
    utimesSync(file, 1, 1);
    await node.succeed("DEL", pod, options);
    expect(existsSync(file)).toBe(true);
    expect(node.log()).toContain("so its record stays");
    node.delegates.behave("DEL beta", {});
    await node.succeed("DEL", pod, options);
    expect(existsSync(file)).toBe(false);
  });
});

/** A pod that Multus attached to alpha and to beta, which cannot be deleted. */
async function podOfMultus(node: ScriptedNode) {
  const pod = await node.pod();
  const multusDir = join(node.directory, "multus");
  mkdirSync(multusDir);
  const delegate = (type: string) => {
    const conf = JSON.stringify({ cniVersion: "1.0.0", name: type, type });
    return { Bytes: Buffer.from(conf).toString("base64") };
  };
  const file = join(multusDir, pod.containerId);
  writeFileSync(file, JSON.stringify([delegate("alpha"), delegate("beta")]));
  node.delegates.behave("DEL beta", failing());
  return { pod, file, options: { ...two, config: { multusDir } } };
}

describe("an abandoned attachment", () => {
  test("genie gc deletes it as soon as that works", async () => {
    await using node = await startScriptedNode();
    const pod = await abandonedPod(node);
    expect(node.command("gc")).toEqual({
      exitCode: 0,
      stdout: `still abandoned ${pod.containerId}:eth0: plugin "beta" failed to delete eth1: no such master
0 deleted, 0 waiting, 0 failed, 1 abandoned
`,
      stderr: "",
    });
    node.delegates.behave("DEL beta", {});
    node.delegates.forget();
    expect(node.command("gc").stdout).toBe(
      `deleted ${pod.containerId} eth0\n1 deleted, 0 waiting, 0 failed\n`,
    );
    expect(node.delegates.executed()).toEqual(["DEL beta eth1"]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("the namespace that it had is used while it lives", async () => {
    await using node = await startScriptedNode();
    const pod = await abandonedPod(node);
    node.command("gc");
    await pod.netns.remove();
    node.command("gc");
    expect(
      node.delegates.calls().map(({ env }) => env["CNI_NETNS"] ?? ""),
    ).toEqual([pod.netns.path, ""]);
  });

  test("is not tried while a new pod has the same name and network", async () => {
    await using node = await startScriptedNode();
    const pod = await abandonedPod(node);
    node.delegates.behave("DEL beta", {});
    node.delegates.behave("ADD beta", { stdout: {} });
    const successor = await node.attach(two);
    node.delegates.forget();
    expect(node.command("gc")).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining(
        `still abandoned ${pod.containerId}:eth0: pod shop/web has network beta-net again`,
      ) as string,
    });
    expect(node.delegates.calls()).toEqual([]);
    await node.succeed("DEL", successor);
    expect(node.command("gc").stdout).toContain("1 deleted");
    expect(await node.remains()).toEqual(nothing);
  });

  describe("a runtime's GC", () => {
    const config = gcOfNone;

    test("tries it last; a failure does not fail the GC", async () => {
      await using node = await startScriptedNode("1.1.0");
      await abandonedPod(node);
      node.delegates.behave("DEL beta", failing("still not"));
      await node.succeed("GC", undefined, { config });
      expect(abandoned(node)).toMatchObject([
        {
          abandoned: {
            errors: [{ error: expect.stringContaining("still not") }],
          },
        },
      ]);
      expect(node.delegates.executed()).toEqual(["GC alpha", "DEL beta eth1"]);
      node.delegates.behave("DEL beta", {});
      await node.succeed("GC", undefined, { config });
      expect(await node.remains()).toEqual(nothing);
    });

    test("of another genie list leaves it alone", async () => {
      await using node = await startScriptedNode("1.1.0");
      await abandonedPod(node);
      const other = { ...config, name: "other-net" };
      await node.succeed("GC", undefined, { config: other });
      expect(node.delegates.executed()).not.toContain("DEL beta eth1");
      expect(abandoned(node)).toHaveLength(1);
    });
  });

  test("one that hangs does not keep the others, run after run", async () => {
    await using node = await startScriptedNode();
    const pods = [await abandonedPod(node), await abandonedPod(node)];
    node.command("gc");
    node.command("gc");
    // Each run begins with what was tried longest ago.
    expect(
      node.delegates.calls().map(({ env }) => env["CNI_CONTAINERID"]),
    ).toEqual([...pods, ...pods].map(({ containerId }) => containerId));
  });

  test("genie list --abandoned shows it", async () => {
    await using node = await startScriptedNode();
    expect(node.command("list", "--abandoned").stdout).toBe(
      "nothing is abandoned\n",
    );
    const pod = await abandonedPod(node);
    const { exitCode, stdout } = node.command("list", "--abandoned");
    expect([
      exitCode,
      stdout.split("\n").map((row) => row.split(/  +/)),
    ]).toEqual([
      0,
      [
        [
          "NAMESPACE",
          "POD",
          "CONTAINER",
          "INTERFACE",
          "NETWORK",
          "ADDRESSES",
          "AGE",
          "ERROR",
        ],
        [
          "shop",
          "web",
          pod.containerId.slice(0, 12),
          "eth1",
          "beta",
          "-",
          expect.stringMatching(/^\d+s$/) as string,
          'plugin "beta" failed to delete eth1: no such master',
        ],
        [""],
      ],
    ]);
    expect(node.command("list", "--abandoned", "-n", "other").stdout).toBe(
      "nothing is abandoned\n",
    );
    const json = node.command("list", "--abandoned", "-o", "json").stdout;
    expect(JSON.parse(json)).toMatchObject([
      { containerId: pod.containerId, ifname: "eth1", network: "beta" },
    ]);
    expect(node.command("list").stdout).toBe("no attachments\n");
  });

  test("genie gc --drop: forgets it, names the reservation", async () => {
    await using node = await startScriptedNode();
    const [one, other] = [await abandonedPod(node), await abandonedPod(node)];
    expect(node.command("gc", "--drop", "nobody")).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: "genie gc: nothing is abandoned of container nobody\n",
    });
    const short = one.containerId.slice(0, 12);
    expect(node.command("gc", "--drop", short)).toEqual({
      exitCode: 0,
      stdout: `dropped ${one.containerId} eth1: network beta may keep the addresses of the container reserved\n`,
      stderr: "",
    });
    expect(abandoned(node)).toMatchObject([{ containerId: other.containerId }]);
    expect(node.command("gc", "--drop", one.containerId).exitCode).toBe(1);
    expect(node.command("gc", "--drop-all")).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining(other.containerId) as string,
    });
    expect(node.delegates.calls()).toEqual([]);
    expect(await node.remains()).toEqual(nothing);
    expect(node.command("gc", "--drop-all")).toEqual({
      exitCode: 0,
      stdout: "nothing is abandoned\n",
      stderr: "",
    });
  });

  test("genie gc --drop, an ID that another one begins with: only that container", async () => {
    await using node = await startScriptedNode();
    for (const verb of ["ADD", "DEL"])
      node.delegates.behave(`${verb} beta`, failing());
    const ids = ["c1", "c10", "c11"];
    for (const containerId of ids) {
      const pod = { ...(await node.pod()), containerId };
      await node.fail("ADD", pod, two);
      await node.succeed("DEL", pod);
    }
    expect(node.command("gc", "--drop", "c")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(
        "c is the beginning of several",
      ) as string,
    });
    expect(node.command("gc", "--drop", "c1").stdout).toStartWith(
      "dropped c1 ",
    );
    const left = abandoned(node).map((record) => String(record["containerId"]));
    expect(left.toSorted()).toEqual(["c10", "c11"]);
  });

  test.each(["--drop", "--drop-all"])(
    "genie gc %s forgets a damaged record, and keeps its file aside",
    async (word) => {
      await using node = await startScriptedNode();
      const pod = await abandonedPod(node);
      const directory = join(node.dataDir, "abandoned");
      const [file = ""] = readdirSync(directory);
      writeFileSync(join(directory, file), "{");
      expect(node.command("list", "--abandoned").exitCode).toBe(1);
      const words = word === "--drop" ? [word, pod.containerId] : [word];
      expect(node.command("gc", ...words)).toEqual({
        exitCode: 0,
        stdout: `dropped ${file.replace(/\.json$/, "")}: unreadable, kept as ${file}.corrupt; its addresses stay reserved\n`,
        stderr: "",
      });
      expect(readdirSync(directory)).toEqual([`${file}.corrupt`]);
      expect(node.command("list", "--abandoned")).toEqual({
        exitCode: 0,
        stdout: "nothing is abandoned\n",
        stderr: "",
      });
    },
  );

  test("genie gc --drop and --drop-all, a record of a newer genie: kept, exit 1 says so", async () => {
    await using node = await startScriptedNode();
    const pod = await abandonedPod(node);
    const directory = join(node.dataDir, "abandoned");
    const [file = ""] = readdirSync(directory);
    const path = join(directory, file);
    const record = JSON.parse(readFileSync(path, "utf8")) as object;
    const newer = { ...record, formatVersion: 999 };
    writeFileSync(path, JSON.stringify(newer));
    const problem = `abandoned record "${file.replace(/\.json$/, "")}": attachment record has format 999, this genie reads up to 2: install the newer one again`;
    for (const words of [["--drop", pod.containerId], ["--drop-all"]])
      expect(node.command("gc", ...words)).toEqual({
        exitCode: 1,
        stdout: "",
        stderr: `genie gc: ${problem}\n`,
      });
    expect(readdirSync(directory)).toEqual([file]);
  });

  test("genie gc --drop names the addresses of one that was completed", async () => {
    await using node = await startScriptedNode();
    const pod = await node.attach(two);
    node.delegates.behave("DEL beta", failing());
    const config = { deleteGiveUp: 300 };
    for (let i = 0; i < 2; i++) await node.fail("DEL", pod, { ...two, config });
    backdate(node, pod, 300_000);
    await node.succeed("DEL", pod, { ...two, config });
    expect(node.command("gc", "--drop", pod.containerId).stdout).toBe(
      `dropped ${pod.containerId} eth1: network beta may keep 10.2.0.2/24 reserved\n`,
    );
    expect(await node.remains()).toEqual(nothing);
  });

  test("genie gc --drop and --drop-all exclude each other", async () => {
    await using node = await startScriptedNode();
    expect(node.command("gc", "--drop", "c1", "--drop-all")).toMatchObject({
      exitCode: 2,
    });
  });
});
