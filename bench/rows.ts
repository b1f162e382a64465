/**
 * What the bench measures, and what we allow ourselves. A row is one program or
 * one call of genie; a unit is what must run in one piece, because a CHECK needs
 * its ADD and every ADD its DEL.
 */
import type { NoopNode } from "../tests/smoke/noop-node.ts";

/** Medians as multiples of the empty program's; a row without is only reported. */
export const budgets: Readonly<Record<string, number>> = {
  VERSION: 1.3,
  "ADD, runtime annotations": 2.2,
  "ADD, one GET": 3.0,
  DEL: 2.2,
};

/** Peak memory of every row that has a budget. */
export const rssBudgetMiB = 40;

export const emptyRow = "empty Bun program";

export interface Step {
  /** Steps without a row only clean up. */
  row?: string;
  cmd: readonly string[];
  env: Record<string, string>;
  stdin: string;
  /** Whether the answer on stdout is the right one. */
  accepts(stdout: string): boolean;
}

/** The steps of a unit for a container of their own. */
export type Unit = (containerId: string) => Step[];

export function unitsOf(
  programs: { genie: string; empty: string },
  node: NoopNode,
  kubeconfig: string,
): Unit[] {
  const annotated = node.withAnnotations();
  const asking = node.withoutAnnotations({ kubernetes: { kubeconfig } });

  const genie = (
    command: string,
    id: string,
    stdin: string,
    row?: string,
  ): Step => ({
    ...(row !== undefined && { row }),
    cmd: [programs.genie],
    env: node.env(command, id),
    stdin,
    accepts: answers[command] ?? isNothing,
  });

  return [
    () => [
      {
        row: emptyRow,
        cmd: [programs.empty],
        env: {},
        stdin: "",
        accepts: isNothing,
      },
    ],
    (id) => [
      {
        row: "the delegate alone",
        cmd: [`${node.binDir}/noop`],
        env: node.env("ADD", id),
        stdin: annotated,
        accepts: isResult,
      },
    ],
    (id) => [genie("VERSION", id, "", "VERSION")],
    (id) => [genie("STATUS", id, annotated, "STATUS")],
    (id) => [
      genie("ADD", id, annotated, "ADD, runtime annotations"),
      genie("CHECK", id, annotated, "CHECK"),
      genie("DEL", id, annotated, "DEL"),
    ],
    (id) => [
      genie("ADD", id, asking, "ADD, one GET"),
      genie("DEL", id, asking),
    ],
  ];
}

const answers: Readonly<Record<string, (stdout: string) => boolean>> = {
  ADD: isResult,
  VERSION: (stdout) => stdout.includes('"supportedVersions"'),
};

function isResult(stdout: string): boolean {
  return stdout.includes('"10.1.2.3/24"');
}

function isNothing(stdout: string): boolean {
  return stdout === "";
}
