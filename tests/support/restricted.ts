/**
 * Starts a program as an odd runtime would: with signals ignored, limits set,
 * system calls refused, or an environment that is not UTF-8. By perl, which every
 * Debian has: it calls what a shell cannot, and then becomes the program.
 */

/** Numbers of system calls and errnos, for {@link denying}. */
const isX64 = process.arch === "x64";
const SYS_prctl = isX64 ? 157 : 167;
export const systemCalls = {
  memfd_create: isX64 ? 319 : 279,
  pidfd_open: 434,
  /** How Bun starts a process on x86-64; elsewhere there is no such call. */
  vfork: isX64 ? 58 : -1,
} as const;
export const errnos = { EPERM: 1, EAGAIN: 11, ENOMEM: 12, ENOSYS: 38 } as const;

/** `cmd` after the statements of perl. */
function perl(statements: string, cmd: readonly string[]): string[] {
  return ["perl", "-e", `${statements}; exec { $ARGV[0] } @ARGV`, ...cmd];
}

/** With SIGCHLD ignored. */
export function ignoringChildren(cmd: readonly string[]): string[] {
  return perl('$SIG{CHLD} = "IGNORE"', cmd);
}

/** With these variables beside its own: bytes as in perl, `\xff`. */
export function withVariables(
  variables: Readonly<Record<string, string>>,
  cmd: readonly string[],
): string[] {
  const statements = Object.entries(variables).map(
    ([name, value]) => `$ENV{"${name}"} = "${value}"`,
  );
  return perl(statements.join("; "), cmd);
}

/** Without memory that can be written and then executed: PR_SET_MDWE, which systemd's MemoryDenyWriteExecute= is. Linux 6.3. */
export function denyingExecutableMemory(cmd: readonly string[]): string[] {
  return perl(`syscall(${SYS_prctl}, 65, 1, 0, 0, 0) == 0 or exit 99`, cmd);
}

/** With one system call that fails, by seccomp. */
export function denying(
  call: keyof typeof systemCalls,
  errno: keyof typeof errnos,
  cmd: readonly string[],
): string[] {
  return perl(
    `my $filter = pack("SCCL" x 4,
       0x20, 0, 0, 0,                        # load the number
       0x15, 0, 1, ${systemCalls[call]},     # the call's?
       0x06, 0, 0, ${0x00050000 + errnos[errno]},
       0x06, 0, 0, 0x7fff0000);              # allow
     syscall(${SYS_prctl}, 38, 1, 0, 0, 0) == 0 or exit 98;
     syscall(${SYS_prctl}, 22, 2, pack("S x6 P", 4, $filter)) == 0 or exit 99`,
    cmd,
  );
}
