import { afterAll, describe, expect, test } from "bun:test";
import { startApiServer } from "../../support/api-server.ts";
import { removeCerts } from "../../support/certs.ts";
import { NodeDirectory, ptpConf } from "../fixtures.ts";
import {
  args,
  bridge,
  explained,
  explainedFile,
  nodeOf,
  portmap,
  ptp,
} from "./explained.ts";

afterAll(removeCerts);

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
    expect(await explainedFile(node, pod)).toMatchObject({
      rules: [
        'annotation "cni" names "weave": file key of "20-weave.conf"',
        "the scheduler takes nodes with the label networks.genie/weave=ready",
      ],
    });
  });

  test("an auxiliary chain, is told beside the networks", async () => {
    using node = await NodeDirectory.installed();
    node.configure({ auxiliaryChain: "vendor" });
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
    using node = await nodeOf(server);
    const namespace = {
      kind: "Namespace",
      metadata: { name: "shop", annotations: { cni: "weave,canal" } },
    };
    const pod = { metadata: { name: "web", namespace: "shop", annotations } };
    const items = [pod, namespace];
    expect(await explainedFile(node, { items })).toMatchObject({
      rules: expect.arrayContaining([line]),
    });
    // The API server's namespace where the file has none.
    server.inject({
      match: ({ path }) => path === "/api/v1/namespaces/shop",
      kind: "answer",
      status: 200,
      body: JSON.stringify(namespace),
    });
    expect(await explainedFile(node, pod)).toMatchObject({
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
    using node = await nodeOf(server);
    const pod = {
      metadata: {
        name: "web",
        namespace: "shop",
        annotations: { cni: "", networks: "net1" },
      },
    };
    expect(await explainedFile(node, pod)).toMatchObject({
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
    const networks = ["weave", "canal", "nowhere"];
    node.configure({ automatic: { networks } });
    const pod = { metadata: { name: "web", annotations: { cni: " " } } };
    const rules = [
      'annotation "cni" is blank: automatic choice by attachments (weave 0, canal 0) gives "weave": file key of "20-weave.conf"',
    ];
    expect(await explainedFile(node, [pod, pod])).toMatchObject([
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
  ])("-f %j, its rule", async (object, rule) => {
    using node = await NodeDirectory.installed();
    const words = ["web", "-n", "shop"];
    expect(await explainedFile(node, object, words)).toMatchObject({
      pod: { namespace: "shop" },
      rules: [rule],
    });
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
});
