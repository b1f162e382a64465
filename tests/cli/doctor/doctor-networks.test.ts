/** The findings of `genie doctor` about the files of networks, and their plugins. */
import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import {
  NodeDirectory,
  pluginScript,
  ptpConf,
  speaksAll,
} from "../fixtures.ts";
import { diagnosed, testTroubles } from "./diagnosis.ts";

describe("doctor, the networks of the node", () => {
  testTroubles([
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
  ]);

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
});
