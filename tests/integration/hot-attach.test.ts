/**
 * `genie attach` and `genie detach`: networks of a running pod come and go, with real
 * plugins (agent.md "Hot attach and detach").
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { callFamilies, count } from "../../lib/agent/metrics/call-metrics.ts";
import { readCalls } from "../../lib/agent/metrics/call-reader.ts";
import { Metrics } from "../../lib/agent/metrics/prometheus.ts";
import { removeCerts } from "../support/certs.ts";
import {
  Cluster,
  addresses,
  defaultKey,
  lan,
  staticLan,
} from "../support/cluster.ts";
import { until } from "../support/delegate.ts";
import { changed, configure, hot, recorded } from "../support/hot-cluster.ts";
import { nothing } from "../support/node.ts";
import { attached } from "../support/scripted-node.ts";

afterAll(removeCerts);

async function start(config?: Record<string, unknown>) {
  const cluster = await Cluster.start();
  configure(cluster, config);
  const pod = await cluster.pod({});
  await cluster.add(pod);
  return {
    cluster,
    node: cluster.node,
    pod,
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

/** The command fails; its stderr. */
async function refused(...call: Parameters<typeof hot>): Promise<string> {
  const { exitCode, stderr } = await hot(...call);
  expect(exitCode).toBe(1);
  return stderr;
}

describe("genie attach and detach", () => {
  test("the primary's own address is not asked for by a network that comes", async () => {
    await using cluster = await Cluster.start();
    configure(cluster);
    cluster.define("fixed", staticLan());
    const primary = { namespace: "shop", name: "fixed", ips: ["10.31.0.7/24"] };
    const pod = await cluster.pod({ [defaultKey]: [primary] });
    await cluster.add(pod);
    await changed(cluster, "attach", "shop/web", "weave");
    const attachments = cluster.node.record(pod)["attachments"];
    expect(attachments).toMatchObject([
      { args: expect.stringContaining(";IP=10.31.0.7/24") },
      { args: expect.not.stringContaining("IP=") },
    ]);
  });

  test("a network of the node: interface, record, status, and all of it away again", async () => {
    await using made = await start();
    const { cluster, pod } = made;
    expect(await changed(cluster, "attach", "shop/web", "weave")).toEqual({
      outcome: "attached",
      pod: { namespace: "shop", name: "web" },
      containerId: pod.containerId,
      ifname: "eth1",
      network: "weave",
      ips: ["10.67.0.2/24"],
    });
    expect(await attached(pod)).toEqual({ eth0: "canal", eth1: "weave" });
    const { stdout } = made.node.command("list", "-o=json");
    const [first, second] = JSON.parse(stdout) as { time: string }[];
    expect(second?.time ?? "").not.toBe(first?.time ?? "");
    expect(recorded(cluster, pod)).toEqual([
      { ifname: "eth0", origin: "default", hasResult: true },
      {
        ifname: "eth1",
        element: { network: "weave" },
        origin: "hand",
        hasResult: true,
      },
    ]);
    expect(cluster.written()).toMatchObject({
      preferences: { multi_entry: 2, ips: { ip2: { ip: "10.67.0.2" } } },
      status: [
        { name: "canal-net", interface: "eth0", default: true },
        { name: "weave-net", interface: "eth1", default: false },
      ],
    });
    await cluster.check(pod);
    expect(
      await changed(cluster, "detach", "web", "eth1", "-n", "shop"),
    ).toMatchObject({ outcome: "detached", network: "weave" });
    expect(await attached(pod)).toEqual({ eth0: "canal" });
    expect(made.node.addresses()).toEqual(["10.66.0.2"]);
    expect(recorded(cluster, pod)).toHaveLength(1);
    const { status, preferences } = cluster.written();
    expect({ status, preferences }).toMatchObject({
      status: [{ interface: "eth0" }],
      preferences: undefined,
    });
    await cluster.check(pod);
    await cluster.del(pod);
    expect(await made.node.remains()).toEqual(nothing);
  });

  test("DEL deletes the attached network too", async () => {
    await using made = await start();
    await changed(made.cluster, "attach", "shop/web", "weave@up7");
    await made.cluster.del(made.pod);
    expect(await made.node.remains()).toEqual(nothing);
  });

  test.each<[text: string, ifname: string, address: string]>([
    ["shop/lan", "net1", "10.30.0.2/24"],
    ["shop/lan@lan7", "lan7", "10.30.0.2/24"],
    ['{"name":"fixed","ips":["10.31.0.9/24"]}', "net1", "10.31.0.9/24"],
    [
      '{"name":"fixed","namespace":"shop","interface":"podab12","ips":["10.31.0.9/24"],"mac":"02:00:00:00:00:42"}',
      "podab12",
      "10.31.0.9/24",
    ],
  ])("a definition, %s", async (text, ifname, address) => {
    await using made = await start();
    const { cluster, pod } = made;
    cluster.define("lan", lan(made.node));
    cluster.define("fixed", staticLan());
    await changed(cluster, "attach", "shop/web", text);
    expect(await addresses(pod)).toMatchObject({ [ifname]: [address] });
    expect(cluster.written().status).toMatchObject([
      { interface: "eth0" },
      { name: expect.stringMatching(/^shop\//), interface: ifname },
    ]);
    // By the record: the definition is gone.
    for (const name of ["lan", "fixed"])
      cluster.api.definitions.delete("shop", name);
    await changed(cluster, "detach", "shop/web", ifname);
    expect(await attached(pod)).toEqual({ eth0: "canal" });
  });

  test("an attachment of 0.1.0, whose record has no elements, is present", async () => {
    await using made = await start();
    const record = made.node.record(made.pod);
    const newer = new Set(["element", "origin", "requested"]);
    const text = JSON.stringify(record, (key, value: unknown) =>
      newer.has(key) ? undefined : value,
    );
    writeFileSync(made.node.recordPath(made.pod), text);
    for (const name of ["canal", "CANAL", "canal-net"])
      expect(
        await changed(made.cluster, "attach", "shop/web", name),
      ).toMatchObject({ outcome: "present" });
  });

  test("a network that is present: success, nothing is executed", async () => {
    await using made = await start();
    const { cluster, pod } = made;
    await changed(cluster, "attach", "shop/web", "weave@eth4");
    const before = recorded(cluster, pod);
    for (const text of ["weave@eth4", "weave", "WEAVE", "weave-net", "canal"])
      expect(await changed(cluster, "attach", "shop/web", text)).toMatchObject({
        outcome: "present",
      });
    const said = await hot(cluster, "attach", "shop/web", "weave");
    expect(said.stdout).toBe(
      "pod shop/web has weave already: eth4 10.67.0.2/24\n",
    );
    expect(recorded(cluster, pod)).toEqual(before);
    expect(await changed(cluster, "detach", "shop/web", "eth9")).toEqual({
      outcome: "absent",
      pod: { namespace: "shop", name: "web" },
      containerId: pod.containerId,
      ifname: "eth9",
    });
    cluster.define("lan", lan(made.node));
    await changed(cluster, "attach", "shop/web", "shop/lan");
    const { stderr } = await hot(
      cluster,
      "attach",
      "shop/web",
      '{"name":"lan","interface":"net1","mac":"02:00:00:00:00:09"}',
    );
    expect(stderr).toContain(
      'interface "net1" of the pod is network "shop/lan" already, with other requests: detach it first',
    );
    await changed(cluster, "detach", "shop/web", "net1");
    // The same network again, on another interface.
    await changed(cluster, "attach", "shop/web", "canal@eth5");
    // Another network of the same CNI name, as Calico's and Canal's are.
    made.node.network("30-lan.conf", {
      ...lan(made.node),
      name: "weave-net",
    });
    await changed(cluster, "attach", "shop/web", "lan");
    expect(await attached(pod)).toEqual({
      eth0: "canal",
      eth1: "10.30.0.2/24",
      eth4: "weave",
      eth5: "canal",
    });
  });
});

test("a failure has the plugin's details", async () => {
  await using made = await start();
  made.node.network("30-odd.conf", {
    cniVersion: "1.0.0",
    name: "odd-net",
    type: "odd",
  });
  made.node.plugin(
    "odd",
    `#!/bin/sh
     [ "$CNI_COMMAND" = ADD ] || exit 0
     echo '{"cniVersion":"1.0.0","code":101,"msg":"no uplink","details":"bond0 is down"}'
     exit 1
`,
  );
  const { stderr } = await hot(made.cluster, "attach", "shop/web", "odd");
  expect(stderr).toEndWith("failed to add eth1: no uplink; bond0 is down\n");
});

test("an interface that the pod made itself stays: refused by name, else another name", async () => {
  await using made = await start();
  const { cluster, pod } = made;
  cluster.define("lan", lan(made.node));
  for (const name of ["tun0", "eth1", "net1"])
    await pod.netns.run("ip", "link", "add", name, "type", "bridge");
  for (const network of ["weave@tun0", "weave@lo", "shop/lan@tun0"]) {
    const stderr = await refused(cluster, "attach", "shop/web", network);
    expect(stderr).toContain("that genie did not add");
  }
  expect(recorded(cluster, pod)).toHaveLength(1);
  expect(await changed(cluster, "attach", "shop/web", "weave")).toMatchObject({
    ifname: "eth2",
  });
  expect(
    await changed(cluster, "attach", "shop/web", "shop/lan"),
  ).toMatchObject({ ifname: "net2" });
  const links = await pod.netns.links();
  expect(links.map(({ name }) => name)).toEqual([
    "eth0",
    "eth1",
    "eth2",
    "net1",
    "net2",
    "tun0",
  ]);
});

describe("a refusal changes nothing", () => {
  let made: Awaited<ReturnType<typeof start>>;
  beforeAll(async () => {
    made = await start();
  });
  afterAll(() => made[Symbol.asyncDispose]());

  test.each<[command: "attach" | "detach", words: string[], error: string]>([
    ["detach", ["shop/web", "eth0"], 'interface "eth0" is the pod\'s primary'],
    ["attach", ["shop/web", "nope"], 'no network "nope" in '],
    ["attach", ["shop/web", "weave@eth0"], 'is network "canal" already'],
    ["attach", ["shop/web", "shop/none"], "not found"],
    [
      "attach",
      ["shop/other", "weave"],
      'pod "shop/other" cannot be changed: it has no attachment record on this node',
    ],
    ["attach", ["deploy/web", "weave"], "expected a pod"],
    ["attach", ["shop/web"], "NETWORK is missing"],
    ["detach", ["shop/web", ""], 'invalid interface name ""'],
    ["detach", ["shop/web", "a\nb"], String.raw`invalid interface name "a\nb"`],
  ])("%s %j", async (command, words, error) => {
    const { exitCode, stderr } = await hot(made.cluster, command, ...words);
    expect(stderr).toContain(error);
    expect(exitCode).toBe(
      /missing|expected a pod|invalid interface/.test(error) ? 2 : 1,
    );
    expect(recorded(made.cluster, made.pod)).toHaveLength(1);
    expect(await attached(made.pod)).toEqual({ eth0: "canal" });
  });
});

describe("a pod that is left alone", () => {
  const refusal = ({ cluster }: Awaited<ReturnType<typeof start>>) =>
    refused(cluster, "attach", "shop/web", "weave");

  test("its DEL has begun, and failed or was killed", async () => {
    await using made = await start();
    made.node.plugin("bridge", "#!/bin/sh\nexit 1\n");
    await made.node.fail("DEL", made.pod, made.cluster.options());
    expect(await refusal(made)).toContain("its DEL has begun");
  });

  test("its ADD has not completed", async () => {
    await using made = await start();
    writeFileSync(made.node.resultPath(made.pod), "{}");
    expect(await refusal(made)).toContain("its ADD has not completed");
  });

  test("its record has no primary", async () => {
    await using made = await start();
    made.node.changeRecord(made.pod, { attachments: [] });
    expect(await refusal(made)).toContain("has no primary attachment eth0");
  });

  test("its network namespace is gone", async () => {
    await using made = await start();
    await made.pod.netns.remove();
    expect(await refusal(made)).toContain("its network namespace is gone");
  });

  test("the newest of its records counts", async () => {
    await using made = await start();
    const { cluster } = made;
    const newer = await made.node.pod();
    await cluster.add({ ...newer, uid: made.pod.uid });
    const { containerId } = await changed(
      cluster,
      "attach",
      "shop/web",
      "weave",
    );
    expect(containerId).toBe(newer.containerId);
  });
});

describe("a failure", () => {
  test("of the plugin: rolled back, the pod as before", async () => {
    await using made = await start();
    const { cluster, node, pod } = made;
    node.network("30-broken.conflist", {
      cniVersion: "1.0.0",
      name: "broken-net",
      plugins: [
        { type: "ptp", ipam: node.ipam("10.69.0.0/24") },
        { type: "tuning", sysctl: { "net.ipv4.no.such": "1" } },
      ],
    });
    const before = recorded(cluster, pod);
    const stderr = await refused(cluster, "attach", "shop/web", "broken");
    expect(stderr).toContain('[shop/web:broken] plugin "tuning" failed to add');
    expect(recorded(cluster, pod)).toEqual(before);
    expect(await attached(pod)).toEqual({ eth0: "canal" });
    expect(node.addresses()).toEqual(["10.66.0.2"]);
    await cluster.check(pod);
    await cluster.del(pod);
    expect(await node.remains()).toEqual(nothing);
  });

  test("of its rollback: it stays in the record, and a second try mends it", async () => {
    await using made = await start();
    const { cluster, node, pod } = made;
    node.network("30-odd.conf", {
      cniVersion: "1.0.0",
      name: "odd-net",
      type: "odd",
    });
    node.plugin("odd", "#!/bin/sh\nexit 1\n");
    const stderr = await refused(cluster, "attach", "shop/web", "odd");
    expect(stderr).toContain("its rollback failed too: eth1 stays in the");
    expect(recorded(cluster, pod).at(-1)).toMatchObject({
      element: { network: "odd" },
      hasResult: false,
    });
    await cluster.check(pod);
    node.plugin("odd", '#!/bin/sh\necho \'{"cniVersion":"1.0.0"}\'\n');
    await changed(cluster, "attach", "shop/web", "odd");
    expect(recorded(cluster, pod)).toMatchObject([
      { ifname: "eth0" },
      { ifname: "eth1", hasResult: true },
    ]);
  });

  test("of a DEL: the attachment stays, as it was; the metrics count the plugin, no call of the runtime", async () => {
    await using made = await start();
    const { cluster, node, pod } = made;
    await changed(cluster, "attach", "shop/web", "weave");
    node.plugin("ptp", "#!/bin/sh\nexit 1\n");
    writeFileSync(join(node.dataDir, "calls.log"), "", { mode: 0o600 });
    const stderr = await refused(cluster, "detach", "shop/web", "eth1");
    expect(stderr).toContain("failed to delete eth1");
    expect(recorded(cluster, pod)).toHaveLength(2);
    const { calls } = readCalls(node.dataDir, {});
    expect(calls).toMatchObject([
      {
        verb: "DEL",
        change: true,
        pod: "shop/web",
        code: 999,
        delegates: [{ plugin: "ptp", verb: "DEL", code: 999 }],
      },
    ]);
    const metrics = new Metrics();
    for (const call of calls) count(metrics, call);
    const text = metrics.text(callFamilies);
    expect(text).toContain(
      'genie_delegate_failures_total{plugin="ptp",verb="DEL",code="999"} 1',
    );
    expect(text).not.toMatch(/^genie_call(?:s_total|_seconds)/m);
  });

  test("of a DEL that has done its work: CHECK leaves it out, and it can come back", async () => {
    await using made = await start();
    const { cluster, node, pod } = made;
    cluster.define("lan", lan(node));
    const real = join(node.binDir, "ptp.real");
    copyFileSync(join(node.binDir, "ptp"), real);
    await changed(cluster, "attach", "shop/web", "shop/lan");
    await changed(cluster, "attach", "shop/web", "weave");
    node.plugin("ptp", `#!/bin/sh\n${real} && exit 1\n`);
    await refused(cluster, "detach", "shop/web", "eth1");
    expect(await attached(pod)).toMatchObject({ eth0: "canal" });
    await cluster.check(pod);
    // Another change keeps its result, with which its DEL is repeated.
    copyFileSync(real, join(node.binDir, "ptp"));
    await changed(cluster, "detach", "shop/web", "net1");
    await changed(cluster, "attach", "shop/web", "shop/lan");
    const known = recorded(cluster, pod);
    expect(known.map(({ hasResult }) => hasResult)).toEqual([true, true, true]);
    expect(await changed(cluster, "attach", "shop/web", "weave")).toMatchObject(
      { outcome: "attached", ifname: "eth1" },
    );
    expect(await attached(pod)).toMatchObject({ eth1: "weave" });
    expect(node.addresses()).toHaveLength(3);
    await cluster.check(pod);
  });

  test("of the power: a detach syncs the record each time it writes it", async () => {
    await using made = await start();
    const { cluster, node, pod } = made;
    await changed(cluster, "attach", "shop/web", "weave");
    await cluster.api.stop();
    const trace = join(node.directory, "trace");
    const strace = `strace -f -qq -e trace=renameat,fsync -o ${trace}`;
    const { exitCode } = node.commandBy(
      strace.split(" "),
      "detach",
      "shop/web",
      "eth1",
    );
    expect(exitCode).toBe(0);
    const calls = readFileSync(trace, "utf8")
      .split("\n")
      .filter(
        (line) =>
          line.includes(`${pod.containerId}:eth0.json")`) ||
          line.includes("fsync("),
      )
      .map((line) => (line.includes("fsync(") ? "fsync" : "rename"));
    // The file and its directory: after a power loss a renamed file may be empty.
    const written = ["rename", "fsync", "fsync"] as const;
    expect(calls).toEqual([...written, ...written]);
  });

  test("of the API server: the network is attached", async () => {
    await using made = await start();
    await made.cluster.api.stop();
    expect(
      await changed(made.cluster, "attach", "shop/web", "weave"),
    ).toMatchObject({ outcome: "attached" });
    expect(made.node.log()).toContain(
      "failed to write the pod's network status",
    );
  });
});

describe("more than one at work", () => {
  /** A network whose plugin waits for a file. */
  function slow(made: Awaited<ReturnType<typeof start>>): () => void {
    const { node } = made;
    node.network("30-slow.conflist", {
      cniVersion: "1.0.0",
      name: "slow-net",
      plugins: [
        { type: "bridge", bridge: "br7", ipam: node.ipam("10.70.0.0/24") },
        { type: "slow" },
      ],
    });
    const gate = join(node.directory, "gate");
    node.plugin(
      "slow",
      `#!/bin/sh
       if [ "$CNI_COMMAND" = ADD ]; then
         : >${gate}.reached; while [ ! -e ${gate} ]; do sleep 0.02; done
         echo '{"cniVersion":"1.0.0"}'
       fi
`,
    );
    return () => writeFileSync(gate, "");
  }

  test("two commands at once: one after the other, both are there", async () => {
    await using made = await start();
    const { cluster, pod } = made;
    cluster.define("lan", lan(made.node));
    await Promise.all([
      changed(cluster, "attach", "shop/web", "weave"),
      changed(cluster, "attach", "shop/web", "shop/lan"),
    ]);
    expect(Object.keys(await addresses(pod))).toEqual(["eth0", "eth1", "net1"]);
    expect(recorded(cluster, pod)).toHaveLength(3);
    const { status } = cluster.written() as { status: object[] };
    expect(status).toHaveLength(3);
  });

  test("a DEL that comes meanwhile waits, and deletes all of it", async () => {
    await using made = await start();
    const { cluster, node, pod } = made;
    const open = slow(made);
    const attaching = hot(cluster, "attach", "shop/web", "slow");
    await until(
      () => existsSync(join(node.directory, "gate.reached")),
      "the slow plugin",
    );
    const deleting = cluster.del(pod);
    open();
    await Promise.all([attaching, deleting]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("a plugin that never ends: killed, rolled back", async () => {
    await using made = await start({ delegateTimeout: 3 });
    const { cluster, node, pod } = made;
    slow(made);
    const stderr = await refused(cluster, "attach", "shop/web", "slow");
    expect(stderr).toContain("[shop/web:slow]");
    expect(recorded(cluster, pod)).toHaveLength(1);
    expect(node.addresses()).toEqual(["10.66.0.2"]);
  });

  test("from another mount namespace: refused, and how to run it", async () => {
    await using made = await start();
    const { exitCode, stderr } = made.node.commandBy(
      ["unshare", "--mount"],
      "attach",
      "shop/web",
      "weave",
    );
    expect(stderr).toContain("nsenter -t 1 -m -- genie");
    expect(exitCode).toBe(1);
    expect(recorded(made.cluster, made.pod)).toHaveLength(1);
  });
});
