/**
 * Pods that Multus attached before this node moved to genie: its file of a
 * container says what to delete, so no pod has to be restarted. The format is
 * that of Multus' `saveDelegates`: `<cniDir>/<containerID>`, a JSON array of
 * delegates, the first being the default network.
 */
import { ifnameProblem } from "../cni/args.ts";
import { type NetworkConfigList, parseAnyConf } from "../cni/conflist.ts";
import { messageOf } from "../linux/errno.ts";
import { readOwnFileIfAny, removeFile } from "../linux/files.ts";
import { isObject, own, parseJson } from "../cni/json.ts";
import type { Attachment } from "../select/select.ts";
import { multusPath } from "./former-traces.ts";
import type { Context } from "./context.ts";

/** Delegates of one pod: Multus writes no more than definitions and files hold. */
const maxBytes = 16 << 20;

/** What Multus attached, in its order; undefined when its file cannot be understood, which is logged. */
export function multusAttachments(
  context: Context,
  path: string,
): Attachment[] | undefined {
  try {
    const text = readOwnFileIfAny(path, maxBytes);
    return text === undefined ? undefined : parse(text, context);
  } catch (error) {
    context.log().error("failed to read a file of Multus", {
      path,
      error: messageOf(error),
    });
    return undefined;
  }
}

/** When nothing in it is left to be deleted. */
export function removeMultusFile(context: Context, containerId: string): void {
  const path = multusPath(context, containerId);
  try {
    if (path !== undefined) removeFile(path);
  } catch (error) {
    // The next DEL goes through it once more, and finds everything deleted.
    context.log().error("failed to remove a file of Multus", {
      path,
      error: messageOf(error),
    });
  }
}

function parse(text: string, { request, config, log }: Context): Attachment[] {
  const delegates = parseJson(text);
  if (!Array.isArray(delegates))
    throw new Error("expected a list of delegates");
  const problems: string[] = [];
  const attachments = delegates.flatMap((delegate: unknown, i) => {
    try {
      const list = configOf(delegate, i);
      const ifname = ifnameOf(delegate, i, request.ifname);
      const capabilityArgs = i === 0 ? config.runtimeConfig : {};
      return [{ list, ifname, args: request.args, capabilityArgs }];
    } catch (error) {
      problems.push(messageOf(error));
      return [];
    }
  });
  const error = problems.join(", ");
  if (attachments.length === 0 && error !== "") throw new Error(error);
  // The others can be deleted all the same.
  if (error !== "")
    log().error("failed to read delegates of Multus", { error });
  return attachments;
}

function configOf(delegate: unknown, i: number): NetworkConfigList {
  const value = executed(delegate, i) ?? decoded(delegate, `${i}`);
  return parseAnyConf(value, own(delegate, "Name"));
}

/**
 * A list that Multus read by its path: of such a one `Bytes` has only the keys
 * that Go knows, no subnet, no bridge. undefined for all others.
 */
function executed(
  delegate: unknown,
  i: number,
): Record<string, unknown> | undefined {
  const list = own(delegate, "CNINetworkConfigList");
  const plugins = own(list, "Plugins");
  if (!Array.isArray(plugins) || plugins.length === 0) return undefined;
  const where = `${i}.CNINetworkConfigList`;
  return {
    ...decoded(list, where),
    plugins: plugins.map((plugin: unknown, j) =>
      decoded(plugin, `${where}.Plugins.${j}`),
    ),
  };
}

/** `Bytes` of what has some: JSON in base64. */
function decoded(holder: unknown, where: string): Record<string, unknown> {
  const bytes = own(holder, "Bytes");
  if (typeof bytes !== "string")
    throw new Error(`${where}.Bytes: expected a string`);
  const value = parseJson(Buffer.from(bytes, "base64").toString());
  if (!isObject(value)) throw new Error(`${where}.Bytes: expected an object`);
  return value;
}

/** The default network has the runtime's name, the others the requested one or their place. */
function ifnameOf(delegate: unknown, i: number, cniIfname: string): string {
  const requested = own(delegate, "ifnameRequest");
  const ifname =
    typeof requested === "string" && requested !== "" ? requested : undefined;
  if (ifname !== undefined && !ifnameProblem(ifname)) return ifname;
  return i === 0 ? cniIfname : `net${i}`;
}
