import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { Deadline } from "../../lib/linux/deadline.ts";
import { CniError } from "../../lib/cni/error.ts";
import { podContainers } from "../../lib/kubelet/podresources.ts";
import {
  containersOf,
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

const webContainers = containersOf(web);

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

/** The devices of the kubelet under test; time passes in pauses only. */
function devices(options: { budget?: number; random?: number } = {}) {
  const { budget = 5000, random = 0 } = options;
  let now = 0;
  const pauses: number[] = [];
  const response = podContainers(pod, {
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

describe("podContainers", () => {
  test("Get, the containers as the kubelet lists them", async () => {
    expect(await devices().response).toEqual(webContainers);
    expect(kubelet.calls).toEqual(["Get shop/web"]);
  });

  test.each<[string, Code]>([
    ["Unknown", Code.Unknown],
    ["Unimplemented", Code.Unimplemented],
  ])("Get answers %s, only the pod's own devices of List", async (_, code) => {
    kubelet.inject({ ...getDisabled, kind: "status", code, message: "no" });
    expect(await devices().response).toEqual(webContainers);
    expect(kubelet.calls).toEqual(["Get shop/web", "List"]);
  });

  test("List of 10 MiB, read", async () => {
    kubelet.pods.splice(1, 0, ...otherPods(10));
    kubelet.inject(getDisabled);
    expect(await devices().response).toEqual(webContainers);
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

describe("podContainers, limit on calls", () => {
  test.each<[random: number, pauses: number[]]>([
    [0, [10, 20, 40, 80, 160, 250, 250]],
    [0.5, [15, 30, 60, 120, 240, 375, 375]],
  ])(
    "Get, asked again after growing pauses, random %p",
    async (random, expected) => {
      kubelet.inject({ ...rateLimit, method: "Get", times: expected.length });
      const { response, pauses } = devices({ random });
      expect(await response).toEqual(webContainers);
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
    expect(await response).toEqual(webContainers);
    expect({ pauses, calls: kubelet.calls }).toEqual({
      pauses: [10, 20],
      calls: ["Get shop/web", "List", "List", "List"],
    });
  });

  test("Unavailable, asked again", async () => {
    const unavailable = { ...rateLimit, code: Code.Unavailable };
    kubelet.inject({ ...unavailable, method: "Get", times: 2 });
    const { response, pauses } = devices();
    expect(await response).toEqual(webContainers);
    expect(pauses).toEqual([10, 20]);
  });

  test("until the time is up, error 11 with the kubelet's words", async () => {
    kubelet.inject({ ...rateLimit, method: "Get", times: Infinity });
    const { response, pauses } = devices({ budget: 1000 });
    expect(await failure(response)).toBe(
      'ResourceExhausted: "rejected by rate limit"',
    );
    expect(pauses).toEqual([10, 20, 40, 80, 160, 250, 250]);
  });
});

describe("podContainers, error 11", () => {
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
      const response = podContainers(pod, { socket: kubelet.socket, deadline });
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

describe("podContainers, a kubelet that restarts", () => {
  test.each(["before the call", "in the middle of its response"])(
    "%s: asked again until it is there",
    async (when) => {
      const directory = mkdtempSync(join(tmpdir(), "podresources-"));
      const socket = join(directory, "kubelet.sock");
      let serving = kubelet.socket;
      if (when !== "before the call") {
        kubelet.inject({ method: "Get", kind: "drop" });
        symlinkSync(serving, socket);
      }
      const restart = async () => {
        await kubelet.stop();
        kubelet = await startKubelet([web]);
        serving = kubelet.socket;
        rmSync(socket, { force: true });
        symlinkSync(serving, socket);
      };
      let pauses = 0;
      const response = await podContainers(pod, {
        socket,
        deadline: new Deadline(60_000),
        sleep: async () => {
          if (++pauses === 2) await restart();
        },
      });
      rmSync(directory, { recursive: true });
      expect(response).toEqual(webContainers);
    },
  );
});

describe("podContainers, socket", () => {
  test.each<[string, (directory: string) => string, string]>([
    ["missing", (directory) => join(directory, "none.sock"), "no such socket"],
    ["nobody listens", deadSocket, "connection refused"],
    ["a directory", (directory) => directory, "connection refused"],
    ["a named pipe", namedPipe, "connection refused"],
  ])("%s", async (_, socketIn, message) => {
    const directory = mkdtempSync(join(tmpdir(), "podresources-"));
    try {
      const socket = socketIn(directory);
      let now = 0;
      const response = podContainers(pod, {
        socket,
        deadline: new Deadline(5000, () => now),
        sleep: async (ms) => void (now += ms),
      });
      expect(await failure(response, socket)).toBe(message);
      expect(now).toBeGreaterThan(4000);
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
    const response = podContainers(pod, {
      socket,
      deadline: new Deadline(budget),
    });
    expect(await failure(response, socket)).toMatch(message);
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
