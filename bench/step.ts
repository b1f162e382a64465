/**
 * The units of the bench. A step is one process, or several that are measured as one
 * (a burst). A unit is a sequence of steps that belong together: a CHECK needs its
 * ADD, and every ADD its DEL.
 */
import type { Command, Outcome } from "./child.ts";
import { runAll } from "./process.ts";

/** Identifies a row of the report. */
export interface RowName {
  /** `genie`, `Multus`, …; `floors` for lower bounds. */
  program: string;
  call: string;
}

export interface Step {
  /** Steps without a row only prepare or clean up. */
  row?: RowName;
  /** Where each process of a burst counts for itself. */
  each?: RowName;
  commands: readonly Command[];
  /** Default: one after the other. */
  atATime?: number;
  /** The expected exit code. Default: 0. */
  code?: number;
  /** Whether the response on stdout is right. */
  accepts(stdout: string): boolean;
  /** How many programs are executed at least, itself included. Default: not checked. */
  programs?: number;
  /** Wrong responses are counted in the row and do not end the bench. */
  mayFail?: true;
}

export interface Unit {
  /** The steps, for containers of their own. */
  steps(): Step[];
  /** Runs in every so many rounds. Default: 1. */
  every?: number;
}

export interface StepResult {
  ms: number;
  cpuMs: number;
  eachMs: number[];
  failed: number;
}

/** Throws Error for a wrong response in a row that does not allow it. */
export function perform(step: Step): StepResult {
  const { outcomes, ms } = runAll(step.commands, step.atATime);
  const wrong = outcomes.flatMap((outcome, i) =>
    isRight(step, outcome) ? [] : [complaint(step.commands[i], outcome)],
  );
  if (wrong[0] !== undefined && step.mayFail !== true)
    throw new Error(wrong[0]);
  const [only] = outcomes;
  return {
    // One process: from its own start, not from that of the loop around it.
    ms: outcomes.length === 1 && only ? only.ms : ms,
    cpuMs: outcomes.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    eachMs: outcomes.map((outcome) => outcome.ms),
    failed: wrong.length,
  };
}

function isRight({ code = 0, accepts }: Step, outcome: Outcome): boolean {
  return outcome.code === code && accepts(outcome.stdout);
}

function complaint(command: Command | undefined, outcome: Outcome): string {
  const { code, stdout, stderr } = outcome;
  const verb = command?.env["CNI_COMMAND"] ?? "";
  return `${command?.argv[0]} ${verb}: exit code ${code}: ${stdout}${stderr}`;
}
