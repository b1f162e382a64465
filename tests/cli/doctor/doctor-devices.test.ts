/** The findings about devices: the kubelet's socket, the node's name, ResourceSlices (devices.md). */
import { afterAll, describe, expect, test } from "bun:test";
import type { Finding } from "../../../lib/cli/doctor/check.ts";
import { type ApiServer, startApiServer } from "../../support/api-server.ts";
import { removeCerts } from "../../support/certs.ts";
import { startKubelet } from "../../support/kubelet.ts";
import { NodeDirectory } from "../fixtures.ts";
import { findingsOf } from "./diagnosis.ts";
import { attachmentOf } from "../../support/records.ts";

afterAll(removeCerts);

const resource = "nic.example.com/vf";
const definition = {
  metadata: {
    namespace: "shop",
    name: "vf",
    annotations: { "k8s.v1.cni.cncf.io/resourceName": resource },
  },
  spec: { config: "" },
};

const blank = {
  ...definition,
  metadata: { annotations: { "k8s.v1.cni.cncf.io/resourceName": " " } },
};

/** The server lists all definitions. */
function listDefinitions(server: ApiServer, ...items: object[]): void {
  server.inject({
    match: ({ path }) => path.includes("network-attachment-definitions?"),
    kind: "answer",
    body: JSON.stringify({ items }),
  });
}

/** The server says whether doctor may list ResourceSlices. */
function reviewRight(server: ApiServer, allowed: boolean): void {
  server.inject({
    match: ({ path }) => path.endsWith("/selfsubjectaccessreviews"),
    kind: "answer",
    status: 201,
    body: JSON.stringify({ spec: {}, status: { allowed } }),
  });
}

async function findingsWith(
  server: ApiServer,
  keys: object,
  prepare?: (node: NodeDirectory) => void,
): Promise<Finding[]> {
  using node = new NodeDirectory();
  await node.type("install", ["--kubeconfig", server.kubeconfig()]);
  node.configure(keys);
  prepare?.(node);
  const checks = new Set([
    "kubelet's devices",
    "node name",
    "may list resourceslices",
  ]);
  return (await findingsOf(node)).filter(({ check }) => checks.has(check));
}

const verdicts = (findings: Finding[]) =>
  findings.map(({ check, verdict }) => [check, verdict]);

describe("doctor, devices", () => {
  test("a device plugin has the resource: nothing more is needed", async () => {
    await using server = await startApiServer();
    await using kubelet = await startKubelet();
    kubelet.resources.push("x/b", resource);
    listDefinitions(server, definition);
    const found = await findingsWith(server, {
      podResourcesSocket: kubelet.socket,
    });
    expect(found).toEqual([
      {
        check: "kubelet's devices",
        verdict: "ok",
        found: `${kubelet.socket} responds: ${resource}, x/b`,
      },
      {
        check: "node name",
        verdict: "skip",
        found: "nodeName is not configured; only devices of claims need it",
      },
    ]);
  });

  test.each([
    ["all", true],
    ["those of recorded pods", false],
  ])(
    "no device plugin has the resource of a definition, of %s",
    async (_, isListed) => {
      await using server = await startApiServer();
      await using kubelet = await startKubelet();
      const keys = { podResourcesSocket: kubelet.socket };
      const prepare = (node: NodeDirectory) => {
        if (isListed) listDefinitions(server, definition);
        else
          node.record({
            attachments: [
              { ...attachmentOf("canal-net", "net1"), definition: "shop/vf" },
            ],
          });
      };
      server.definitions.put(definition);
      const unnamed = await findingsWith(server, keys, prepare);
      expect(verdicts(unnamed)).toEqual([
        ["kubelet's devices", "ok"],
        ["node name", "warn"],
      ]);
      const named = { ...keys, nodeName: "node1" };
      reviewRight(server, true);
      expect(verdicts(await findingsWith(server, named, prepare))).toEqual([
        ["kubelet's devices", "ok"],
        ["node name", "ok"],
        ["may list resourceslices", "ok"],
      ]);
      reviewRight(server, false);
      expect((await findingsWith(server, named, prepare)).at(-1)).toMatchObject(
        {
          verdict: "warn",
          found:
            'denied; needed for devices of "nic.example.com/vf" without a metadata file of their driver',
          advice: "genie manifest --dra | kubectl apply -f -",
        },
      );
    },
  );

  test.each([
    ["needed", "fail", [definition]],
    ["not needed", "skip", []],
    ["a blank name is none", "skip", [blank]],
  ])("no kubelet, %s: %s", async (_, verdict, definitions) => {
    await using server = await startApiServer();
    listDefinitions(server, ...definitions);
    const [found] = await findingsWith(server, {
      podResourcesSocket: "/nonexistent/kubelet.sock",
    });
    expect(found).toMatchObject({
      verdict,
      found:
        'failed to get device plugins from kubelet at "/nonexistent/kubelet.sock": no such socket',
    });
  });

  test("an API server that is away is asked once", async () => {
    await using server = await startApiServer();
    const kubeconfig = server.kubeconfig();
    using node = new NodeDirectory();
    const text = await Bun.file(kubeconfig).text();
    const own = node.write("kubeconfig", text, 0o600);
    await node.type("install", ["--kubeconfig", own]);
    await server.stop();
    let connections = 0;
    const socket = {
      open(client: { end(): void }) {
        connections++;
        client.end();
      },
      data() {},
    };
    const { port } = server;
    using _ = Bun.listen({ hostname: "127.0.0.1", port, socket });
    await node.type("doctor");
    // The check of the API server, and that of devices.
    expect(connections).toBe(2);
  });
});
