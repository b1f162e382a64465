/**
 * `genie explain POD`.
 */
import { readFileSync } from "node:fs";
import { readStdin } from "../cni/stdio.ts";
import { messageOf } from "../cni/error.ts";
import type { Command, Input } from "./command.ts";
import {
  explainPod,
  type ExplainedAttachment,
  type Explanation,
} from "./explanation.ts";
import { type Folders, folderOptions, foldersOf } from "./folders.ts";
import { nodeOperation } from "./node.ts";
import { type PodView, podOfApi, podOfText } from "./pod-source.ts";
import type { Env } from "./terminal.ts";

export const explain: Command = {
  operand: { name: "POD" },
  about: `Which networks that pod gets on this node, by which rule, and what each plugin would be
given. Changes nothing. A pod that would fail fails here with the same words.`,
  options: {
    namespace: {
      value: "NS",
      short: "n",
      about: "of the pod (the file's, else default)",
    },
    filename: {
      value: "FILE",
      short: "f",
      path: "file",
      about:
        "the pod, or a workload, as YAML or JSON, - for stdin (else the API server is asked)",
    },
    output: {
      value: "FORMAT",
      short: "o",
      choices: ["text", "json"],
      about: "text or json (text)",
    },
    ...folderOptions,
  },
  async run(input, { env, stdout }) {
    const folders = foldersOf(input);
    const pod = await podOf(input, folders, env);
    if (pod.hostNetwork) {
      await stdout(
        `${pod.namespace}/${pod.name} uses the node's own network: the runtime calls no CNI plugin for it\n`,
      );
      return 0;
    }
    const explanation = await explainPod(pod, folders, env);
    await stdout(
      input.text("output") === "json"
        ? `${JSON.stringify(explanation, null, 2)}\n`
        : textOf(explanation),
    );
    return 0;
  },
};

async function podOf(
  input: Input,
  folders: Folders,
  env: Env,
): Promise<PodView> {
  const name = input.operand ?? "";
  const namespace = input.text("namespace");
  const file = input.text("filename");
  if (file === undefined) return askedPod(name, namespace, folders, env);
  const text =
    file === "-"
      ? new TextDecoder().decode(readStdin())
      : readFileSync(file, "utf8");
  try {
    return podOfText(text, name, namespace);
  } catch (cause) {
    throw new Error(`${file}: ${messageOf(cause)}`, { cause });
  }
}

async function askedPod(
  name: string,
  namespace = "default",
  folders: Folders,
  env: Env,
): Promise<PodView> {
  const { config } = nodeOperation(folders, env);
  const { apiProblem, openApi } = await import("./api.ts");
  const { core } = await openApi(config.kube, env);
  try {
    const pod = await core.readNamespacedPod({ namespace, name });
    return podOfApi(pod, name, namespace);
  } catch (cause) {
    throw new Error(
      `failed to get pod ${JSON.stringify(`${namespace}/${name}`)}: ${apiProblem(cause)}`,
      { cause },
    );
  }
}

function textOf({ pod, rules, attachments }: Explanation): string {
  const count =
    attachments.length === 1 ? "1 network" : `${attachments.length} networks`;
  const lines = [`${pod.namespace}/${pod.name} gets ${count} on this node:`];
  lines.push(...rules.map((rule) => `  ${rule}`));
  for (const attachment of attachments) {
    const { ifname, primary, source, args, plugins } = attachment;
    lines.push(
      "",
      `${ifname}${primary ? " (primary)" : ""}: ${namesOf(attachment)}, from ${source}`,
      `  CNI_ARGS ${args}`,
    );
    for (const [i, { type, path, config }] of plugins.entries()) {
      const after = i === 0 ? "" : ", with the result before it as prevResult";
      lines.push(`  ${type} (${path}) is given${after}:`);
      lines.push(indented(JSON.stringify(config, null, 2)));
    }
  }
  return `${lines.join("\n")}\n`;
}

/** The CNI name too, where it is another: configurations and network-status have it. */
function namesOf({ network, cniName }: ExplainedAttachment): string {
  return network === cniName ? network : `${network} (CNI name ${cniName})`;
}

function indented(text: string): string {
  return text.replace(/^/gm, "    ");
}
