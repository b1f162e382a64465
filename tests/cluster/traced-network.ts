/** A definition whose plugin notes the trace that reaches it, and then is ptp. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../scripts/run.ts";
import { binDir } from "./networks.ts";

/** The log of genie. */
export const logFile = "/var/log/genie.log";

const plugin = join(binDir, "traced");
const notes = "/run/traced";

export const traced = {
  apiVersion: "k8s.cni.cncf.io/v1",
  kind: "NetworkAttachmentDefinition",
  metadata: { name: "traced", namespace: "default" },
  spec: {
    config: JSON.stringify({
      cniVersion: "1.0.0",
      type: "traced",
      ipam: { type: "host-local", subnet: "10.247.1.0/24" },
    }),
  },
};

/** The plugin, and genie's log in a file. */
export async function installTraced(genie: string): Promise<void> {
  const script = `#!/bin/sh
echo "$CNI_COMMAND $CNI_IFNAME $CNI_ARGS TRACEPARENT=$TRACEPARENT TRACESTATE=$TRACESTATE" >>${notes}
exec ${join(binDir, "ptp")}
`;
  writeFileSync(plugin, script, { mode: 0o755 });
  const log = JSON.stringify(logFile);
  await set(genie, 'log_level="info"', `logFile=${log}`);
}

export async function removeTraced(genie: string): Promise<void> {
  rmSync(plugin);
  await set(genie, "log_level=null", "logFile=null");
}

async function set(genie: string, ...settings: string[]): Promise<void> {
  await run([genie, "install", ...settings.map((one) => `--set=${one}`)]);
}

/** One line for each call. */
export function tracedCalls(): string[] {
  return readFileSync(notes, "utf8").split("\n");
}
