/**
 * The request that genie makes for a pod, made by curl: from the same kubeconfig,
 * with the same certificate authority and token.
 */
import { dirname, join } from "node:path";
import { readAccess } from "../access.ts";
import type { Command } from "../child.ts";

/** undefined without curl. */
export async function curlCommand(
  kubeconfig: string,
  path: string,
): Promise<Command | undefined> {
  const curl = Bun.which("curl");
  if (curl === null) return undefined;
  const { url, token, ca } = await readAccess(kubeconfig);
  const caFile = join(dirname(kubeconfig), "ca.crt");
  await Bun.write(caFile, ca);
  return {
    // -q: no ~/.curlrc; no proxy, whatever the environment says.
    argv: [
      curl,
      "-qsS",
      "--fail",
      "--noproxy",
      "*",
      "--cacert",
      caFile,
      "-H",
      `Authorization: Bearer ${token}`,
      new URL(path, url).href,
    ],
    env: {},
    stdin: "",
  };
}
