/**
 * The grammar of the `cni` annotation and of `default_plugin` (selection.md §3).
 * Pure. An error 7 names the element.
 */
import { ifnameProblem, isIdentifier } from "../cni/identifiers.ts";
import { type CniError, invalidConfig } from "../cni/error.ts";
import { quote } from "../linux/text.ts";

/** One requested network, with its interface name if there is one. */
export interface NetworkRequest {
  name: string;
  ifname?: string;
}

/** The limit of attachments of one pod (selection.md §2). */
export const maxAttachments = 32;

/** `source` names the text in messages: `annotation "cni"`. Throws 7. */
export function parseNetworks(source: string, text: string): NetworkRequest[] {
  const elements = text.split(",");
  if (elements.length > maxAttachments)
    throw invalid(source, text, `more than ${maxAttachments} networks`);
  const requests: NetworkRequest[] = [];
  for (const element of elements) {
    const [first = "", second = "", ...more] = element.split("@");
    const [name, ifname] = [first.trim(), second.trim()];
    const problem =
      more.length > 0 ? "more than one @" : elementProblem(name, ifname);
    if (problem !== undefined)
      throw invalid(source, text, `element ${requests.length + 1}: ${problem}`);
    requests.push(ifname === "" ? { name } : { name, ifname });
  }
  return requests;
}

function elementProblem(name: string, ifname: string): string | undefined {
  if (name === "") return "empty network name";
  // selection.md §4
  if (!isIdentifier(name)) return `invalid network name ${quote(name)}`;
  const problem = ifname === "" ? undefined : ifnameProblem(ifname);
  return problem && `invalid interface name ${quote(ifname)}: ${problem.msg}`;
}

function invalid(source: string, text: string, problem: string): CniError {
  return invalidConfig(`failed to parse ${source} ${quote(text)}: ${problem}`);
}
