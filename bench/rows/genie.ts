/**
 * Genie, and the rows that only genie has: annotations that the runtime passes,
 * and delegates that fail.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NoopNode } from "../../scripts/noop-node.ts";
import { definitions, wide } from "../cluster.ts";
import type { Step, Unit } from "../step.ts";
import { isRefusal, isTimeout } from "./answers.ts";
import {
  type Plugin,
  type Request,
  type Surroundings,
  freshId,
  nameOf,
  pair,
  stepOf,
} from "./plugin.ts";

export const program = "genie";

/** How long genie waits for the delegate that hangs. */
export const hangMs = 200;

/** The delegates of the failing rows are shells; this row is the cost of a shell. */
export const shellAdd = "ADD, delegate is a shell";
export const failingAdd = "ADD, delegate fails";
export const hangingAdd = `ADD, delegate hangs, ${hangMs} ms allowed`;
export const wideRuntimeAdd = "ADD, default + 3, runtime annotations";
export const cachedReadsAdd = "ADD, default + 3, apiReads cached";
export const runtimeAdd = "ADD, runtime annotations";
const loggedAdd = "ADD, runtime annotations, calls.log";

export function genieAt(binary: string, node: NoopNode): Plugin {
  return {
    program,
    binary,
    config: (kubeconfig) =>
      node.withoutAnnotations({ kubernetes: { kubeconfig } }),
  };
}

/** The rows that other plugins do not have. */
export function genieUnitsOf(
  genie: Plugin,
  { node, api }: Surroundings,
): Unit[] {
  const step = (request: Request, call?: string) =>
    stepOf(genie, node, request, call);
  const annotated = (annotations?: Record<string, string>, overrides = {}) =>
    node.withAnnotations(overrides, annotations);
  /** An ADD and its DEL. */
  const attaching = (
    call: string,
    request: Omit<Request, "verb" | "containerId">,
  ): Unit => ({
    steps: () =>
      pair({ containerId: freshId(), ...request }).map((one) =>
        step(one, nameOf(one, call)),
      ),
  });
  /** An ADD that is rolled back. */
  const refused = (
    call: string,
    request: Omit<Request, "verb" | "containerId">,
    accepts: Step["accepts"],
  ): Unit => ({
    steps: () => [
      {
        ...step({ verb: "ADD", containerId: freshId(), ...request }, call),
        code: 1,
        accepts,
      },
    ],
  });

  installDelegates(node);
  const kubernetes = { kubeconfig: api.kubeconfig(0) };
  const status: Request = {
    verb: "STATUS",
    containerId: "",
    stdin: annotated(),
    delegates: 0,
  };
  return [
    { steps: () => [step(status, "STATUS")] },
    attaching(runtimeAdd, { stdin: annotated(), delegates: 1 }),
    attaching(loggedAdd, {
      stdin: annotated(undefined, { dataDir: loggedDirectory(node) }),
      delegates: 1,
    }),
    attaching("ADD, conflist of 3 plugins", {
      stdin: annotated({ cni: "chain" }),
      delegates: 3,
    }),
    attaching(wideRuntimeAdd, {
      stdin: annotated(wide.annotations, { kubernetes }),
      pod: api.pods.wide,
      delegates: 1 + definitions.length,
    }),
    attaching(cachedReadsAdd, {
      stdin: node.withoutAnnotations({ kubernetes, apiReads: "cached" }),
      pod: api.pods.wide,
      delegates: 1 + definitions.length,
    }),
    attaching(shellAdd, { stdin: annotated({ cni: "shell" }), delegates: 1 }),
    // Once more for its DEL.
    refused(
      failingAdd,
      { stdin: annotated({ cni: "failing" }), delegates: 2 },
      isRefusal,
    ),
    // Its ADD is a shell that becomes another program.
    refused(
      hangingAdd,
      {
        stdin: annotated(
          { cni: "hanging" },
          { delegateTimeout: hangMs / 1000 },
        ),
        delegates: 3,
      },
      isTimeout,
    ),
  ];
}

/** A data directory with the file that the agent's metrics read. */
function loggedDirectory(node: NoopNode): string {
  const directory = join(node.directory, "logged");
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(join(directory, "calls.log"), "", { mode: 0o600 });
  return directory;
}

/** Shells, because the verb decides: only ADD fails or hangs, DEL succeeds. */
function installDelegates(node: NoopNode): void {
  const error = { code: 11, msg: "no address is left" };
  const result = {
    cniVersion: "1.0.0",
    ips: [{ address: "10.1.2.3/24" }],
  };
  const onAdd: Record<string, string> = {
    shell: `printf '%s' '${JSON.stringify(result)}'`,
    failing: `printf '%s' '${JSON.stringify(error)}'; exit 1`,
    hanging: "exec sleep 600",
  };
  for (const [type, script] of Object.entries(onAdd)) {
    const text = `#!/bin/sh\n[ "$CNI_COMMAND" = ADD ] || exit 0\n${script}\n`;
    node.plugin(type, text);
    node.network(type, [type]);
  }
  node.network("chain", ["noop", "noop", "noop"]);
}
