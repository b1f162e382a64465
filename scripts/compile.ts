/**
 * Compiles one TypeScript entry into one executable. Every flag is here, and only
 * here, above all those that keep a hostile working directory out: genie and the
 * empty program that the bench compares it with are built alike.
 */
import type { BunPlugin } from "bun";

export interface CompileOptions {
  entry: string;
  /** Its base name becomes part of the executable: the same name, the same bytes. */
  outfile: string;
  target: Bun.Build.CompileTarget;
  /** The Bun to build upon; without it, the target's is downloaded. */
  runtime?: string;
  /** Build-time constants of the program. */
  constants: Readonly<Record<string, string>>;
  plugins?: BunPlugin[];
  /** Files of recordProfile (profile.ts), the most frequent calls first. */
  profiles?: readonly string[];
}

/** Throws AggregateError with Bun's messages when the program cannot be bundled. */
export async function compile(options: CompileOptions): Promise<void> {
  const { entry, outfile, target, runtime, constants, plugins = [] } = options;
  const { profiles = [] } = options;
  await Bun.build({
    entrypoints: [entry],
    target: "bun",
    compile: {
      target,
      outfile,
      // A run of 15 ms gains nothing from optimised code: the compiler's work and
      // memory are saved (measured: a tenth of an ADD, 1 MiB).
      jitPolicy: 10,
      bytecodeOrder: profiles.length > 0 && [...profiles],
      ...(runtime !== undefined && { executablePath: runtime }),
      // A compiled program reads these from its working directory unless told
      // not to: `preload` of a bunfig.toml would run as root for every pod.
      autoloadBunfig: false,
      autoloadDotenv: false,
      autoloadPackageJson: false,
      autoloadTsconfig: false,
    },
    // An import(variable) would be resolved against the working directory.
    allowUnresolved: [],
    // Bytecode saves parsing; splitting keeps what is behind an import() out of
    // the start. No minify: it saves nothing and ruins the names in a trace.
    bytecode: true,
    format: "esm",
    splitting: true,
    plugins,
    define: { ...literals(constants), "process.env.NODE_ENV": '"production"' },
  });
}

function literals(
  constants: CompileOptions["constants"],
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(constants).map(([name, value]) => [
      name,
      JSON.stringify(value),
    ]),
  );
}
