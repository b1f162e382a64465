/**
 * A short torture: every crash point, then rounds of pods with a seed that is
 * always the same, and some with one that never is. What a finding needs to be
 * repeated is in its message.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Figures } from "../torture/report.ts";
import { defects } from "../torture/defects.ts";
import { isScenario, scenarios } from "../torture/scenarios/scenarios.ts";
import { makeSchedule } from "../torture/schedule.ts";
import { genieBinary } from "./support/build.ts";

const script = join(import.meta.dir, "../torture/torture.ts");
const limitMs = 600_000;

/** Throws Error when there are no figures: then the torture itself failed. */
function torture(...options: string[]): Figures {
  const directory = mkdtempSync(join(tmpdir(), "genie-figures-"));
  try {
    const json = join(directory, "figures.json");
    const { stdout, stderr } = Bun.spawnSync({
      cmd: [process.execPath, script, "--json", json, ...options],
      env: { ...process.env, GENIE_BINARY: genieBinary() },
      stdout: "pipe",
      stderr: "pipe",
      timeout: limitMs,
      killSignal: "SIGKILL",
    });
    process.stderr.write(`${stdout.toString().trim().split("\n").at(-1)}\n`);
    try {
      return JSON.parse(readFileSync(json, "utf8")) as Figures;
    } catch (cause) {
      const end = `${stdout.toString()}${stderr.toString()}`.slice(-2000);
      throw new Error(`no figures: ${end}`, { cause });
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Throws Error with one short line: a long message may be cut in a log, and a seed of chance is lost. */
function requireNoFinding({ seed, findings }: Figures): void {
  if (findings.length === 0) return;
  const shown = findings.slice(0, 3).map((finding) => finding.slice(0, 250));
  throw new Error(
    `seed ${seed}: ${findings.length} findings: ${shown.join(" | ")}`,
  );
}

const nothing = {
  addresses: 0,
  "ledger entries": 0,
  interfaces: 0,
  namespaces: 0,
  records: 0,
  abandoned: 0,
  locks: 0,
  processes: 0,
};

describe("torture", () => {
  test(
    "every crash point of ADD and DEL, every scenario, and a fixed seed",
    () => {
      const figures = torture("--seed", "20", "--rounds", "10");
      requireNoFinding(figures);
      const { leaks, pods, totalFaults, crashPoints, rules } = figures;
      expect({ leaks, pods }).toEqual({ leaks: nothing, pods: 80 });
      expect(totalFaults).toBeGreaterThan(300);
      expect(Object.keys(rules)).toEqual(Object.keys(scenarios).toSorted());
      // For each verb: before, between and after the record, the delegates and the lock.
      const missing = [
        "ADD killed: openat",
        "ADD killed: write",
        "ADD killed: renameat",
        "ADD killed: fsync",
        "ADD killed: flock",
        "ADD killed: vfork",
        "DEL killed: unlinkat",
        "DEL killed: flock",
        "DEL killed: vfork",
      ].filter((point) => !crashPoints[point]);
      expect(missing).toEqual([]);
    },
    limitMs,
  );

  test(
    "a seed of its own",
    () => {
      const figures = torture("--rounds", "4", "--no-points");
      requireNoFinding(figures);
      expect(figures.leaks).toEqual(nothing);
    },
    limitMs,
  );
});

describe("defects", () => {
  test.each([...defects])(
    "$what: its edits fit the sources",
    ({ file, edits }) => {
      const text = readFileSync(join(import.meta.dir, "..", file), "utf8");
      const found = edits.map(({ before }) => text.split(before).length - 1);
      expect(found).toEqual(edits.map(() => 1));
    },
  );

  test("there is one for each scenario", () => {
    const found = new Set(defects.map(({ scenario }) => scenario));
    const missed = Object.keys(scenarios).filter(
      (name) => isScenario(name) && !found.has(name),
    );
    expect(missed).toEqual([]);
  });
});

describe("makeSchedule", () => {
  test("the same seed, the same schedule; another seed, another", () => {
    expect(makeSchedule(7, 5)).toEqual(makeSchedule(7, 5));
    expect(makeSchedule(7, 5)).not.toEqual(makeSchedule(8, 5));
  });

  test("a longer torture begins as a shorter one", () => {
    expect(makeSchedule(7, 9).rounds.slice(0, 4)).toEqual(
      makeSchedule(7, 4).rounds,
    );
  });
});
