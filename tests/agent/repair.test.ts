/**
 * agent.md "Repair": when an attachment is repaired, by scripted outcomes; and CHECK and
 * repair themselves, by the compiled executable with real plugins.
 */
import { afterAll, describe, expect, test } from "bun:test";
import type { Agent } from "../../lib/agent/part.ts";
import { createRepair } from "../../lib/agent/pods/repair.ts";
import { Records } from "../../lib/state/records.ts";
import { exampleRecord } from "../support/records.ts";
import { genieBinary } from "../support/build.ts";
import { removeCerts } from "../support/certs.ts";
import { Cluster, addresses, lan } from "../support/cluster.ts";
import { temporaryDirectory } from "../support/delegate.ts";
import { changed, configure, recorded } from "../support/hot-cluster.ts";
import { type Pod, directoryOptions, nothing } from "../support/node.ts";
import { run } from "../support/runtime.ts";

afterAll(removeCerts);

/** The CHECKs of eth0, the primary, and net1: `p` passed, `f` failed, `u` unknown, `-` not there. */
type Round = string;

const words = { p: "passed", f: "failed", u: "unknown" } as const;

/**
 * Each round is one CHECK of the only record; after the last one the agent ends. The
 * repairs and what was told, each with its round.
 */
async function repaired(
  rounds: Round[],
  { round: roundMs = 1, again = 0, repairs = [] as string[] } = {},
): Promise<string[]> {
  using directory = temporaryDirectory();
  const records = new Records(directory.path);
  records.write(exampleRecord).close();
  const controller = new AbortController();
  const told: string[] = [];
  let round = 0;
  let repairsDone = 0;
  const check = () => {
    const [eth0, net1] = (rounds[round++] ?? "").split("");
    if (round >= rounds.length) controller.abort();
    const attachments = [
      { ifname: "eth0", primary: true, of: eth0 },
      { ifname: "net1", primary: false, of: net1 },
    ].flatMap(({ of, ...one }) =>
      of === "p" || of === "f" || of === "u"
        ? [
            {
              ...one,
              id: `${one.ifname} ${repairsDone}`,
              network: "lan",
              outcome: words[of],
              why: "broken",
            },
          ]
        : [],
    );
    return { outcome: "checked", attachments };
  };
  const agent = {
    context: {
      records,
      config: { dataDir: directory.path },
      dependencies: { bootId: () => exampleRecord.bootId },
    },
    async genie(_: readonly string[], { stdin = "" } = {}) {
      const { verb, interface: ifname } = JSON.parse(stdin) as {
        verb: string;
        interface: string;
      };
      if (verb === "repair") {
        told.push(`${round} repair ${ifname}`);
        repairsDone++;
      }
      const answer =
        verb === "check"
          ? check()
          : { outcome: repairs.shift() ?? "repaired", why: "no" };
      return { code: 0, stdout: JSON.stringify(answer), stderr: "" };
    },
    log: () => {},
    event(subject: { name?: string }, type: string, reason: string) {
      told.push(`${round} ${type} ${reason} of ${subject.name}`);
    },
  };
  const part = createRepair({ round: roundMs, again });
  await part.run(agent as unknown as Agent, controller.signal);
  return told;
}

const once = (round: number) => [
  `${round} repair net1`,
  `${round} Normal Repaired of p`,
];

describe("when an attachment is repaired", () => {
  test.each<[string, Round[], string[]]>([
    ["all passed", ["pp", "pp", "pp"], []],
    ["one failure", ["pp", "pf", "pp", "pf", "pp"], []],
    ["two in a row", ["pp", "pf", "pf", "pp"], once(3)],
    ["never passed", ["pf", "pf", "pf"], []],
    ["a failure, then unknown", ["pp", "pf", "pu", "pf"], []],
    ["it cannot be checked", ["pu", "pu", "pu"], []],
    [
      "the repaired one has to pass first",
      ["pp", "pf", "pf", "pf", "pf", "pp", "pf", "pf"],
      [...once(3), ...once(8)],
    ],
    [
      "the primary: told once in a row",
      ["pp", "fp", "fp", "fp", "pp", "fp", "fp"],
      ["3 Warning NetworkBroken of p", "7 Warning NetworkBroken of p"],
    ],
  ])("%s", async (_, rounds, expected) => {
    expect(await repaired(rounds)).toEqual(expected);
  });

  test("once an hour", async () => {
    const rounds = ["pp", "pf", "pf", "pp", "pf", "pf", "pf"];
    expect(await repaired(rounds, { again: 3_600_000 })).toEqual(once(3));
  });

  test("a repair that fails: again after a pause, while it is not there", async () => {
    const rounds = ["pp", "pf", "pf", ...Array<Round>(12).fill("p-")];
    const told = await repaired(rounds, { round: 100, repairs: ["failed"] });
    expect(told.map((text) => text.replace(/^\d+ /, ""))).toEqual([
      "repair net1",
      "Warning FailedAddingInterface of p",
      "repair net1",
      "Normal Repaired of p",
    ]);
  });
});

/** A pod with net1, and `genie change-pod` as the agent calls it. */
async function start(extra: object = {}) {
  const cluster = await Cluster.start();
  configure(cluster);
  cluster.define("lan", lan(cluster.node, extra));
  const pod = await cluster.pod({});
  await cluster.add(pod);
  await changed(cluster, "attach", "shop/web", "shop/lan");
  const change = async (request: object): Promise<unknown> => {
    const { node } = cluster;
    const { stdout } = await run(
      [genieBinary(), "change-pod", ...directoryOptions(node)],
      {
        env: { PATH: process.env["PATH"] ?? "" },
        stdin: JSON.stringify({
          containerId: pod.containerId,
          ifname: "eth0",
          ...request,
        }),
      },
    );
    return JSON.parse(stdout);
  };
  return {
    cluster,
    node: cluster.node,
    pod,
    change,
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

const breakIt = (pod: Pod) => pod.netns.ip("link del net1");

describe("genie change-pod", () => {
  test("check, tells each attachment; repair, the same interface again", async () => {
    await using made = await start();
    const { change, pod, cluster } = made;
    const both = (second: object) => ({
      outcome: "checked",
      attachments: [
        { ifname: "eth0", primary: true, outcome: "passed" },
        { ifname: "net1", primary: false, network: "shop/lan", ...second },
      ],
    });
    expect(await change({ verb: "check" })).toMatchObject(
      both({ outcome: "passed" }),
    );
    await breakIt(pod);
    expect(await change({ verb: "check" })).toMatchObject(
      both({ outcome: "failed", why: expect.stringContaining("net1") }),
    );
    // By the record: the definition is gone.
    cluster.api.definitions.delete("shop", "lan");
    const repair = { verb: "repair", interface: "net1" };
    expect(await change(repair)).toMatchObject({
      outcome: "repaired",
      ifname: "net1",
      network: "shop/lan",
    });
    expect(Object.keys(await addresses(pod))).toEqual(["eth0", "net1"]);
    expect(await change({ verb: "check" })).toMatchObject(
      both({ outcome: "passed" }),
    );
    expect(recorded(cluster, pod)).toMatchObject([
      { ifname: "eth0" },
      { ifname: "net1", origin: "hand", hasResult: true },
    ]);
    expect(await change({ ...repair, interface: "eth0" })).toMatchObject({
      outcome: "failed",
      why: expect.stringContaining("primary"),
    });
    await cluster.del(pod);
    expect(await made.node.remains()).toEqual(nothing);
  });

  test("repair, the same address where ips is declared", async () => {
    await using made = await start({ capabilities: { ips: true } });
    const { cluster, pod, change } = made;
    const before = await addresses(pod);
    // The next free address would be another one.
    await changed(cluster, "attach", "shop/web", "shop/lan@net2");
    await changed(cluster, "detach", "shop/web", "net2");
    await breakIt(pod);
    await change({ verb: "repair", interface: "net1" });
    expect(await addresses(pod)).toEqual(before);
  });

  test("repair that fails: the attachment stays in the record, and the next one succeeds", async () => {
    await using made = await start();
    const { cluster, pod, change, node } = made;
    await breakIt(pod);
    // A device of that name which is no bridge.
    const ip = (command: string) =>
      node.netns.run("ip", "link", ...command.split(" "));
    await ip("set lan0 name lan9");
    await ip("add lan0 type veth peer name lan8");
    expect(await change({ verb: "repair", interface: "net1" })).toMatchObject({
      outcome: "failed",
    });
    expect(recorded(cluster, pod).at(-1)).toMatchObject({
      ifname: "net1",
      hasResult: false,
    });
    await ip("del lan0");
    await ip("set lan9 name lan0");
    expect(await change({ verb: "repair", interface: "net1" })).toMatchObject({
      outcome: "repaired",
    });
    await cluster.del(pod);
    expect(await node.remains()).toEqual(nothing);
  });

  test("a network that cannot CHECK is unknown", async () => {
    await using made = await start({ cniVersion: "0.3.1" });
    expect(await made.change({ verb: "check" })).toMatchObject({
      attachments: [{ outcome: "passed" }, { outcome: "unknown" }],
    });
  });
});
