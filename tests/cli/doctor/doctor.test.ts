import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkMounts } from "../../../lib/cli/doctor/mounts.ts";
import type { Finding } from "../../../lib/cli/doctor/check.ts";
import { Host } from "../../../lib/cli/node/host.ts";
import {
  type ApiServer,
  startApiServer,
  statusFault,
} from "../../support/api-server.ts";
import { removeCerts } from "../../support/certs.ts";
import { temporaryDirectory } from "../../support/delegate.ts";
import {
  NodeDirectory,
  pluginScript,
  ptpConf,
  speaksAll,
} from "../fixtures.ts";

afterAll(removeCerts);

/** The answers that the double has no objects for; `denied` are resources. */
function cluster(
  server: ApiServer,
  {
    user = "genie",
    denied = [] as string[],
    policies = ["mutatingadmissionpolicies"],
  } = {},
): void {
  const answer = (path: string, status: number, body: object) =>
    server.inject({
      match: (request) => request.path === path,
      times: 100,
      kind: "answer",
      status,
      body: JSON.stringify(body),
    });
  answer("/version", 200, { major: "1", minor: "33", gitVersion: "v1.33.1" });
  answer("/apis/authentication.k8s.io/v1/selfsubjectreviews", 201, {
    status: { userInfo: { username: user } },
  });
  answer("/apis/admissionregistration.k8s.io/v1", 200, {
    resources: policies.map((name) => ({ name })),
  });
  // In the order in which they are asked: pods, pods/status, definitions.
  for (const resource of [
    "pods",
    "pods/status",
    "network-attachment-definitions",
  ]) {
    server.inject({
      match: ({ path }) =>
        path === "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      kind: "answer",
      status: 201,
      body: JSON.stringify({
        spec: {},
        status: { allowed: !denied.includes(resource) },
      }),
    });
  }
}

async function diagnosed(node: NodeDirectory, words: string[] = []) {
  const { exitCode, stdout, stderr } = await node.type("doctor", [
    "-o",
    "json",
    ...words,
  ]);
  expect(stderr).toBe("");
  const findings = JSON.parse(stdout.replaceAll(node.root, "")) as Finding[];
  // With a root of its own a node has no part in this machine's runtime.
  return words.length > 0
    ? { exitCode, findings }
    : { exitCode: exitCodeOf(exitCode, findings), findings };
}

/** What the exit code would be on a machine without a container runtime of its own. */
function exitCodeOf(exitCode: number, findings: Finding[]): number {
  const failed = findings.filter(({ verdict }) => verdict === "fail");
  return exitCode === 1 && failed.length > 0 && failed.every(ofRuntime)
    ? 0
    : exitCode;
}

/** Of the machine that the tests run on. */
const ofRuntime = ({ check }: Finding) =>
  /^(?:runtime|loopback|containerd|crio|CRI-O)/.test(check);

/** What is not in order, without the machine's own runtime. */
const troubles = (
  findings: Finding[],
  ours = (one: Finding) => !ofRuntime(one),
) =>
  findings
    .filter(
      (one) => one.verdict !== "ok" && one.verdict !== "skip" && ours(one),
    )
    .map(({ check, verdict, found }) => [check, verdict, found]);

const daemonPod = (uid: string) => ({
  metadata: { namespace: "kube-system", name: "genie-x7", uid },
});

type Trouble = [
  what: string,
  prepare: (node: NodeDirectory) => void,
  trouble: string[],
];

/** Adds keys to our own plugin object. */
function withKeys(node: NodeDirectory, keys: object): void {
  const [genie, ...others] = node.config["plugins"] as object[];
  node.network("00-genie.conflist", {
    ...node.config,
    plugins: [{ ...genie, ...keys }, ...others],
  });
}

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
      (node) => withKeys(node, keys),
      ["configuration", "warn", `/etc/cni/net.d/00-genie.conflist: ${found}`],
    ]),
    [
      "wrong values, each is named",
      (node) => withKeys(node, { strict: "yes", allowedNetworks: "weave" }),
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
        withKeys(node, { automatic: { networks: ["canal", "nowhere"] } }),
      [
        "automatic",
        "warn",
        'no network "nowhere" in /etc/cni/net.d: have canal, weave: automatic choice passes it over',
      ],
    ],
    [
      "an automatic choice by traffic without samples",
      (node) =>
        withKeys(node, { automatic: { networks: ["canal"], by: "traffic" } }),
      [
        "automatic",
        "warn",
        "no sample of the traffic in the last minute: automatic choice counts attachments",
      ],
    ],
    [
      "an auxiliary chain that is torn",
      (node) => {
        withKeys(node, { auxiliaryChain: "vendor" });
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
        withKeys(node, { auxiliaryChain: "vendor" });
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
        withKeys(node, { allowedPlugins: ["ptp"] });
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
        withKeys(node, { allowedPlugins: ["ptp"], allowedIpams: ["static"] }),
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
        withKeys(node, { policy: { k8s_auth_token: "t" } });
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
    withKeys(node, keys);
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

describe("checkMounts", () => {
  const { promise: never } = Promise.withResolvers<unknown>();
  const hanging = (path: string): Finding => ({
    check: "mounts",
    verdict: "fail",
    found: `${path} did not respond within 0.01 s: every ADD waits for it`,
    advice: "repair or unmount its file system",
  });

  test.each([
    "/conf",
    "/bin",
    "/data",
    "/records",
    "/more/bin",
    "/log",
    "/keys",
    "/tokens",
    "/multus",
    "/multus/net.d",
    "/cache",
    "/kubelet",
    "/networks",
  ])("%s never responds: only that is said", async (path) => {
    using root = temporaryDirectory();
    mkdirSync(join(root.path, "conf"));
    const plugin = {
      type: "genie",
      confDir: "/networks",
      dataDir: "/records",
      binDir: ["/more/bin"],
      logFile: "/log/genie.log",
      kubernetes: { kubeconfig: "/tokens/kubeconfig" },
      policy: { k8s_client_key: "/keys/key" },
      multusDir: "/multus",
      multusConfDir: "/multus/net.d",
      runtimeCacheDir: "/cache",
      podResourcesSocket: "/kubelet/kubelet.sock",
    };
    writeFileSync(
      join(root.path, "conf/00-genie.conflist"),
      JSON.stringify({ cniVersion: "1.0.0", name: "x", plugins: [plugin] }),
    );
    const directories = { confDir: "/conf", binDir: "/bin", dataDir: "/data" };
    const read = (directory: string) =>
      directory === join(root.path, path) ? never : Promise.reject(new Error());
    expect(
      await checkMounts(directories, new Host(root.path), 10, read),
    ).toEqual([hanging(join(root.path, path))]);
  });
});

describe("doctor, the API server", () => {
  test("a permission that is missing, is a failure with its remedy", async () => {
    await using server = await startApiServer();
    cluster(server, { denied: ["pods/status"] });
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
    const { exitCode, findings } = await diagnosed(node);
    expect({
      exitCode,
      finding: findings.find(({ check }) => check === "may patch pods/status"),
    }).toEqual({
      exitCode: 1,
      finding: {
        check: "may patch pods/status",
        verdict: "fail",
        found: "denied; needed for the network status of pods",
        advice: "genie manifest | kubectl apply -f -",
      },
    });
  });

  test("no mutating policies, are told and no fault", async () => {
    await using server = await startApiServer();
    cluster(server, { policies: [] });
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
    const { exitCode, findings } = await diagnosed(node);
    expect({
      exitCode,
      finding: findings.find(({ check }) => check === "mutating policies"),
    }).toEqual({
      exitCode: 0,
      finding: {
        check: "mutating policies",
        verdict: "skip",
        found:
          "the API server has no MutatingAdmissionPolicy v1, stable since Kubernetes 1.36; needed for `genie manifest --namespace-networks` and `--network-scheduling`",
      },
    });
  });

  test("the node's own credential, is asked about its own pods only", async () => {
    await using server = await startApiServer();
    cluster(server, { user: "system:node:n1" });
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
    const { findings } = await diagnosed(node);
    expect(
      findings
        .filter(({ check }) => check.startsWith("may "))
        .map(({ verdict }) => verdict),
    ).toEqual(["skip", "skip", "ok"]);
  });

  test.each<
    [
      what: string,
      break_: (server: ApiServer) => Promise<void> | void,
      found: RegExp,
    ]
  >([
    ["stopped", (server) => server.stop(), /connection refused$/],
    [
      "a token that it does not know",
      (server) => server.tokens.clear(),
      /unauthorized$/,
    ],
  ])("%s, is a failure", async (_, break_, found) => {
    await using server = await startApiServer();
    const kubeconfig = server.kubeconfig();
    const text = await Bun.file(kubeconfig).text();
    using node = new NodeDirectory();
    const own = node.write("kubeconfig", text, 0o600);
    await node.type("install", ["--kubeconfig", own]);
    await break_(server);
    const { exitCode, findings } = await diagnosed(node);
    expect({
      exitCode,
      finding: findings.find(({ check }) => check === "API server"),
    }).toEqual({
      exitCode: 1,
      finding: expect.objectContaining({
        verdict: "fail",
        found: expect.stringMatching(found),
      }),
    });
  });

  test.each<[left: number, verdict: string, found: RegExp]>([
    [-60, "fail", /^expired at /],
    [60, "warn", /in less than five minutes$/],
    [3600, "ok", /^valid until /],
  ])("a token file with %p s left, %s", async (left, verdict, found) => {
    using node = new NodeDirectory();
    const claims = Buffer.from(
      JSON.stringify({ exp: Math.floor(Date.now() / 1000) + left }),
    ).toString("base64url");
    const token = node.write("token", `e30.${claims}.c2ln`);
    await node.type("install", [
      "--server=http://127.0.0.1:1",
      `--token-file=${token}`,
    ]);
    const { findings } = await diagnosed(node);
    expect(findings.find(({ check }) => check === "token")).toMatchObject({
      verdict,
      found: expect.stringMatching(found),
    });
    expect(JSON.stringify(findings)).not.toContain(claims);
  });

  test.each<
    [
      what: string,
      prepare: (server: ApiServer) => void,
      verdict: string,
      found: string,
    ]
  >([
    [
      "lives",
      (server) => server.pods.put(daemonPod("uid-1")),
      "ok",
      "is bound to pod kube-system/genie-x7, which exists",
    ],
    [
      "is gone",
      () => {},
      "fail",
      "is bound to pod kube-system/genie-x7, which is gone: the API server refuses it",
    ],
    [
      "is another one of that name",
      (server) => server.pods.put(daemonPod("uid-2")),
      "fail",
      "is bound to pod kube-system/genie-x7, which is gone: the API server refuses it",
    ],
    [
      "is gone, so the token is refused",
      (server) => server.tokens.clear(),
      "fail",
      "is bound to pod kube-system/genie-x7, which is gone: the API server refuses it",
    ],
    [
      "cannot be asked for",
      (server) => server.inject({ ...statusFault(403), times: 9 }),
      "skip",
      "is bound to pod kube-system/genie-x7; its state is unknown: forbidden",
    ],
  ])("a token whose pod %s", async (_, prepare, verdict, found) => {
    await using server = await startApiServer();
    const claims = {
      exp: Math.floor(Date.now() / 1000) + 3600,
      "kubernetes.io": {
        namespace: "kube-system",
        pod: { name: "genie-x7", uid: "uid-1" },
        serviceaccount: { name: "genie", uid: "u" },
      },
    };
    const token = `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
    server.tokens.set(token, "genie");
    using node = new NodeDirectory();
    const kubeconfig = (await Bun.file(server.kubeconfig()).text()).replace(
      /("?token"?: ?)"?[^",\n}]+"?/,
      `$1"${token}"`,
    );
    expect(kubeconfig).toContain(token);
    await node.type("install", [
      "--kubeconfig",
      node.write("kubeconfig", kubeconfig, 0o600),
    ]);
    prepare(server);
    const { findings } = await diagnosed(node);
    expect(
      findings
        .filter(({ check }) => check === "token")
        .map((one) => [one.verdict, one.found])
        .at(-1),
    ).toEqual([verdict, found]);
    expect(JSON.stringify(findings)).not.toContain(token.slice(4, 40));
  });

  test("a kubeconfig that others can read and that verifies nothing, is warned of", async () => {
    using node = new NodeDirectory();
    const token = node.write("token", "t");
    await node.type("install", [
      "--server=http://127.0.0.1:1",
      `--token-file=${token}`,
      "--insecure-skip-tls-verify",
    ]);
    chmodSync(join(node.confDir, "genie.d/kubeconfig"), 0o644);
    const { findings } = await diagnosed(node);
    expect(
      findings
        .filter(({ check }) => check === "kubeconfig")
        .map(({ verdict, found }) => [verdict, found]),
    ).toEqual([
      [
        "warn",
        "/etc/cni/net.d/genie.d/kubeconfig has mode 0644: others can read it",
      ],
      [
        "warn",
        "/etc/cni/net.d/genie.d/kubeconfig does not verify the API server: another server can impersonate it",
      ],
    ]);
  });
});

describe("doctor, the runtime", () => {
  const below = (node: NodeDirectory) => [
    `--root=${node.root}`,
    "--conf-dir=/etc/cni/net.d",
    "--bin-dir=/opt/cni/bin",
    "--data-dir=/var/lib/genie",
  ];

  test.each<[file: string, text: string, trouble: string[]]>([
    [
      "etc/containerd/config.toml",
      'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/usr/lib/cni"\nconf_dir = "/etc/cni/net.d"\n',
      [
        "containerd directories",
        "fail",
        "/etc/containerd/config.toml: plugins are looked for in /usr/lib/cni, not in /opt/cni/bin",
      ],
    ],
    [
      "etc/containerd/config.toml",
      "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/opt/cni/bin']\nconf_dir = '/etc/other'\n",
      [
        "containerd directories",
        "fail",
        "/etc/containerd/config.toml: networks are read from /etc/other, not from /etc/cni/net.d",
      ],
    ],
    [
      "etc/containerd/config.toml",
      'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nmax_conf_num = 0\n',
      [
        "containerd files",
        "fail",
        "/etc/containerd/config.toml: max_conf_num is 0, so every pod gets the other networks as well, without genie",
      ],
    ],
    [
      "etc/crio/crio.conf.d/10-a.conf",
      '[crio.network]\ncni_default_network = "weave-net"\nplugin_dirs = ["/opt/cni/bin/"]\n',
      [
        "crio network",
        "fail",
        '/etc/crio/crio.conf.d/10-a.conf: cni_default_network is "weave-net", so CRI-O does not take the first file',
      ],
    ],
    [
      "var/lib/cni/results/weave-net-c1-eth0",
      '{"networkName":"weave-net"}',
      [
        "CRI-O's GC",
        "fail",
        'network "weave-net" would lose its pods at CRI-O\'s next start',
      ],
    ],
  ])("%s %j, is found", async (file, text, trouble) => {
    using node = new NodeDirectory();
    await node.type("install", below(node));
    node.write("etc/crio/crio.conf", "");
    node.write(file, text);
    const { exitCode, findings } = await diagnosed(node, below(node));
    const found = troubles(findings, ({ check }) => check === trouble[0]);
    expect({ exitCode, found }).toEqual({ exitCode: 1, found: [trouble] });
  });

  test("containerd without a loopback plugin, is warned of", async () => {
    using node = new NodeDirectory();
    await node.type("install", below(node));
    node.write("run/containerd/containerd.sock", "");
    const loopback = async () => {
      const { findings } = await diagnosed(node, below(node));
      return findings.filter(({ check }) => check === "loopback");
    };
    expect(await loopback()).toEqual([
      {
        check: "loopback",
        verdict: "warn",
        found: 'no plugin "loopback" in /opt/cni/bin',
        advice:
          "install the reference plugins, unless containerd has use_internal_loopback",
      },
    ]);
    node.plugin("loopback");
    expect(await loopback()).toEqual([]);
  });
});
