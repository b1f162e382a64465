/** `genie explain` of pods, definitions and devices that the API server and the kubelet have. */
import { afterAll, describe, expect, test } from "bun:test";
import { statusFault } from "../../support/api-faults.ts";
import { startApiServer } from "../../support/api-server.ts";
import { removeCerts } from "../../support/certs.ts";
import { startKubelet } from "../../support/kubelet.ts";
import { NodeDirectory } from "../fixtures.ts";
import { args, bridge, explained, nodeOf, portmap } from "./explained.ts";

afterAll(removeCerts);

describe("explain, a pod of the API server", () => {
  test.each([[["web", "-n", "shop"]], [["-A", "--node=n1"]]])(
    "%j: a pod that is being deleted is explained as before",
    async (words) => {
      await using server = await startApiServer();
      server.pods.put({
        metadata: {
          namespace: "shop",
          name: "web",
          creationTimestamp: "2026-01-02T03:04:05Z",
          deletionTimestamp: "2026-01-02T03:05:05Z",
        },
        spec: { nodeName: "n1" },
        status: { startTime: "2026-01-02T03:04:06Z" },
      });
      using node = await nodeOf(server);
      expect(JSON.stringify(await explained(node, words))).toContain(
        '"pod":{"namespace":"shop","name":"web"}',
      );
    },
  );

  test("without -f, the pod and its definitions come from the API server", async () => {
    await using server = await startApiServer();
    server.pods.put({
      metadata: {
        namespace: "shop",
        name: "web",
        uid: "u1",
        annotations: { "k8s.v1.cni.cncf.io/networks": "storage@san0" },
      },
    });
    server.definitions.put({
      metadata: { namespace: "shop", name: "storage" },
      spec: { config: '{"cniVersion":"1.0.0","type":"ptp"}' },
    });
    using node = await nodeOf(server);
    expect(await explained(node, ["web", "-n", "shop"])).toEqual({
      pod: { namespace: "shop", name: "web" },
      rules: [
        'no annotation "cni": default_plugin names "canal": file key of "10-canal.conflist"',
        'annotation "k8s.v1.cni.cncf.io/networks" adds definition "shop/storage"',
      ],
      attachments: [
        {
          ifname: "eth0",
          primary: true,
          network: "canal",
          cniName: "canal-net",
          source: "/etc/cni/net.d/10-canal.conflist",
          args: args("shop/web", "u1"),
          plugins: [bridge, portmap()],
        },
        {
          ifname: "san0",
          primary: false,
          network: "storage",
          cniName: "storage",
          source: "network-attachment-definition shop/storage",
          args: args("shop/web", "u1"),
          plugins: [
            {
              type: "ptp",
              path: "/opt/cni/bin/ptp",
              config: { cniVersion: "1.0.0", type: "ptp", name: "storage" },
            },
          ],
        },
      ],
    });
    expect(
      server.requests.map(({ method, path, status }) => [method, path, status]),
    ).toEqual([
      ["GET", "/api/v1/namespaces/shop/pods/web", 200],
      [
        "GET",
        "/apis/k8s.cni.cncf.io/v1/namespaces/shop/network-attachment-definitions/storage",
        200,
      ],
      ["GET", "/api/v1/namespaces/shop", 404],
    ]);
  });

  test("the device of each network, or why there is none yet", async () => {
    await using server = await startApiServer();
    await using kubelet = await startKubelet([
      {
        namespace: "shop",
        name: "web",
        containers: [[["x/vf", "0000:03:02.10", "0000:03:02.2"]]],
      },
    ]);
    const elements = [
      { name: "vf", resourceName: "x/vf" },
      { name: "vf", deviceID: "0000:05:00.0" },
    ];
    const annotations = {
      "k8s.v1.cni.cncf.io/networks": JSON.stringify(elements),
    };
    for (const name of ["web", "later"])
      server.pods.put({ metadata: { namespace: "shop", name, annotations } });
    server.definitions.put({
      metadata: { namespace: "shop", name: "vf" },
      spec: { config: '{"cniVersion":"1.0.0","type":"ptp"}' },
    });
    using node = await nodeOf(server);
    await node.type("install", [
      "--set",
      `podResourcesSocket="${kubelet.socket}"`,
    ]);
    const devicesOf = async (pod: string) => {
      const words = [pod, "-n", "shop"];
      const { attachments } = (await explained(node, words)) as {
        attachments: { device?: object }[];
      };
      return attachments.flatMap(({ device }) => device ?? []);
    };
    const named = { id: "0000:05:00.0" };
    expect(await devicesOf("web")).toEqual([
      { id: "0000:03:02.2", resource: "x/vf", source: "device plugin" },
      named,
    ]);
    expect(await devicesOf("later")).toEqual([
      {
        id: "<device of x/vf>",
        resource: "x/vf",
        source: `no device yet: failed to get devices of pod "shop/later" from kubelet at "${kubelet.socket}": it does not know the pod`,
      },
      named,
    ]);
    const { stdout } = await node.type("explain", ["web", "-n", "shop"]);
    expect(stdout).toContain(
      "\n  device 0000:03:02.2 of x/vf (device plugin)\n",
    );
    expect(stdout).toContain("\n  device 0000:05:00.0 (named by the pod)\n");
  });

  test.each([
    ["explain", ["web"]],
    ["audit", ["--node=n1"]],
  ])(
    "genie %s, a damaged configuration is named: the credential is in it",
    async (command, words) => {
      using node = new NodeDirectory();
      node.network("00-genie.conflist", "{");
      // The fixture names the directory of records, so no other key is missed.
      expect(await node.type(command, words)).toEqual({
        exitCode: 1,
        stdout: "",
        stderr: `genie ${command}: ${node.confDir}/00-genie.conflist: error parsing configuration list: unexpected end of JSON input at line 1, column 2\n`,
      });
    },
  );

  test.each<[status: number, what: string]>([
    [404, "not found"],
    [403, "forbidden"],
  ])("the API server responds %p, the error names it", async (status, what) => {
    await using server = await startApiServer();
    server.inject(statusFault(status));
    using node = await nodeOf(server);
    expect(await node.type("explain", ["web"])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `genie explain: failed to get pod "default/web": ${what}\n`,
    });
  });
});
