/** The text of `genie explain`. Pure. */
import { escapeControls } from "../../linux/text.ts";
import type { Device } from "../../select/attachment.ts";
import { counted } from "../command/table.ts";
import type { ExplainedAttachment, Explanation } from "./explanation.ts";
import type {
  RemoteAttachment,
  RemoteExplanation,
} from "./remote-explanation.ts";

/** `deployment shop/web`; a pod without its kind. */
export function nameOf({ kind, namespace, name }: Explanation["pod"]): string {
  const path = `${namespace}/${name}`;
  return kind === undefined || kind === "Pod"
    ? path
    : `${kind.toLowerCase()} ${path}`;
}

export function explanationText(explanation: Explanation): string {
  const { pod, rules, attachments, auxiliary, hostNetwork } = explanation;
  if (hostNetwork)
    return joinLines([
      `${subjectOf(pod)} uses the node's own network: the runtime calls no CNI plugin for it`,
    ]);
  const lines = [
    `${subjectOf(pod)} gets ${counted(attachments.length, "network")} on this node:`,
    ...rules.map((rule) => `  ${rule}`),
    ...attachments.flatMap((one) =>
      linesOf(one, one.primary ? " (primary)" : "", ""),
    ),
  ];
  if (auxiliary)
    lines.push(
      ...linesOf(auxiliary, " (auxiliary chain)", "the primary's result"),
    );
  return joinLines(lines);
}

export function remoteText(explanation: RemoteExplanation): string {
  const { pod, hostNetwork, rules, attachments } = explanation;
  if (hostNetwork)
    return joinLines([`${subjectOf(pod)} uses its node's own network`]);
  const lines = [
    `${subjectOf(pod)} asks for ${counted(attachments.length, "network")}:`,
    ...rules.map((rule) => `  ${rule}`),
  ];
  for (const {
    ifname,
    primary,
    rule,
    definition,
    device,
    config,
    problem,
  } of attachments)
    lines.push(
      `${ifname}${primary ? " (primary)" : ""}: ${rule}`,
      ...(device ? [`  device ${requestText(device)}`] : []),
      ...indented(
        definition === undefined
          ? "its configuration is on the node: run genie explain there"
          : (problem ?? JSON.stringify(config, null, 2)),
      ),
    );
  return joinLines(lines);
}

function subjectOf(pod: Explanation["pod"]): string {
  return `${pod.kind === undefined ? "" : "a pod of "}${nameOf(pod)}`;
}

/** `before` is the prevResult of the first plugin. */
function linesOf(
  attachment: ExplainedAttachment,
  role: string,
  before: string,
): string[] {
  const { ifname, source, args, device, plugins } = attachment;
  return [
    "",
    `${ifname}${role}: ${shownNames(attachment)}, from ${source}`,
    `  CNI_ARGS ${args}`,
    ...(device ? [`  device ${deviceText(device)}`] : []),
    ...plugins.flatMap(({ type, path, config }, i) => {
      const result = i === 0 ? before : "the result before it";
      const after = result === "" ? "" : `, with ${result} as prevResult`;
      return [
        `  ${type} (${path}) is given${after}:`,
        ...indented(JSON.stringify(config, null, 2)),
      ];
    }),
  ];
}

/** Adds the CNI name if it differs: configurations and network-status have that one. */
function shownNames({ network, cniName }: ExplainedAttachment): string {
  return network === cniName ? network : `${network} (CNI name ${cniName})`;
}

function deviceText({ id, resource, source }: Device): string {
  const of = resource === undefined ? "" : ` of ${resource}`;
  return `${id}${of} (${source ?? "named by the pod"})`;
}

function requestText(device: NonNullable<RemoteAttachment["device"]>): string {
  if ("id" in device) return `${device.id} (named by the pod)`;
  const { resource, claim } = device;
  if (!claim) return `of ${resource}: the node's kubelet decides which`;
  const request = claim.requestName ? `, request ${claim.requestName}` : "";
  return `of claim ${claim.claimName}${request}: the node's kubelet decides which`;
}

function indented(text: string): string[] {
  return text.split("\n").map((line) => `    ${line}`);
}

/** The author of a pod or of a definition words parts of the lines. */
function joinLines(lines: readonly string[]): string {
  return `${lines.map(escapeControls).join("\n")}\n`;
}
