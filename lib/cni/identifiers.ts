/** Names that CNI restricts: of containers, networks and interfaces (cni-plugin.md P-ID, P-NET, P-IF). Pure. */
import { CniError, Code, invalidConfig } from "./error.ts";
import { isLonger } from "../linux/text.ts";

/** The fault of a value, in upstream's words. */
export interface Problem {
  msg: string;
  details?: string;
}

/**
 * The fault of an interface name by the rules of Linux and CNI (P-IF); undefined if
 * it is valid.
 */
export function ifnameProblem(name: string): Problem | undefined {
  if (name === "") return { msg: "interface name is empty" };
  if (isLonger(name, 15)) {
    return {
      msg: "interface name is too long",
      details: "interface name should be less than 16 characters",
    };
  }
  if (name === "." || name === "..")
    return { msg: "interface name is . or .." };
  // Fast path: an identifier has no forbidden character.
  if (isIdentifier(name)) return undefined;
  // `/`, `:` and the space characters of Go's unicode.IsSpace: `\s` lacks U+0085 and has U+FEFF.
  const forbidden =
    /[/:\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
  if (forbidden.test(name))
    return { msg: "interface name contains / or : or whitespace characters" };
  // JSON can contain it, CNI_IFNAME cannot.
  if (name.includes("\0"))
    return { msg: "interface name contains a NUL character" };
  return undefined;
}

/** Throws code 4 for an invalid interface name (P-IF). */
export function validateIfname(name: string): void {
  const problem = ifnameProblem(name);
  if (problem)
    throw new CniError(Code.invalidEnvironment, problem.msg, problem);
}

/**
 * Whether the text can name a container or a network, which is safe as a file name
 * and on a command line (P-ID, P-NET).
 */
export function isIdentifier(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x61 && code <= 0x7a) continue; // a to z
    if (code >= 0x30 && code <= 0x39) continue; // 0 to 9
    if (code >= 0x41 && code <= 0x5a) continue; // A to Z
    const isMark = code === 0x2d || code === 0x2e || code === 0x5f; // - . _
    if (!isMark || i === 0) return false;
  }
  return text !== "";
}

/** Throws code 4 for invalid characters (P-ID). */
export function validateContainerId(containerId: string): void {
  if (isIdentifier(containerId)) return;
  throw new CniError(
    Code.invalidEnvironment,
    "invalid characters in containerID",
    { details: containerId },
  );
}

/** Throws code 7 for an invalid network name (P-NET). */
export function validateNetworkName(name: string): void {
  if (name === "") throw invalidConfig("missing network name");
  if (isIdentifier(name)) return;
  throw new CniError(
    Code.invalidNetworkConfig,
    "invalid characters found in network name",
    { details: name },
  );
}
