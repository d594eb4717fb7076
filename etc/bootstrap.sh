# Sourced by ./quickstart, ./run-tests and bench/run: what has to be there before Python can take over.

# Where engines and firewalls are; `su` alone leaves a root without them.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# What a wheel is made from; copied out before building, because setuptools would pack a stale build/ directory too.
sources=(LICENSE README.md pyproject.toml setup.py requirements.lock sandbox twisted/plugins/sandbox_plugin.py)

say() { printf '%s\n' "==> $*"; }
fail() {
  printf '%s\n' "${0##*/}: $*" >&2
  exit 1
}

# The comment at the top of the script is its help.
show_help() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"
  exit
}

# quietly COMMAND…: on a terminal shows its latest line in place; all of its output, when it fails.
quietly() {
  local log line status=0
  log=$(mktemp)
  if [ -t 1 ]; then
    "$@" 2>&1 </dev/null | tee "$log" | while IFS= read -r line; do printf '\r\033[K    %.100s' "$line"; done || status=$?
    printf '\r\033[K'
  else
    "$@" >"$log" 2>&1 </dev/null || status=$?
  fi
  [ "$status" = 0 ] || cat "$log" >&2
  rm -f "$log"
  return "$status"
}

# apt_get ARGUMENT…: apt-get without questions. In a container that mounts its host's directories read-only, packages that put
# something there (ssl-cert a certificate, postgresql-common a setting of apt) write to copies, which are gone afterwards.
apt_get() (
  set +e
  read_only=()
  export DEBIAN_FRONTEND=noninteractive
  for directory in /etc/apt /etc/ssl/certs; do
    [ ! -d $directory ] || [ -w $directory ] || read_only+=("$directory")
  done
  [ ${#read_only[@]} -gt 0 ] || exec apt-get -q "$@"
  copies=$(mktemp -d)
  trap 'rm -r "$copies"' EXIT
  for directory in "${read_only[@]}"; do
    mkdir -p "$copies$directory" && cp -a "$directory/." "$copies$directory" || exit
  done
  # shellcheck disable=SC2016
  unshare --mount sh -euc 'copies=$1 directories=$2; shift 2
    for directory in $directories; do mount --bind "$copies$directory" "$directory"; done
    exec apt-get -q "$@"' sh "$copies" "${read_only[*]}" "$@"
)

# install_packages WHY PACKAGE…: from the distribution, as root on Debian and Ubuntu; otherwise stops with the line to type.
install_packages() {
  local why=$1
  shift
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail "$why: not there. On Debian or Ubuntu type:  sudo apt-get install --no-install-recommends $*"
  fi
  say "$why: installing $* from the distribution's packages"
  quietly apt_get update || fail "apt-get update failed"
  quietly apt_get install --yes --no-install-recommends "$@" || fail "apt-get install failed"
}

# missing_packages: of the lines "PROGRAM PACKAGE" on standard input, the packages whose program, or file, is not there.
missing_packages() {
  local program package
  while read -r program package; do
    command -v "$program" >/dev/null || [ -n "$(compgen -G "$program")" ] || printf '%s\n' "$package"
  done
}

# need_python DIRECTORY: sets $python to a Python that can be used: that of a virtual environment which works, else the
# machine's, which then can make one.
need_python() {
  python=$1/bin/python
  "$python" -c '' 2>/dev/null && "$1/bin/pip" --version >/dev/null 2>&1 && return
  python=python3
  command -v python3 >/dev/null || install_packages "Python" python3 python3-venv
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed, not $(python3 --version)"
  # Debian keeps pip's wheel, without which venv makes nothing usable, in a package of its own.
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages "Python's venv module" python3-venv
}

# make_environment DIRECTORY: a Python virtual environment, unless it is there and works.
make_environment() {
  local python
  need_python "$1"
  [ "$python" = python3 ] || return 0
  say "Making a virtual environment in ${1#"$root/"}"
  rm -rf "$1"
  python3 -m venv "$1" || fail "python3 -m venv failed"
}

# install_project DIRECTORY [EXTRA]: the project, built as a wheel, with the locked dependencies (those of an extra, too), into
# a virtual environment; nothing happens when nothing that a wheel is made from changed since.
install_project() {
  local pip=("$1/bin/pip" --disable-pip-version-check) stamp=$1/.installed copy
  if [ -e "$stamp" ]; then
    local changed
    changed=$(cd "$root" && find "${sources[@]}" -name __pycache__ -prune -o -newer "$stamp" -print -quit)
    [ -n "$changed" ] || return 0
  fi
  say "Installing the project and its dependencies into ${1#"$root/"}"
  copy=$(mktemp -d)
  touch "$copy/.installed"
  tar -C "$root" -c --exclude=__pycache__ "${sources[@]}" | tar -C "$copy" -x
  quietly "${pip[@]}" install --constraint "$root/requirements.lock" setuptools &&
    quietly "${pip[@]}" install --constraint "$root/requirements.lock" --no-build-isolation "$copy${2:+[$2]}" ||
    fail "installing the project failed"
  mv "$copy/.installed" "$stamp"
  rm -rf "$copy"
}

# make_tox DIRECTORY: a virtual environment with the locked tox in it.
make_tox() {
  make_environment "$1"
  [ ! "$1/.installed" -nt "$root/requirements.lock" ] || return 0
  say "Installing tox into ${1#"$root/"}"
  quietly "$1/bin/pip" --disable-pip-version-check install --constraint "$root/requirements.lock" tox ||
    fail "installing tox failed"
  touch "$1/.installed"
}
