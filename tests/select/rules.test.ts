/** The words for why a network was chosen (selection.md §2, §4–§6). */
import { describe, expect, test } from "bun:test";
import { parseConf } from "../../lib/cni/conflist.ts";
import { readConfig } from "../../lib/select/config.ts";
import { networksOf } from "../../lib/select/resolve.ts";
import { rulesOf } from "../../lib/select/rules.ts";
import {
  type RequestedNetwork,
  selectAttachments,
} from "../../lib/select/select.ts";

const confDir = "/etc/cni/net.d";
const networks = networksOf(
  confDir,
  ["10-canal.conf", "20-my-weave.conf", "30-Romana.conf"].map((file, i) => ({
    file,
    list: parseConf({
      cniVersion: "1.0.0",
      name: `net${i}`,
      type: `type${i}`,
    }),
  })),
  [],
);

function rules(
  annotations: Record<string, string>,
  config: object = {},
  defined: {
    defaultNetwork?: RequestedNetwork;
    added?: RequestedNetwork[];
  } = {},
): string[] {
  const read = readConfig(config);
  const attachments = selectAttachments({
    annotations,
    config: read,
    networks,
    ifname: "eth0",
    args: "",
    ...defined,
  });
  return rulesOf({ annotations, config: read, networks, attachments });
}

const definition = (name: string): RequestedNetwork => ({
  list: parseConf({ cniVersion: "1.0.0", name, type: name }),
  definition: `shop/${name}`,
});

describe("rulesOf", () => {
  test.each<[string, Record<string, string>, object, string[]]>([
    [
      "no annotation",
      {},
      {},
      ['no annotation "cni": first network in /etc/cni/net.d'],
    ],
    [
      "a blank one",
      { cni: " " },
      {},
      ['annotation "cni" is blank: first network in /etc/cni/net.d'],
    ],
    [
      "default_plugin, two",
      {},
      { default_plugin: "my-weave,canal@eth3" },
      [
        'no annotation "cni": default_plugin names "my-weave": file key of "20-my-weave.conf"',
        'no annotation "cni": default_plugin names "canal": file key of "10-canal.conf"',
      ],
    ],
    [
      "the name default, alone",
      { cni: "default" },
      { default_plugin: "my-weave,canal@eth3" },
      [
        'annotation "cni" names "default": default_plugin names "my-weave": file key of "20-my-weave.conf"',
        'annotation "cni" names "default": default_plugin names "canal": file key of "10-canal.conf"',
      ],
    ],
    [
      "the name default in a list",
      { cni: "romana,default" },
      {},
      [
        'annotation "cni" names "romana": file key of "30-Romana.conf", ignoring case',
        'annotation "cni" names "default": first network in /etc/cni/net.d',
      ],
    ],
    [
      "each of the rules of a name",
      { cni: "canal,10-canal,net1,type2,romana,TYPE0" },
      {},
      [
        'annotation "cni" names "canal": file key of "10-canal.conf"',
        'annotation "cni" names "10-canal": file name of "10-canal.conf"',
        'annotation "cni" names "net1": network name of "20-my-weave.conf"',
        `annotation "cni" names "type2": first plugin's type of "30-Romana.conf"`,
        'annotation "cni" names "romana": file key of "30-Romana.conf", ignoring case',
        `annotation "cni" names "TYPE0": first plugin's type of "10-canal.conf", ignoring case`,
      ],
    ],
  ])("%s", (_, annotations, config, expected) => {
    expect(rules(annotations, config)).toEqual(expected);
  });

  test("definitions, after the node's own networks", () => {
    const annotations = {
      cni: "canal",
      "k8s.v1.cni.cncf.io/networks": "side,trunk",
    };
    const added = [definition("side"), definition("trunk")];
    expect(rules(annotations, {}, { added })).toEqual([
      'annotation "cni" names "canal": file key of "10-canal.conf"',
      'annotation "k8s.v1.cni.cncf.io/networks" adds definition "shop/side"',
      'annotation "k8s.v1.cni.cncf.io/networks" adds definition "shop/trunk"',
    ]);
  });

  test("a definition in place of the default network", () => {
    const annotations = { "v1.multus-cni.io/default-network": "side" };
    const defaultNetwork = definition("side");
    expect(rules(annotations, {}, { defaultNetwork })).toEqual([
      'annotation "v1.multus-cni.io/default-network" names definition "shop/side"',
    ]);
  });
});
