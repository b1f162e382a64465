import { afterAll, describe, expect, test } from "bun:test";
import { startApiServer, statusFault } from "../../support/api-server.ts";
import { removeCerts } from "../../support/certs.ts";
import { startKubelet } from "../../support/kubelet.ts";
import { NodeDirectory, ptpConf } from "../fixtures.ts";

afterAll(removeCerts);

const args = (pod: string, uid = "<pod UID>") => {
  const [namespace, name] = pod.split("/");
  return `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_INFRA_CONTAINER_ID=<container ID>;K8S_POD_UID=${uid}`;
};

/** A node with genie; the kubeconfig is the server's, if there is one. */

async function explained(
  node: NodeDirectory,
  words: string[],
): Promise<unknown> {
  const before = node.inodes();
  const { exitCode, stdout, stderr } = await node.type("explain", [
    "-o",
    "json",
    ...words,
  ]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(node.inodes()).toEqual(before);
  return JSON.parse(stdout.replaceAll(node.root, "")) as unknown;
}

const bridge = {
  type: "bridge",
  path: "/opt/cni/bin/bridge",
  config: {
    type: "bridge",
    ipam: { type: "host-local", subnet: "10.1.0.0/16" },
    name: "canal-net",
    cniVersion: "1.0.0",
  },
};

const portmap = (runtimeConfig?: object) => ({
  type: "portmap",
  path: "/opt/cni/bin/portmap",
  config: {
    type: "portmap",
    capabilities: { portMappings: true },
    name: "canal-net",
    cniVersion: "1.0.0",
    ...(runtimeConfig && { runtimeConfig }),
  },
});

const ptp = {
  type: "ptp",
  path: "/opt/cni/bin/ptp",
  config: { cniVersion: "0.4.0", name: "weave-net", type: "ptp" },
};

describe("explain", () => {
  test("-f, the pod's choice with the configuration of each plugin", async () => {
    using node = await NodeDirectory.installed();
    const pod = node.write(
      "pod.yaml",
      `
apiVersion: v1
kind: Service
metadata: { name: other }
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: shop, uid: u1, annotations: { cni: "canal, weave@net7" } }
spec: { containers: [{ name: a, ports: [{ containerPort: 80, hostPort: 8080, protocol: UDP }, { containerPort: 81 }] }] }
`,
    );
    expect(await explained(node, ["web", "-f", pod])).toEqual({
      pod: { namespace: "shop", name: "web" },
      rules: [
        'annotation "cni" names "canal": file key of "10-canal.conflist"',
        'annotation "cni" names "weave": file key of "20-weave.conf"',
      ],
      attachments: [
        {
          ifname: "eth0",
          primary: true,
          network: "canal",
          cniName: "canal-net",
          source: "/etc/cni/net.d/10-canal.conflist",
          args: args("shop/web", "u1"),
          plugins: [
            bridge,
            portmap({
              portMappings: [
                {
                  HostPort: 8080,
                  ContainerPort: 80,
                  Protocol: "udp",
                  HostIP: "",
                },
              ],
            }),
          ],
        },
        {
          ifname: "net7",
          primary: false,
          network: "weave",
          cniName: "weave-net",
          source: "/etc/cni/net.d/20-weave.conf",
          args: args("shop/web", "u1"),
          plugins: [ptp],
        },
      ],
    });
  });

  test("a node selector for networks, is told", async () => {
    using node = await NodeDirectory.installed();
    const pod = {
      metadata: { name: "web", annotations: { cni: "weave" } },
      spec: {
        nodeSelector: { "networks.genie/weave": "ready", disk: "fast" },
        containers: [],
      },
    };
    const file = node.write("pod.json", JSON.stringify(pod));
    expect(await explained(node, ["-f", file])).toMatchObject({
      rules: [
        'annotation "cni" names "weave": file key of "20-weave.conf"',
        "the scheduler takes nodes with the label networks.genie/weave=ready",
      ],
    });
  });

  test("an auxiliary chain, is told beside the networks", async () => {
    using node = await NodeDirectory.installed();
    const own = JSON.parse(node.read("etc/cni/net.d/00-genie.conflist")) as {
      plugins: object[];
    };
    const plugin = { ...own.plugins[0], auxiliaryChain: "vendor" };
    node.network("00-genie.conflist", { ...own, plugins: [plugin] });
    node.network("vendor/10-ptp.conf", { cniVersion: "1.0.0", type: "ptp" });
    const pod = { metadata: { name: "web", annotations: { cni: "weave" } } };
    const file = node.write("pod.json", JSON.stringify(pod));
    expect(await explained(node, ["-f", file])).toMatchObject({
      rules: [
        'annotation "cni" names "weave": file key of "20-weave.conf"',
        'auxiliaryChain "vendor" is executed last, on eth0',
      ],
      attachments: [{ network: "weave" }],
      auxiliary: {
        ifname: "eth0",
        source: "/etc/cni/net.d/vendor",
        plugins: [{ type: "ptp", config: { name: "vendor", type: "ptp" } }],
      },
    });
    const { stdout } = await node.type("explain", ["-f", file]);
    expect(stdout).toContain("eth0 (auxiliary chain): vendor, from ");
    expect(stdout).toContain(
      "is given, with the primary's result as prevResult:",
    );
  });

  test.each<[annotations: Record<string, string>, line: string]>([
    [
      { other: "" },
      'namespace "shop" gives cni "weave,canal" to a pod that is created without network annotations',
    ],
    [
      { cni: "default" },
      'namespace "shop" gives cni "weave,canal", but the pod has network annotations of its own',
    ],
    [
      { cni: "weave,canal" },
      'namespace "shop" gives cni "weave,canal", and the pod has the same',
    ],
  ])("%j, what the namespace would have given", async (annotations, line) => {
    await using server = await startApiServer();
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
    const namespace = {
      kind: "Namespace",
      metadata: { name: "shop", annotations: { cni: "weave,canal" } },
    };
    const pod = { metadata: { name: "web", namespace: "shop", annotations } };
    const text = JSON.stringify({ items: [pod, namespace] });
    const file = node.write("pods.json", text);
    expect(await explained(node, ["-f", file])).toMatchObject({
      rules: expect.arrayContaining([line]),
    });
    // The API server's namespace where the file has none.
    const alone = node.write("pod.json", JSON.stringify(pod));
    server.inject({
      match: ({ path }) => path === "/api/v1/namespaces/shop",
      kind: "answer",
      status: 200,
      body: JSON.stringify(namespace),
    });
    expect(await explained(node, ["-f", alone])).toMatchObject({
      rules: expect.arrayContaining([line]),
    });
  });

  test("logical networks, their objects and the subnet that the plugin would get", async () => {
    await using server = await startApiServer();
    server.logicalNetworks.put({
      metadata: { name: "net1", namespace: "shop" },
      spec: { physicalNet: "phynet1", sub_subnet: "10.1.7.0/24" },
    });
    server.physicalNetworks.put({
      metadata: { name: "phynet1", namespace: "shop" },
      spec: { sharedStatus: { dedicatedNet: true, plugin: "canal" } },
    });
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
    const pod = {
      metadata: {
        name: "web",
        namespace: "shop",
        annotations: { cni: "", networks: "net1" },
      },
    };
    const file = node.write("pod.json", JSON.stringify(pod));
    expect(await explained(node, ["-f", file])).toMatchObject({
      rules: [
        'annotation "networks" names logical network "shop/net1" (physical network "shop/phynet1", subnet 10.1.7.0/24) of "canal": file key of "10-canal.conflist"',
      ],
      attachments: [
        {
          ifname: "eth0",
          source: "/etc/cni/net.d/10-canal.conflist",
          plugins: [
            { config: { ipam: { type: "host-local", subnet: "10.1.7.0/24" } } },
            { type: "portmap" },
          ],
        },
      ],
    });
  });

  test("a blank cni where the node chooses, shows the counts", async () => {
    using node = await NodeDirectory.installed();
    const own = JSON.parse(node.read("etc/cni/net.d/00-genie.conflist")) as {
      plugins: object[];
    };
    const automatic = { networks: ["weave", "canal", "nowhere"] };
    node.network("00-genie.conflist", {
      ...own,
      plugins: [{ ...own.plugins[0], automatic }],
    });
    const pod = { metadata: { name: "web", annotations: { cni: " " } } };
    const file = node.write("pods.json", JSON.stringify([pod, pod]));
    const rules = [
      'annotation "cni" is blank: automatic choice by attachments (weave 0, canal 0) gives "weave": file key of "20-weave.conf"',
    ];
    expect(await explained(node, ["-f", file])).toMatchObject([
      { rules },
      { rules },
    ]);
  });

  test.each<[object: object, rule: string]>([
    [
      { metadata: { name: "web" } },
      'no annotation "cni": default_plugin names "canal": file key of "10-canal.conflist"',
    ],
    [
      { metadata: { name: "web", annotations: { cni: " " } } },
      'annotation "cni" is blank: default_plugin names "canal": file key of "10-canal.conflist"',
    ],
    [
      {
        kind: "Deployment",
        metadata: { name: "web" },
        spec: { template: { metadata: { annotations: { cni: "weave" } } } },
      },
      'annotation "cni" names "weave": file key of "20-weave.conf"',
    ],
    [
      {
        kind: "CronJob",
        metadata: { name: "web" },
        spec: {
          jobTemplate: {
            spec: { template: { metadata: { annotations: { cni: "weave" } } } },
          },
        },
      },
      'annotation "cni" names "weave": file key of "20-weave.conf"',
    ],
    [
      {
        kind: "List",
        items: [{ metadata: { name: "web", annotations: { cni: "weave" } } }],
      },
      'annotation "cni" names "weave": file key of "20-weave.conf"',
    ],
  ])("-f %j, its rule", async (object, rule) => {
    using node = await NodeDirectory.installed();
    const pod = node.write("pod.json", JSON.stringify(object));
    expect(
      await explained(node, ["web", "-n", "shop", "-f", pod]),
    ).toMatchObject({ pod: { namespace: "shop" }, rules: [rule] });
  });

  test("as text, one block for each interface", async () => {
    using node = await NodeDirectory.installed();
    const pod = node.write(
      "pod.json",
      JSON.stringify({
        metadata: { name: "web", annotations: { cni: "weave" } },
      }),
    );
    const { stdout } = await node.type("explain", ["web", "-f", pod]);
    expect(stdout.replaceAll(node.root, ""))
      .toBe(`default/web gets 1 network on this node:
  annotation "cni" names "weave": file key of "20-weave.conf"

eth0 (primary): weave (CNI name weave-net), from /etc/cni/net.d/20-weave.conf
  CNI_ARGS ${args("default/web")}
  ptp (/opt/cni/bin/ptp) is given:
    {
      "cniVersion": "0.4.0",
      "name": "weave-net",
      "type": "ptp"
    }
`);
  });

  test("as text, a configuration gives no orders to the terminal", async () => {
    using node = await NodeDirectory.installed();
    node.network("20-weave.conf", { ...ptpConf, note: "\u009b2J\u202e" });
    const pod = node.write(
      "pod.json",
      JSON.stringify({
        metadata: { name: "web", annotations: { cni: "weave" } },
      }),
    );
    const { stdout } = await node.type("explain", ["web", "-f", pod]);
    expect(stdout).toContain('"note": "\\u009b2J\\u202e"');
  });

  test.each<[what: string, object: unknown, words: string[], stderr: string]>([
    [
      "an unknown network",
      { metadata: { name: "web", annotations: { cni: "foo" } } },
      [],
      'no network "foo" in /etc/cni/net.d: have canal, weave',
    ],
    [
      "another name",
      { metadata: { name: "api" } },
      [],
      '/pod.json: no object "web" is in it: have pod "api"',
    ],
    [
      "several objects, none of that name",
      [{ metadata: { name: "a" } }, { metadata: { name: "b" } }],
      [],
      '/pod.json: no object "web" is in it: have pod "a", pod "b"',
    ],
    [
      "an annotation that is no string",
      { metadata: { name: "web", annotations: { cni: 1 } } },
      [],
      '/pod.json: pod "web": metadata.annotations.cni: expected a string, got the number 1',
    ],
  ])(
    "%s, fails with the words that the pod would get",
    async (_, object, words, stderr) => {
      using node = await NodeDirectory.installed();
      const pod = node.write("pod.json", JSON.stringify(object));
      const ended = await node.type("explain", ["web", "-f", pod, ...words]);
      expect({
        ...ended,
        stderr: ended.stderr.replaceAll(node.root, ""),
      }).toEqual({
        exitCode: 1,
        stdout: "",
        stderr: `genie explain: ${stderr}\n`,
      });
    },
  );

  test("hostNetwork, no plugin is called", async () => {
    using node = await NodeDirectory.installed();
    const pod = node.write(
      "pod.json",
      JSON.stringify({
        metadata: { name: "web" },
        spec: { hostNetwork: true },
      }),
    );
    expect(await node.type("explain", ["web", "-f", pod])).toEqual({
      exitCode: 0,
      stderr: "",
      stdout:
        "default/web uses the node's own network: the runtime calls no CNI plugin for it\n",
    });
  });

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
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
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
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
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

  test.each<[status: number, what: string]>([
    [404, "not found"],
    [403, "forbidden"],
  ])("the API server responds %p, the error names it", async (status, what) => {
    await using server = await startApiServer();
    server.inject(statusFault(status));
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
    expect(await node.type("explain", ["web"])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `genie explain: failed to get pod "default/web": ${what}\n`,
    });
  });
});
