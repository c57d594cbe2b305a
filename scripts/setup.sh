# Sourced by scripts/demo and scripts/test: makes .venv from a lock file, once.
#
#   setup_environment requirements.lock
#
# Needs only Python >= 3.11 and a package registry. The marker .venv/.installed-<lock> holds a
# digest of the lock file, of pyproject.toml and of the interpreter; while it matches, nothing is
# installed. It is written last, so an interrupted installation is taken up by the next start.

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 2; }

# Sets PYTHON to an interpreter >= 3.11. A name on PATH may be a shim that does not run.
find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (4, 0))' \
      >/dev/null 2>&1; then
      PYTHON=$candidate
      return
    fi
  done
  local found
  found=$(python3 --version 2>/dev/null || echo "no python3 at all")
  die "Tracemark needs Python 3.11 or newer; this machine has $found.
  Install one (Debian 12 and later: apt-get install python3 python3-venv) or set PYTHON=/path/to/python3.12"
}

fingerprint() {
  .venv/bin/python - "$@" <<'PY'
import hashlib, pathlib, sys
digest = hashlib.sha256(f"{sys.version} {pathlib.Path.cwd()}".encode())
for name in sys.argv[1:]:
    digest.update(pathlib.Path(name).read_bytes())
print(digest.hexdigest())
PY
}

make_venv() {
  find_python
  say "Making .venv with $("$PYTHON" --version 2>&1)"
  rm -rf .venv
  if "$PYTHON" -m venv .venv >/tmp/tracemark-venv.$$ 2>&1; then
    rm -f /tmp/tracemark-venv.$$
    return
  fi
  # Debian without python3-venv: the module is there, ensurepip is not
  rm -rf .venv
  if "$PYTHON" -m venv --without-pip .venv >/dev/null 2>&1 \
    && "$PYTHON" -m pip --python .venv/bin/python install -q pip >/dev/null 2>&1; then
    rm -f /tmp/tracemark-venv.$$
    return
  fi
  cat /tmp/tracemark-venv.$$ >&2
  rm -rf .venv /tmp/tracemark-venv.$$
  die "$PYTHON cannot make a virtual environment (Debian: apt-get install python3-venv)"
}

# pip with a counter on a terminal, quiet elsewhere, and its whole output when it fails
install_locked() {
  local total count=0 log line
  total=$(grep -c '^[A-Za-z0-9]' "$1" || true)
  log=$(mktemp)
  say "Installing up to $total packages from $1"
  if .venv/bin/python -m pip install --disable-pip-version-check --no-input \
    --progress-bar off --require-hashes -r "$1" 2>&1 | tee "$log" \
    | while IFS= read -r line; do
        case $line in
          Collecting* | "Requirement already satisfied"*)
            count=$((count + 1))
            if [ -t 2 ]; then printf '\r  %d/%d' "$count" "$total" >&2; fi ;;
          Installing*) if [ -t 2 ]; then printf '\r  installing...   ' >&2; fi ;;
        esac
      done; then
    if [ -t 2 ]; then printf '\r                    \r' >&2; fi
    rm -f "$log"
  else
    say ""
    tail -n 30 "$log" >&2
    rm -f "$log"
    die "the packages of $1 could not be installed (see above); the same command goes on from here"
  fi
}

# The project itself, editable. The build backend comes from the development lock, with its hash.
install_project() {
  local pins
  if ! .venv/bin/python -c 'import sys, importlib.metadata as m; sys.exit(int(m.version("setuptools").split(".")[0]) < 80)' \
    >/dev/null 2>&1; then
    pins=$(mktemp)
    awk '/^[A-Za-z0-9]/ { keep = /^setuptools==/ } keep' requirements-dev.lock >"$pins"
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$pins" \
      || die "setuptools could not be installed"
    rm -f "$pins"
  fi
  .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation \
    -e . >&2 || die "the project itself could not be installed"
}

setup_environment() {
  local lock=$1 marker=".venv/.installed-$1" wanted
  if [ -f "$marker" ] && [ "$(cat "$marker")" = "$(fingerprint "$lock" pyproject.toml 2>/dev/null)" ]
  then
    return
  fi
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    make_venv
  elif ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    make_venv
  fi
  wanted=$(fingerprint "$lock" pyproject.toml)
  install_locked "$lock"
  install_project
  printf '%s\n' "$wanted" >"$marker"
}
