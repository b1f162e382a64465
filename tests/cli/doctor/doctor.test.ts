import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startApiServer } from "../../support/api-server.ts";
import { removeCerts } from "../../support/certs.ts";
import {
  NodeDirectory,
  bridgeList,
  pluginScript,
  ptpConf,
  speaksAll,
} from "../fixtures.ts";
import { cluster, diagnosed, ofRuntime, troubles } from "./diagnosis.ts";

afterAll(removeCerts);

type Trouble = [
  what: string,
  prepare: (node: NodeDirectory) => void,
  trouble: string[],
];

describe("doctor", () => {
  test("a node in order, every check is ok", async () => {
    await using server = await startApiServer();
    cluster(server);
    const kubeconfig = server.kubeconfig();
    chmodSync(kubeconfig, 0o600);
    using node = await NodeDirectory.installed(`--kubeconfig=${kubeconfig}`);
    node.record();
    const { exitCode, findings } = await diagnosed(node);
    expect({ exitCode, troubles: troubles(findings) }).toEqual({
      exitCode: 0,
      troubles: [],
    });
    expect(
      findings
        .filter((one) => !ofRuntime(one))
        .map(({ check, found }) => [check, found]),
    ).toEqual([
      ["binary", "/opt/cni/bin/genie supports CNI 0.3.1, 0.4.0, 1.0.0, 1.1.0"],
      [
        "configuration",
        "the runtime takes 00-genie.conflist: it is the first of /etc/cni/net.d, and executes genie",
      ],
      ["default network", '"canal", whose name is "canal-net"'],
      [
        "network canal",
        "10-canal.conflist: version 1.0.0, plugins bridge, portmap",
      ],
      ["network weave", "20-weave.conf: version 0.4.0, plugins ptp"],
      ["kubeconfig", `${kubeconfig} can be read`],
      ["token", "is in the kubeconfig and has no expiry"],
      ["API server", `${server.url} responds: v1.33.1, as genie`],
      ["may get pods", "allowed"],
      ["may patch pods/status", "allowed"],
      ["may get network-attachment-definitions", "allowed"],
      ["mutating policies", "the API server has them"],
      [
        "kubelet's devices",
        'failed to get device plugins from kubelet at "/var/lib/kubelet/pod-resources/kubelet.sock": no such socket',
      ],
      [
        "node name",
        "nodeName is not configured; only devices of claims need it",
      ],
      ["records", "/var/lib/genie can be written"],
      ["left-over records", "none among 1 record"],
    ]);
    expect(
      server.requests.map(({ method, path, user }) => [method, path, user]),
    ).toEqual([
      ["GET", "/version", "genie"],
      ["POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "genie"],
      ...Array.from({ length: 3 }, () => [
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "genie",
      ]),
      ["GET", "/apis/admissionregistration.k8s.io/v1", "genie"],
      [
        "GET",
        "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions?limit=1000",
        "genie",
      ],
    ]);
  });

  test.each<Trouble>([
    [
      "no executable",
      (node) => rmSync(join(node.binDir, "genie")),
      ["binary", "fail", "/opt/cni/bin/genie is missing"],
    ],
    [
      "an executable that does not run",
      (node) => node.plugin("genie", "#!/bin/sh\necho broken >&2\nexit 1\n"),
      [
        "binary",
        "fail",
        '/opt/cni/bin/genie cannot be executed: plugin "genie" failed to report its versions: netplugin failed: "broken": exit status 1',
      ],
    ],
    [
      "another build",
      (node) => node.plugin("genie", `${speaksAll}# newer\n`),
      [
        "binary",
        "warn",
        "/opt/cni/bin/genie supports CNI 0.3.1, 0.4.0, 1.0.0, 1.1.0, but is another build than this one",
      ],
    ],
    [
      "a file before ours",
      (node) => node.network("00-a.conf", ptpConf),
      [
        "configuration",
        "fail",
        "the runtime takes 00-a.conf, the first of /etc/cni/net.d, and not 00-genie.conflist",
      ],
    ],
    [
      "a broken file before ours",
      (node) => node.network("00-a.conf", "{"),
      [
        "configuration",
        "fail",
        "the runtime takes 00-a.conf, the first of /etc/cni/net.d, and not 00-genie.conflist",
      ],
    ],
    [
      "cniVersion 1.1.0",
      (node) =>
        node.network("00-genie.conflist", {
          ...node.config,
          cniVersion: "1.1.0",
        }),
      [
        "configuration",
        "fail",
        "/etc/cni/net.d/00-genie.conflist: cniVersion 1.1.0: containerd 1.6 and 1.7 then fail every pod: use 1.0.0 with cniVersions",
      ],
    ],
    [
      "a container engine's network as the default one",
      (node) => {
        node.network("87-podman-bridge.conflist", {
          ...bridgeList,
          name: "podman",
        });
        const { plugins } = node.config as { plugins: object[] };
        node.network("00-genie.conflist", {
          ...node.config,
          name: "podman",
          plugins: [{ ...plugins[0], default_plugin: "podman-bridge" }],
        });
      },
      [
        "default network",
        "warn",
        '"podman-bridge" is the network of a container engine (87-podman-bridge.conflist), which reaches no other node',
      ],
    ],
    [
      "whereabouts for the default network",
      (node) => {
        node.plugin("whereabouts");
        node.network("10-canal.conflist", {
          ...bridgeList,
          plugins: [{ type: "bridge", ipam: { type: "whereabouts" } }],
        });
      },
      [
        "default network",
        "warn",
        '"canal" has addresses of whereabouts, whose reconciler frees those of a pod\'s first network while the pod runs',
      ],
    ],
    [
      "a name of its own",
      (node) =>
        node.network("00-genie.conflist", { ...node.config, name: "genie" }),
      [
        "configuration",
        "warn",
        `/etc/cni/net.d/00-genie.conflist: its name is "genie", the default network's is "canal-net": CRI-O would take running pods for another network's`,
      ],
    ],
    [
      "a damaged file of ours",
      (node) => node.network("00-genie.conflist", '{"name":'),
      [
        "configuration",
        "fail",
        "/etc/cni/net.d/00-genie.conflist cannot be read, so no pod can be created: error parsing configuration list: unexpected end of JSON input at line 1, column 9",
      ],
    ],
    ...(
      [
        [
          "a misspelt policy",
          { alowedPlugins: [] },
          'unknown key "alowedPlugins" is ignored: did you mean "allowedPlugins"?',
        ],
        [
          "another",
          { namespaceIsolaton: true },
          'unknown key "namespaceIsolaton" is ignored: did you mean "namespaceIsolation"?',
        ],
        [
          "a misspelt key of policy",
          { policy: { k8s_auth_tokn: "t" } },
          'unknown key "policy.k8s_auth_tokn" is ignored: did you mean "policy.k8s_auth_token"?',
        ],
        [
          "a misspelt key of kubernetes",
          { kubernetes: { kubeConfig: "/a" } },
          'unknown key "kubernetes.kubeConfig" is ignored: did you mean "kubernetes.kubeconfig"?',
        ],
        ["a key like none", { xyzzy: 1 }, 'unknown key "xyzzy" is ignored'],
      ] as const
    ).map(([what, keys, found]): Trouble => [
      what,
      (node) => node.configure(keys),
      ["configuration", "warn", `/etc/cni/net.d/00-genie.conflist: ${found}`],
    ]),
    [
      "wrong values, each is named",
      (node) => node.configure({ strict: "yes", allowedNetworks: "weave" }),
      [
        "configuration",
        "fail",
        'invalid configuration: strict: expected a bool, got "yes", allowedNetworks: expected an array of strings, got "weave"',
      ],
    ],
    [
      "genie behind another plugin",
      (node) =>
        node.network("00-genie.conflist", {
          ...node.config,
          plugins: [
            { type: "tuning" },
            ...(node.config["plugins"] as object[]),
          ],
        }),
      [
        "configuration",
        "fail",
        "/etc/cni/net.d/00-genie.conflist: genie must be the first plugin of its list, and be in it once: every pod fails",
      ],
    ],
    [
      "a network of the automatic choice that is missing",
      (node) =>
        node.configure({ automatic: { networks: ["canal", "nowhere"] } }),
      [
        "automatic",
        "warn",
        'no network "nowhere" in /etc/cni/net.d: have canal, weave: automatic choice passes it over',
      ],
    ],
    [
      "an automatic choice by traffic without samples",
      (node) =>
        node.configure({ automatic: { networks: ["canal"], by: "traffic" } }),
      [
        "automatic",
        "warn",
        "no sample of the traffic in the last minute: automatic choice counts attachments",
      ],
    ],
    [
      "an auxiliary chain that is torn",
      (node) => {
        node.configure({ auxiliaryChain: "vendor" });
        node.network("vendor/10-a.conf", '{"type":');
      },
      [
        "auxiliary chain",
        "fail",
        "auxiliary chain /etc/cni/net.d/vendor: 10-a.conf: error parsing configuration: unexpected end of JSON input at line 1, column 9: every pod fails",
      ],
    ],
    [
      "an auxiliary chain without its plugin",
      (node) => {
        node.configure({ auxiliaryChain: "vendor" });
        node.network("vendor/10-a.conf", { cniVersion: "1.0.0", type: "none" });
      },
      [
        "auxiliary chain",
        "fail",
        'failed to find plugin "none" in path [/opt/cni/bin]: every pod fails',
      ],
    ],
    [
      "IPAM that definitions may not use",
      (node) => {
        node.plugin("calico-ipam");
        node.network("30-calico.conf", {
          name: "calico",
          cniVersion: "1.0.0",
          type: "ptp",
          ipam: { type: "calico-ipam" },
        });
        node.configure({ allowedPlugins: ["ptp"] });
      },
      [
        "allowed IPAM",
        "warn",
        'network 30-calico.conf uses IPAM "calico-ipam", which is outside of allowedIpams (host-local, static, dhcp, whereabouts): definitions with it are refused',
      ],
    ],
    [
      "IPAM outside of the list that the operator gave",
      (node) =>
        node.configure({ allowedPlugins: ["ptp"], allowedIpams: ["static"] }),
      [
        "allowed IPAM",
        "warn",
        'network 10-canal.conflist uses IPAM "host-local", which is outside of allowedIpams (static): definitions with it are refused',
      ],
    ],
    [
      "a plugin of a mesh that is missing",
      (node) =>
        node.network("00-genie.conflist", {
          ...node.config,
          plugins: [
            ...(node.config["plugins"] as object[]),
            { type: "istio-cni" },
          ],
        }),
      [
        "configuration",
        "fail",
        '/etc/cni/net.d/00-genie.conflist: failed to find plugin "istio-cni" in path [/opt/cni/bin]',
      ],
    ],
    [
      "a plugin of a mesh in our list and in a network",
      (node) => {
        const mesh = { type: "istio-cni" };
        node.plugin("istio-cni", speaksAll);
        const ours = node.config["plugins"] as object[];
        const plugins = [...ours, mesh];
        node.network("00-genie.conflist", { ...node.config, plugins });
        node.network("30-mesh.conflist", {
          name: "mesh",
          cniVersion: "1.0.0",
          plugins: [{ type: "ptp" }, mesh],
        });
      },
      [
        "networks",
        "warn",
        'plugin "istio-cni" is in 00-genie.conflist and in 30-mesh.conflist: pods of that network get it twice',
      ],
    ],
    [
      "a token in a file that others can read",
      (node) => {
        node.configure({ policy: { k8s_auth_token: "t" } });
        chmodSync(join(node.confDir, "00-genie.conflist"), 0o644);
      },
      [
        "configuration",
        "warn",
        "/etc/cni/net.d/00-genie.conflist: it contains policy.k8s_auth_token, and other users can read it",
      ],
    ],
    [
      "two files of one key",
      (node) =>
        node.network("20-weave.conflist", {
          name: "other",
          cniVersion: "1.0.0",
          plugins: [{ type: "ptp" }],
        }),
      [
        "network weave",
        "warn",
        'pods that choose "weave" get 20-weave.conf: it comes before 20-weave.conflist, whose file key is the same',
      ],
    ],
    [
      "two networks of one name",
      (node) => node.network("30-other.conf", { ...ptpConf }),
      [
        "network names",
        "warn",
        '20-weave.conf and 30-other.conf have the same "name", "weave-net": plugins keep addresses by it, and runtimes know the first one only',
      ],
    ],
    [
      "a renamed file",
      (node) => node.network("10-canal.conflist.cilium_bak", "{}"),
      [
        "renamed files",
        "warn",
        "another CNI renamed 10-canal.conflist.cilium_bak",
      ],
    ],
    [
      "our own file, renamed and restored",
      (node) => node.network("00-genie.conflist.cilium_bak", "{}"),
      [
        "renamed files",
        "warn",
        "another CNI renamed 00-genie.conflist.cilium_bak; 00-genie.conflist is there again",
      ],
    ],
    [
      "an invalid network",
      (node) => node.network("30-broken.conf", "{"),
      [
        "network 30-broken.conf",
        "fail",
        "error parsing configuration: unexpected end of JSON input at line 1, column 2",
      ],
    ],
    [
      "a missing plugin",
      (node) => rmSync(join(node.binDir, "ptp")),
      [
        "network weave",
        "fail",
        '20-weave.conf: failed to find plugin "ptp" in path [/opt/cni/bin]',
      ],
    ],
    [
      "a plugin that does not speak the version",
      (node) => node.plugin("ptp", pluginScript("0.2.0", "0.3.1")),
      [
        "network weave",
        "fail",
        '20-weave.conf: plugin "ptp" does not support version 0.4.0, only 0.2.0, 0.3.1',
      ],
    ],
    [
      "a plugin whose versions are no list",
      (node) =>
        node.plugin(
          "ptp",
          `#!/bin/sh\necho '{"cniVersion":"1.0.0","supportedVersions":"1.0.0"}'\n`,
        ),
      [
        "network weave",
        "fail",
        '20-weave.conf: plugin "ptp" failed to report its versions: invalid response: supportedVersions: expected an array, got "1.0.0"',
      ],
    ],
    [
      "left-over records",
      (node) => {
        node.record({ containerId: "c1", netns: "/nowhere" });
        node.record({ containerId: "c2", bootId: "earlier" });
        node.record({ containerId: "c3" });
      },
      ["left-over records", "warn", "2 of 3 records without a sandbox"],
    ],
    [
      "what was abandoned",
      (node) => {
        node.abandoned({ containerId: "c1" });
        node.abandoned({ containerId: "c2" });
      },
      [
        "abandoned attachments",
        "warn",
        expect.stringMatching(
          /^2 could not be deleted, as eth0 of c[12] in network canal-net: no$/,
        ),
      ],
    ],
    [
      "records that others may write",
      (node) => {
        node.record();
        chmodSync(join(node.dataDir, "attachments"), 0o777);
      },
      [
        "records",
        "fail",
        expect.stringContaining("group or others may write to it (mode 0777)"),
      ],
    ],
    [
      "an unreadable record",
      (node) => {
        node.record();
        writeFileSync(join(node.dataDir, "attachments/c9:eth0.json"), "{");
      },
      ["left-over records", "fail", "1 record cannot be read: c9:eth0"],
    ],
  ])(
    "%s, is found and the exit code says whether it is serious",
    async (_, prepare, trouble) => {
      using node = await NodeDirectory.installed();
      prepare(node);
      const { exitCode, findings } = await diagnosed(node);
      const found = troubles(findings).find(
        ([check]) => check !== "kubeconfig",
      );
      expect({ exitCode, found }).toEqual({
        exitCode: trouble[1] === "fail" ? 1 : 0,
        found: trouble,
      });
      expect(
        findings
          .filter(({ verdict }) => verdict === "fail" || verdict === "warn")
          .every(({ advice }) => advice !== undefined),
      ).toBe(true);
    },
  );

  test("records of namespaces that are not seen here, are not called left over", async () => {
    using node = await NodeDirectory.installed();
    node.record({ containerId: "c1", netns: "/a", mountNamespace: "1" });
    node.record({ containerId: "c2" });
    const { findings } = await diagnosed(node);
    expect(
      findings.find(({ check }) => check === "left-over records"),
    ).toMatchObject({
      verdict: "ok",
      found: "none among 2 records; 1 cannot be seen from this mount namespace",
    });
  });

  test.each<[what: string, keys: object]>([
    ["no allowedPlugins", { allowedIpams: ["static"] }],
    [
      "in allowedIpams",
      { allowedPlugins: ["ptp"], allowedIpams: ["host-local"] },
    ],
    ["in allowedPlugins", { allowedPlugins: ["host-local"], allowedIpams: [] }],
  ])("IPAM of the node, %s, no finding", async (_, keys) => {
    using node = await NodeDirectory.installed();
    node.configure(keys);
    const { findings } = await diagnosed(node);
    expect(findings.filter(({ check }) => check === "allowed IPAM")).toEqual(
      [],
    );
  });

  test("a node without genie, advice to install it", async () => {
    using node = new NodeDirectory();
    const { exitCode, findings } = await diagnosed(node);
    expect({ exitCode, troubles: troubles(findings) }).toEqual({
      exitCode: 1,
      troubles: [
        ["binary", "fail", "/opt/cni/bin/genie is missing"],
        ["configuration", "fail", "no file of /etc/cni/net.d executes genie"],
      ],
    });
  });

  test("-o table, one line for each finding, in colour on a terminal", async () => {
    using node = await NodeDirectory.installed();
    rmSync(join(node.binDir, "ptp"));
    const plain = await node.type("doctor");
    expect(plain.exitCode).toBe(1);
    expect(plain.stdout).toMatch(
      /\nfail  network weave +20-weave\.conf: .*\n {20,}→ install the missing plugins into /,
    );
    // The machine's own runtime may add to them.
    expect(plain.stdout).toMatch(/ok, 1 warning, [1-9] failures?\n$/);
    const coloured = await node.type("doctor", [], { colour: true });
    expect(coloured.stdout).toContain(
      "\u001b[31mfail\u001b[0m  network weave ",
    );
    expect(Bun.stripANSI(coloured.stdout)).toBe(plain.stdout);
  });

  test("-o table, a file name with control characters is in one line and harmless", async () => {
    using node = await NodeDirectory.installed();
    node.network("30-a\n\u001b[31mb.conf", { ...ptpConf, name: "odd" });
    const { stdout } = await node.type("doctor");
    expect(stdout).toMatch(
      /^ok {4}network a\\n\\u001b\[31mb +30-a\\n\\u001b\[31mb\.conf: /m,
    );
  });
});
