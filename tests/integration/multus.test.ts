/**
 * Containers that Multus attached before this node had genie: DEL by the compiled
 * executable finds Multus' own file and does what Multus would have done, so that
 * no pod has to be restarted (state.md "DEL", no record).
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
import {
  type CallOptions,
  type Node,
  type Pod,
  nothing,
} from "../support/node.ts";
import {
  scriptedResult,
  startNode,
  startScriptedNode,
  stdinOf,
} from "../support/scripted-node.ts";
import { failing, summary } from "../support/delegate.ts";

interface PluginConf {
  type: string;
  [key: string]: unknown;
}

interface NetConfList {
  cniVersion: string;
  name: string;
  plugins: PluginConf[];
}

/** A list with `file` was read by its path (`clusterNetwork`, or a default network that is a path). */
type Delegate = { ifname?: string } & (
  { conf: PluginConf } | { list: NetConfList } | { file: NetConfList }
);

/** The keys that genie reads of what Multus saves; {@link byMultus} has all of them. */
function saveDelegates(...delegates: Delegate[]): string {
  return JSON.stringify(
    delegates.map((delegate) => ({
      ...("file" in delegate
        ? executed(delegate.file)
        : {
            Bytes: base64("conf" in delegate ? delegate.conf : delegate.list),
          }),
      ...(delegate.ifname && { ifnameRequest: delegate.ifname }),
    })),
  );
}

/** `Bytes` has only the keys that Go knows; the executed list is in `CNINetworkConfigList`. */
function executed(file: NetConfList): object {
  const plugins = file.plugins.map(({ type }) => ({ type }));
  return {
    Bytes: base64({ ...file, plugins }),
    CNINetworkConfigList: {
      Bytes: base64(file),
      Plugins: file.plugins.map((plugin) => ({ Bytes: base64(plugin) })),
    },
  };
}

function base64(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64");
}

const alpha: NetConfList = {
  cniVersion: "1.0.0",
  name: "alpha-net",
  plugins: [{ type: "alpha", ipam: { type: "host-local", dataDir: "/ipam" } }],
};

const beta = { cniVersion: "0.3.1", name: "beta-net", type: "beta", mtu: 1400 };

const gamma: NetConfList = {
  cniVersion: "1.0.0",
  name: "gamma-net",
  plugins: [{ type: "gamma", mtu: 1400 }],
};

/** Written by Multus 4.2.2 itself (`saveDelegates`), one delegate a line. */
const byMultus = `[${[
  '{"Conf":{"ipam":{}},"ConfList":{"cniVersion":"1.0.0","name":"alpha-net","plugins":[{"ipam":{"type":"host-local"},"type":"alpha"}]},"CNINetworkConfigList":{"Name":"alpha-net","CNIVersion":"1.0.0","DisableCheck":false,"DisableGC":false,"LoadOnlyInlinedPlugins":false,"Plugins":[{"Network":{"ipam":{"type":"host-local"},"type":"alpha"},"Bytes":"eyJpcGFtIjp7ImRhdGFEaXIiOiIvaXBhbSIsInR5cGUiOiJob3N0LWxvY2FsIn0sInR5cGUiOiJhbHBoYSJ9"}],"Bytes":"eyJjbmlWZXJzaW9uIjoiMS4wLjAiLCJuYW1lIjoiYWxwaGEtbmV0IiwicGx1Z2lucyI6W3sidHlwZSI6ImFscGhhIiwiaXBhbSI6eyJ0eXBlIjoiaG9zdC1sb2NhbCIsImRhdGFEaXIiOiIvaXBhbSJ9fV19"},"Name":"alpha-net","IsFilterV4Gateway":true,"IsFilterV6Gateway":false,"Bytes":"eyJjbmlWZXJzaW9uIjoiMS4wLjAiLCJuYW1lIjoiYWxwaGEtbmV0IiwicGx1Z2lucyI6W3siaXBhbSI6eyJ0eXBlIjoiaG9zdC1sb2NhbCJ9LCJ0eXBlIjoiYWxwaGEifV19"}',
  '{"Conf":{"cniVersion":"0.3.1","ipam":{},"name":"beta-net","type":"beta"},"ConfList":{},"CNINetworkConfigList":{"Name":"","CNIVersion":"","DisableCheck":false,"DisableGC":false,"LoadOnlyInlinedPlugins":false,"Plugins":null,"Bytes":null},"Name":"shop/beta","ifnameRequest":"san0","ipRequest":["10.2.0.7/24"],"default-route":["10.2.0.1"],"IsFilterV4Gateway":false,"IsFilterV6Gateway":false,"Bytes":"eyJjbmlWZXJzaW9uIjoiMC4zLjEiLCJuYW1lIjoiYmV0YS1uZXQiLCJ0eXBlIjoiYmV0YSIsIm10dSI6MTQwMH0="}',
  '{"Conf":{"cniVersion":"1.0.0","ipam":{},"name":"gamma-net"},"ConfList":{"cniVersion":"1.0.0","name":"gamma-net","plugins":[{"ipam":{},"type":"gamma"}]},"CNINetworkConfigList":{"Name":"","CNIVersion":"","DisableCheck":false,"DisableGC":false,"LoadOnlyInlinedPlugins":false,"Plugins":null,"Bytes":null},"Name":"shop/gamma","IsFilterV4Gateway":false,"IsFilterV6Gateway":false,"Bytes":"eyJjbmlWZXJzaW9uIjoiMS4wLjAiLCJuYW1lIjoiZ2FtbWEtbmV0IiwicGx1Z2lucyI6W3sidHlwZSI6ImdhbW1hIiwibXR1IjoxNDAwfV19"}',
].join(",")}]`;

/** The files of a node that had Multus. */
function multus(node: Node) {
  const directory = join(node.directory, "multus");
  mkdirSync(directory);
  const path = ({ containerId }: Pod) => join(directory, containerId);
  return {
    options: { config: { multusDir: directory } } satisfies CallOptions,
    path,
    write: (pod: Pod, text: string) =>
      writeFileSync(path(pod), text, { mode: 0o600 }),
    has: (pod: Pod) => existsSync(path(pod)),
  };
}

/** A node of scripted plugins that had Multus, and a pod. */
async function startFormer() {
  const node = await startScriptedNode();
  return {
    node,
    pod: await node.pod(),
    former: multus(node),
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  };
}

const three = saveDelegates({ file: alpha }, { conf: beta }, { list: gamma });

const reverse = ["DEL gamma net2", "DEL beta net1", "DEL alpha eth0"];

describe("DEL, a container of Multus", () => {
  test("real networks: eth0 and net1 go, the addresses too", async () => {
    await using node = await startNode();
    const pod = await node.pod();
    const canal: NetConfList = {
      cniVersion: "1.0.0",
      name: "canal-net",
      plugins: [
        {
          type: "bridge",
          bridge: "br0",
          ipam: hostLocal(node, "10.66.0.0/24"),
        },
        { type: "portmap", capabilities: { portMappings: true } },
      ],
    };
    const weave = {
      cniVersion: "0.4.0",
      name: "weave-net",
      type: "ptp",
      ipam: hostLocal(node, "10.67.0.0/24"),
    };
    // Attached as Multus attaches, but for the file.
    await node.succeed("ADD", pod, {
      annotations: { cni: "canal,weave@net1" },
    });
    rmSync(join(node.dataDir, "attachments"), { recursive: true });
    rmSync(node.confDir, { recursive: true });
    expect((await node.remains()).interfaces).toEqual(["web:eth0", "web:net1"]);
    const former = multus(node);
    former.write(pod, saveDelegates({ file: canal }, { conf: weave }));
    await node.succeed("DEL", pod, { ...former.options, annotations: null });
    expect(await node.remains()).toEqual(nothing);
    expect(former.has(pod)).toBe(false);
    // And no veth on the node's side.
    expect((await node.netns.links()).map(({ name }) => name)).toEqual(["br0"]);
  });

  test("in reverse, each with its name, its configuration and the pod's arguments", async () => {
    await using at = await startFormer();
    const { node, pod, former } = at;
    former.write(pod, byMultus);
    await node.succeed("DEL", pod, former.options);
    const calls = node.delegates.calls();
    expect(calls.map(summary)).toEqual([
      "DEL gamma net2",
      "DEL beta san0",
      "DEL alpha eth0",
    ]);
    expect(calls.map(stdinOf)).toEqual([
      { cniVersion: "1.0.0", name: "gamma-net", type: "gamma", mtu: 1400 },
      beta,
      {
        cniVersion: "1.0.0",
        name: "alpha-net",
        type: "alpha",
        ipam: { type: "host-local", dataDir: "/ipam" },
      },
    ]);
    const request = node.request("DEL", pod).env;
    for (const { env } of calls) {
      expect(env).toMatchObject({
        CNI_CONTAINERID: pod.containerId,
        CNI_NETNS: pod.netns.path,
        CNI_ARGS: request["CNI_ARGS"],
      });
    }
    expect(former.has(pod)).toBe(false);
    expect(await node.remains()).toEqual(nothing);
    // A runtime's second DEL finds nothing of it.
    node.delegates.forget();
    await node.succeed("DEL", pod, former.options);
    expect(node.delegates.calls()).toEqual([]);
  });

  test("a chain, its plugins in reverse", async () => {
    await using at = await startFormer();
    const { node, pod, former } = at;
    const plugins = [{ type: "alpha" }, { type: "beta" }, { type: "gamma" }];
    for (const kind of ["file", "list"] as const) {
      const chain = { cniVersion: "0.3.1", name: "chain", plugins };
      former.write(
        pod,
        saveDelegates(kind === "file" ? { file: chain } : { list: chain }),
      );
      node.delegates.forget();
      await node.succeed("DEL", pod, former.options);
      expect(node.delegates.executed()).toEqual([
        "DEL gamma eth0",
        "DEL beta eth0",
        "DEL alpha eth0",
      ]);
    }
  });

  test("ifnameRequest, the default network's too", async () => {
    await using at = await startFormer();
    const { node, pod, former } = at;
    former.write(
      pod,
      saveDelegates(
        { conf: { ...beta, type: "alpha" }, ifname: "wan0" },
        { conf: beta, ifname: "san0" },
        { list: gamma },
      ),
    );
    await node.succeed("DEL", pod, former.options);
    expect(node.delegates.executed()).toEqual([
      "DEL gamma net2",
      "DEL beta san0",
      "DEL alpha wan0",
    ]);
  });

  test("the namespace is gone", async () => {
    await using at = await startFormer();
    const { node, pod, former } = at;
    former.write(pod, three);
    await pod.netns.remove();
    await node.succeed("DEL", pod, {
      ...former.options,
      env: { CNI_NETNS: "" },
    });
    expect(node.delegates.executed()).toEqual(reverse);
    expect(former.has(pod)).toBe(false);
  });

  test("one fails: the others are deleted, the file stays, a retry ends it", async () => {
    await using at = await startFormer();
    const { node, pod, former } = at;
    former.write(pod, three);
    node.delegates.behave("DEL beta", failing("busy"));
    expect(await node.fail("DEL", pod, former.options)).toEqual({
      cniVersion: "1.0.0",
      code: 42,
      msg: '[shop/web:beta-net] plugin "beta" failed to delete net1: busy',
    });
    expect(node.delegates.executed()).toEqual(reverse);
    expect(readFileSync(former.path(pod), "utf8")).toBe(three);
    node.delegates.behave("DEL beta", {});
    await node.succeed("DEL", pod, former.options);
    expect(former.has(pod)).toBe(false);
    expect(await node.remains()).toEqual(nothing);
  });

  test("nothing was attached", async () => {
    await using at = await startFormer();
    const { node, pod, former } = at;
    former.write(pod, saveDelegates());
    await node.succeed("DEL", pod, former.options);
    expect(node.delegates.calls()).toEqual([]);
    expect(former.has(pod)).toBe(false);
  });

  test("another container's file is left alone", async () => {
    await using at = await startFormer();
    const { node, pod, former } = at;
    const other = await node.pod("other");
    former.write(other, three);
    await node.succeed("DEL", pod, former.options);
    expect(readFileSync(former.path(other), "utf8")).toBe(three);
  });

  const broken: [string, string][] = [
    ["empty", ""],
    ["torn", three.slice(0, three.length / 2)],
    ["what Go writes for no list", "null"],
    ["an object", "{}"],
    ["a list of nothing", "[null]"],
    ["without Bytes", '[{"Name":"alpha-net"}]'],
    ["Bytes that are no JSON", '[{"Name":"alpha-net","Bytes":"!!!!"}]'],
    ["Bytes without a type", `[{"Bytes":"${base64({ name: "alpha-net" })}"}]`],
  ];
  test.each(broken)(
    "a file that is %s: said, then as without",
    async (_, text) => {
      await using at = await startFormer();
      const { node, pod, former } = at;
      former.write(pod, text);
      const annotations = { cni: "beta" };
      await node.succeed("DEL", pod, { ...former.options, annotations });
      expect(node.delegates.executed()).toEqual([
        "DEL beta eth0",
        "DEL alpha eth0",
      ]);
      expect(errorsIn(node.log())).toEqual([
        {
          msg: "failed to read a file of Multus",
          path: former.path(pod),
          error: expect.any(String),
        },
      ]);
      // For whoever reads the log.
      expect(readFileSync(former.path(pod), "utf8")).toBe(text);
    },
  );

  test('multusDir: "" turns it off', async () => {
    await using at = await startFormer();
    const { node, pod, former } = at;
    former.write(pod, three);
    await node.succeed("DEL", pod, { config: { multusDir: "" } });
    expect(node.delegates.calls()).toEqual([]);
    expect(former.has(pod)).toBe(true);
  });
});

describe("DEL, a file of Multus and a record of ours", () => {
  test("the record wins", async () => {
    await using at = await startFormer();
    const { node, pod, former } = at;
    await node.succeed("ADD", pod, {
      ...former.options,
      annotations: { cni: "beta" },
    });
    former.write(pod, three);
    node.delegates.forget();
    await node.succeed("DEL", pod, former.options);
    const calls = node.delegates.calls();
    expect(calls.map(summary)).toEqual(["DEL beta eth0"]);
    expect(calls.map(stdinOf)).toEqual([
      {
        cniVersion: "1.0.0",
        name: "beta-net",
        type: "beta",
        prevResult: scriptedResult(1),
      },
    ]);
    expect(former.has(pod)).toBe(true);
    expect(await node.remains()).toEqual(nothing);
  });

  test("an unreadable record: the file is used, 5 once", async () => {
    await using at = await startFormer();
    const { node, pod, former } = at;
    const annotations = { cni: "beta" };
    await node.succeed("ADD", pod, { ...former.options, annotations });
    writeFileSync(node.recordPath(pod), "{");
    former.write(pod, three);
    node.delegates.forget();
    expect(await node.fail("DEL", pod, former.options)).toMatchObject({
      code: 5,
    });
    expect(node.delegates.executed()).toEqual(reverse);
    expect(former.has(pod)).toBe(false);
    await node.succeed("DEL", pod, former.options);
  });
});

describe("GC, a living container that Multus attached", () => {
  const older = { containerID: "older", ifname: "eth0" };

  async function startMixed() {
    const node = await startScriptedNode("1.1.0");
    const pod = await node.pod();
    const annotations = { cni: "alpha,beta" };
    await node.succeed("ADD", pod, { annotations });
    node.delegates.forget();
    const former = multus(node);
    const eth0 = { containerID: pod.containerId, ifname: "eth0" };
    const options = (...more: object[]): CallOptions => ({
      config: {
        ...former.options.config,
        cniVersion: "1.1.0",
        "cni.dev/valid-attachments": [older, eth0, ...more],
      },
    });
    const write = (text: string) =>
      former.write({ ...pod, containerId: older.containerID }, text);
    return {
      node,
      pod,
      eth0,
      options,
      write,
      [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
    };
  }

  test("each network keeps its interface of that container", async () => {
    await using at = await startMixed();
    const { node, eth0, options, write } = at;
    write(
      saveDelegates(
        { list: alpha },
        { conf: beta, ifname: "san0" },
        { list: gamma },
      ),
    );
    await node.succeed(
      "GC",
      undefined,
      options({ containerID: "../x", ifname: "eth0" }),
    );
    const others = [older, { containerID: "../x", ifname: "eth0" }];
    const key = "cni.dev/valid-attachments";
    expect(node.delegates.calls().map(stdinOf)).toMatchObject([
      { name: "alpha-net", [key]: [eth0, ...others] },
      {
        name: "beta-net",
        [key]: [
          { ...eth0, ifname: "eth1" },
          ...others,
          { ...older, ifname: "san0" },
        ],
      },
    ]);
  });

  test.each([
    ["an unreadable file", three.slice(0, three.length / 2)],
    [
      "a delegate that is not understood",
      JSON.stringify([...(JSON.parse(three) as unknown[]), { Bytes: "" }]),
    ],
  ])("%s: no network gets a GC", async (_, text) => {
    await using at = await startMixed();
    const { node, options, write } = at;
    write(text);
    expect(await node.fail("GC", undefined, options())).toMatchObject({
      code: 5,
      msg: expect.stringContaining("unreadable file of Multus"),
    });
    expect(node.delegates.calls()).toEqual([]);
  });
});

/** `ipam` of a node's network, as these files have it. */
function hostLocal(node: Node, subnet: string) {
  return { ...node.ipam(subnet), type: "host-local" };
}

/** Lines of level error in a log of JSON lines, without what each line has. */
function errorsIn(log: string): unknown[] {
  return log
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ level }) => level === "error")
    .map(({ msg, path, error }) => ({ msg, path, error }));
}
