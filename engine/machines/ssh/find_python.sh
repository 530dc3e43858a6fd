# Becomes the helper in the first Python that a machine without a `python3` has. POSIX sh, as dash and busybox ash have it.
#
# $1 is what that Python is told to run. Our standard input is the helper's: nothing here may read of it. What was looked for, and what may not be
# used, is said to standard error; exit code 127 where nothing is found.
bootstrap=$1
me=$(id -u)
refused=

# Whether only root, and who we are, may write a path and every directory above it. Anybody can have a process that calls itself Synapse: what
# another user may exchange would do as root whatever that user likes.
is_ours() {
    at=$1
    while :; do
        set -- $(ls -ldn "$at" 2>/dev/null)
        case ${1:-?????w} in
        ?????w*) [ "${4:-}" = 0 ] || return 1 ;;
        esac
        case $1 in
        ????????w*) return 1 ;;
        esac
        [ "$3" = 0 ] || [ "$3" = "$me" ] || return 1
        [ "$at" != / ] || return 0
        at=${at%/*}
        at=${at:-/}
    done
}

# Does not come back where the path is a Python of ours. An environment's interpreter is a link: what it leads to is taken, without the packages
# of that environment, which belong to Synapse's user, as a rule, and some of which run by themselves. So -S, too.
become() {
    case $1 in
    /*) ;;
    *) return 0 ;;
    esac
    [ -f "$1" ] && [ -x "$1" ] || return 0
    python=$(readlink -f "$1") || return 0
    # As a rule, a link where /bin is one.
    library=$(readlink -f "${python%/*/*}/lib")
    if is_ours "$python" && { [ ! -d "$library" ] || is_ours "$library"; }; then
        "$python" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 6))' </dev/null >/dev/null 2>&1 || return 0
        exec "$python" -I -S -c "$bootstrap"
    fi
    case " $refused " in
    *" $python "*) ;;
    *) refused="$refused $python" ;;
    esac
}

# Of a command line, a word a line.
is_synapse() {
    grep -q -e '^synapse\.app\.[a-z_]*$' -e '/\.\{0,1\}synapse_[a-z_]*$' -e '/synapse/app/[a-z_]*\.py$'
}

# Debian's package of Synapse has its own; the second is where Red Hat's systems keep one for themselves.
for path in /opt/venvs/matrix-synapse/bin/python3 /usr/libexec/platform-python; do
    become "$path"
done

# Another file system may be a process's own, of a container or of a unit that is kept in: a path in it is tried as this machine has it.
for file in $(grep -ls synapse /proc/[0-9]*/cmdline 2>/dev/null </dev/null); do
    words=$(tr '\0' '\n' 2>/dev/null <"$file")
    printf '%s\n' "$words" | is_synapse || continue
    become "$(readlink "${file%/cmdline}/exe" 2>/dev/null)"
    become "$(printf '%s\n' "$words" | sed -n 1p)"
done

# A homeserver that does not run: the program of its unit, or the interpreter beside it.
for place in /etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
    for file in $(grep -ls '^ExecStart=.*synapse' "$place"/*.service "$place"/*.service.d/*.conf 2>/dev/null </dev/null); do
        for program in $(sed -n 's/^ExecStart=[-@:+!]*\([^ ]*\).*/\1/p' "$file"); do
            case $program in
            */python* | */pypy*) become "$program" ;;
            */synapse_*) become "${program%/*}/python3" ;;
            esac
        done
    done
done

echo "no Python 3.6 or newer: no python3 in \$PATH, none of Debian's package of Synapse, none of a Synapse that runs or that a unit of systemd starts" >&2
[ -z "$refused" ] || echo "not used, as others than root and the user who logs in may write there:$refused" >&2
exit 127
