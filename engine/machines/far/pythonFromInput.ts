/** A program in Python that comes over standard input: nothing of it is on a disk or a command line there. */

/**
 * For `python3 -c`: reads a line with the program's length in bytes, and then the program. What follows is the program's own input.
 *
 * @param name  of the program, in its stack traces and in lists of processes
 */
export function pythonFromInput(name: string): string {
    return `import sys; b = sys.stdin.buffer; exec(compile(b.read(int(b.readline())), '${name}', 'exec'), {'__name__': '${name}'})`;
}
