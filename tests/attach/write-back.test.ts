/** selection.md §7: the annotations of the pod's status, and when they are written. */
import { attachmentOf } from "../support/records.ts";
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../../lib/attach/context.ts";
import type { Dependencies } from "../../lib/attach/dependencies.ts";
import { prepareWriteBack, writeBack } from "../../lib/attach/write-back.ts";
import { statusAnnotations } from "../../lib/attach/network-status.ts";
import type { Result } from "../../lib/cni/result.ts";
import { ApiError, type Kube } from "../../lib/kube/client.ts";
import type { Attachment } from "../../lib/select/attachment.ts";
import { statusSynced, syncedText } from "../../lib/state/synced.ts";
import { temporaryDirectory } from "../support/delegate.ts";
import type { AnnotatedPod } from "../../lib/attach/choice/pod-annotations.ts";
import { contextOf } from "../support/context.ts";

const two = [attachmentOf("weave", "eth0"), attachmentOf("flannel", "eth1")];

const results: Result[] = [
  {
    cniVersion: "1.0.0",
    interfaces: [
      { name: "veth12", mac: "02:00:00:00:00:0a" },
      { name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/ns" },
    ],
    ips: [
      { interface: 1, address: "10.66.0.105/16", gateway: "10.66.0.1" },
      { interface: 1, address: "fd00::69/64" },
    ],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: { nameservers: ["10.66.0.10"] },
  },
  { cniVersion: "0.2.0", ip4: { ip: "10.244.0.7/24" }, dns: {} },
];

const multiIp = "multi-ip-preferences";
const networkStatus = "k8s.v1.cni.cncf.io/network-status";

describe("statusAnnotations", () => {
  test("are the original's preferences and NPWG's status, compact, in order", () => {
    expect(statusAnnotations(two, results, "eth0")).toEqual({
      [multiIp]:
        '{"multi_entry":2,"ips":{"ip1":{"ip":"10.66.0.105","interface":"eth0"},"ip2":{"ip":"10.244.0.7","interface":"eth1"}}}',
      [networkStatus]: JSON.stringify([
        {
          name: "weave",
          interface: "eth0",
          ips: ["10.66.0.105", "fd00::69"],
          mac: "02:00:00:00:00:01",
          default: true,
          dns: { nameservers: ["10.66.0.10"] },
          gateway: ["10.66.0.1"],
        },
        {
          name: "flannel",
          interface: "eth1",
          ips: ["10.244.0.7"],
          default: false,
          dns: {},
        },
      ]),
    });
  });

  test("20,000 interfaces with an address each: an entry for each, without comparing them in pairs", () => {
    const sandbox = "/run/netns/a";
    const names = Array.from({ length: 20_000 }, (_, i) => `e${i}`);
    const result: Result = {
      cniVersion: "1.0.0",
      interfaces: ["eth0", ...names].map((name) => ({ name, sandbox })),
      ips: names.map((_, i) => ({ address: "10.0.0.2/8", interface: i + 1 })),
    };
    const one = [attachmentOf("many", "eth0")];
    const text = statusAnnotations(one, [result], "eth0")[networkStatus];
    const written = JSON.parse(text ?? "") as { ips: string[] }[];
    expect(written).toHaveLength(20_001);
    expect(written.map(({ ips }) => ips.length)).toEqual([
      0,
      ...names.map(() => 1),
    ]);
  });

  /** The status of one attachment with this result, beside another. */
  function status(result: Result, more: Partial<Attachment> = {}): unknown {
    const attachments = [
      attachmentOf("first", "eth0"),
      attachmentOf("net", "net1", more),
    ];
    const written = statusAnnotations(
      attachments,
      [{ cniVersion: "1.0.0" }, result],
      "eth0",
    );
    const [, entry] = JSON.parse(written[networkStatus] ?? "") as unknown[];
    return entry;
  }

  const bare = {
    name: "net",
    interface: "net1",
    ips: [],
    default: false,
    dns: {},
  };

  test.each<[string, Result, object]>([
    ["nothing", { cniVersion: "1.0.0" }, {}],
    [
      "an address without an interface",
      {
        cniVersion: "1.0.0",
        ips: [{ address: "10.0.0.2/24", gateway: "10.0.0.1" }],
      },
      { ips: ["10.0.0.2"] },
    ],
    [
      "an mtu",
      {
        cniVersion: "1.1.0",
        interfaces: [{ name: "net1", mtu: 9000, sandbox: "/ns" }],
      },
      { mtu: 9000 },
    ],
    [
      "interfaces of the host only",
      {
        cniVersion: "1.0.0",
        interfaces: [{ name: "br0", mac: "02:00:00:00:00:01" }],
      },
      {},
    ],
    [
      "an interface of the same name on the host",
      {
        cniVersion: "1.0.0",
        interfaces: [
          { name: "net1", mac: "02:00:00:00:00:01" },
          { name: "net1", mac: "02:00:00:00:00:02", sandbox: "/ns" },
        ],
      },
      { mac: "02:00:00:00:00:02" },
    ],
    [
      "default routes of both families",
      {
        cniVersion: "1.0.0",
        ips: [
          { address: "10.0.0.2/24", gateway: "10.0.0.1" },
          { address: "fd00::2/64", gateway: "fd00::1" },
        ],
        routes: [
          { dst: "10.9.0.0/16", gw: "10.0.0.9" },
          { dst: "0.0.0.0/0", gw: "10.0.0.254" },
          { dst: "::/0" },
        ],
      },
      { ips: ["10.0.0.2", "fd00::2"], gateway: ["10.0.0.254", "fd00::1"] },
    ],
    [
      "a default route over a device",
      {
        cniVersion: "1.0.0",
        ips: [{ address: "10.0.0.2/24" }],
        routes: [{ dst: "0.0.0.0/0" }],
      },
      { ips: ["10.0.0.2"] },
    ],
  ])("of a result with %s", (_, result, expected) => {
    expect(status(result)).toEqual({ ...bare, ...expected });
  });

  test("of a definition has its namespace and name, and the requested default route", () => {
    const more = {
      definition: "ns/def",
      extras: { defaultRoute: ["10.0.0.1"] },
    };
    expect(status({ cniVersion: "1.0.0" }, more)).toEqual({
      ...bare,
      name: "ns/def",
      "default-route": ["10.0.0.1"],
    });
  });

  test("of an attachment with two interfaces in the pod are two entries, as with Multus", () => {
    // A pod of OVN-Kubernetes whose namespace has a primary network of its own.
    const result: Result = {
      cniVersion: "1.0.0",
      interfaces: [
        { name: "0a58" },
        { name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/ns" },
        { name: "0a59" },
        { name: "ovn-udn1", mac: "02:00:00:00:00:02", sandbox: "/ns" },
      ],
      ips: [
        { address: "10.244.1.5/24", interface: 1 },
        { address: "10.200.0.5/16", gateway: "10.200.0.1", interface: 3 },
      ],
      routes: [{ dst: "0.0.0.0/0", gw: "10.200.0.1" }],
    };
    const ovn = attachmentOf("ovn-kubernetes", "eth0");
    const annotations = statusAnnotations(
      [ovn, ...two.slice(1)],
      [result, ...results.slice(1)],
      "eth0",
    );
    const [eth0, udn] = JSON.parse(
      annotations[networkStatus] ?? "",
    ) as object[];
    expect([eth0, udn]).toEqual([
      {
        name: "ovn-kubernetes",
        interface: "eth0",
        ips: ["10.244.1.5"],
        mac: "02:00:00:00:00:01",
        default: false,
        dns: {},
      },
      {
        name: "ovn-kubernetes",
        interface: "ovn-udn1",
        ips: ["10.200.0.5"],
        mac: "02:00:00:00:00:02",
        default: true,
        dns: {},
        gateway: ["10.200.0.1"],
      },
    ]);
    expect(annotations[multiIp]).toBe(
      '{"multi_entry":2,"ips":{"ip1":{"ip":"10.244.1.5","interface":"eth0"},"ip2":{"ip":"10.244.0.7","interface":"eth1"}}}',
    );
  });

  test.each<[string, Result]>([
    [
      "of AWS' VPC CNI, which is none",
      {
        cniVersion: "1.0.0",
        interfaces: [
          { name: "net1", sandbox: "/ns" },
          { name: "dummy0a1b", mac: "0", sandbox: "standard" },
        ],
      },
    ],
    [
      "beside one without a sandbox",
      {
        cniVersion: "1.0.0",
        interfaces: [{ name: "net1" }, { name: "other" }],
      },
    ],
  ])("have no entry for an interface %s", (_, result) => {
    const pair = [attachmentOf("first", "eth0"), attachmentOf("net", "net1")];
    const written = statusAnnotations(
      pair,
      [{ cniVersion: "1.0.0" }, result],
      "eth0",
    );
    expect(JSON.parse(written[networkStatus] ?? "")).toHaveLength(2);
  });

  test("with all addresses on another interface has the first of them", () => {
    const result: Result = {
      cniVersion: "1.0.0",
      interfaces: [
        { name: "eth0", sandbox: "/ns" },
        { name: "eth0.7", sandbox: "/ns" },
      ],
      ips: [{ address: "10.1.0.5/24", interface: 1 }],
    };
    const written = statusAnnotations(
      two,
      [result, ...results.slice(1)],
      "eth0",
    );
    expect(JSON.parse(written[multiIp] ?? "")).toMatchObject({
      ips: { ip1: { ip: "10.1.0.5", interface: "eth0" } },
    });
  });

  test("without an address has only the interface", () => {
    const written = statusAnnotations(
      two,
      [{ cniVersion: "1.0.0" }, { cniVersion: "1.0.0" }],
      "eth0",
    );
    expect(written[multiIp]).toBe(
      '{"multi_entry":2,"ips":{"ip1":{"interface":"eth0"},"ip2":{"interface":"eth1"}}}',
    );
  });

  test("of one attachment are the status alone", () => {
    expect(
      Object.keys(statusAnnotations(two.slice(0, 1), results, "eth0")),
    ).toEqual([networkStatus]);
  });

  test("know the primary by its name, not by its place", () => {
    const written = statusAnnotations(two, results, "eth1");
    const entries = JSON.parse(written[networkStatus] ?? "") as {
      default: boolean;
    }[];
    expect(entries.map((entry) => entry.default)).toEqual([false, true]);
  });
});

interface Situation {
  args?: string;
  pod?: AnnotatedPod;
  attachments?: Attachment[];
  /** The API server's response to the patch. */
  patch?: () => Promise<"patched" | "gone">;
  /** The three seconds are over at once. */
  isLate?: boolean;
  /** The API server's pod. */
  found?: { uid?: string; annotations?: Record<string, string> };
  /** The status of the response to the GET. */
  status?: number;
}

const args = "K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p;K8S_POD_UID=u1";

/** Writes back; records the requests to the API server and the log. */
async function wroteBack({
  attachments = two,
  pod = { annotations: {} },
  ...situation
}: Situation) {
  const calls: unknown[] = [];
  const words: string[] = [];
  const limits: number[] = [];
  const kube: Kube = {
    async getPod(namespace, name) {
      calls.push(["get", namespace, name]);
      const { found, status } = situation;
      if (status) throw new ApiError("no pod", status);
      const { uid, annotations = {} } = found ?? {};
      return {
        metadata: {
          namespace,
          name,
          annotations,
          ...(uid !== undefined && { uid }),
        },
      };
    },
    get: () => expect.unreachable("no claim is asked for"),
    getDefinition: () => Promise.reject(new Error("not expected")),
    patchPodStatus(namespace, name, patch) {
      calls.push(["patch", namespace, name, patch]);
      return situation.patch?.() ?? Promise.resolve("patched");
    },
    connect: () => expect.unreachable("nothing is prepared"),
  };
  const unexpected = () => {
    throw new Error("not expected");
  };
  const dependencies: Dependencies = {
    exec: unexpected,
    env: {},
    stderr: (text) => void words.push(text),
    clock: () => 0,
    now: () => new Date(0),
    sleep: (ms) => {
      limits.push(ms);
      return situation.isLate ? Promise.resolve() : new Promise(() => {});
    },
    kube: unexpected,
    checkKube: unexpected,
    devices: unexpected,
    bootId: unexpected,
    uptimeMs: unexpected,
    self: unexpected,
  };
  const context = contextOf(
    { command: "ADD", netns: "/ns", args: situation.args ?? args },
    dependencies,
  );
  await writeBack(context, pod, attachments, results, async () => kube);
  return { calls, words: words.join(""), limits };
}

describe("prepareWriteBack", () => {
  test.each([
    ["no status by the agent", undefined, 1],
    ["a status by the agent", 0, 0],
    ["a status by an agent that is gone", 20_000, 1],
  ])("%s: connections", async (_, ageMs, expected) => {
    using directory = temporaryDirectory();
    const clock = { bootId: () => "boot", uptimeMs: () => 60_000 };
    if (ageMs !== undefined)
      writeFileSync(
        join(directory.path, statusSynced),
        syncedText({ ...clock, uptimeMs: () => 60_000 - ageMs }),
        { mode: 0o600 },
      );
    let connections = 0;
    const connect = async () => void connections++;
    const context = {
      pod: { namespace: "ns", name: "p", uid: "u1" },
      config: { dataDir: directory.path },
      dependencies: clock,
    } as Context;
    await prepareWriteBack(context, async () => ({ connect }) as Kube);
    expect(connections).toBe(expected);
  });
});

const patchOf = (uid: string, attachments = two) => [
  "patch",
  "ns",
  "p",
  {
    metadata: {
      uid,
      annotations: statusAnnotations(attachments, results, "eth0"),
    },
  },
];

describe("writeBack", () => {
  test("patches the pod's status once, with its uid and three seconds", async () => {
    expect(await wroteBack({})).toEqual({
      calls: [patchOf("u1")],
      words: "",
      limits: [3000],
    });
  });

  const npwg = { annotations: { "k8s.v1.cni.cncf.io/networks": "a" } };

  test.each<[string, Situation]>([
    ["no pod", { args: "" }],
    ["no namespace (podman)", { args: "K8S_POD_NAME=p" }],
    ["no pod, with the NPWG annotation", { args: "", pod: npwg }],
  ])("writes nothing for %s", async (_, situation) => {
    expect(await wroteBack(situation)).toEqual({
      calls: [],
      words: "",
      limits: [],
    });
  });

  test("writes the status of a single attachment", async () => {
    const attachments = two.slice(0, 1);
    const { calls } = await wroteBack({ attachments, pod: npwg });
    expect(calls).toEqual([patchOf("u1", attachments)]);
  });

  const info = { namespace: "ns", name: "p", annotations: {} };
  const fromFile = { "kubernetes.io/config.source": "file" };

  test.each<[string, Situation, unknown[]]>([
    [
      "the one that was fetched before",
      {
        pod: {
          annotations: {},
          info: { ...info, uid: "u2", isStatic: false },
        },
      },
      [patchOf("u2")],
    ],
    [
      "the API server's, without K8S_POD_UID",
      { args: "K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p", found: { uid: "u3" } },
      [["get", "ns", "p"], patchOf("u3")],
    ],
    [
      "the API server's, for a static pod",
      {
        pod: { annotations: fromFile },
        found: {
          uid: "u4",
          annotations: { "kubernetes.io/config.hash": "u1" },
        },
      },
      [["get", "ns", "p"], patchOf("u4")],
    ],
    [
      "the API server's, for a pod that only calls itself static",
      { pod: { annotations: fromFile }, found: { uid: "u1" } },
      [["get", "ns", "p"], patchOf("u1")],
    ],
    [
      "the API server's, for a static pod of no known source",
      {
        pod: { annotations: { "kubernetes.io/config.source": "" } },
        found: {
          uid: "u4",
          annotations: { "kubernetes.io/config.mirror": "u1" },
        },
      },
      [["get", "ns", "p"], patchOf("u4")],
    ],
    [
      "K8S_POD_UID, for a pod of the API server",
      { pod: { annotations: { "kubernetes.io/config.source": "api" } } },
      [patchOf("u1")],
    ],
  ])("takes for the uid %s", async (_, situation, expected) => {
    expect((await wroteBack(situation)).calls).toEqual(expected);
  });

  test.each<[string, Situation, words: RegExp]>([
    ["no uid", {}, /^$/],
    ["no pod", { status: 404 }, /^$/],
    ["no right", { status: 403 }, /error="no pod"/],
  ])("writes nothing when there is %s", async (_, situation, words) => {
    const all = { args: "K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p", ...situation };
    expect(await wroteBack(all)).toMatchObject({
      calls: [["get", "ns", "p"]],
      words: expect.stringMatching(words),
    });
  });

  test("a pod that is gone is no error", async () => {
    const { words } = await wroteBack({ patch: () => Promise.resolve("gone") });
    expect(words).toBe("");
  });

  test("logs a failure and goes on", async () => {
    const { words } = await wroteBack({
      patch: () => Promise.reject(new Error("no route to host")),
    });
    expect(words).toBe(
      'genie: warn: failed to write the pod\'s network status verb="ADD" pod="ns/p" containerId="c1" ifname="eth0" error="no route to host"\n',
    );
  });

  test("gives up after three seconds", async () => {
    const { words } = await wroteBack({
      patch: () => new Promise(() => {}),
      isLate: true,
    });
    expect(words).toContain('error="no response within 3 s"');
  });

  test("writes nothing to another pod of the name", async () => {
    const { calls, words } = await wroteBack({
      pod: { annotations: fromFile },
      found: { uid: "u9" },
    });
    expect(calls).toEqual([["get", "ns", "p"]]);
    expect(words).toContain(
      'the pod of that name has uid \\"u9\\", not \\"u1\\"',
    );
  });
});
