/**
 * The token of a kubeconfig's user and its claims. Nothing is verified, and nothing
 * is printed.
 */
import { own } from "../../cni/json.ts";
import type { User } from "../../kube/kubeconfig.ts";
import { readToken } from "../../kube/pem.ts";
import type { Host } from "../host.ts";

/** undefined: the user has none. Throws if its file cannot be read. */
export function tokenOf(
  { tokenFile, token }: User,
  host: Host,
): string | undefined {
  return tokenFile === undefined
    ? token
    : readToken(host.path(tokenFile), "token file");
}

/** The claims of a JWT; undefined for another token. */
export function claimsOf(token: string | undefined): unknown {
  const [, payload] = token?.split(".") ?? [];
  if (payload === undefined) return undefined;
  try {
    return JSON.parse(Buffer.from(payload, "base64url").toString());
  } catch {
    return undefined;
  }
}

/** `exp`; undefined if absent. */
export function expiryOf(token: string): Date | undefined {
  const exp = own(claimsOf(token), "exp");
  return typeof exp === "number" ? new Date(exp * 1000) : undefined;
}
