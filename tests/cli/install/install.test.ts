import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  NodeDirectory,
  bridgeList,
  pluginScript,
  ptpConf,
} from "../fixtures.ts";
import { account, capabilities, inCluster } from "./credentials.ts";

describe("install", () => {
  test("a configured kubeconfig that is missing, is named", async () => {
    using node = new NodeDirectory();
    const word = '--set=kubernetes.kubeconfig="/nope"';
    const { exitCode, stdout } = await node.type("install", [word]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("the API server (/nope does not exist)");
  });

  test("a node with networks, executable and configuration as K-1 says", async () => {
    using node = new NodeDirectory();
    const { exitCode, stdout, stderr } = await node.type("install");
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toContain(`changed   ${node.binDir}/genie: version 1.2.3\n`);
    expect(stdout).toContain("warning   no credential for the API server");
    expect(node.config).toEqual({
      cniVersion: "1.0.0",
      cniVersions: ["0.4.0", "1.0.0", "1.1.0"],
      name: "canal-net",
      loadOnlyInlinedPlugins: true,
      plugins: [
        {
          type: "genie",
          capabilities,
          default_plugin: "canal",
          confDir: node.confDir,
          dataDir: node.dataDir,
        },
      ],
    });
    expect({
      binary: node.mode("opt/cni/bin/genie"),
      config: node.mode("etc/cni/net.d/00-genie.conflist"),
    }).toEqual({
      binary: 0o755,
      config: 0o600,
    });
    expect(node.read("opt/cni/bin/genie")).toBe(
      readFileSync(node.self, "utf8"),
    );
    expect(readdirSync(node.confDir)).toEqual([
      "00-genie.conflist",
      "10-canal.conflist",
      "20-weave.conf",
    ]);
    expect(
      readdirSync(node.binDir).filter((name) => name.startsWith(".")),
    ).toEqual([]);
  });

  test("after an install that was killed, its copy of the executable is removed", async () => {
    using node = new NodeDirectory();
    await node.type("install");
    const before = node.inodes();
    node.plugin(".genie.0123abcd.tmp");
    await node.type("install");
    expect(node.inodes()).toEqual(before);
  });

  test("again, not a file is touched", async () => {
    using node = new NodeDirectory();
    const words = ["--service-account", account(node)];
    await node.type("install", words, { env: inCluster });
    const before = node.inodes();
    const { exitCode, stdout } = await node.type("install", words, {
      env: inCluster,
    });
    expect({ exitCode, outcomes: stdout.match(/^\w+/gm) }).toEqual({
      exitCode: 0,
      outcomes: ["unchanged", "unchanged", "unchanged"],
    });
    expect(node.inodes()).toEqual(before);
  });

  test("another version, takes the name while the former is being executed", async () => {
    using node = new NodeDirectory();
    // A real program: only of those is the text busy.
    const busy = join(node.binDir, "genie");
    writeFileSync(busy, readFileSync("/bin/sleep"));
    chmodSync(busy, 0o755);
    const running = Bun.spawn([busy, "600"]);
    try {
      expect(() => writeFileSync(busy, "")).toThrow("ETXTBSY");
      const { exitCode } = await node.type("install");
      expect({ exitCode, running: running.exitCode }).toEqual({
        exitCode: 0,
        running: null,
      });
      expect(node.read("opt/cni/bin/genie")).toBe(
        readFileSync(node.self, "utf8"),
      );
    } finally {
      running.kill("SIGKILL");
      await running.exited;
    }
  });

  test("keys that an operator added stay, keys that install sets are restored", async () => {
    using node = new NodeDirectory();
    node.network("00-genie.conflist", {
      name: "old",
      cniVersion: "1.1.0",
      disableCheck: true,
      plugins: [
        {
          type: "genie",
          default_plugin: "weave",
          allowedNetworks: ["canal"],
          capabilities: { dns: false, aliases: true },
          kubernetes: { k8s_api_root: "https://a" },
        },
      ],
    });
    const { exitCode } = await node.type("install");
    expect(exitCode).toBe(0);
    expect(node.config).toEqual({
      cniVersion: "1.0.0",
      cniVersions: ["0.4.0", "1.0.0", "1.1.0"],
      name: "weave-net",
      disableCheck: true,
      loadOnlyInlinedPlugins: true,
      plugins: [
        {
          type: "genie",
          default_plugin: "weave",
          allowedNetworks: ["canal"],
          capabilities: { ...capabilities, aliases: true },
          kubernetes: { k8s_api_root: "https://a" },
          confDir: node.confDir,
          dataDir: node.dataDir,
        },
      ],
    });
  });

  test.each<[words: string[], plugin: string, name: string]>([
    [[], "canal", "canal-net"],
    [["--default=weave"], "weave", "weave-net"],
    [["--default=weave,canal"], "weave,canal", "weave-net"],
    [["--default=weave@net1,canal"], "weave@net1,canal", "canal-net"],
    [["--default=crio-bridge"], "crio-bridge", "crio"],
  ])("%j, default_plugin %s and the name %s", async (words, plugin, name) => {
    using node = new NodeDirectory();
    // A container engine's own network comes first.
    node.network("05-crio-bridge.conflist", { ...bridgeList, name: "crio" });
    await node.type("install", words);
    const { name: given, plugins } = node.config as {
      name: string;
      plugins: { default_plugin: string }[];
    };
    expect([plugins[0]?.default_plugin, given]).toEqual([plugin, name]);
  });

  test("a file key that leads elsewhere, the longer name is written down", async () => {
    using node = new NodeDirectory();
    node.network("05-weave.conf", { name: "lo", type: "loopback" });
    node.network("07-weave.conf", ptpConf);
    await node.type("install");
    expect(node.config).toMatchObject({
      name: "weave-net",
      plugins: [{ default_plugin: "07-weave" }],
    });
  });
});

describe("install, refusals", () => {
  /** Nothing but the directories and what the case put there. */
  async function refused(
    node: NodeDirectory,
    words: string[] = [],
  ): Promise<string> {
    const before = node.inodes();
    const { exitCode, stdout, stderr } = await node.type("install", words);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(node.inodes()).toEqual(before);
    return stderr
      .replaceAll(node.root, "")
      .replace(/\.[0-9a-f]{8}\.tmp/g, ".tmp");
  }

  test.each<
    [
      what: string,
      prepare: (node: NodeDirectory) => void,
      words: string[],
      stderr: string,
    ]
  >([
    [
      "no network",
      (node) => {
        for (const file of ["10-canal.conflist", "20-weave.conf"])
          rmSync(join(node.confDir, file));
      },
      [],
      "genie install: no default network: /etc/cni/net.d holds no other CNI configuration\n",
    ],
    [
      "an unknown network",
      () => {},
      ["--default=flannel"],
      'genie install: no network "flannel" in /etc/cni/net.d: have canal, weave\n',
    ],
    [
      "a missing plugin",
      (node) => rmSync(join(node.binDir, "portmap")),
      [],
      'genie install: network "canal": failed to find plugin "portmap" in path [/opt/cni/bin]\n',
    ],
    [
      "a missing plugin for addresses",
      (node) => rmSync(join(node.binDir, "host-local")),
      [],
      'genie install: network "canal": failed to find plugin "host-local" in path [/opt/cni/bin]\n',
    ],
    [
      "a plugin that cannot be executed",
      (node) => chmodSync(join(node.binDir, "bridge"), 0o644),
      [],
      'genie install: network "canal": failed to execute plugin "bridge": /opt/cni/bin/bridge: permission denied\n',
    ],
    [
      "a file before ours",
      (node) => node.network("00-genie.conf", { type: "genie" }),
      [],
      "genie install: /etc/cni/net.d/00-genie.conf comes before 00-genie.conflist, so the runtime would use it: rename it (a CNI-Genie's keys belong into 00-genie.conflist)\n",
    ],
    [
      "Multus first",
      (node) =>
        node.network("00-multus.conf", { name: "multus", type: "multus" }),
      [],
      "genie install: the first network is Multus (00-multus.conf), which would execute genie in turn: name the default network with --default\n",
    ],
    [
      "container engines' own networks, before the cluster's is there",
      (node) => {
        for (const file of readdirSync(node.confDir))
          rmSync(join(node.confDir, file));
        for (const file of [
          "100-crio-bridge.conflist",
          "87-podman-bridge.conflist",
          "nerdctl-bridge.conflist",
        ])
          node.network(file, { ...bridgeList, name: file });
      },
      [],
      "genie install: no default network: /etc/cni/net.d holds only networks of container engines (100-crio-bridge.conflist, 87-podman-bridge.conflist, nerdctl-bridge.conflist), which reach no other node: install the cluster's network, or name one of them with --default\n",
    ],
    [
      "a container engine's own network beside a damaged one of the cluster",
      (node) => {
        for (const file of readdirSync(node.confDir))
          rmSync(join(node.confDir, file));
        writeFileSync(join(node.confDir, "10-calico.conflist"), "{}");
        node.network("87-podman.conflist", { ...bridgeList, name: "podman" });
      },
      [],
      "genie install: no default network: /etc/cni/net.d holds only networks of container engines (87-podman.conflist), which reach no other node: install the cluster's network, or name one of them with --default; invalid: 10-calico.conflist (error parsing configuration list: no name)\n",
    ],
    [
      "an invalid key of the operator",
      (node) =>
        node.network("00-genie.conflist", {
          name: "a",
          plugins: [{ type: "genie", apiTimeout: "soon" }],
        }),
      [],
      'genie install: /etc/cni/net.d/00-genie.conflist: invalid configuration: apiTimeout: expected a number above 0, at most 86400, got "soon"\n',
    ],
    [
      "a kubeconfig that is not there",
      () => {},
      ["--kubeconfig=/nowhere/kubelet.conf"],
      'genie install: credential "/nowhere/kubelet.conf": kubeconfig: failed to read "/nowhere/kubelet.conf": no such file or directory\n',
    ],
    [
      "an executable without its library",
      (node) =>
        writeFileSync(
          node.self,
          "#!/bin/sh\necho 'error while loading shared libraries: libstdc++.so.6' >&2\nexit 127\n",
        ),
      [],
      'genie install: plugin ".genie.tmp" failed to report its versions: netplugin failed: "error while loading shared libraries: libstdc++.so.6": exit status 127\n',
    ],
    [
      "an executable that is another program",
      (node) => writeFileSync(node.self, pluginScript("0.2.0")),
      [],
      "genie install: /genie-1.2.3 is not genie: it supports 0.2.0\n",
    ],
  ])("%s, nothing is changed", async (_, prepare, words, stderr) => {
    using node = new NodeDirectory();
    prepare(node);
    expect(await refused(node, words)).toBe(stderr);
  });

  test("an executable for another C library, the loader is named", async () => {
    using node = new NodeDirectory();
    const elf = readFileSync("/bin/sleep");
    const at = elf.indexOf("/lib64/ld-linux");
    expect(at).toBeGreaterThan(0);
    elf.write("/lib64/ld-nusl-", at);
    writeFileSync(node.self, elf);
    expect(await refused(node)).toContain(
      'the node has no loader "/lib64/ld-nusl-',
    );
  });

  test("no plugin directory, it is named", async () => {
    using node = new NodeDirectory();
    const { exitCode, stderr } = await node.type("install", [
      "--bin-dir",
      join(node.root, "no"),
    ]);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: `genie install: network "canal": failed to find plugin "bridge" in path [${node.root}/no]\n`,
    });
  });
});

describe("install --watch", () => {
  /** Runs a round for each action, then is asked to end. */
  async function watch(
    node: NodeDirectory,
    words: string[],
    rounds: (() => void)[],
  ) {
    const pauses: number[] = [];
    let stopped = false;
    const ended = await node.type("install", ["--watch", ...words], {
      env: inCluster,
      sleep: async (ms) => {
        pauses.push(ms);
        const round = rounds[pauses.length - 1];
        if (round) round();
        else stopped = true;
        await Promise.resolve();
      },
      stopped: () => stopped,
    });
    return { ...ended, pauses };
  }

  test("a rotated token, a file that another renamed, nothing: only changes are written", async () => {
    using node = new NodeDirectory();
    const words = ["--service-account", account(node), "--interval=3"];
    const config = join(node.confDir, "00-genie.conflist");
    let inode = 0n;
    const { exitCode, stdout, stderr, pauses } = await watch(node, words, [
      () => {
        inode = statSync(config, { bigint: true }).ino;
        account(node, "token-2");
      },
      () => {
        expect(node.read("etc/cni/net.d/genie.d/token")).toBe("token-2");
        expect(statSync(config, { bigint: true }).ino).toBe(inode);
        renameSync(config, `${config}.cilium_bak`);
      },
      () => expect(existsSync(config)).toBe(true),
    ]);
    expect({ exitCode, stderr, pauses }).toEqual({
      exitCode: 0,
      stderr: "",
      pauses: [3000, 3000, 3000, 3000],
    });
    expect(stdout.split("\n").slice(3)).toEqual([
      "changed   the credential",
      `changed   ${config}: default network "canal"`,
      `changed   ${config}: its keys are restored from ${node.dataDir}/00-genie.conflist`,
      "warning   another CNI renamed 00-genie.conflist to 00-genie.conflist.cilium_bak: set Cilium's Helm value cni.exclusive to false, then remove 00-genie.conflist.cilium_bak",
      "",
    ]);
  });

  test("a default network that vanishes, is reported once; the token is renewed, the configuration stays", async () => {
    using node = new NodeDirectory();
    const words = ["--service-account", account(node)];
    const canal = join(node.confDir, "10-canal.conflist");
    const { exitCode, stderr } = await watch(node, words, [
      () => rmSync(canal),
      () => account(node, "token-3"),
      () => {
        expect(node.read("etc/cni/net.d/genie.d/token")).toBe("token-3");
        expect(node.config["name"]).toBe("canal-net");
        node.network("10-canal.conflist", bridgeList);
      },
    ]);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 0,
      stderr: `genie install: no network "canal" in ${node.confDir}: have weave\n`,
    });
  });
});
