/** The findings of `genie doctor` about genie's own file, and what the node chooses by it. */
import { describe } from "bun:test";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { bridgeList, ptpConf } from "../fixtures.ts";
import { type Trouble, testTroubles } from "./diagnosis.ts";

describe("doctor, genie's file and the default network", () => {
  testTroubles([
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
        [
          "automatic without networks",
          { automatic: { by: "traffic" } },
          '"automatic" has no effect without "automatic.networks": a pod with a blank "cni" gets the default network',
        ],
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
  ]);
});
