/** The outcome of a check of `genie doctor`, which is a line of its table. */

/** "skip": it does not apply here, or cannot be known. */
export type Verdict = "ok" | "warn" | "fail" | "skip";

export interface Outcome {
  /** Absent: the name of the check in the table. */
  check?: string;
  verdict: Verdict;
  found: string;
  /** If something has to be done. */
  advice?: string;
}

export interface Finding extends Outcome {
  check: string;
}

export function ok(found: string): Outcome {
  return { verdict: "ok", found };
}

export function skip(found: string): Outcome {
  return { verdict: "skip", found };
}

export function warn(found: string, advice: string): Outcome {
  return { verdict: "warn", found, advice };
}

export function fail(found: string, advice: string): Outcome {
  return { verdict: "fail", found, advice };
}

/** An outcome under another name than that of its check in the table. */
export function named(check: string, outcome: Outcome): Finding {
  return { check, ...outcome };
}
