/**
 * GC by the compiled executable, with plugins that speak 1.1.0 (state.md "CHECK,
 * GC, STATUS").
 */
import { describe, expect, test } from "bun:test";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type RecordedCall,
  failing,
  isRunning,
  until,
  summary,
} from "../support/delegate.ts";
import { type CallOptions, type Pod, nothing } from "../support/node.ts";
import { startPlugin } from "../support/runtime.ts";
import {
  startNode,
  startScriptedNode,
  waits,
} from "../support/scripted-node.ts";

const version = "1.1.0";

interface ValidAttachment {
  containerID: string;
  ifname: string;
}

function eth0(pod: Pod): ValidAttachment {
  return { containerID: pod.containerId, ifname: "eth0" };
}

/** The request as libcni makes it: under both keys. */
function valid(attachments: ValidAttachment[] | null): CallOptions {
  const keys = {
    "cni.dev/valid-attachments": attachments,
    "cni.dev/attachments": attachments,
  };
  return { config: { cniVersion: version, ...keys } };
}

/** The list that a delegate must get; its order means nothing. */
function gcOf(type: string, attachments: ValidAttachment[]) {
  const list = ordered(attachments);
  const keys = {
    "cni.dev/valid-attachments": list,
    "cni.dev/attachments": list,
  };
  return { cniVersion: version, name: `${type}-net`, type, ...keys };
}

function ordered(attachments: ValidAttachment[]): ValidAttachment[] {
  const key = ({ containerID, ifname }: ValidAttachment) =>
    `${containerID} ${ifname}`;
  return attachments.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** The lists that a delegate got. */
function gcRequest({ stdin }: RecordedCall): unknown {
  return JSON.parse(stdin, (key, value: unknown) =>
    key.startsWith("cni.dev/") ? ordered(value as ValidAttachment[]) : value,
  );
}

/** With the container of a DEL: GC deletes for several. */
function told(call: RecordedCall): string {
  return call.verb === "DEL"
    ? `${summary(call)} ${call.env["CNI_CONTAINERID"]}`
    : summary(call);
}

/** Networks come in any order, what each is told does not. */
function byType(calls: RecordedCall[]): RecordedCall[] {
  return calls.toSorted((a, b) => (a.type < b.type ? -1 : 1));
}

/** Three pods: the first with two networks, the others with one. */
async function startThree() {
  const node = await startScriptedNode(version);
  const pods = [
    await node.pod("a"),
    await node.pod("b"),
    await node.pod("c"),
  ] as const;
  const [a, b, c] = pods;
  const config = { cniVersion: version };
  await node.succeed("ADD", a, { config, annotations: { cni: "alpha,beta" } });
  await node.succeed("ADD", b, { config, annotations: { cni: "alpha" } });
  await node.succeed("ADD", c, { config, annotations: { cni: "beta" } });
  node.attachedEarlier([a, b, c]);
  node.delegates.forget();
  return {
    node,
    a,
    b,
    c,
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  };
}

describe("GC", () => {
  test("stale records are deleted, each network gets its own interfaces", async () => {
    await using three = await startThree();
    const { node, a, b, c } = three;
    expect(
      await node.call("GC", undefined, valid([eth0(a), eth0(c)])),
    ).toMatchObject({ exitCode: 0, stdout: "" });
    const calls = node.delegates.calls();
    expect(calls.map(told).toSorted()).toEqual([
      "DEL alpha eth0 " + b.containerId,
      "GC alpha",
      "GC beta",
    ]);
    expect(calls[0]?.verb).toBe("DEL");
    expect(calls[0]?.env["CNI_NETNS"]).toBe(b.netns.path);
    const gc = byType(calls.slice(1));
    expect(gc.map(gcRequest)).toEqual([
      gcOf("alpha", [eth0(a)]),
      gcOf("beta", [{ ...eth0(a), ifname: "eth1" }, eth0(c)]),
    ]);
    expect((await node.remains()).records).toHaveLength(4);
    await node.succeed("DEL", a);
    await node.succeed("DEL", c);
    expect(await node.remains()).toEqual(nothing);
  });

  test.each([
    ["null", null],
    ["an empty list", []],
  ])("%s: nothing is valid", async (_, attachments) => {
    await using three = await startThree();
    const { node, a, b, c } = three;
    await node.succeed("GC", undefined, valid(attachments));
    const calls = node.delegates.calls();
    expect(calls.map(told).toSorted()).toEqual(
      [
        `DEL alpha eth0 ${a.containerId}`,
        `DEL beta eth1 ${a.containerId}`,
        `DEL alpha eth0 ${b.containerId}`,
        `DEL beta eth0 ${c.containerId}`,
        "GC alpha",
        "GC beta",
      ].toSorted(),
    );
    const gc = byType(calls.filter(({ verb }) => verb === "GC"));
    expect(gc.map(gcRequest)).toEqual([gcOf("alpha", []), gcOf("beta", [])]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("no list: refused, nothing is executed", async () => {
    await using three = await startThree();
    const { node } = three;
    expect(
      await node.fail("GC", undefined, { config: { cniVersion: version } }),
    ).toMatchObject({ code: 7 });
    expect(node.delegates.calls()).toEqual([]);
    expect((await node.remains()).records).toHaveLength(6);
  });

  test("the old key alone is taken, the new key wins", async () => {
    await using three = await startThree();
    const { node, a, b, c } = three;
    const all = [eth0(a), eth0(b), eth0(c)];
    await node.succeed("GC", undefined, {
      config: { cniVersion: version, "cni.dev/attachments": all },
    });
    await node.succeed("GC", undefined, {
      config: {
        cniVersion: version,
        "cni.dev/attachments": [],
        "cni.dev/valid-attachments": all,
      },
    });
    expect(node.delegates.calls().map(({ verb }) => verb)).toEqual([
      "GC",
      "GC",
      "GC",
      "GC",
    ]);
    expect((await node.remains()).records).toHaveLength(6);
  });

  test("pods older than us are kept by every network", async () => {
    await using three = await startThree();
    const { node, a, b, c } = three;
    const older = { containerID: "older", ifname: "eth0" };
    await node.succeed(
      "GC",
      undefined,
      valid([older, eth0(a), eth0(b), eth0(c)]),
    );
    const gc = byType(node.delegates.calls());
    expect(gc.map(({ verb }) => verb)).toEqual(["GC", "GC"]);
    expect(gc.map(gcRequest)).toEqual([
      gcOf("alpha", [eth0(a), eth0(b), older]),
      gcOf("beta", [{ ...eth0(a), ifname: "eth1" }, eth0(c), older]),
    ]);
  });

  test.each([
    ["null", null],
    ["pods older than us", [{ containerID: "older", ifname: "eth0" }]],
  ])(
    "of another genie network, as CRI-O sends for every list: %s: nothing is touched",
    async (_, attachments) => {
      await using three = await startThree();
      const { node } = three;
      for (const name of ["genie-net", "another-net"])
        node.network(`00-${name}.conf`, node.config({ name }));
      const before = await node.remains();
      const { config } = valid(attachments);
      await node.succeed("GC", undefined, {
        config: { ...config, name: "another-net" },
      });
      expect(node.delegates.calls()).toEqual([]);
      expect(await node.remains()).toEqual(before);
    },
  );

  test("a namespace that is gone is empty, networks below 1.1.0 and with disableGC are only deleted", async () => {
    await using node = await startScriptedNode(version);
    rmSync(join(node.confDir, "10-alpha.conf"));
    node.network("10-alpha.conflist", {
      cniVersion: version,
      name: "alpha-net",
      disableGC: true,
      plugins: [{ type: "alpha" }],
    });
    node.network("20-beta.conf", {
      cniVersion: "1.0.0",
      name: "beta-net",
      type: "beta",
    });
    const pod = await node.attach({ annotations: { cni: "alpha,beta" } });
    node.attachedEarlier([pod]);
    await pod.netns.remove();
    node.delegates.forget();
    await node.succeed("GC", undefined, valid([]));
    const calls = node.delegates.calls();
    expect(calls.map(told)).toEqual([
      `DEL beta eth1 ${pod.containerId}`,
      `DEL alpha eth0 ${pod.containerId}`,
    ]);
    expect(calls.map(({ env }) => env["CNI_NETNS"] ?? "")).toEqual(["", ""]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("errors are collected, the rest goes on", async () => {
    await using three = await startThree();
    const { node, a, b } = three;
    node.delegates.behave("DEL beta", failing("first"));
    node.delegates.behave("GC alpha", failing("second", 43));
    const failure = await node.fail("GC", undefined, valid([eth0(a)]));
    expect(failure).toEqual({
      cniVersion: version,
      code: 42,
      msg: '[shop/c:beta] plugin "beta" failed to delete eth0: first',
      details: '[alpha-net] plugin "alpha" failed to collect garbage: second',
    });
    expect(
      node.delegates
        .calls()
        .map(({ verb, type }) => `${verb} ${type}`)
        .toSorted(),
    ).toEqual(["DEL alpha", "DEL beta", "GC alpha", "GC beta"]);
    // An attachment that could not be deleted is tried again, but is not valid.
    const beta = node.delegates
      .calls()
      .find(({ verb, type }) => verb === "GC" && type === "beta");
    expect(beta && gcRequest(beta)).toEqual(
      gcOf("beta", [{ ...eth0(a), ifname: "eth1" }]),
    );
    expect(
      (await node.remains()).records.filter((name) =>
        name.startsWith(b.containerId),
      ),
    ).toEqual([]);
    // Two files of each, and the note that the DEL of c has begun.
    expect((await node.remains()).records).toHaveLength(5);
  });

  test("real networks", async () => {
    await using node = await startNode();
    const [a, b] = [await node.pod("a"), await node.pod("b")];
    await node.succeed("ADD", a, { annotations: { cni: "canal,weave" } });
    await node.succeed("ADD", b, { annotations: { cni: "weave,canal" } });
    node.attachedEarlier([a, b]);
    await node.succeed("GC", undefined, valid([eth0(b)]));
    expect((await node.remains()).interfaces).toEqual(["b:eth0", "b:eth1"]);
    await b.netns.remove();
    await node.succeed("GC", undefined, valid(null));
    expect(await node.remains()).toEqual(nothing);
  });
});

describe("GC, processes of its plugins", () => {
  /** All are valid, so only the plugins' GC is executed. */
  const nothingGone = ({ a, b, c }: Awaited<ReturnType<typeof startThree>>) =>
    valid([eth0(a), eth0(b), eth0(c)]);

  test("a plugin of a GC that was killed: the next ADD ends it", async () => {
    await using three = await startThree();
    const { node } = three;
    node.delegates.behave("GC alpha", { hang: true });
    const gc = startPlugin(node.request("GC", undefined, nothingGone(three)));
    await until(() => node.delegates.left().length > 0, "the plugin");
    const orphans = [
      ...node.delegates.left(),
      ...node.delegates
        .calls()
        .slice(-1)
        .map(({ pid }) => pid),
    ];
    gc.kill("SIGKILL");
    await gc.exited;
    expect(orphans.map(isRunning)).toEqual([true, true]);
    const pod = await node.pod("late");
    await node.succeed("ADD", pod, { annotations: { cni: "alpha" } });
    expect(orphans.map(isRunning)).toEqual([false, false]);
  });

  test("while one works an ADD waits, and writes no record", async () => {
    await using three = await startThree();
    const { node } = three;
    const gate = join(node.directory, "gate");
    node.delegates.behave("GC alpha", {
      sh: `while [ ! -e '${gate}' ]; do sleep 0.01; done`,
    });
    const gc = startPlugin(node.request("GC", undefined, nothingGone(three)));
    await until(
      () => node.delegates.events().includes("start alpha GC "),
      "the plugin",
    );
    const pod = await node.pod("late");
    const add = startPlugin(
      node.request("ADD", pod, { annotations: { cni: "alpha" } }),
    );
    await until(() => waits(add.pid), "ADD at the lock");
    expect(existsSync(node.recordPath(pod))).toBe(false);
    writeFileSync(gate, "");
    expect([await gc.exited, await add.exited]).toEqual([0, 0]);
  });
});
