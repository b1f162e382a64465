/**
 * By which rule each network of a pod was chosen, in words (selection.md §2,
 * §4–§6). Pure: it repeats no choice, it says why one was made.
 */
import { quote } from "../linux/text.ts";
import { own } from "../cni/json.ts";
import { parseNetworks } from "./cni-annotation.ts";
import type { GenieConfig } from "./config.ts";
import { type Networks, baseName, findNetwork } from "./resolve.ts";
import {
  type Annotations,
  type Attachment,
  cniAnnotation,
  defaultNetworkAnnotation,
  isChoice,
  isDefault,
  networksAnnotation,
} from "./select.ts";

export interface Chosen {
  annotations: Annotations;
  config: Pick<GenieConfig, "defaultPlugin">;
  networks: Networks;
  attachments: readonly Attachment[];
}

/** One rule for each attachment, in their order. */
export function rulesOf(chosen: Chosen): string[] {
  const rules = firstRules(chosen);
  return chosen.attachments.map(
    ({ definition = "" }, i) =>
      rules[i] ??
      `annotation ${quote(networksAnnotation)} adds definition ${quote(definition)}`,
  );
}

/** Of the networks that come before the added ones. */
function firstRules(chosen: Chosen): string[] {
  const { annotations, attachments, networks } = chosen;
  const cni = own(annotations, cniAnnotation);
  if (isChoice(cni)) {
    const source = 'annotation "cni" names';
    return parseNetworks("", cni).flatMap((element) =>
      isDefault(element, networks)
        ? defaultRules(`${source} ${quote(element.name)}`, chosen)
        : [nameRule(source, element.name, networks)],
    );
  }
  if (isChoice(own(annotations, defaultNetworkAnnotation))) {
    const definition = attachments[0]?.definition ?? "";
    return [
      `annotation ${quote(defaultNetworkAnnotation)} names definition ${quote(definition)}`,
    ];
  }
  const source =
    cni === undefined ? 'no annotation "cni"' : 'annotation "cni" is blank';
  return defaultRules(source, chosen);
}

function defaultRules(source: string, { config, networks }: Chosen): string[] {
  const { defaultPlugin } = config;
  if (defaultPlugin.trim() === "")
    return [`${source}: first network in ${networks.confDir}`];
  return parseNetworks("", defaultPlugin).map(({ name }) =>
    nameRule(`${source}: default_plugin names`, name, networks),
  );
}

/** selection.md §4: what of a file a name matched. */
function nameRule(source: string, name: string, networks: Networks): string {
  const found = findNetwork(networks, name);
  if (!found) return `${source} ${quote(name)}: the default network`;
  const { file, key, list } = found;
  const names: [text: string, what: string][] = [
    [key, "file key"],
    [baseName(file), "file name"],
    [list.name, "network name"],
    [list.plugins[0]?.type ?? "", "first plugin's type"],
  ];
  const exact = names.find(([text]) => text === name);
  const folded = names.find(
    ([text]) => text.toLowerCase() === name.toLowerCase(),
  );
  const [, what] = exact ?? folded ?? ["", "network"];
  const ignoring = exact ? "" : ", ignoring case";
  return `${source} ${quote(name)}: ${what} of ${quote(file)}${ignoring}`;
}
