import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { keepInstalled } from "../../lib/cli/install/installer-lock.ts";
import { smallDisk } from "../support/disk.ts";
import { Netns } from "../support/netns.ts";
import { NodeDirectory, ptpConf, speaksAll } from "./fixtures.ts";
import { attachmentOf } from "../support/records.ts";

/** Only what the node had before. */
const former = [
  "/etc/cni/net.d/10-canal.conflist",
  "/etc/cni/net.d/20-weave.conf",
  "/genie-1.2.3",
  "/opt/cni/bin/bridge",
  "/opt/cni/bin/host-local",
  "/opt/cni/bin/portmap",
  "/opt/cni/bin/ptp",
];

const two = {
  attachments: [
    attachmentOf("canal-net", "eth0"),
    attachmentOf("weave-net", "net1"),
  ],
};

const text = (node: NodeDirectory, said: string) =>
  said.replaceAll(node.root, "");

describe("uninstall", () => {
  test("without pods, leaves the node as it was", async () => {
    using node = new NodeDirectory();
    const before = node.inodes();
    const account = node.write("account/token", "t").replace(/\/token$/, "");
    node.write("account/ca.crt", "c");
    await node.type("install", ["--service-account", account], {
      env: {
        KUBERNETES_SERVICE_HOST: "10.0.0.1",
        KUBERNETES_SERVICE_PORT: "443",
      },
    });
    rmSync(account, { recursive: true });
    // Files of an install that was killed.
    for (const path of [
      "etc/cni/net.d/.00-genie.conflist",
      "etc/cni/net.d/genie.d/.token",
      "opt/cni/bin/.genie",
      "var/lib/genie/.00-genie.conflist",
    ])
      node.write(`${path}.0123abcd.tmp`, "");
    const { exitCode, stdout, stderr } = await node.type("uninstall");
    expect({ exitCode, stderr, stdout: text(node, stdout) }).toEqual({
      exitCode: 0,
      stderr: "",
      stdout: [
        "removed /etc/cni/net.d/00-genie.conflist",
        "removed the credential in /etc/cni/net.d/genie.d",
        "removed /opt/cni/bin/genie",
        "",
      ].join("\n"),
    });
    expect(node.inodes()).toEqual(before);
    expect(existsSync(join(node.confDir, "genie.d"))).toBe(false);
    const again = await node.type("uninstall");
    expect({ ...again, stdout: text(node, again.stdout) }).toMatchObject({
      exitCode: 0,
      stdout: "genie is not installed in /etc/cni/net.d and /opt/cni/bin\n",
    });
  });

  test("pods of the former network alone, their records are dropped", async () => {
    using node = await NodeDirectory.installed();
    node.record({ containerId: "c1" });
    node.record({ containerId: "c2" }, [{ cniVersion: "1.0.0" }]);
    for (const file of [
      "calls.log",
      "calls.log.1",
      "calls.json",
      "status.synced",
      "load.json",
      "tls-session",
      ".tls-session.new",
      ".calls.json.new",
    ])
      writeFileSync(join(node.dataDir, file), "{}\n");
    mkdirSync(join(node.dataDir, "definitions"));
    writeFileSync(join(node.dataDir, "definitions/.synced"), "");
    const { exitCode, stdout } = await node.type("uninstall");
    expect({ exitCode, records: await node.records() }).toEqual({
      exitCode: 0,
      records: [],
    });
    expect(stdout).toContain(
      'dropped 2 records of network "canal-net": its own DEL frees the addresses\n',
    );
    expect(Object.keys(node.inodes()).toSorted()).toEqual(former);
    expect(existsSync(node.dataDir)).toBe(false);
  });

  test("abandoned attachments do not prevent it; they are kept and named", async () => {
    using node = await NodeDirectory.installed();
    node.abandoned({ containerId: "c1" });
    const { exitCode, stdout } = await node.type("uninstall");
    expect(exitCode).toBe(0);
    expect(text(node, stdout)).toContain(
      "kept /var/lib/genie/abandoned, which could not be deleted and stays reserved: eth0 of c1 in network canal-net\n",
    );
    expect(text(node, stdout)).toContain("removed /opt/cni/bin/genie");
    expect(existsSync(join(node.dataDir, "abandoned"))).toBe(true);
    expect(existsSync(join(node.dataDir, "attachments"))).toBe(false);
  });

  test.each<
    [what: string, record: Parameters<NodeDirectory["record"]>[0], said: string]
  >([
    [
      "one network twice",
      {
        attachments: [
          attachmentOf("canal-net", "eth0"),
          attachmentOf("canal-net", "eth1"),
        ],
      },
      "  shop/web: eth0=canal-net, eth1=canal-net (record of format 2, which genie 0.1.0 does not read)\n",
    ],
    ["two networks", two, "  shop/web: eth0=canal-net, net1=weave-net\n"],
    [
      "an auxiliary chain",
      { auxiliary: { ...attachmentOf("vendor", "eth0"), origin: "auxiliary" } },
      "  shop/web: eth0=canal-net, eth0=vendor (record of format 2, which genie 0.1.0 does not read)\n",
    ],
    [
      "another network",
      { attachments: [attachmentOf("weave-net", "eth0")] },
      "  shop/web: eth0=weave-net\n",
    ],
    [
      "another interface",
      { attachments: [attachmentOf("canal-net", "net1")] },
      "  shop/web: net1=canal-net\n",
    ],
    [
      "a definition of the same name",
      {
        attachments: [
          {
            ...attachmentOf("canal-net", "eth0"),
            definition: "shop/canal-net",
          },
        ],
      },
      "  shop/web: eth0=canal-net\n",
    ],
    [
      "no pod, and a namespace that is gone",
      { ...two, pod: undefined, netns: "/nowhere" },
      "  container c1: eth0=canal-net, net1=weave-net (its namespace is gone: `genie gc`)\n",
    ],
  ])("a pod with %s, is named and nothing is done", async (_, record, said) => {
    using node = await NodeDirectory.installed();
    node.record({ containerId: "c0" });
    node.record(record);
    const before = node.inodes();
    const { exitCode, stdout, stderr } = await node.type("uninstall");
    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `genie uninstall: network "canal-net" (10-canal.conflist), which the runtime will use next, cannot delete all attachments of these pods: delete the pods first, or use --force\n${said}`,
    });
    expect(node.inodes()).toEqual(before);
  });

  test("pods of a default network that does not come next, are named", async () => {
    using node = await NodeDirectory.installed("--default=weave");
    node.record({ attachments: [attachmentOf("weave-net", "eth0")] });
    expect(await node.type("uninstall")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("  shop/web: eth0=weave-net\n"),
    });
  });

  test("seen from a container, live pods are not called gone", async () => {
    using node = await NodeDirectory.installed();
    // The node's namespace is not mounted in the container, or anywhere below --root.
    node.record({ ...two, netns: "/var/run/netns/cni-1" });
    const elsewhere = { ...two, netns: "/nowhere", mountNamespace: "1" };
    node.record({ ...elsewhere, containerId: "c2" });
    node.record({ ...two, containerId: "c3", bootId: "earlier" });
    const { exitCode, stderr } = await node.type("uninstall", node.below);
    const line = "  shop/web: eth0=canal-net, net1=weave-net";
    expect([exitCode, stderr.split("\n").slice(1).toSorted()]).toEqual([
      1,
      ["", line, line, `${line} (of an earlier boot: \`genie gc\`)`],
    ]);
  });

  test("no other network is left, pods are named", async () => {
    using node = await NodeDirectory.installed();
    node.record();
    for (const file of ["10-canal.conflist", "20-weave.conf"])
      rmSync(join(node.confDir, file));
    expect(await node.type("uninstall")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(
        "no other network can delete the attachments of these pods: delete the pods first",
      ),
    });
  });

  test("an agent runs, nothing is removed: it would install genie again", async () => {
    using node = await NodeDirectory.installed();
    const before = node.inodes();
    expect(keepInstalled(node)).toBe(true);
    const { exitCode, stderr } = await node.type("uninstall", ["--force"]);
    expect([exitCode, stderr]).toEqual([
      1,
      "genie uninstall: `genie agent` or `genie install --watch` runs on this node and would install it again: stop it first, a DaemonSet by `genie manifest --uninstall`\n",
    ]);
    expect(node.inodes()).toEqual(before);
  });

  test("a read-only disk, the kernel's reason is given and genie stays", async () => {
    using node = new NodeDirectory();
    await using disk = await smallDisk(node.confDir);
    node.network("20-weave.conf", ptpConf);
    await node.type("install");
    await disk.makeReadOnly();
    const { exitCode, stderr } = await node.type("uninstall");
    expect([exitCode, text(node, stderr)]).toEqual([
      1,
      'genie uninstall: failed to rename "/etc/cni/net.d/00-genie.conflist" to "/etc/cni/net.d/.00-genie.conflist.removed": read-only file system\n',
    ]);
    expect(existsSync(join(node.binDir, "genie"))).toBe(true);
  });

  test("a record that cannot be read, is named", async () => {
    using node = await NodeDirectory.installed();
    node.record();
    writeFileSync(join(node.dataDir, "attachments/c9:eth0.json"), "{");
    expect(await node.type("uninstall")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('  record "c9:eth0": '),
    });
  });

  test("another file that executes genie, is named", async () => {
    using node = await NodeDirectory.installed();
    node.network("50-mine.conf", { name: "mine", type: "genie" });
    const { exitCode, stderr } = await node.type("uninstall");
    expect({ exitCode, stderr: text(node, stderr) }).toEqual({
      exitCode: 1,
      stderr:
        "genie uninstall: /etc/cni/net.d/50-mine.conf executes genie as well: remove it first\n",
    });
  });

  test("plugins that others added to our list, are named", async () => {
    using node = await NodeDirectory.installed();
    const config = node.config;
    node.network("00-genie.conflist", {
      ...config,
      plugins: [...(config["plugins"] as object[]), { type: "istio\u202e" }],
    });
    const { exitCode, stdout } = await node.type("uninstall");
    expect({ exitCode, first: text(node, stdout).split("\n")[0] }).toEqual({
      exitCode: 0,
      first: String.raw`removed /etc/cni/net.d/00-genie.conflist, and with it the plugins of others: istio\u202e`,
    });
  });

  test("a node that has no genie, is no error", async () => {
    using node = new NodeDirectory();
    expect(await node.type("uninstall")).toMatchObject({
      exitCode: 0,
      stderr: "",
    });
    expect(Object.keys(node.inodes()).toSorted()).toEqual(former);
  });

  test("CRI-O, the executable stays for the pods that it attached", async () => {
    using node = await NodeDirectory.installed();
    node.write("etc/crio/crio.conf", "");
    node.record();
    const { exitCode, stdout } = await node.type("uninstall", node.below);
    expect({ exitCode, records: await node.records(), stdout }).toEqual({
      exitCode: 0,
      records: ["c1"],
      stdout:
        "removed /etc/cni/net.d/00-genie.conflist\nkept /opt/cni/bin/genie for 1 attachment: `genie gc` deletes those whose pods are gone, `genie uninstall` then removes it\n",
    });
    expect(existsSync(join(node.binDir, "genie"))).toBe(true);
  });
});

describe("uninstall --force", () => {
  test("no attachment is left, the executable goes too", async () => {
    using node = new NodeDirectory();
    await node.type("install");
    const { exitCode, stdout } = await node.type("uninstall", ["--force"]);
    expect(exitCode).toBe(0);
    expect(text(node, stdout)).toContain("removed /opt/cni/bin/genie\n");
  });

  test("the configuration is removed, records of gone containers are deleted, the executable stays and is named", async () => {
    using node = await NodeDirectory.installed();
    const log = join(node.root, "log");
    node.plugin(
      "ptp",
      `#!/bin/sh\necho "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME" >>${log}\n${speaksAll.replace("#!/bin/sh\n", "")}`,
    );
    await using netns = await Netns.create();
    node.record({ ...two, containerId: "live", netns: netns.path });
    node.record({ ...two, containerId: "gone", netns: "/nowhere" });
    const { exitCode, stdout } = await node.type("uninstall", ["--force"]);
    expect({
      exitCode,
      stdout: text(node, stdout),
      records: await node.records(),
    }).toEqual({
      exitCode: 0,
      stdout: [
        "removed /etc/cni/net.d/00-genie.conflist",
        "deleted gone eth0",
        "kept /opt/cni/bin/genie for 1 attachment: `genie gc` deletes those whose pods are gone, `genie uninstall` then removes it",
        "",
      ].join("\n"),
      records: ["live"],
    });
    expect(node.read("log")).toBe("DEL gone net1\nDEL gone eth0\n");
    expect([
      existsSync(join(node.binDir, "genie")),
      existsSync(join(node.confDir, "00-genie.conflist")),
    ]).toEqual([true, false]);
  });

  test("pods of another mount namespace, none is deleted and the reason is named", async () => {
    using node = await NodeDirectory.installed();
    const log = join(node.root, "log");
    node.plugin("ptp", `#!/bin/sh\necho "$CNI_COMMAND" >>${log}\n`);
    node.record({ ...two, netns: "/nowhere", mountNamespace: "1" });
    const { exitCode, stdout } = await node.type("uninstall", ["--force"]);
    const said = text(node, stdout).split("\n");
    expect([exitCode, said]).toEqual([
      0,
      [
        "removed /etc/cni/net.d/00-genie.conflist",
        expect.stringMatching(
          // Where process 1 may be seen, it is not in the namespace "1" either.
          /^deleted no attachment: cannot tell which network namespaces are gone: .* that of the newest attachment 1.*: (?:run it as `nsenter -t 1 -m -- \/opt\/cni\/bin\/genie gc`|only the container runtime's GC can tell: .*)$/,
        ),
        expect.stringContaining("kept /opt/cni/bin/genie for 1 attachment"),
        "",
      ],
    ]);
    expect([await node.records(), existsSync(log)]).toEqual([["c1"], false]);
  });
});
