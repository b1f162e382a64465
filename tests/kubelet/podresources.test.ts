import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { Deadline } from "../../lib/linux/deadline.ts";
import { CniError } from "../../lib/cni/error.ts";
import { DeviceAllotment, podDevices } from "../../lib/kubelet/podresources.ts";
import {
  getDisabled,
  type Kubelet,
  type KubeletFault,
  type KubeletPod,
  otherPods,
  rateLimit,
  startKubelet,
  startStranger,
} from "../support/kubelet.ts";

const pod = { namespace: "shop", name: "web" };

const web: KubeletPod = {
  ...pod,
  containers: [
    [
      ["intel.com/sriov", "0000:03:02.4"],
      ["example.com/gpu", "gpu-0"],
      // A device of two NUMA nodes is listed once for each.
      ["intel.com/sriov", "0000:03:02.1"],
      ["intel.com/sriov", "0000:03:02.1"],
    ],
    [],
    [["intel.com/sriov", "0000:03:02.0", "0000:03:02.4"]],
  ],
};

const webDevices = new Map([
  ["intel.com/sriov", ["0000:03:02.4", "0000:03:02.1", "0000:03:02.0"]],
  ["example.com/gpu", ["gpu-0"]],
]);

/** Neither is ours: one has our name, the other our namespace. */
const strangers: KubeletPod[] = [
  { namespace: "other", name: "web", containers: [[["intel.com/sriov", "x"]]] },
  { namespace: "shop", name: "db", containers: [[["intel.com/sriov", "y"]]] },
];

let kubelet: Kubelet;

beforeEach(async () => {
  kubelet = await startKubelet([...strangers, web]);
});

afterEach(() => kubelet.stop());

/** Of the kubelet under test, with time that only a pause lets pass. */
function devices(options: { budget?: number; random?: number } = {}) {
  const { budget = 5000, random = 0 } = options;
  let now = 0;
  const pauses: number[] = [];
  const response = podDevices(pod, {
    socket: kubelet.socket,
    deadline: new Deadline(budget, () => now),
    random: () => random,
    async sleep(ms) {
      pauses.push(ms);
      now += ms;
    },
  });
  return { response, pauses };
}

/** The message of an error 11 about the pod, without the words that all have in common. */
async function failure(
  response: Promise<unknown>,
  socket = kubelet.socket,
): Promise<string> {
  const error = await response.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof CniError)) throw new Error("no CniError");
  const start = `failed to get devices of pod "shop/web" from kubelet at "${socket}": `;
  expect(error.code).toBe(11);
  expect(error.message).toStartWith(start);
  return error.message.slice(start.length);
}

describe("podDevices", () => {
  test("Get, the devices of all containers by resource, in order, none twice", async () => {
    expect(await devices().response).toEqual(webDevices);
    expect(kubelet.calls).toEqual(["Get shop/web"]);
  });

  test("a pod without devices, an empty map", async () => {
    kubelet.pods.splice(0, Infinity, { ...pod, containers: [[], []] });
    expect(await devices().response).toEqual(new Map());
  });

  test.each<[string, Code]>([
    ["Unknown", Code.Unknown],
    ["Unimplemented", Code.Unimplemented],
  ])("Get answers %s, only the pod's own devices of List", async (_, code) => {
    kubelet.inject({ ...getDisabled, kind: "status", code, message: "no" });
    expect(await devices().response).toEqual(webDevices);
    expect(kubelet.calls).toEqual(["Get shop/web", "List"]);
  });

  test("List of 10 MiB, read", async () => {
    kubelet.pods.splice(1, 0, ...otherPods(10));
    kubelet.inject(getDisabled);
    expect(await devices().response).toEqual(webDevices);
  });

  test("List of more than 16 MiB, error 11 and not asked again", async () => {
    kubelet.pods.splice(1, 0, ...otherPods(17));
    kubelet.inject(getDisabled);
    const { response, pauses } = devices();
    expect(await failure(response)).toBe("the response is larger than 16 MiB");
    expect({ pauses, calls: kubelet.calls }).toEqual({
      pauses: [],
      calls: ["Get shop/web", "List"],
    });
  });
});

describe("podDevices, limit on calls", () => {
  test.each<[random: number, pauses: number[]]>([
    [0, [10, 20, 40, 80, 160, 250, 250]],
    [0.5, [15, 30, 60, 120, 240, 375, 375]],
  ])(
    "Get, asked again after growing pauses, random %p",
    async (random, expected) => {
      kubelet.inject({ ...rateLimit, method: "Get", times: expected.length });
      const { response, pauses } = devices({ random });
      expect(await response).toEqual(webDevices);
      expect(pauses).toEqual(expected);
      expect(kubelet.calls).toEqual(
        Array<string>(expected.length + 1).fill("Get shop/web"),
      );
    },
  );

  test("List, asked again without asking Get again", async () => {
    kubelet.inject(getDisabled);
    kubelet.inject({ ...rateLimit, method: "List", times: 2 });
    const { response, pauses } = devices();
    expect(await response).toEqual(webDevices);
    expect({ pauses, calls: kubelet.calls }).toEqual({
      pauses: [10, 20],
      calls: ["Get shop/web", "List", "List", "List"],
    });
  });

  test("until the time is up, error 11 with the kubelet's words", async () => {
    kubelet.inject({ ...rateLimit, method: "Get", times: Infinity });
    const { response, pauses } = devices({ budget: 100 });
    expect(await failure(response)).toBe(
      'ResourceExhausted: "rejected by rate limit"',
    );
    expect(pauses).toEqual([10, 20, 40]);
  });
});

describe("podDevices, error 11", () => {
  test.each<[string, KubeletFault, string | RegExp]>([
    [
      "another status",
      {
        method: "Get",
        kind: "status",
        code: Code.Internal,
        message: "out of\nmemory",
      },
      String.raw`Internal: "out of\nmemory"`,
    ],
    [
      "no message in the answer",
      { method: "Get", kind: "bytes", bytes: new Uint8Array() },
      "it does not know the pod",
    ],
    [
      "no protobuf in the answer",
      { method: "Get", kind: "bytes", bytes: new Uint8Array(40).fill(255) },
      /^\w+: "/,
    ],
    [
      "connection closed in the middle",
      { method: "Get", kind: "drop" },
      /^\w+: "|^connection closed$/,
    ],
  ])("%s", async (_, fault, message) => {
    kubelet.inject(fault);
    expect(await failure(devices().response)).toMatch(message);
    expect(kubelet.calls).toHaveLength(1);
  });

  test("a pod that neither Get nor List knows", async () => {
    kubelet.pods.splice(0, Infinity, ...strangers);
    expect(await failure(devices().response)).toBe("it does not know the pod");
    expect(kubelet.calls).toEqual(["Get shop/web", "List"]);
  });

  test("List has two pods of the name", async () => {
    kubelet.pods.push({ ...web });
    kubelet.inject(getDisabled);
    expect(await failure(devices().response)).toBe(
      "it still has another pod of this name",
    );
  });

  test("List fails as well", async () => {
    kubelet.inject(getDisabled);
    kubelet.inject({
      method: "List",
      kind: "status",
      code: Code.Unimplemented,
      message: "unknown service v1.PodResourcesLister",
    });
    expect(await failure(devices().response)).toBe(
      'Unimplemented: "unknown service v1.PodResourcesLister"',
    );
  });

  test.each<KubeletFault["method"]>(["Get", "List"])(
    "%s never answers, ended by the deadline",
    async (method) => {
      if (method === "List") kubelet.inject(getDisabled);
      kubelet.inject({ method, kind: "hang" });
      const deadline = new Deadline(250);
      const response = podDevices(pod, { socket: kubelet.socket, deadline });
      expect(await failure(response)).toBe("no response in time");
    },
  );

  test("no time is left, no call is made", async () => {
    expect(await failure(devices({ budget: 0 }).response)).toBe(
      "no response in time",
    );
    expect(kubelet.calls).toEqual([]);
  });
});

describe("podDevices, socket", () => {
  test.each<[string, (directory: string) => string, string]>([
    ["missing", (directory) => join(directory, "none.sock"), "no such socket"],
    ["nobody listens", deadSocket, "connection refused"],
    ["a directory", (directory) => directory, "connection refused"],
    ["a named pipe", namedPipe, "connection refused"],
  ])("%s", async (_, socketIn, message) => {
    const directory = mkdtempSync(join(tmpdir(), "podresources-"));
    try {
      const socket = socketIn(directory);
      const response = podDevices(pod, {
        socket,
        deadline: new Deadline(5000),
      });
      expect(await failure(response, socket)).toBe(message);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test.each<
    [string, text: Uint8Array | string, budget: number, message: RegExp]
  >([
    ["says nothing", "", 250, /^no response in time$/],
    [
      "says hello and nothing more",
      frame(settings),
      250,
      /^no response in time$/,
    ],
    [
      "begins an answer",
      Buffer.concat([frame(settings), frame(data, 1, 100).subarray(0, 50)]),
      250,
      /^no response in time$/,
    ],
    [
      "never ends to acknowledge",
      Buffer.concat([frame(settings), ...Array(5000).fill(frame(ping, 0, 8))]),
      5000,
      /^\w+: ".*[Ff]lood/,
    ],
    [
      "speaks HTTP/1",
      "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
      5000,
      /^\w+: ".*rotocol/,
    ],
  ])("another server, %s", async (_, text, budget, message) => {
    await using stranger = startStranger(text);
    const { socket } = stranger;
    const response = podDevices(pod, {
      socket,
      deadline: new Deadline(budget),
    });
    expect(await failure(response, socket)).toMatch(message);
  });
});

const allotted = new Map([
  ["intel.com/a", ["a0", "a1"]],
  ["intel.com/b", ["b0"]],
  ["intel.com/none", []],
]);

describe("DeviceAllotment", () => {
  test("take, every resource in its own order, none twice", () => {
    const allotment = new DeviceAllotment(allotted);
    const wanted = ["intel.com/a", "intel.com/b", "intel.com/a"];
    expect(wanted.map((resource) => allotment.take(resource))).toEqual([
      "a0",
      "b0",
      "a1",
    ]);
  });

  test.each<[resource: string, taken: number, message: string]>([
    [
      "intel.com/a",
      2,
      'no device of resource "intel.com/a" is left for this network: the kubelet allotted 2 to the pod',
    ],
    [
      "intel.com/none",
      0,
      'no device of resource "intel.com/none" is left for this network: the kubelet allotted 0 to the pod',
    ],
    [
      "constructor",
      0,
      'no device of resource "constructor" is left for this network: the kubelet allotted 0 to the pod',
    ],
  ])("take, %s after %d of them: error 7", (resource, taken, message) => {
    const allotment = new DeviceAllotment(allotted);
    for (let count = 0; count < taken; count++) allotment.take(resource);
    expect(() => allotment.take(resource)).toThrow(new CniError(7, message));
    // Still the same for the next one.
    expect(() => allotment.take(resource)).toThrow(
      expect.objectContaining({ code: 7, message }),
    );
  });

  test("constructor, another allotment starts anew", () => {
    new DeviceAllotment(allotted).take("intel.com/b");
    expect(new DeviceAllotment(allotted).take("intel.com/b")).toBe("b0");
  });
});

/** HTTP/2, RFC 9113 §6: types of frames. */
const [data, settings, ping] = [0, 4, 6] as const;

function frame(type: number, stream = 0, length = 0): Buffer {
  const bytes = Buffer.alloc(9 + length);
  bytes.writeUIntBE(length, 0, 3);
  bytes[3] = type;
  bytes.writeUInt32BE(stream, 5);
  return bytes;
}

function namedPipe(directory: string): string {
  const path = join(directory, "pipe");
  Bun.spawnSync(["mkfifo", path]);
  return path;
}

function deadSocket(directory: string): string {
  const socket = join(directory, "dead.sock");
  writeFileSync(socket, "");
  return socket;
}
