/**
 * The configuration that the runtime uses, whether it is genie's, and other files
 * that could replace it.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { executesAny } from "../../cni/executable-types.ts";
import { requirePlugin } from "../../cni/invoke.ts";
import { own, parseJson } from "../../cni/json.ts";
import { compareVersions } from "../../cni/version.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { annotationsCapability } from "../../select/config.ts";
import { chooseDefault, isOfEngine } from "../install/default-network.ts";
import { listWarnings } from "../install/own-list.ts";
import { attempt, problemOf } from "../node/attempt.ts";
import { ownFile, ownType } from "../node/directories.ts";
import { namesIn, readTextIfAny } from "../node/read-file.ts";
import { renamedAdvice, renamedFiles } from "../node/renamed-files.ts";
import { runtimeSettings } from "../node/runtime-settings.ts";
import {
  type Check,
  type Node,
  type Outcome,
  fail,
  named,
  ok,
  warn,
} from "./check.ts";

export const checkConfiguration: Check = (node) => {
  const { ours, directories, files, configProblem } = node;
  const { confDir } = directories;
  const [first] = files;
  if (!ours || !first) return [missingFinding(node)];
  const path = join(confDir, ours.file);
  return [
    first.file === ours.file
      ? ok(
          `the runtime takes ${ours.file}: it is the first of ${confDir}, and executes genie`,
        )
      : fail(
          `the runtime takes ${first.file}, the first of ${confDir}, and not ${ours.file}`,
          `rename ${join(confDir, first.file)} so that it comes after ${ownFile}`,
        ),
    ...contentFindings(node, path),
    ...(configProblem === undefined
      ? []
      : [fail(configProblem, `correct ${path}`)]),
  ];
};

function missingFinding({ files, directories }: Node): Outcome {
  const { confDir } = directories;
  const damaged = files.find(({ file }) => file === ownFile)?.problem;
  return damaged === undefined
    ? fail(`no file of ${confDir} executes genie`, "genie install")
    : fail(
        `${join(confDir, ownFile)} cannot be read, so no pod can be created: ${damaged}`,
        "correct it, or genie install --force, which keeps a copy of it and restores the last good one",
      );
}

/** The rules of container-runtimes.md §1, §2.3 and K-1. */
function contentFindings(node: Node, path: string): Outcome[] {
  const { ours, host, config } = node;
  if (!ours) return [];
  const value = readJson(host.path(path));
  const stated = own(value, "cniVersion");
  const name = defaultName(node);
  const findings: Outcome[] = [];
  if (typeof stated === "string" && isNewer(stated))
    findings.push(
      fail(
        `cniVersion ${stated}: containerd 1.6 and 1.7 then fail every pod: use 1.0.0 with cniVersions`,
        rewrite,
      ),
    );
  if (config && !config.declaresAnnotations)
    findings.push(
      warn(
        `the capability ${annotationsCapability} is not declared: every pod costs an API request`,
        rewrite,
      ),
    );
  findings.push(...listWarnings(value), ...missingPlugins(node));
  if (isReadableSecret(node, host.path(path)))
    findings.push(
      warn(
        "it contains policy.k8s_auth_token, and other users can read it",
        `chmod 600 ${path}`,
      ),
    );
  if (name !== undefined && name !== ours.list.name)
    findings.push(
      warn(
        `its name is ${quote(ours.list.name)}, the default network's is ${quote(name)}: CRI-O would take running pods for another network's`,
        rewrite,
      ),
    );
  return findings.map((one) => ({ ...one, found: `${path}: ${one.found}` }));
}

const rewrite = "genie install writes it anew";

const installPlugin =
  "install the plugin, or remove it from the list: no pod can be created without it";

/** Other plugins in our list, which the runtime executes after genie. */
function missingPlugins({ ours, searched }: Node): Outcome[] {
  return (ours?.list.plugins ?? [])
    .filter(({ type }) => type !== ownType)
    .flatMap(({ type }) => problemOf(() => requirePlugin(type, searched)) ?? [])
    .map((problem) => fail(problem, installPlugin));
}

function isReadableSecret({ ours }: Node, place: string): boolean {
  const token = own(own(ours?.plugin, "policy"), "k8s_auth_token");
  return (
    typeof token === "string" &&
    token !== "" &&
    (statSync(place).mode & 0o044) !== 0
  );
}

/** Whether it is above 1.0.0, or no version at all. */
function isNewer(version: string): boolean {
  return !attempt(() => compareVersions(version, "1.0.0") <= 0);
}

function readJson(path: string): unknown {
  return attempt(() => parseJson(readTextIfAny(path) ?? ""));
}

function defaultName({ config, networks }: Node): string | undefined {
  return attempt(
    () => config && chooseDefault(config.defaultPlugin, networks).name,
  );
}

export const checkDefaultNetwork: Check = ({ config, networks }) => {
  if (!config) return [];
  try {
    const { plugin, name } = chooseDefault(config.defaultPlugin, networks);
    const network = networks.candidates.find(({ list }) => list.name === name);
    if (network && isOfEngine(network.file))
      return warn(
        `${quote(plugin)} is the network of a container engine (${network.file}), which reaches no other node`,
        "install the cluster's network, then genie install --default",
      );
    // It looks for the address in network-status, but not in the default network's entry.
    if (network && executesAny(network.list.plugins, ["whereabouts"]))
      return warn(
        `${quote(plugin)} has addresses of whereabouts, whose reconciler frees those of a pod's first network while the pod runs`,
        "use another IPAM plugin for the default network",
      );
    if (config.defaultPlugin.trim() !== "")
      return ok(`${quote(plugin)}, whose name is ${quote(name)}`);
    return warn(
      `${quote(plugin)}, because it is the first file: pods get another one if a file sorts before it or this file is removed`,
      "genie install writes default_plugin",
    );
  } catch (error) {
    return fail(
      messageOf(error),
      "install a network, or genie install --default",
    );
  }
};

export const checkRenamed: Check = ({ host, directories }) => {
  const names = namesIn(host.path(directories.confDir));
  const files = renamedFiles(names);
  // `install` has restored our file: renaming the other one back would replace it.
  const isThere = names.includes(ownFile);
  const restored = files.filter((file) => isThere && file.startsWith(ownFile));
  const others = files.filter((file) => !restored.includes(file));
  const findings: Outcome[] = [];
  if (restored.length > 0)
    findings.push(
      warn(
        `another CNI renamed ${restored.join(", ")}; ${ownFile} is there again`,
        renamedAdvice(restored, `remove ${restored.join(", ")}`),
      ),
    );
  const outcome = others.some((file) => file.startsWith(ownFile)) ? fail : warn;
  if (others.length > 0)
    findings.push(
      outcome(
        `another CNI renamed ${others.join(", ")}`,
        renamedAdvice(others, "rename back the files that pods may choose"),
      ),
    );
  return findings;
};

/** Settings of the runtime that override the order of the files. */
export const checkRuntimeChoice: Check = ({ host, ours }) =>
  runtimeSettings(host).flatMap(({ file, maxConfNum = 1, defaultNetwork }) => {
    const findings: Outcome[] = [];
    if (maxConfNum !== 1) {
      const found = `${file}: max_conf_num is ${maxConfNum}, so every pod gets the other networks as well, without genie`;
      const outcome = fail(found, "set max_conf_num to 1");
      findings.push(named("containerd files", outcome));
    }
    if (defaultNetwork !== undefined && defaultNetwork !== ours?.list.name) {
      const found = `${file}: cni_default_network is ${quote(defaultNetwork)}, so CRI-O does not take the first file`;
      const advice = "remove cni_default_network, or set it to genie's name";
      findings.push(named("crio network", fail(found, advice)));
    }
    return findings;
  });
