/**
 * Counts and findings of a torture. A finding is a broken promise; one is enough to
 * fail the run.
 */
export class Report {
  readonly #counts = new Map<string, Map<string, number>>();
  readonly findings: string[] = [];
  #slowestMs = 0;

  /** In a group such as "faults" or "calls". */
  count(group: string, what: string, times = 1): void {
    const counts = this.#counts.get(group) ?? new Map<string, number>();
    this.#counts.set(group, counts.set(what, (counts.get(what) ?? 0) + times));
  }

  total(group: string): number {
    return [...(this.#counts.get(group)?.values() ?? [])].reduce(
      (sum, count) => sum + count,
      0,
    );
  }

  group(group: string): Record<string, number> {
    const counts = [...(this.#counts.get(group) ?? [])];
    return Object.fromEntries(counts.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  find(finding: string): void {
    this.findings.push(finding);
  }

  took(ms: number): void {
    this.#slowestMs = Math.max(this.#slowestMs, ms);
  }

  get slowestMs(): number {
    return Math.round(this.#slowestMs);
  }
}

/** The printed figures and those that the test reads: everything needed to repeat the run. */
export interface Figures {
  seed: number;
  rounds: number;
  seconds: number;
  pods: number;
  calls: Record<string, number>;
  slowestCallMs: number;
  faults: Record<string, number>;
  totalFaults: number;
  /** By verb and system call. */
  crashPoints: Record<string, number>;
  /** Checks of the scenarios, by scenario. */
  rules: Record<string, number>;
  /** Not ours: see docs/reliability.md. */
  upstream: Record<string, number>;
  leaks: Record<string, number>;
  findings: string[];
}

export function figuresOf(
  report: Report,
  run: Pick<Figures, "seed" | "rounds" | "seconds" | "pods" | "leaks">,
): Figures {
  return {
    ...run,
    calls: report.group("calls"),
    slowestCallMs: report.slowestMs,
    faults: report.group("faults"),
    totalFaults: report.total("faults"),
    crashPoints: report.group("crash points"),
    rules: report.group("rules"),
    upstream: report.group("upstream"),
    findings: report.findings,
  };
}

export function textOf(figures: Figures): string {
  const { seed, rounds, seconds, pods, totalFaults, slowestCallMs, findings } =
    figures;
  const table = (title: string, counts: Record<string, number>) => [
    `${title}:`,
    ...Object.entries(counts).map(
      ([what, count]) => `${String(count).padStart(7)}  ${what}`,
    ),
  ];
  return [
    ...table("calls", figures.calls),
    ...table("faults", figures.faults),
    ...table("crash points", figures.crashPoints),
    ...table("rules", figures.rules),
    ...table("not ours", figures.upstream),
    ...table("left in the end", figures.leaks),
    ...findings.slice(0, 40).map((finding) => `FOUND: ${finding}`),
    `seed ${seed}: ${rounds} rounds, ${pods} pods, ${totalFaults} faults, slowest call ${slowestCallMs} ms, ` +
      `${findings.length} findings, ${seconds.toFixed(0)} s`,
  ].join("\n");
}
